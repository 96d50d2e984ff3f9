"""The amplifier is warm before the first word and sleeps after the last."""

from __future__ import annotations

import pytest

from loacodecs.errors import ConfigurationError
from loaedge.outputs.amplifier import Amplifier, AmplifierSettings

SOUNDS = [(20.0, 25.0), (30.0, 30.5), (100.0, 101.0)]


def switched(amplifier: Amplifier, until: float) -> list[tuple[float, bool]]:
    """When it was switched, asked ten times a second whether SOUNDS has something a lead later."""
    lead = amplifier.settings.lead_s
    changes, state = [], False
    for tick in range(round(until * 10)):
        now = tick / 10
        due = any(begin <= now + lead < end for begin, end in SOUNDS)
        if amplifier.update(now, due) != state:
            state = not state
            changes.append((now, state))
    return changes


def test_it_leads_the_sound_and_outlasts_it() -> None:
    changes = switched(Amplifier(AmplifierSettings(lead_s=1.0, tail_s=10.0)), 200)
    assert [state for _, state in changes] == [True, False, True, False]
    assert [now for now, _ in changes] == pytest.approx([19.0, 40.4, 99.0, 110.9], abs=0.11)


def test_a_pause_longer_than_the_tail_switches_it_off() -> None:
    changes = switched(Amplifier(AmplifierSettings(lead_s=0.5, tail_s=1.0)), 50)
    assert [now for now, _ in changes] == pytest.approx([19.5, 25.9, 29.5, 31.4], abs=0.11)


def test_sound_that_is_held_for_less_than_the_lead_switches_it_on_at_once() -> None:
    """At the usual delay packets are there some 600 ms before they are heard, which is less than the usual lead."""
    amplifier = Amplifier(AmplifierSettings(lead_s=1.0, tail_s=1.0))
    states = {}
    for tick in range(400):
        now = tick / 10
        held = [moment for moment in amplifier.moments(now) if moment <= now + 0.6 + 1e-9]
        due = any(begin <= moment < end for begin, end in SOUNDS for moment in held)
        states[now] = amplifier.update(now, due)
    assert next(now for now, on in states.items() if on) == pytest.approx(19.4, abs=0.11)
    assert not states[28.0]
    assert states[29.5]


def test_it_tells_when_it_goes_off() -> None:
    amplifier = Amplifier(AmplifierSettings(lead_s=1.0, tail_s=3.0))
    assert amplifier.next_deadline() is None
    amplifier.update(5.0, True)
    assert amplifier.next_deadline() == 9.0
    assert amplifier.update(8.9, False)
    assert not amplifier.update(9.0, False)
    assert amplifier.next_deadline() is None


@pytest.mark.parametrize("settings", [{"lead_s": -1.0}, {"tail_s": float("nan")}, {"tail_s": 1e6}])
def test_times_that_cannot_be_meant_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="out of range"):
        AmplifierSettings(**settings)
