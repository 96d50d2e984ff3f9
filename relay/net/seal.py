"""One packet for one row: the RTP header, and the seal.

AEAD_AES_128_GCM, which every current peer negotiates with us, is sealed from what stands in the row (RFC 7714): by
libipsec-mb where there is one (`ipsec_mb`), else by OpenSSL's cipher, keyed for each packet. The older profile is left
to libsrtp's `srtp_protect`. The tests hold all three to libsrtp byte for byte.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from relay.net import ipsec_mb
from relay.net.native import call_evp_ctrl, call_evp_final, call_evp_init, call_evp_update, call_gcm

HEADER = 12
CAPTURE_EXTENSION = 16
"""Octets the abs-capture-time extension takes: profile and length 4, id and length 1, NTP 8, padding 3."""

TAG = 16
_SALT = 16
SECRETS = 32
"""Octets of a row's secrets: session key 16, session salt 12, and 4 of nothing to make a round number."""

_READY = 64
ROW = _READY + ipsec_mb.KEY
"""Octets of a row: the secrets, and in the lines after theirs the key made ready, where there is a cipher for it."""

_CONTEXT = 64
SCRATCH = _CONTEXT + ipsec_mb.CONTEXT
"""Octets a thread needs to seal: the nonce, and the cipher's context."""

_GET_TAG = 16  # EVP_CTRL_AEAD_GET_TAG

EVP_INIT, EVP_UPDATE, EVP_FINAL, EVP_CTRL, GCM = 5, 6, 7, 8, 9
"""Where the ciphers' functions stand in the kernel's array of addresses."""


@njit(nogil=True, cache=True, inline="always")
def put32(buffer, at, value):
    """Write 32 bits, most significant first."""
    buffer[at] = (value >> 24) & 0xFF
    buffer[at + 1] = (value >> 16) & 0xFF
    buffer[at + 2] = (value >> 8) & 0xFF
    buffer[at + 3] = value & 0xFF


@njit(nogil=True, cache=True)
def write_packet(
    out, payload, length, marker, sequence, timestamp, capture, ssrc, payload_type, extension_id
):
    """Write one plain RTP packet (RFC 3550 §5.1) into `out`; returns the lengths of header and packet.

    `capture` is the NTP capture time of the packet (Q32.32) or 0; it is sent as abs-capture-time to rows that
    negotiated an `extension_id`.
    """
    at = HEADER
    extended = capture != 0 and extension_id != 0
    out[0] = 0x90 if extended else 0x80
    out[1] = (payload_type & 0x7F) | (0x80 if marker else 0)
    out[2] = (sequence >> 8) & 0xFF
    out[3] = sequence & 0xFF
    put32(out, 4, timestamp)
    put32(out, 8, ssrc)
    if extended:
        put32(out, 12, 0xBEDE0003)
        out[16] = (extension_id << 4) | 7
        put32(out, 17, (capture >> 32) & 0xFFFFFFFF)
        put32(out, 21, capture & 0xFFFFFFFF)
        out[25] = 0
        out[26] = 0
        out[27] = 0
        at += CAPTURE_EXTENSION
    for i in range(length):
        out[at + i] = payload[i]
    return at, at + length


@njit(nogil=True, cache=True, inline="always")
def _write_nonce(nonce, secrets, index, ssrc):
    """RFC 7714 §8.1, into the first 12 octets."""
    for i in range(2):
        nonce[i] = secrets[_SALT + i]
    for i in range(4):
        nonce[2 + i] = secrets[_SALT + 2 + i] ^ ((ssrc >> (24 - 8 * i)) & 0xFF)
    for i in range(6):
        nonce[6 + i] = secrets[_SALT + 6 + i] ^ ((index >> (40 - 8 * i)) & 0xFF)


@njit(nogil=True, cache=True)
def _seal_by_openssl(packet, header, size, secrets, nonce, length, context, native):
    body = packet.ctypes.data + header
    end = packet.ctypes.data + size
    used = length.ctypes.data
    failed = (
        call_evp_init(native[EVP_INIT], context, secrets.ctypes.data, nonce.ctypes.data) != 1
        or call_evp_update(native[EVP_UPDATE], context, 0, used, packet.ctypes.data, np.int32(header)) != 1
        or call_evp_update(native[EVP_UPDATE], context, body, used, body, np.int32(size - header)) != 1
        or call_evp_final(native[EVP_FINAL], context, end, used) != 1
        or call_evp_ctrl(native[EVP_CTRL], context, np.int32(_GET_TAG), np.int32(TAG), end) != 1
    )
    return 0 if failed else size + TAG


@njit(nogil=True, cache=True)
def seal_aead(packet, header, size, index, ssrc, secrets, nonce, length, context, native):
    """Encrypt and authenticate `packet[:size]` in place; returns the sealed size, or 0 when OpenSSL failed.

    `index` is the packet's 48-bit SRTP index (roll-over counter and sequence), `secrets` a row of `secrets_table`,
    `nonce` the scratch of `nonce_scratch` and `length` one int32 of it. RFC 7714 §9.1 (header as associated data).
    """
    _write_nonce(nonce, secrets, index, ssrc)
    # Asked at run time: what was compiled is kept on disk, and the library may be gone by then.
    if native[GCM] == 0:
        return _seal_by_openssl(packet, header, size, secrets, nonce, length, context, native)
    start = packet.ctypes.data
    call_gcm(
        native[GCM],
        secrets.ctypes.data + _READY,
        nonce.ctypes.data + _CONTEXT,
        start + header,
        start + header,
        size - header,
        nonce.ctypes.data,
        start,
        header,
        start + size,
        TAG,
    )
    return size + TAG


def secrets_table(rows: int, cipher: ipsec_mb.Cipher | None = ipsec_mb.CIPHER) -> npt.NDArray[np.uint8]:
    """Room for the secrets of `rows` rows, as `seal_aead` takes them."""
    return ipsec_mb.aligned(SECRETS if cipher is None else ROW, rows)


def nonce_scratch() -> npt.NDArray[np.uint8]:
    """The `nonce` of `seal_aead`."""
    scratch: npt.NDArray[np.uint8] = ipsec_mb.aligned(SCRATCH)[0]
    return scratch


def store_secrets(
    row: npt.NDArray[np.uint8], key: bytes, salt: bytes, cipher: ipsec_mb.Cipher | None = ipsec_mb.CIPHER
) -> None:
    """Put a session key (16 octets) and salt (12) into a row of `secrets_table`."""
    row[: len(key) + len(salt)] = np.frombuffer(key + salt, np.uint8)
    if cipher is not None:
        cipher.prepare(key, row[_READY:])
