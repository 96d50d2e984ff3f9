"""The channel's one clock and one sequence, whatever its sources do. Time is driven by hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from relay.channels.timeline import FRAME, Timeline


def test_a_source_keeps_its_gaps_and_its_order() -> None:
    timeline = Timeline(first_timestamp=500)
    placed = [
        timeline.place("a", 1, sequence, 960 * sequence, 10 + 0.02 * sequence) for sequence in (7, 8, 11, 10)
    ]
    assert [(p.sequence, p.timestamp) for p in placed if p] == [
        (0, 500),
        (1, 500 + FRAME),
        (4, 500 + 4 * FRAME),
        (3, 500 + 3 * FRAME),
    ]
    assert [p.spliced for p in placed if p] == [True, False, False, False]


def test_the_next_source_goes_on_by_one_packet_and_the_time_that_passed() -> None:
    timeline = Timeline()
    timeline.place("a", 1, 65_535, 0xFFFF_FF00, 100.0)
    first = timeline.place("b", 2, 4, 123, 101.0)
    second = timeline.place("b", 2, 5, 123 + 960, 101.02)
    assert first is not None
    assert second is not None
    assert (first.sequence, first.timestamp, first.spliced) == (1, 48_000, True)
    assert (second.sequence, second.timestamp, second.spliced) == (2, 48_960, False)


def test_a_packet_from_before_a_splice_is_nobodys() -> None:
    timeline = Timeline()
    timeline.place("a", 1, 10, 0, 0.0)
    timeline.place("b", 2, 100, 0, 0.1)
    assert timeline.place("b", 2, 99, -960 & 0xFFFF_FFFF, 0.1) is None
    after = timeline.place("b", 2, 101, 960, 0.12)
    assert after is not None
    assert after.sequence == 2


def test_a_restart_of_the_same_source_is_a_splice_not_a_hole() -> None:
    timeline = Timeline()
    timeline.place("a", 1, 10, 0, 0.0)
    jumped = timeline.place("a", 1, 40_000, 77, 0.02)
    assert jumped is not None
    assert (jumped.sequence, jumped.spliced) == (1, True)
    clock_jump = timeline.place("a", 1, 40_001, 0x8000_0000, 0.04)
    assert clock_jump is not None
    assert (clock_jump.sequence, clock_jump.timestamp, clock_jump.spliced) == (2, 2 * FRAME, True)


def test_discontinuous_transmission_is_no_restart() -> None:
    timeline = Timeline()
    timeline.place("a", 1, 1, 0, 0.0)
    after_pause = timeline.place("a", 1, 2, 48_000 * 60, 60.0)
    assert after_pause is not None
    assert (after_pause.sequence, after_pause.timestamp, after_pause.spliced) == (1, 48_000 * 60, False)


def test_a_new_ssrc_of_the_same_source_is_a_splice() -> None:
    timeline = Timeline()
    timeline.place("a", 1, 1, 0, 0.0)
    other = timeline.place("a", 2, 2, 960, 0.02)
    assert other is not None
    assert other.spliced


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 0xFFFF), st.integers(0, 0xFFFF_FFFF), st.floats(0, 3)),
        min_size=1,
        max_size=60,
    )
)
def test_whatever_comes_no_number_is_used_twice_by_two_sources(
    packets: list[tuple[int, int, int, float]],
) -> None:
    timeline = Timeline()
    owner: dict[int, tuple[int, int]] = {}
    splices = 0
    now = 0.0
    for ssrc, sequence, timestamp, passed in packets:
        now += passed
        before = timeline.sequence
        place = timeline.place("s", ssrc, sequence, timestamp, now)
        if place is None:
            continue
        splices += place.spliced
        if place.spliced:
            assert place.sequence == before + 1
        assert owner.setdefault(place.sequence, (ssrc, splices)) == (ssrc, splices)
        assert 0 <= place.timestamp <= 0xFFFF_FFFF
