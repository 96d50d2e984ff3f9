from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.link.model import Link
from bench.link.presets import P2
from bench.link.replay import Replay, links
from bench.link.trace import Trace, TraceWriter, parse

FRAME_S = 0.02


def trace_of(*delays: str, pause: float = FRAME_S) -> Trace:
    rows = [f"{number * pause:.6f},0,down,172,{delay}" for number, delay in enumerate(delays)]
    return parse(["# loa-link-trace 1", *rows])


def down(trace: Trace, epoch: float = 0.0, pace: str = "time") -> Replay:
    link = links(trace, "packet" if pace == "packet" else "time")(0, epoch)[1]
    assert isinstance(link, Replay)
    return link


def recorded(seed: int, packets: int) -> tuple[Trace, list[tuple[float, ...]]]:
    """A trace of the model's decisions, and these."""
    link, text = Link(P2.down, seed), io.StringIO()
    writer, decided = TraceWriter(text), []
    for number in range(packets):
        now = number * FRAME_S
        decided.append(link.fate(now, 172))
        writer.row(now, 0, "down", 172, [delivery - now for delivery in decided[-1]])
    return parse(text.getvalue().splitlines()), decided


@given(st.integers(0, 1000), st.sampled_from(["time", "packet"]), st.floats(0, 1e6))
@settings(max_examples=10, deadline=None)
def test_a_recorded_link_is_replayed_to_the_microsecond(seed: int, pace: str, epoch: float) -> None:
    trace, decided = recorded(seed, 400)
    link = down(trace, epoch, pace)
    for number, expected in enumerate(decided):
        now = epoch + number * FRAME_S + 0.0001  # as little as this later, it is still the same packet
        deliveries = link.fate(now, 172)
        assert [delivery - now for delivery in deliveries] == pytest.approx(
            [delivery - number * FRAME_S for delivery in expected], abs=2e-4
        )
    assert link.counts.lost == sum(not fate for fate in decided)


@pytest.mark.parametrize("pace", ["time", "packet"])
def test_a_replay_begins_again_at_its_end(pace: str) -> None:
    link = down(trace_of("10", "lost", "12", "13 14"), pace=pace)
    decided = [len(link.fate(number * FRAME_S + 0.001, 172)) for number in range(12)]
    assert decided == [1, 0, 1, 2] * 3
    assert (link.counts.lost, link.counts.bursts, link.counts.doubled) == (3, 3, 3)


def test_by_time_an_outage_lasts_as_long_as_it_did_whatever_is_sent() -> None:
    trace = trace_of(*["10"] * 50, *["lost"] * 50)
    for pause in (0.005, 0.02, 0.06):
        link = down(trace)
        times = [number * pause for number in range(round(2 / pause))]
        lost = [now for now in times if not link.fate(now, 172)]
        assert min(lost) == pytest.approx(1.0, abs=pause)
        assert max(lost) == pytest.approx(2.0, abs=2 * pause)
        assert len(lost) == pytest.approx(1 / pause, abs=2)


def test_by_packet_the_same_are_lost_whenever_they_are_sent() -> None:
    trace = trace_of("10", "lost", "10", "10")
    link = down(trace, pace="packet")
    times = [0.0, 0.5, 0.50001, 7.0, 7.0, 7.0]
    assert [bool(link.fate(now, 172)) for now in times] == [True, False, True, True, True, False]


def test_packets_between_the_recorded_ones_keep_the_order_those_had() -> None:
    ordered = down(trace_of("100", "80", "60"))
    deliveries = [ordered.fate(number * 0.001, 172)[0] for number in range(60)]
    assert deliveries == sorted(deliveries)
    overtaking = down(trace_of("100", "20", "60"))
    jumping = [overtaking.fate(number * 0.001, 172)[0] for number in range(60)]
    assert jumping != sorted(jumping)


def test_both_directions_replay_their_own() -> None:
    text = ["# loa-link-trace 1", "0,0,up,9,lost", "0,0,down,9,5"]
    up, towards = links(parse(text))(0, 100.0)
    assert up.fate(100.0, 9) == ()
    assert towards.fate(100.0, 9) == pytest.approx((100.005,))
