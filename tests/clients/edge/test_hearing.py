"""The state shown comes from sound: driven by hand."""

from __future__ import annotations

from loaedge.hearing import QUIET_S, Hearing, in_words
from loaedge.level import Level

LOUD = Level(-20.0, -10.0, 4800)
QUIET = Level(-80.0, -70.0, 4800)


def test_from_connecting_to_sound_to_silence_to_nothing() -> None:
    hearing = Hearing(0.0)
    assert hearing.state(0.1) == "waiting"
    hearing.on_packet(1.0)
    assert hearing.state(1.0) == "waiting"
    hearing.on_level(LOUD, 1.1)
    assert hearing.state(1.1) == "sound"
    for tenth in range(12, 60):
        hearing.on_packet(tenth / 10)
        hearing.on_level(QUIET, tenth / 10)
    assert hearing.state(1.1 + QUIET_S - 0.1) == "sound", "a pause of speech is no silence"
    assert hearing.state(5.9) == "silent"
    assert hearing.state(5.9 + QUIET_S) == "nothing"
    assert abs(hearing.heard_s - 0.1) < 1e-9


def test_without_a_packet_it_is_silent_after_a_while() -> None:
    hearing = Hearing(10.0)
    assert hearing.state(10.0 + QUIET_S) == "nothing"
    assert in_words("nothing").startswith("connected but silent")
    assert in_words("silent").startswith("connected but silent")


def test_an_empty_window_is_not_heard() -> None:
    hearing = Hearing(0.0)
    hearing.on_level(Level(0.0, 0.0, 0), 1.0)
    assert hearing.heard_s == 0
