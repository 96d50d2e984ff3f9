"""Redundant audio (RFC 2198): a packet repeats the payloads before it, so that one lost packet costs nothing.

    F=1 | block PT (7) | timestamp offset (14) | block length (10)     for each redundant block, oldest first
    F=0 | block PT (7)                                                 for the primary
    redundant data … primary data

Offsets are samples of the RTP clock before the packet's own timestamp: at 48 kHz at most 341 ms.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .errors import MalformedError

MAX_OFFSET = (1 << 14) - 1
MAX_LENGTH = (1 << 10) - 1
MAX_BLOCKS = 16
"""More blocks than this are no redundancy but an attempt to make work of one packet."""

_REDUNDANT_HEADER = 4
_FOLLOWS = 0x80


class Block(NamedTuple):
    """One payload of a packet; `timestamp_offset` samples before the packet's own, 0 for the primary.

    `data` may be empty: a sender that has nothing to repeat may say so.
    """

    payload_type: int
    timestamp_offset: int
    data: bytes


def parse(payload: bytes) -> list[Block]:
    """The blocks of a RED payload in their order: redundant ones first, the primary last.

    Raises MalformedError when headers or data are cut short, when there are more than `MAX_BLOCKS`, or when a
    redundant block claims the primary's own time, for then it would be a second primary.
    """
    headers: list[tuple[int, int, int]] = []
    position = 0
    while True:
        if position >= len(payload):
            raise MalformedError("the headers of the RED blocks are cut short")
        first = payload[position]
        if first < _FOLLOWS:
            break
        if position + _REDUNDANT_HEADER > len(payload):
            raise MalformedError("the headers of the RED blocks are cut short")
        if len(headers) == MAX_BLOCKS - 1:
            raise MalformedError(f"a RED packet has at most {MAX_BLOCKS} blocks")
        rest = int.from_bytes(payload[position + 1 : position + _REDUNDANT_HEADER])
        headers.append((first & 0x7F, rest >> 10, rest & MAX_LENGTH))
        position += _REDUNDANT_HEADER
    position += 1
    blocks: list[Block] = []
    for payload_type, offset, length in headers:
        if position + length > len(payload):
            raise MalformedError("a RED block is longer than its packet")
        if offset == 0 and length:
            raise MalformedError("a redundant block has the primary's own timestamp")
        blocks.append(Block(payload_type, offset, payload[position : position + length]))
        position += length
    blocks.append(Block(first, 0, payload[position:]))
    return blocks


def build(blocks: Sequence[Block], limit: int = 1_400) -> bytes:
    """A RED payload of at most `limit` octets; the last block is the primary, the others are oldest first.

    A redundant block that cannot be expressed (empty, not 1 … 16,383 samples back, more than 1,023 octets) is
    left out, and so are the oldest that do not fit: redundancy is never worth the primary. The primary itself
    is not looked at and may alone exceed the limit. Raises ValueError when there is no block or a payload type
    is none.
    """
    if not blocks:
        raise ValueError("a RED packet has a primary block")
    if not all(0 <= block.payload_type <= 127 for block in blocks):
        raise ValueError("a payload type is a number of 0 to 127")
    primary = blocks[-1]
    room = limit - len(primary.data) - 1
    kept: list[Block] = []
    for block in reversed(blocks[:-1]):
        cost = _REDUNDANT_HEADER + len(block.data)
        if not 0 < len(block.data) <= MAX_LENGTH or not 0 < block.timestamp_offset <= MAX_OFFSET:
            continue
        if cost > room or len(kept) == MAX_BLOCKS - 1:
            break
        room -= cost
        kept.append(block)
    kept.reverse()
    headers = b"".join(
        ((_FOLLOWS | block.payload_type) << 24 | block.timestamp_offset << 10 | len(block.data)).to_bytes(
            _REDUNDANT_HEADER
        )
        for block in kept
    )
    return b"".join((headers, bytes((primary.payload_type,)), *(b.data for b in kept), primary.data))
