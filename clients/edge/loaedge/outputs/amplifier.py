"""When the amplifier has power: on before the sound, off when it has been over for a while.

Pure: `update` is told the time and whether there is sound to come, and says what the switch should be.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from loacodecs.errors import ConfigurationError

HELD_S: Final = 3.0
"""No live sound is known longer before it is heard: the longest delay."""
_STEP_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class AmplifierSettings:
    """`lead_s`: how long before the sound it is switched on, until its output is steady; `tail_s`: how long it stays
    on after the last sound, so that pauses of a speaker do not wear the relay.
    """

    lead_s: float = 1.0
    tail_s: float = 10.0

    def __post_init__(self) -> None:
        """Raises ConfigurationError for times that cannot be meant."""
        for name, value, most in (("lead", self.lead_s, 60.0), ("tail", self.tail_s, 3600.0)):
            if not (math.isfinite(value) and 0 <= value <= most):
                raise ConfigurationError(
                    f"the amplifier's {name} of {value:g} s is out of range: 0 to {most:g} s"
                )


class Amplifier:
    """On as soon as sound is due within the lead, off when none was due for lead and tail."""

    def __init__(self, settings: AmplifierSettings | None = None) -> None:
        self.settings = settings or AmplifierSettings()
        self.on = False
        self._off_at = -math.inf

    def update(self, now: float, due: bool) -> bool:
        """Whether it should have power at `now`. `due`: there is sound to be heard at `now` + lead, or sooner.

        Ask at least ten times a second, or with what is known of the whole lead, lest a short sound is overlooked.
        """
        if due:
            self._off_at = now + self.settings.lead_s + self.settings.tail_s
        self.on = now < self._off_at
        return self.on

    def moments(self, now: float) -> tuple[float, ...]:
        """At which moments sound makes it due: those within the lead, since what is held may end sooner than that."""
        lead = self.settings.lead_s
        if self.on:
            return (now + lead,)
        steps = round(min(lead, HELD_S) / _STEP_S)
        return (now + lead, *(now + step * _STEP_S for step in range(steps, -1, -1)))

    def next_deadline(self) -> float | None:
        """When it goes off unless more sound comes; None while it is off."""
        return self._off_at if self.on else None
