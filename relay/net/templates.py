"""The RTCP a row's sender report is followed by, with zeros where the kernel writes the row's SSRC."""

from __future__ import annotations

CNAME = b"loa"

_SDES_ITEM = bytes((1, len(CNAME))) + CNAME
_SDES_CHUNK = bytes(4) + _SDES_ITEM + bytes(4 - len(_SDES_ITEM) % 4)
SDES = bytes((0x81, 202)) + (len(_SDES_CHUNK) // 4).to_bytes(2, "big") + _SDES_CHUNK
"""A source description whose SSRC the kernel fills in at octet 4."""

BYE = bytes((0x81, 203, 0, 1)) + bytes(4)
