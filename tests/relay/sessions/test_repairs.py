"""The budget of retransmissions, and requests that cross their answer."""

from __future__ import annotations

from relay.sessions.repairs import ROUND_TRIP_S, Repairs


def test_a_listener_has_so_many_a_second_and_as_many_at_once() -> None:
    repairs = Repairs(100)
    assert sum(repairs.take(n, 5.0) for n in range(300)) == 100
    assert sum(repairs.take(1_000 + n, 5.0 + n / 1_000) for n in range(1_000)) in (99, 100)
    assert not any(Repairs(0).take(n, float(n)) for n in range(10))


def test_a_request_that_crosses_its_answer_is_answered_once() -> None:
    repairs = Repairs(100)
    assert repairs.take(7, 1.0)
    assert not repairs.take(7, 1.0)
    assert not repairs.take(7, 1.0 + 0.7 * ROUND_TRIP_S)
    assert repairs.take(8, 1.0 + 0.7 * ROUND_TRIP_S)
    assert repairs.take(7, 1.0 + ROUND_TRIP_S), "the answer was lost, too"


def test_the_round_trip_is_learnt_and_not_believed_beyond_half_a_second() -> None:
    repairs = Repairs(100)
    repairs.note_round_trip(0.25)
    assert repairs.take(7, 1.0)
    assert not repairs.take(7, 1.15)
    assert repairs.take(7, 1.25)
    repairs.note_round_trip(60.0)
    assert repairs.take(7, 1.75)


def test_a_refused_request_does_not_put_off_the_next() -> None:
    repairs = Repairs(100)
    assert repairs.take(7, 1.0)
    assert not any(repairs.take(7, 1.0 + n / 100) for n in range(1, 4))
    assert repairs.take(7, 1.045)
