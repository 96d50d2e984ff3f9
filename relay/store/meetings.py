"""What restarts have to know of meetings: who was let in, silenced or removed, and when it is over."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple
from typing import Any, Final

from relay.meeting_ports import SavedMeeting, SavedPerson
from relay.store.database import Database

_PERSON: Final = "id, digest, role, name, token, bare, admitted, removed, muted, silenced, hand"
_TABLES: Final = ("meeting", "meeting_person", "meeting_watched")


class MeetingStore:
    """A `MeetingArchive`. Every method is one transaction and raises StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> Mapping[str, SavedMeeting]:
        """All that is known, by channel."""

        def work(connection: sqlite3.Connection) -> dict[str, SavedMeeting]:
            people: dict[str, list[SavedPerson]] = {}
            query = f"SELECT channel, {_PERSON} FROM meeting_person ORDER BY channel, place"  # noqa: S608 - constants only
            for channel, *fields in connection.execute(query):
                people.setdefault(channel, []).append(_person(fields))
            watched: dict[str, set[str]] = {}
            for channel, token in connection.execute("SELECT channel, token FROM meeting_watched"):
                watched.setdefault(channel, set()).add(token)
            rows = connection.execute("SELECT channel, phase, reason, ends, written, number FROM meeting")
            return {
                channel: SavedMeeting(
                    phase, reason, ends, written, number,
                    frozenset(watched.get(channel, ())), tuple(people.get(channel, ())),
                )
                for channel, phase, reason, ends, written, number in rows
            }  # fmt: skip

        return await self._database.read(work)

    async def save(self, channel: str, saved: SavedMeeting) -> None:
        """Keep a channel's, in place of what was kept before."""
        people = [(channel, place, *astuple(each)) for place, each in enumerate(saved.people)]
        watched = [(channel, token) for token in saved.watched]

        def work(connection: sqlite3.Connection) -> None:
            for table in _TABLES:
                connection.execute(f"DELETE FROM {table} WHERE channel = ?", (channel,))  # noqa: S608
            connection.execute(
                "INSERT INTO meeting (channel, phase, reason, ends, written, number) VALUES (?, ?, ?, ?, ?, ?)",
                (channel, saved.phase, saved.reason, saved.ends, saved.written, saved.number),
            )
            marks = ", ".join("?" * 13)
            connection.executemany(
                f"INSERT INTO meeting_person (channel, place, {_PERSON}) VALUES ({marks})",  # noqa: S608
                people,
            )
            connection.executemany("INSERT INTO meeting_watched (channel, token) VALUES (?, ?)", watched)

        await self._database.write(work)

    async def retain(self, channels: Collection[str]) -> None:
        """Forget those of all other channels."""
        marks = ", ".join("?" * len(channels))

        def work(connection: sqlite3.Connection) -> None:
            for table in _TABLES:
                connection.execute(f"DELETE FROM {table} WHERE channel NOT IN ({marks})", tuple(channels))  # noqa: S608

        await self._database.write(work)


def _person(row: Sequence[Any]) -> SavedPerson:
    name, digest, role, called, token, bare, admitted, removed, muted, silenced, hand = row
    return SavedPerson(
        name, digest, role, called, token, bool(bare), bool(admitted), bool(removed), bool(muted), bool(silenced),
        hand,
    )  # fmt: skip
