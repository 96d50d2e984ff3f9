"""Both ways of sealing AES-128-GCM against a third implementation's."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from loacodecs import srtp
from relay.kernel_cache import drop_stale
from relay.net import ipsec_mb, native, seal

BY_LIBRARY = pytest.param(
    ipsec_mb.CIPHER,
    marks=pytest.mark.skipif(ipsec_mb.CIPHER is None, reason="libipsec-mb1 is missing, or this is no x86"),
)
BY_OPENSSL = pytest.param(
    None, marks=pytest.mark.skipif(not native.EVP, reason="Python carries a hidden copy of OpenSSL")
)


def sealed(
    cipher: ipsec_mb.Cipher | None, buffer: np.ndarray, header: int, size: int, index: int, secrets: bytes
) -> int:
    """Seal the packet in `buffer` under the key and salt of `secrets`; returns its new size."""
    row = seal.secrets_table(1, cipher)[0]
    seal.store_secrets(row, secrets[:16], secrets[16:], cipher)
    addresses = [srtp.PROTECT_ADDRESS, native.SENDMMSG, native.ERRNO_LOCATION, native.READ, native.WRITE]
    addresses += [*(native.EVP or (0, 0, 0, 0)), cipher.encrypt if cipher else 0]
    context = native.AeadContext()
    ssrc = int.from_bytes(buffer[8:12].tobytes(), "big")
    try:
        return int(seal.seal_aead(
            buffer, header, size, index, ssrc, row, seal.nonce_scratch(), np.zeros(1, np.int32),
            context.address, np.array(addresses, np.int64),
        ))  # fmt: skip
    finally:
        context.close()


@pytest.mark.parametrize("cipher", [BY_LIBRARY, BY_OPENSSL])
@settings(max_examples=150, deadline=None)
@given(
    secrets=st.binary(min_size=28, max_size=28),
    index=st.one_of(st.integers(0, 2**48 - 1), st.sampled_from([65_535, 65_536, 2**33 + 7])),
    header=st.sampled_from([12, 28]),
    seed=st.integers(0, 2**32),
    length=st.integers(1, 1400),
    shift=st.integers(0, 15),
)
def test_it_is_aes_128_gcm_of_rfc_7714(
    cipher: ipsec_mb.Cipher | None,
    secrets: bytes,
    index: int,
    header: int,
    seed: int,
    length: int,
    shift: int,
) -> None:
    plain = np.random.default_rng(seed).bytes(header + length)
    buffer = np.full(1536, 0xA5, np.uint8)  # what stood there before must not matter
    buffer[shift : shift + len(plain)] = np.frombuffer(plain, np.uint8)
    size = sealed(cipher, buffer[shift:], header, len(plain), index, secrets)
    unsalted = bytes(2) + plain[8:12] + index.to_bytes(6, "big")
    nonce = bytes(a ^ b for a, b in zip(unsalted, secrets[16:], strict=True))
    expected = plain[:header] + AESGCM(secrets[:16]).encrypt(nonce, plain[header:], plain[:header])
    assert buffer[shift : shift + size].tobytes() == expected
    assert set(buffer[:shift].tolist()) | set(buffer[shift + size :].tolist()) <= {0xA5}


@pytest.mark.skipif(ipsec_mb.CIPHER is None, reason="libipsec-mb1 is missing, or this is no x86")
def test_a_library_that_computes_something_else_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ipsec_mb.CIPHER is not None
    assert ipsec_mb.CIPHER.works()
    monkeypatch.setattr(ipsec_mb.Cipher, "prepare", lambda self, key, row: None)
    assert not ipsec_mb.CIPHER.works()
    assert ipsec_mb.find() is None


def test_without_the_library_rows_are_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ipsec_mb, "_SONAMES", ("libnosuch.so.1",))
    assert ipsec_mb.find() is None
    secrets = os.urandom(28)
    table = seal.secrets_table(4, None)
    seal.store_secrets(table[2], secrets[:16], secrets[16:], None)
    assert table.tobytes() == bytes(64) + secrets + bytes(4 + 32)


def test_kernels_compiled_from_older_sources_are_dropped(tmp_path: Path) -> None:
    cache = tmp_path / "__pycache__"
    cache.mkdir()
    for name, time in (("__pycache__/old.nbi", 10), ("__pycache__/new.nbi", 30), ("a.py", 5), ("b.py", 20)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time, time))
    drop_stale(tmp_path)
    assert [path.name for path in cache.iterdir()] == ["new.nbi"]
    drop_stale(tmp_path / "nowhere")
