"""What a receiver believes of the class of its live programme, by a hand clock."""

from __future__ import annotations

import pytest

from loacodecs.control import CLASS_CONFIRM_S, LiveClass
from loaedge.control.classes import RELAYS_MAX, LiveClasses

RELAY_NOW = 1_800_000_000.0
NOW = 50.0


def stated(kind: str = "emergency", until: float = RELAY_NOW + 600, channel: str = "xa") -> LiveClass:
    return LiveClass(channel, kind, until)  # type: ignore[arg-type]


def take(classes: LiveClasses, what: LiveClass, relay: str = "loa-a", *, later: float = 0.0) -> str:
    """Let `relay` state it `later` seconds after the beginning."""
    moment = RELAY_NOW + later
    return classes.take(relay, what, issued=moment, relay_now=moment, now=NOW + later)


def test_it_is_normal_unless_stated_and_for_so_long_as_stated() -> None:
    classes = LiveClasses("xa")
    assert classes.kind(NOW) == "normal"
    assert take(classes, stated()) == ""
    assert classes.kind(NOW + 599) == "emergency"
    assert classes.kind(NOW + 600) == "normal"
    assert classes.kind(NOW) == "normal", "what has expired does not come back"


def test_it_can_be_prolonged_and_withdrawn() -> None:
    classes = LiveClasses("xa")
    take(classes, stated())
    take(classes, stated(until=RELAY_NOW + 1200), later=500)
    assert classes.kind(NOW + 1100) == "emergency"
    assert take(classes, stated("normal", 0.0), later=1150) == ""
    assert classes.kind(NOW + 1150) == "normal"


@pytest.mark.parametrize(
    ("what", "why"),
    [
        (stated(channel="huyen"), "channel"),
        (stated(until=RELAY_NOW), "expired"),
        (stated(until=RELAY_NOW - 1), "expired"),
        (stated(until=RELAY_NOW + 3601), "lifetime"),
    ],
)
def test_what_is_not_believed(what: LiveClass, why: str) -> None:
    classes = LiveClasses("xa")
    assert take(classes, what) == why
    assert classes.kind(NOW) == "normal"


def test_an_older_statement_does_not_overtake_a_newer_one() -> None:
    classes = LiveClasses("xa")
    take(classes, stated("priority"), later=10)
    assert take(classes, stated("emergency"), later=5) == "stale"
    assert classes.kind(NOW + 10) == "priority"


def test_another_channel_is_another_programme() -> None:
    classes = LiveClasses("xa")
    take(classes, stated())
    classes.tune("xa")
    assert classes.kind(NOW) == "emergency"
    classes.tune("huyen")
    classes.tune("xa")
    assert classes.kind(NOW) == "normal"


def test_a_relay_that_is_back_must_say_it_again_and_no_sound_is_lost_meanwhile() -> None:
    classes = LiveClasses("xa")
    take(classes, stated())
    classes.welcomed("loa-a", NOW + 100)
    assert classes.kind(NOW + 100 + CLASS_CONFIRM_S - 1) == "emergency"
    take(classes, stated(), later=100 + CLASS_CONFIRM_S - 1)
    assert classes.kind(NOW + 599) == "emergency"
    classes.welcomed("loa-a", NOW + 200)
    assert classes.kind(NOW + 200 + CLASS_CONFIRM_S) == "normal", "it ended while the link was down"


def test_a_relay_that_stands_in_for_another_cannot_end_what_it_has_not_heard_of() -> None:
    classes = LiveClasses("xa")
    take(classes, stated(), "loa-a")
    classes.welcomed("loa-b", NOW + 10)
    take(classes, stated("normal", 0.0), "loa-b", later=10)
    take(classes, stated("priority", RELAY_NOW + 900), "loa-b", later=11)
    assert classes.kind(NOW + 599) == "emergency"
    assert classes.kind(NOW + 601) == "priority"


def test_memory_is_bounded() -> None:
    classes = LiveClasses("xa")
    for number in range(10 * RELAYS_MAX):
        take(classes, stated(), f"loa-{number}")
    take(classes, stated("normal", 0.0), "loa-0")
    assert classes.kind(NOW) == "emergency"
    for number in range(RELAYS_MAX):
        take(classes, stated("normal", 0.0), f"loa-{number}")
    assert classes.kind(NOW) == "normal"
