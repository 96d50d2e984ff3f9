"""Which source of an ordered list is on air: the first that is heard, and another one as soon as it is not.

Pure: it is told how the sources stand and says which it shall be; time is an argument, monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from relay.automation.watch import Verdict

_SOUND = (Verdict.READY, Verdict.HEARD, Verdict.WARNED)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a source stands.

    opening   it is not there yet, and may come any moment
    optional  that it is not there is nothing to tell anybody: nobody publishes, nothing is queued
    """

    name: str
    verdict: Verdict
    opening: bool = False
    optional: bool = False


class Rundown:
    """The rule.

    A pinned source is on air for as long as it is there. Else it is the first that is heard, or is ready without
    having been listened to. When none is, who is on air stays, since any change would be one from silence to silence.
    """

    def __init__(self, *, patience_s: float = 5.0) -> None:
        """In the first `patience_s` a source that is just being opened keeps those after it waiting."""
        self.on_air: str | None = None
        self.reason = "nothing has begun"
        """One sentence on why."""
        self.stopped = False
        """Whether nothing shall be on air."""
        self.pinned: str | None = None
        """The source that an operator has chosen."""
        self._patience_s = patience_s
        self._began: float | None = None

    def decide(self, now: float, sources: Sequence[Standing]) -> str | None:
        """The source that shall be on air from now on, None for none; `sources` are in the order of the list."""
        if self._began is None:
            self._began = now
        self.on_air, self.reason = self._choice(now, sources)
        return self.on_air

    def _choice(self, now: float, sources: Sequence[Standing]) -> tuple[str | None, str]:
        if self.stopped:
            return None, "stopped by an operator"
        verdicts = {each.name: each.verdict for each in sources}
        pinned = self.pinned
        if pinned is not None and verdicts.get(pinned, Verdict.ABSENT) is not Verdict.ABSENT:
            return pinned, "chosen by an operator"
        for each in sources:
            if each.verdict in _SOUND:
                return each.name, self._why(each, sources)
            if each.opening and self.on_air is None and now - (self._began or now) < self._patience_s:
                return None, f"waiting for {each.name}"
        if verdicts.get(self.on_air or "", Verdict.ABSENT) is not Verdict.ABSENT:
            return self.on_air, "no source is heard"
        present = [each.name for each in sources if each.verdict is not Verdict.ABSENT]
        return (present[0], "no source is heard") if present else (None, "no source is there")

    def _why(self, chosen: Standing, sources: Sequence[Standing]) -> str:
        before = [each for each in sources[: sources.index(chosen)] if each.name != self.pinned]
        if chosen.verdict is Verdict.WARNED:
            return f"{chosen.name} has fallen silent"
        silent = [each.name for each in before if each.verdict is Verdict.SILENT]
        if silent:
            return f"{silent[0]} is silent"
        absent = [each.name for each in before if each.verdict is Verdict.ABSENT and not each.optional]
        return f"{absent[-1]} is not there" if absent else "the first of the list"
