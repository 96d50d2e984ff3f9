"""AES-128-GCM by Intel's Multi-Buffer Crypto for IPsec (libipsec-mb), for many keys and short packets.

OpenSSL's interface costs more than the cipher when each packet has another key. This library takes a key made ready
once, when a row is added, and seals a packet in one call (docs/adr/012). It is used where it is installed (Debian and
Ubuntu: libipsec-mb1) and the processor has what it needs; it exists for x86 only.
"""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
from llvmlite import binding

KEY: Final = 1024
"""Octets of `struct gcm_key_data`: round keys and powers of the hash key."""
CONTEXT: Final = 128
"""Octets of scratch, more than `struct gcm_context_data` takes."""
ALIGNMENT: Final = 64

_SONAMES: Final = ("libIPSec_MB.so.2", "libIPSec_MB.so.1")
# Widest registers last: they gain nothing on a packet of 80 octets, and their keys take twice as many cache lines.
_VARIANTS: Final = (("avx_gen4", "avx2"), ("avx_gen2", "avx"), ("sse", "sse4.1"))

_log = logging.getLogger(__name__)


def aligned(octets: int, rows: int = 1) -> npt.NDArray[np.uint8]:
    """Zeros of shape (rows, octets) that begin at a multiple of ALIGNMENT, as the library wants its structures."""
    room = np.zeros(rows * octets + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    return room[start : start + rows * octets].reshape(rows, octets)


class Cipher:
    """The two functions of one variant: `prepare` makes a key ready, the one at `encrypt` seals with it."""

    def __init__(self, library: ctypes.CDLL, variant: str) -> None:
        self.variant = variant
        self._prepare = getattr(library, f"aes_gcm_pre_128_{variant}")
        self._prepare.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
        self._prepare.restype = None
        self._encrypt = getattr(library, f"aes_gcm_enc_128_{variant}")
        word, at = ctypes.c_uint64, ctypes.c_void_p
        self._encrypt.argtypes = [at, at, at, at, word, at, at, word, at, word]
        self._encrypt.restype = None
        self.encrypt: int = ctypes.cast(self._encrypt, ctypes.c_void_p).value or 0
        """Its address, for `native.call_gcm`."""

    def prepare(self, key: bytes, row: npt.NDArray[np.generic]) -> None:
        """Make the 16 octets of `key` ready in the first KEY octets of `row`, aligned."""
        self._prepare(key, row.ctypes.data)

    def works(self) -> bool:
        """Whether it computes test case 2 of McGrew and Viega's GCM specification, and keeps to its room."""
        row, text = aligned(KEY + ALIGNMENT)[0], aligned(64)[0]
        context, zeros = aligned(CONTEXT)[0], bytes(16)
        row[KEY:] = 0xA5
        self.prepare(zeros, row)
        at = text.ctypes.data
        self._encrypt(row.ctypes.data, context.ctypes.data, at, at, 16, zeros, zeros, 0, at + 16, 16)
        return text[:32].tobytes() == _CASE_2 and bool(np.all(row[KEY:] == 0xA5))


_CASE_2: Final = bytes.fromhex("0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf")


def _candidates() -> Iterator[Cipher]:
    features = binding.get_host_cpu_features()
    if not (features.get("aes") and features.get("pclmul")):
        return
    for soname in _SONAMES:
        try:
            library = ctypes.CDLL(soname)
        except OSError:
            continue
        for variant, needed in _VARIANTS:
            if features.get(needed) and hasattr(library, f"aes_gcm_enc_128_{variant}"):
                yield Cipher(library, variant)


def find() -> Cipher | None:
    """The best variant there is that passes its test; None where the library or the instructions are missing."""
    for cipher in _candidates():
        if cipher.works():
            return cipher
        _log.warning("libipsec-mb's AES-GCM (%s) is not as expected; it is not used", cipher.variant)
    return None


CIPHER: Final = find()
