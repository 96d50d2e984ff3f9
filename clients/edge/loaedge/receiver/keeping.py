"""Which sessions a receiver should have just now. Pure: it is told what there is, and says what to do.

Mode "first" wants one session that delivers, mode "both" two of them with different relays; relays come in order of
preference. What stands is never given up before something better stands: the playout takes several sessions of the
same channel and hears the same sound from whichever delivers it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from loacodecs.backoff import Backoff

STARVED_S: Final = 0.7
"""So long without a packet while sound is expected, and a session is in doubt. DTX sends every 0.4 s."""
HASTY_S: Final = 0.25
"""No session is in doubt sooner, however regularly its packets came."""
SUSPECTED_S: Final = 0.1
"""When the control link has just been lost, this is long enough."""
SOUND_OCTETS: Final = 64
"""RTP packets from this size on carry sound, not the silence after which DTX pauses: another follows at once."""
REMEMBERED_S: Final = 30.0
"""Pauses between packets are remembered for so long, and for twice as long at most."""
LEARNT_S: Final = 3.0
"""How regularly packets come is known after so long."""
EXPECTED_S: Final = 10.0
"""Packets that came so recently let more be expected, unless the relay has said that nothing is on air."""
PATIENCE_S: Final = 2.0
"""A session that is not set up by then gets company from the next relay."""
SETTLED_S: Final = 3.0
"""A session has delivered for so long before another is closed for it."""
STOOD_S: Final = 10.0
RETURN_S: Final = 30.0
"""How often a preferred relay that failed is tried while another one delivers, at most."""
UNANSWERED_S: Final = 2.0
"""A starved session whose questions have had no answer for so long is replaced, even with the same relay."""


@dataclass(frozen=True, slots=True)
class Link:
    """One session as it is; times in monotonic seconds. `heard` is the last sign of life, `packet` the last RTP.

    `patience` is how long it may be without a packet, while sound is expected, before it is in doubt (s).
    """

    number: int
    relay: int
    began: float
    connected: float | None = None
    packet: float | None = None
    heard: float = 0.0
    patience: float = STARVED_S

    @property
    def doubtful_at(self) -> float:
        """When it will be in doubt if no packet comes."""
        return max(self.connected or 0.0, self.packet or 0.0) + self.patience


class Cadence:
    """How regularly the packets of a session come: the longest pause after a packet with sound tells what is usual."""

    def __init__(self) -> None:
        self._longest = 0.0
        self._before = 0.0
        self._since: float | None = None
        self._last: float | None = None
        self._known = False

    def note(self, size: int, now: float) -> None:
        """A packet of `size` octets came."""
        if self._since is None:
            self._since = now
        elif now - self._since > (REMEMBERED_S if self._known else LEARNT_S):
            self._since, self._known = now, True
            self._before, self._longest = self._longest, 0.0
        if self._last is not None and now - self._last > self._longest:
            self._longest = now - self._last
        self._last = now if size >= SOUND_OCTETS else None

    @property
    def patience(self) -> float:
        """After so long without a packet something is wrong (s)."""
        if self._last is None or not self._known:
            return STARVED_S
        return min(STARVED_S, max(HASTY_S, 2.0 * max(self._longest, self._before) + 0.06))


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do: relays to set a session up with, sessions to end, sessions to ask for a sign of life."""

    start: tuple[int, ...] = ()
    end: tuple[int, ...] = ()
    probe: tuple[int, ...] = ()


class Keeper:
    """Decides; `decide` may be called at any time and as often as one likes."""

    def __init__(self, relays: int, wanted: int, random: Callable[[int], bytes]) -> None:
        self._relays = relays
        self._wanted = min(wanted, relays)
        self._backoffs = [Backoff(random, first_s=0.25, limit_s=30.0) for _ in range(relays)]
        self._retry = [0.0] * relays
        self._enough_since: float | None = None

    def lost(self, relay: int, now: float, *, at_least_s: float | None = None) -> float:
        """A session with that relay ended or could not be set up; gives the pause before the next attempt (s)."""
        pause = self._backoffs[relay].next_pause(at_least_s)
        self._retry[relay] = now + pause
        return pause

    def decide(self, links: Sequence[Link], now: float, *, on_air: bool | None) -> Decision:
        """What to do now. `on_air` is what the relay said about the channel, None when it says nothing."""
        expected = self._expected(links, now, on_air)
        starved = [link for link in links if self._starves(link, now, expected)]
        good = [link for link in links if link.connected is not None and link not in starved]
        for link in good:
            if link.packet is not None and link.connected is not None and now - link.connected > STOOD_S:
                self._backoffs[link.relay].reset()
        return Decision(
            start=self._to_start(links, good, starved, now),
            end=self._to_end(good, now),
            probe=tuple(link.number for link in starved),
        )

    def next_retry(self, now: float) -> float:
        """Seconds until a relay may be tried again; 0 when one may be now."""
        return max(0.0, min(self._retry) - now)

    def _expected(self, links: Sequence[Link], now: float, on_air: bool | None) -> bool:
        if on_air is not None:
            return on_air
        return any(link.packet is not None and now - link.packet < EXPECTED_S for link in links)

    def _starves(self, link: Link, now: float, expected: bool) -> bool:
        if link.connected is None or not expected:
            return False
        return now > link.doubtful_at

    def _to_start(
        self, links: Sequence[Link], good: Sequence[Link], starved: Sequence[Link], now: float
    ) -> tuple[int, ...]:
        coming = [link for link in links if link.connected is None]
        fresh = [link for link in coming if now - link.began < PATIENCE_S]
        served = {link.relay for link in good}
        busy = served | {link.relay for link in coming}
        # A relay that answers is alive, whatever it has to send; one that does not may have forgotten us.
        busy |= {link.relay for link in starved if now - link.heard < UNANSWERED_S}
        crowded = {relay for relay in range(self._relays) if sum(link.relay == relay for link in links) > 1}
        free = [relay for relay in range(self._relays) if relay not in busy | crowded]
        missing = self._wanted - len(served) - len({link.relay for link in fresh} - served)
        start = [relay for relay in free if self._retry[relay] <= now][: max(0, missing)]
        if not start and not coming and len(served) >= self._wanted:
            start = self._preferred(served, free, now)
        return tuple(start)

    def _preferred(self, served: set[int], free: Sequence[int], now: float) -> list[int]:
        """A relay that goes before those that serve, once its pause is over."""
        worst = max(sorted(served)[: self._wanted], default=-1)
        better = [relay for relay in free if relay < worst and self._retry[relay] <= now]
        for relay in better[:1]:
            self._retry[relay] = now + RETURN_S
        return better[:1]

    def _to_end(self, good: Sequence[Link], now: float) -> tuple[int, ...]:
        """What there is too much of, once there has been enough for a while; the preferred ones stay."""
        best: dict[int, Link] = {}
        for link in sorted(good, key=lambda link: (link.relay, -link.number)):
            best.setdefault(link.relay, link)
        keep = list(best.values())[: self._wanted]
        surplus = [link for link in good if link not in keep]
        if not surplus or len(keep) < self._wanted:
            self._enough_since = None
            return ()
        youngest = max(link.connected or now for link in keep)
        if self._enough_since is None:
            self._enough_since = now
        if now - max(self._enough_since, youngest) < SETTLED_S:
            return ()
        self._enough_since = None
        return tuple(link.number for link in surplus)
