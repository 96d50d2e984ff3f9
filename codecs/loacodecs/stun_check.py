"""The one STUN exchange that a relay has all day: a listener's connectivity check, answered.

A thousand listeners check every five seconds (RFC 7675), so this stands near the packet path: one walk over the
request's attributes, one HMAC to verify it, one to sign the answer, no objects. What is not plain here is left to
`stun`, over `aioice.stun`, with which the tests hold it byte by byte.
"""

from __future__ import annotations

import hmac
import ipaddress
import zlib
from functools import lru_cache
from struct import pack, unpack_from
from typing import NamedTuple

from .address import Address

_COOKIE = b"\x21\x12\xa4\x42"
_REQUEST = b"\x00\x01"
_RESPONSE = b"\x01\x01"
_USERNAME, _INTEGRITY, _USE_CANDIDATE, _FINGERPRINT = 0x0006, 0x0008, 0x0025, 0x8028
_FINGERPRINT_XOR = 0x5354_554E
_HEADER = 20
_MAX_LENGTH = 1280


class Answer(NamedTuple):
    """The datagram to send back, and whether the check nominated its path (USE-CANDIDATE)."""

    data: bytes
    nominates: bool


def answer(data: bytes, username: bytes, key: bytes, mapped: Address) -> Answer | None:
    """The answer to a check that came from `mapped`, if it is signed with `key` for `username`; else None.

    RFC 8489 §9.1.3 (short-term credentials), §14.5 (MESSAGE-INTEGRITY), §14.7 (FINGERPRINT, when present).
    """
    size = len(data)
    if size > _MAX_LENGTH or data[:2] != _REQUEST or data[4:8] != _COOKIE:
        return None
    if int.from_bytes(data[2:4]) != size - _HEADER:
        return None
    named = nominates = False
    at = _HEADER
    while at + 4 <= size:
        kind, length = unpack_from("!HH", data, at)
        if kind == _INTEGRITY:
            break
        if kind == _USERNAME:
            named = data[at + 4 : at + 4 + length] == username
        elif kind == _USE_CANDIDATE:
            nominates = True
        at += 4 + ((length + 3) & ~3)
    else:
        return None
    if not named or length != 20 or at + 24 > size or not _fingerprint_holds(data, at + 24):
        return None
    if not hmac.compare_digest(data[at + 4 : at + 24], _integrity(key, data[:at])):
        return None
    return Answer(_response(data[8:20], mapped, key), nominates)


def _response(transaction_id: bytes, mapped: Address, key: bytes) -> bytes:
    host, port = mapped
    packed = _packed(host)
    xored = (port ^ 0x2112).to_bytes(2) + _xor(packed, _COOKIE + transaction_id)
    attribute = pack("!HHBB", 0x0020, 4 + len(packed), 0, 1 if len(packed) == 4 else 2) + xored
    unsigned = _RESPONSE + b"\0\0" + _COOKIE + transaction_id + attribute
    signed = unsigned + b"\x00\x08\x00\x14" + _integrity(key, unsigned)
    whole = signed[:2] + (len(signed) - _HEADER + 8).to_bytes(2) + signed[4:]
    return whole + pack("!HHI", _FINGERPRINT, 4, zlib.crc32(whole) ^ _FINGERPRINT_XOR)


def _integrity(key: bytes, message: bytes) -> bytes:
    """HMAC over `message` with the length its header will have when MESSAGE-INTEGRITY is its last attribute."""
    return hmac.digest(key, message[:2] + (len(message) - _HEADER + 24).to_bytes(2) + message[4:], "sha1")


def _fingerprint_holds(data: bytes, at: int) -> bool:
    """Whether what follows MESSAGE-INTEGRITY at `at` is nothing, or one right FINGERPRINT."""
    if at == len(data):
        return True
    if len(data) != at + 8 or unpack_from("!HH", data, at) != (_FINGERPRINT, 4):
        return False
    return bool(unpack_from("!I", data, at + 4)[0] == zlib.crc32(data[:at]) ^ _FINGERPRINT_XOR)


def _xor(value: bytes, pad: bytes) -> bytes:
    size = len(value)
    return (int.from_bytes(value) ^ int.from_bytes(pad[:size])).to_bytes(size)


@lru_cache(maxsize=8192)
def _packed(host: str) -> bytes:
    return ipaddress.ip_address(host).packed
