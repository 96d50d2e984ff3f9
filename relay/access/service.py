"""Revokes tokens: first in memory; then every session begun with them ends, while the disk is told.

So a leaked token is void within the same turn of the event loop, whatever the disk does; what that did not take is
written later. A token's revocation is kept until a day after the token would have expired; of a subject, or
of a token of which only the id is known, as long as any token may last.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from relay.access.revocations import Revocations
from relay.errors import StoreUnavailable
from relay.revocation_ports import Revocation, RevocationDone
from relay.store.database import Database
from relay.store.revocations import RevocationStore
from relay.tokens import LIFE_MAX, Grant

HOUSEKEEPING_S: Final = 60.0
UNREAD_S: Final = 1.0
"""How often a store that could not be read is asked again."""
AFTERWARDS_S: Final = 86_400.0
"""Kept so much longer: a clock that was wrong for a while must not bring a revoked token back."""

_log = logging.getLogger(__name__)


class RevocationService:
    """Implements `relay.revocation_ports.RevocationDesk`; lives in one event loop.

    `end` ends the sessions whose grant satisfies what it is given, and gives their number.
    """

    def __init__(
        self,
        database: Database,
        end: Callable[[Callable[[Grant], bool]], Awaitable[int]],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._store = RevocationStore(database)
        self._end = end
        self._wall = wall
        self._revocations = Revocations()
        self._unkept: dict[tuple[str, str], Revocation] = {}
        self._read = False

    def is_revoked(self, grant: Grant) -> bool:
        """Whether a token that was once good has been revoked; from any thread, in constant time."""
        return self._revocations.is_revoked(grant)

    async def revoke_token(self, token: str, *, subject: str, until: float | None, by: str) -> RevocationDone:
        """Void the token of that id. Raises RevocationsFull."""
        now = self._wall()
        last = now + LIFE_MAX if until is None else until
        return await self._revoke(Revocation("token", token, subject, now, by, last + AFTERWARDS_S))

    async def revoke_subject(self, subject: str, *, by: str) -> RevocationDone:
        """Void every token of `subject` that has been minted until now. Raises RevocationsFull."""
        now = self._wall()
        last = now + LIFE_MAX + AFTERWARDS_S
        return await self._revoke(Revocation("subject", subject, subject, now, by, last))

    def revocations(self) -> Sequence[Revocation]:
        """All that are in force, the latest first."""
        return self._revocations.all()

    async def begin(self) -> None:
        """Read what was revoked before this relay started, and end what was begun with it meanwhile.

        While the store cannot say, tokens are taken as they are, since the sound must outlive the disk; `run` asks
        again each second.
        """
        with contextlib.suppress(StoreUnavailable):  # told by the store itself
            self._revocations.restore(await self._store.all())
            self._read = True
            await self._end(self.is_revoked)

    async def run(self) -> None:
        """Keep house until cancelled."""
        while True:
            await self.keep_house()
            await asyncio.sleep(HOUSEKEEPING_S if self._read else UNREAD_S)

    async def keep_house(self) -> None:
        """Read and write what the disk did not give and did not take before; forget what voids nothing any more."""
        if not self._read:
            await self.begin()
        if self._unkept:
            await self._keep()
        now = self._wall()
        if self._revocations.expire(now):
            with contextlib.suppress(
                StoreUnavailable
            ):  # the next restart reads it, and the next round forgets it
                await self._store.prune(now)

    async def _revoke(self, wanted: Revocation) -> RevocationDone:
        revocation = self._revocations.add(wanted)
        self._unkept[revocation.kind, revocation.name] = revocation
        ended, kept = await asyncio.gather(self._end(revocation.voids), self._keep())
        return RevocationDone(revocation, ended, kept)

    async def _keep(self) -> bool:
        """Write what is not on the disk yet; whether all of it is there now."""
        waiting = dict(self._unkept)
        try:
            await self._store.keep(list(waiting.values()))
        except StoreUnavailable:
            return False
        for key, written in waiting.items():
            if self._unkept.get(key) is written:
                del self._unkept[key]
        return True
