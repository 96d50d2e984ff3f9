"""What live programmes were declared to be: an emergency outlives a restart of its relay."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from loacodecs.control import CLASSES
from relay.device_ports import Declaration
from relay.store.database import Database


class ClassStore:
    """Every method is one transaction and raises StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def replace(self, declarations: Sequence[Declaration]) -> None:
        """Keep these and no others."""
        rows = [
            (each.channel, each.kind, each.until, each.declared, each.declared_by) for each in declarations
        ]

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM channel_class")
            connection.executemany(
                "INSERT INTO channel_class (channel, class, until, declared, declared_by) VALUES (?, ?, ?, ?, ?)",
                rows,
            )

        await self._database.write(work)

    async def current(self, now: float) -> Sequence[Declaration]:
        """Those whose time is not over."""
        query = "SELECT channel, class, until, declared, declared_by FROM channel_class WHERE until > ?"

        def work(connection: sqlite3.Connection) -> list[Declaration]:
            rows = connection.execute(query, (now,))
            return [
                Declaration(channel, kind, until, declared, by)
                for channel, kind, until, declared, by in rows
                if kind in CLASSES
            ]

        return await self._database.read(work)
