from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.link.model import Link, LinkConfig
from bench.link.observe import PathObserver
from bench.link.presets import P1, P2
from loacodecs.rtp import RtpPacket

FRAME_S = 0.02
Rows = list[tuple[float, int, str, int, tuple[float, ...]]]


def packet(number: int, *, ssrc: int = 7, size: int = 160) -> bytes:
    sequence, timestamp = (number + 65_500) & 0xFFFF, (number * 960 + (1 << 32) - 20_000) & 0xFFFFFFFF
    return RtpPacket(111, False, sequence, timestamp, ssrc, bytes(size)).to_bytes()


def observed(arrivals: Iterable[tuple[float, bytes]], base: float = 0.0) -> Rows:
    rows: Rows = []
    observer = PathObserver(lambda *row: rows.append(row), base)
    for at, data in arrivals:
        observer.on_datagram(at, 3, "down", data)
    return rows


def through(
    config: LinkConfig, seed: int, packets: int
) -> tuple[list[float | None], list[tuple[float, bytes]]]:
    """Delays of a stream sent through a link, None for losses, and what arrives, in order of arrival."""
    link = Link(config, seed)
    delays: list[float | None] = []
    arrivals = []
    for number in range(packets):
        fate = link.fate(number * FRAME_S, 172)
        delays.append(fate[0] - number * FRAME_S if fate else None)
        arrivals += [(delivery, packet(number)) for delivery in fate[:1]]
    return delays, sorted(arrivals)


@given(st.sampled_from([P1, P2]), st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_losses_and_delays_of_a_path_are_seen_from_its_far_end(path: object, seed: int) -> None:
    config = P1.down if path is P1 else P2.down
    delays, arrivals = through(config, seed, 1000)
    first = next(number for number, delay in enumerate(delays) if delay is not None)
    rows = observed(arrivals, config.delay.base)
    # The last packets' fate is not known yet when the stream ends.
    assert 900 < len(rows) <= 1000 - first
    seen = [row[4][0] if row[4] else None for row in rows]
    wanted = delays[first : first + len(rows)]
    assert [delay is None for delay in seen] == [delay is None for delay in wanted]
    # The quickest packet so far is the measure: soon it is within a few milliseconds of the true minimum.
    late = [
        (one, other) for one, other in zip(seen, wanted, strict=True) if one is not None and other is not None
    ]
    off = [one - other for one, other in late[len(late) // 2 :]]
    assert max(off) - min(off) < 0.02
    assert all(-0.03 < difference <= 1e-6 for difference in off)
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    assert {row[1:4] for row in rows} == {(3, "down", 172)}


def test_lost_packets_are_dated_between_their_neighbours() -> None:
    numbers = [0, 1, 2, 6, 7, 8]
    rows = observed([(1 + number * FRAME_S, packet(number)) for number in numbers])
    assert [bool(row[4]) for row in rows] == [True] * 3 + [False] * 3 + [True] * 3
    assert [row[0] for row in rows] == pytest.approx([1 + number * FRAME_S for number in range(9)])


def test_a_retransmission_counts_as_lost_a_packet_that_was_overtaken_does_not() -> None:
    times = {0: 0.0, 1: 0.02, 2: 0.078, 3: 0.06, 4: 0.085, 5: 0.08, 6: 0.12, 7: 0.14}
    rows = observed(sorted((at, packet(number)) for number, at in times.items()))
    assert [bool(row[4]) for row in rows] == [True, True, False, True, True, True, True, True]


def test_what_comes_twice_is_one_packet() -> None:
    assert len(observed([(number // 2 * FRAME_S, packet(number // 2)) for number in range(20)])) == 10


def test_a_sender_that_starts_afresh_or_another_source_is_no_loss() -> None:
    jumps = [*range(5), *range(5000, 5005)]
    assert all(
        row[4] for row in observed([(at * FRAME_S, packet(number)) for at, number in enumerate(jumps)])
    )
    sources = [(at * FRAME_S, packet(at + at // 5 * 50, ssrc=at // 5)) for at in range(10)]
    assert sum(bool(row[4]) for row in observed(sources)) == 10


@given(st.lists(st.tuples(st.floats(0, 100), st.binary(max_size=60)), max_size=60))
def test_whatever_comes_nothing_is_raised(datagrams: list[tuple[float, bytes]]) -> None:
    observed(sorted((at, b"\x80\x6f" + data) for at, data in datagrams))
    observed(sorted(datagrams))


def test_only_rtp_is_looked_at() -> None:
    assert observed([(1.0, b"\x16\xfe\xfd" + bytes(40)), (1.1, b"\x80\xc8" + bytes(30)), (1.2, b"")]) == []
