"""Devices, their keys and desired settings, and the codes that enrol them."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from loacodecs.control import Settings
from relay.errors import CodeRefused, DeviceExists, DeviceNotFound, KeyRevoked
from relay.store.database import Database

_COLUMNS: Final = (
    "id, name, public_key, channel, delay_ms, trim_ms, volume_db, muted, enrolled, revoked, seen"
)

DEFAULT_DELAY_MS: Final = 700
"""Leaves time for retransmission on a rural mobile link (P2, P3)."""


@dataclass(frozen=True, slots=True)
class DeviceRecord:
    """An enrolled receiver. Times are unix seconds, `public_key` 32 octets."""

    id: str
    name: str
    public_key: bytes
    settings: Settings
    enrolled: float
    revoked: float | None = None
    seen: float | None = None


@dataclass(frozen=True, slots=True)
class CodeRecord:
    """An enrolment code before its use; `hash` is SHA-256 of it."""

    hash: bytes
    name: str
    channel: str
    created: float
    created_by: str
    expires: float


class DeviceStore:
    """Every method is one transaction and raises StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_code(self, code: CodeRecord) -> None:
        """Keep a code; codes that expired over a day before it go."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM code WHERE expires < ?", (code.created - 86_400,))
            connection.execute(
                "INSERT INTO code (hash, name, channel, created, created_by, expires) VALUES (?, ?, ?, ?, ?, ?)",
                (code.hash, code.name, code.channel, code.created, code.created_by, code.expires),
            )

        await self._database.write(work)

    async def enrol(
        self, code: bytes, *, device: str, name: str, public_key: bytes, now: float
    ) -> DeviceRecord:
        """Use up the code whose hash is `code` for a device with a new id `device`.

        The same code with the same key gives the same device again: the answer may have been lost on its way.
        Raises CodeRefused, or DeviceExists when the key is another device's, KeyRevoked when that was revoked (the
        code stays good).
        """

        def work(connection: sqlite3.Connection) -> DeviceRecord:
            row = connection.execute(
                "SELECT name, channel, device FROM code WHERE hash = ? AND expires > ?", (code, now)
            ).fetchone()
            if row is None:
                raise CodeRefused(
                    "the code is unknown or has expired; ask the relay's operator for a new one"
                )
            named, channel, used_by = row
            if used_by is not None:
                record = _find(connection, used_by)
                if record.public_key == public_key and record.revoked is None:
                    return record
                raise CodeRefused("the code has been used; ask the relay's operator for a new one")
            settings = Settings(channel, DEFAULT_DELAY_MS, 0, 0.0, False)
            record = DeviceRecord(device, name or named, public_key, settings, now)
            _insert(connection, record)
            connection.execute("UPDATE code SET device = ? WHERE hash = ?", (device, code))
            return record

        return await self._database.write(work)

    async def find(self, device: str) -> DeviceRecord:
        """Raises DeviceNotFound."""
        return await self._database.read(lambda connection: _find(connection, device))

    async def all(self) -> Sequence[DeviceRecord]:
        """Every device, revoked ones included, by name."""
        query = f"SELECT {_COLUMNS} FROM device ORDER BY name, id"  # noqa: S608 - constants only
        return await self._database.read(
            lambda connection: [_record(row) for row in connection.execute(query)]
        )

    async def change(
        self, device: str, *, name: str | None = None, settings: Mapping[str, Any]
    ) -> DeviceRecord:
        """Change the name and some of the settings, by field name; raises DeviceNotFound."""

        def work(connection: sqlite3.Connection) -> DeviceRecord:
            known = _find(connection, device)
            record = replace(
                known,
                name=known.name if name is None else name,
                settings=replace(known.settings, **settings),
            )
            wanted = record.settings
            connection.execute(
                "UPDATE device SET name = ?, channel = ?, delay_ms = ?, trim_ms = ?, volume_db = ?, muted = ?"
                " WHERE id = ?",
                (
                    record.name,
                    wanted.channel,
                    wanted.delay_ms,
                    wanted.trim_ms,
                    wanted.volume_db,
                    int(wanted.muted),
                    device,
                ),
            )
            return record

        return await self._database.write(work)

    async def revoke(self, device: str, now: float) -> DeviceRecord:
        """The device's key is good no more; once revoked stays revoked. Raises DeviceNotFound."""

        def work(connection: sqlite3.Connection) -> DeviceRecord:
            connection.execute(
                "UPDATE device SET revoked = ? WHERE id = ? AND revoked IS NULL", (now, device)
            )
            return _find(connection, device)

        return await self._database.write(work)

    async def revoked_since(self, moment: float) -> Mapping[str, float]:
        """Devices that were revoked at `moment` or later, and when."""
        query = "SELECT id, revoked FROM device WHERE revoked >= ?"
        return await self._database.read(lambda connection: dict(connection.execute(query, (moment,))))

    async def note_seen(self, seen: Mapping[str, float]) -> None:
        """When messages last came, by device."""
        rows = [(moment, device) for device, moment in seen.items()]
        await self._database.write(
            lambda connection: connection.executemany("UPDATE device SET seen = ? WHERE id = ?", rows)
        )


def _find(connection: sqlite3.Connection, device: str) -> DeviceRecord:
    query = f"SELECT {_COLUMNS} FROM device WHERE id = ?"  # noqa: S608 - constants only
    row = connection.execute(query, (device,)).fetchone()
    if row is None:
        raise DeviceNotFound(f"there is no device {device}; loa device list shows those there are")
    return _record(row)


def _insert(connection: sqlite3.Connection, record: DeviceRecord) -> None:
    wanted = record.settings
    try:
        connection.execute(
            f"INSERT INTO device ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)",  # noqa: S608
            (
                record.id,
                record.name,
                record.public_key,
                wanted.channel,
                wanted.delay_ms,
                wanted.trim_ms,
                wanted.volume_db,
                int(wanted.muted),
                record.enrolled,
            ),
        )
    except sqlite3.IntegrityError:
        query = "SELECT revoked FROM device WHERE public_key = ?"
        known = connection.execute(query, (record.public_key,)).fetchone()
        if known is not None and known[0] is not None:
            raise KeyRevoked("this key has been revoked; let the receiver make a new one") from None
        raise DeviceExists(
            "this key is enrolled already; revoke it, or let the receiver make a new one"
        ) from None


def _record(row: Sequence[Any]) -> DeviceRecord:
    device, name, key, channel, delay, trim, volume, muted, enrolled, revoked, seen = row
    settings = Settings(channel, delay, trim, volume, bool(muted))
    return DeviceRecord(device, name, key, settings, enrolled, revoked, seen)
