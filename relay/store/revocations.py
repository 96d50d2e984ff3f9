"""Tokens that are void before their time: a revocation outlives a restart of its relay."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from relay.revocation_ports import Revocation
from relay.store.database import Database

_COLUMNS: Final = "kind, name, subject, revoked, revoked_by, until"


class RevocationStore:
    """Every method is one transaction and raises StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, revocations: Sequence[Revocation]) -> None:
        """Keep these, each in place of what was kept of the same token or subject."""
        rows = [
            (each.kind, each.name, each.subject, each.revoked, each.revoked_by, each.until)
            for each in revocations
        ]
        query = f"INSERT OR REPLACE INTO revocation ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)"  # noqa: S608 - constants only
        await self._database.write(lambda connection: connection.executemany(query, rows))

    async def all(self) -> Sequence[Revocation]:
        """All that are kept."""

        def work(connection: sqlite3.Connection) -> list[Revocation]:
            query = f"SELECT {_COLUMNS} FROM revocation"  # noqa: S608 - constants only
            return [Revocation(*row) for row in connection.execute(query)]

        return await self._database.read(work)

    async def prune(self, now: float) -> None:
        """Forget those that void nothing any more."""
        await self._database.write(
            lambda connection: connection.execute("DELETE FROM revocation WHERE until <= ?", (now,))
        )
