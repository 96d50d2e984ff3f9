"""One packet for one row: the RTP header, and the seal.

AEAD_AES_128_GCM, which every current peer negotiates with us, is sealed by OpenSSL's cipher under a key taken from
the row (RFC 7714); the older profile by libsrtp's `srtp_protect`. The tests hold both to libsrtp byte for byte.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from relay.net.native import call_evp_ctrl, call_evp_final, call_evp_init, call_evp_update

HEADER = 12
CAPTURE_EXTENSION = 16
"""Octets the abs-capture-time extension takes: profile and length 4, id and length 1, NTP 8, padding 3."""

TAG = 16
SECRETS = 32
"""Octets of a row's secrets: session key 16, session salt 12, and 4 of nothing to make a round number."""

_SALT = 16
_GET_TAG = 16  # EVP_CTRL_AEAD_GET_TAG

EVP_INIT, EVP_UPDATE, EVP_FINAL, EVP_CTRL = 5, 6, 7, 8
"""Where the EVP functions stand in the kernel's array of addresses."""


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


@njit(nogil=True, cache=True)
def seal_aead(packet, header, size, index, ssrc, secrets, nonce, length, context, native):
    """Encrypt and authenticate `packet[:size]` in place; returns the sealed size, or 0 when OpenSSL failed.

    `index` is the packet's 48-bit SRTP index (roll-over counter and sequence), `secrets` a row's key and salt, `nonce`
    12 octets and `length` one int32 of scratch. RFC 7714 §8.1 (nonce), §9.1 (header as associated data).
    """
    for i in range(2):
        nonce[i] = secrets[_SALT + i]
    for i in range(4):
        nonce[2 + i] = secrets[_SALT + 2 + i] ^ ((ssrc >> (24 - 8 * i)) & 0xFF)
    for i in range(6):
        nonce[6 + i] = secrets[_SALT + 6 + i] ^ ((index >> (40 - 8 * i)) & 0xFF)
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
