"""What restarts have to know of programme automation: queues, and what operators have set."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict
from typing import Final

from relay.automation_ports import InputSetting, QueueItem, Saved
from relay.store.database import Database

_COLUMNS: Final = "id, source, title, gain_db, added, added_by, position_s, chime"


class AutomationStore:
    """Every method raises StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> Mapping[str, Saved]:
        """All that is known, by channel."""

        def work(connection: sqlite3.Connection) -> dict[str, Saved]:
            items: dict[str, list[QueueItem]] = {}
            query = f"SELECT channel, {_COLUMNS} FROM queue_item ORDER BY channel, place"  # noqa: S608 - constants only
            for channel, *fields, chime in connection.execute(query):
                items.setdefault(channel, []).append(QueueItem(*(*fields, bool(chime))))
            return {
                channel: Saved(tuple(items.get(channel, ())), bool(stopped), pinned, _settings(inputs))
                for channel, stopped, pinned, inputs in connection.execute(
                    "SELECT channel, stopped, pinned, inputs FROM automation"
                )
            }

        return await self._database.read(work)

    async def save(self, channel: str, saved: Saved) -> None:
        """Keep all of a channel's, in place of what was kept before."""
        inputs = json.dumps({name: asdict(setting) for name, setting in saved.inputs.items()})
        rows = [
            (
                channel,
                place,
                each.id,
                each.source,
                each.title,
                each.gain_db,
                each.added,
                each.added_by,
                each.position_s,
                each.chime,
            )
            for place, each in enumerate(saved.items)
        ]

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT OR REPLACE INTO automation (channel, stopped, pinned, inputs) VALUES (?, ?, ?, ?)",
                (channel, saved.stopped, saved.pinned, inputs),
            )
            connection.execute("DELETE FROM queue_item WHERE channel = ?", (channel,))
            connection.executemany(
                f"INSERT INTO queue_item (channel, place, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
                rows,
            )

        await self._database.write(work)

    async def save_position(self, channel: str, item: QueueItem) -> None:
        """Keep how far an item was played."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE queue_item SET position_s = ? WHERE channel = ? AND id = ?",
                (item.position_s, channel, item.id),
            )

        await self._database.write(work)


def _settings(text: str) -> dict[str, InputSetting]:
    return {name: InputSetting(**fields) for name, fields in json.loads(text).items()}
