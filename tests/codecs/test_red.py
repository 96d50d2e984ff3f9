"""Redundant audio: what is built is read again, and hostile payloads are refused in one way only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loacodecs import red
from loacodecs.errors import MalformedError
from loacodecs.red import Block

blocks = st.builds(
    Block, st.integers(0, 127), st.integers(1, red.MAX_OFFSET), st.binary(min_size=1, max_size=80)
)
primaries = st.builds(Block, st.integers(0, 127), st.just(0), st.binary(max_size=80))


def test_the_octets_are_those_of_the_rfc() -> None:
    payload = red.build([Block(111, 1920, b"aa"), Block(111, 960, b"b"), Block(111, 0, b"ccc")])
    # F | PT, then offset 14 bits and length 10 bits
    assert payload == (
        bytes.fromhex("ef") + (1920 << 10 | 2).to_bytes(3)
        + bytes.fromhex("ef") + (960 << 10 | 1).to_bytes(3)
        + bytes.fromhex("6f") + b"aabccc"
    )  # fmt: skip


@given(st.lists(blocks, max_size=red.MAX_BLOCKS - 1), primaries)
def test_what_is_built_is_read_again(redundant: list[Block], primary: Block) -> None:
    assert red.parse(red.build([*redundant, primary], limit=10_000)) == [*redundant, primary]


@given(st.binary(max_size=200))
def test_hostile_octets_raise_malformed_error_only(payload: bytes) -> None:
    try:
        found = red.parse(payload)
    except MalformedError:
        return
    assert found[-1].timestamp_offset == 0
    assert sum(len(block.data) for block in found) + 4 * (len(found) - 1) + 1 == len(payload)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "cut short"),
        (b"\xef\x0f\x00", "cut short"),
        (b"\xef\x0f\x00\x02", "cut short"),
        (b"\xef\x0f\x00\x05\x6fabc", "longer than its packet"),
        (b"\xef\x00\x00\x01\x6fab", "own timestamp"),
        ((b"\xef\x0f\x00\x00" * red.MAX_BLOCKS) + b"\x6f", "at most 16 blocks"),
    ],
)
def test_each_rule_has_its_reason(payload: bytes, reason: str) -> None:
    with pytest.raises(MalformedError, match=reason):
        red.parse(payload)


def test_a_primary_alone_and_an_empty_redundant_block_are_read() -> None:
    assert red.parse(b"\x6fabc") == [Block(111, 0, b"abc")]
    assert red.parse(b"\xef\x00\x00\x00\x6fabc") == [Block(111, 0, b""), Block(111, 0, b"abc")]


@pytest.mark.parametrize(
    "block",
    [
        Block(111, red.MAX_OFFSET + 1, b"x"),
        Block(111, -960, b"x"),
        Block(111, 0, b"x"),
        Block(111, 960, bytes(red.MAX_LENGTH + 1)),
        Block(111, 960, b""),
    ],
)
def test_a_block_that_cannot_be_expressed_is_left_out(block: Block) -> None:
    older, primary = Block(111, 1920, b"older"), Block(111, 0, b"now")
    assert red.parse(red.build([older, block, primary], limit=2_000)) == [older, primary]


def test_the_oldest_goes_first_when_there_is_no_room() -> None:
    sent = [Block(111, 1920, bytes(40)), Block(111, 960, bytes(40)), Block(111, 0, bytes(40))]
    assert red.parse(red.build(sent, limit=133)) == sent[:]
    assert red.parse(red.build(sent, limit=128)) == sent[1:]
    assert red.parse(red.build(sent, limit=60)) == sent[2:]
    assert len(red.build(sent, limit=1)) == 41, "the primary is never left out"


def test_mistakes_of_the_caller_are_told() -> None:
    with pytest.raises(ValueError, match="primary"):
        red.build([])
    with pytest.raises(ValueError, match="payload type"):
        red.build([Block(128, 0, b"")])
