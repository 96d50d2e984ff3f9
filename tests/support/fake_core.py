"""A RelayCore that negotiates nothing and remembers what HTTP asked of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from relay.errors import PreconditionFailed, SessionNotFound
from relay.ports import ChannelState, Hearing, RelayStats, SessionCreated, SessionKind, TrickleResult
from relay.tokens import Grant

ANSWER = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
SESSION = "session-AbCdEf0123456789"
ETAG = "etag-1"


@dataclass
class FakeCore:
    """Set `error` to have the next offer refused; look at `calls` afterwards."""

    error: Exception | None = None
    restart_fragment: str | None = None
    calls: list[tuple[object, ...]] = field(default_factory=list)
    grants: list[Grant | None] = field(default_factory=list)
    """By which sessions were asked for."""
    states: list[ChannelState] = field(default_factory=list)
    statistics: RelayStats = field(default_factory=RelayStats)
    readiness: tuple[bool, str] = (True, "")
    is_draining: bool = False
    talking: set[tuple[str, str]] = field(default_factory=set)
    """Sessions that publish to mixed channels."""
    heard: dict[tuple[str, str], list[Hearing | None]] = field(default_factory=dict)
    """What is answered of sessions that may await a chime: one after the other, the last for ever."""

    @property
    def draining(self) -> bool:
        return self.is_draining

    def ready(self) -> tuple[bool, str]:
        return self.readiness

    def stats(self) -> RelayStats:
        return self.statistics

    def channels(self) -> Sequence[ChannelState]:
        return self.states

    async def publish(
        self, channel: str, offer: str, *, replace: bool, subject: str, local_address: str | None,
        grant: Grant | None = None,
    ) -> SessionCreated:  # fmt: skip
        self.grants.append(grant)
        return self._created("publish", channel, offer, replace, subject, local_address)

    async def listen(
        self, channel: str, offer: str, *, subject: str, local_address: str | None, without: str = "",
        grant: Grant | None = None,
    ) -> SessionCreated:  # fmt: skip
        self.grants.append(grant)
        rest = (without,) if without else ()
        return self._created("listen", channel, offer, subject, local_address, *rest)

    def talks(self, channel: str, session: str) -> bool:
        return (channel, session) in self.talking

    def hearing(self, channel: str, session: str) -> Hearing | None:
        answers = self.heard.get((channel, session), [])
        return answers.pop(0) if len(answers) > 1 else answers[0] if answers else None

    def _created(self, *call: object) -> SessionCreated:
        self.calls.append(call)
        if self.error is not None:
            raise self.error
        return SessionCreated(SESSION, ANSWER, ETAG)

    async def trickle(
        self, channel: str, kind: SessionKind, session: str, fragment: str, if_match: str | None
    ) -> TrickleResult:
        self.calls.append(("trickle", channel, kind, session, fragment, if_match))
        if session != SESSION:
            raise SessionNotFound("there is no such session")
        if if_match not in (ETAG, "*"):
            raise PreconditionFailed("an older ICE session")
        return TrickleResult("etag-2", self.restart_fragment)

    async def bar(self, subject: str) -> None:
        self.calls.append(("bar", subject))

    async def close(self, channel: str, kind: SessionKind, session: str) -> None:
        self.calls.append(("close", channel, kind, session))
        if session != SESSION:
            raise SessionNotFound("there is no such session")
