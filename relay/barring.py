"""Who may have no session any more: ends those there are, and lets none come that had been asked for before."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

from relay.errors import Revoked
from relay.sessions.hub import Hub
from relay.sessions.session import Session
from relay.tokens import Grant

T = TypeVar("T")

AT_ONCE: Final = 20
"""Sessions that the media thread ends in one go: a token that five hundred share must not make others' sound late."""


class InMedia(Protocol):
    """Runs a short function in the media thread."""

    def __call__(self, function: Callable[[], T], /) -> Awaitable[T]:
        """What the function gives."""
        ...


class Barring:
    """Of one relay. `is_revoked`, which may be asked in the media thread, is set before that runs."""

    def __init__(self, hub: Hub, in_media: InMedia, clock: Callable[[], float]) -> None:
        self.is_revoked: Callable[[Grant], bool] = lambda _: False
        self._hub = hub
        self._in_media = in_media
        self._clock = clock
        self._subjects: set[str] = set()

    def check(self, subject: str, grant: Grant | None) -> None:
        """Raises Revoked. In the media thread, before a session is added."""
        if subject in self._subjects:
            raise Revoked("this receiver has been revoked; enrol it again")
        if grant is not None and self.is_revoked(grant):
            raise Revoked("this token has been revoked; ask the relay's operator for a new one")

    async def bar(self, subject: str) -> None:
        """End all sessions of `subject`, for ever: those that have been asked for and are not there yet, too."""
        self._subjects.add(subject)
        await self._end(lambda session: session.subject == subject)

    async def end(self, void: Callable[[Grant], bool]) -> int:
        """End all sessions whose grant is `void`, those who publish first; how many there were."""
        return await self._end(lambda session: session.grant is not None and void(session.grant))

    async def _end(self, ends: Callable[[Session], bool]) -> int:
        def find() -> list[Session]:
            found = [session for session in self._hub.sessions.values() if ends(session)]
            return sorted(found, key=lambda session: session.kind != "publish")

        found = await self._in_media(find)
        for start in range(0, len(found), AT_ONCE):
            some = found[start : start + AT_ONCE]
            await self._in_media(lambda some=some: self._close(some))  # type: ignore[misc]  # a default binds it now
        return len(found)

    def _close(self, sessions: list[Session]) -> None:
        for session in sessions:
            self._hub.close(session, "revoked", self._clock())
