"""Revocations on the disk."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

from relay.revocation_ports import Revocation
from relay.store.database import Database
from relay.store.revocations import RevocationStore
from relay.store.schema import MIGRATIONS

NOW = 1_800_000_000.0
BY_ID = Revocation("token", "a1", "", NOW, "admin", NOW + 60)
BY_SUBJECT = Revocation("subject", "đài 'xã'", "đài 'xã'", NOW + 0.25, "quản trị", NOW + 1e9)


async def test_what_is_kept_is_there_afterwards_each_once(tmp_path: Path) -> None:
    database = Database(tmp_path / "loa.sqlite3")
    store = RevocationStore(database)
    assert list(await store.all()) == []
    await store.keep([BY_ID, BY_SUBJECT])
    later = Revocation("subject", BY_SUBJECT.name, BY_SUBJECT.name, NOW + 9, "admin", NOW + 2e9)
    await store.keep([later])
    await asyncio.to_thread(database.close)
    again = Database(tmp_path / "loa.sqlite3")
    assert set(await RevocationStore(again).all()) == {BY_ID, later}
    await RevocationStore(again).prune(NOW + 60)
    assert list(await RevocationStore(again).all()) == [later]
    again.close()


async def test_a_file_of_before_is_brought_up_to_date(tmp_path: Path) -> None:
    number = next(each for each, script in enumerate(MIGRATIONS) if "TABLE revocation" in script)
    old = sqlite3.connect(tmp_path / "loa.sqlite3")
    for script in MIGRATIONS[:number]:
        old.executescript(script)
    old.execute(f"PRAGMA user_version = {number}")
    old.close()
    database = Database(tmp_path / "loa.sqlite3")
    await RevocationStore(database).keep([BY_ID])
    assert list(await RevocationStore(database).all()) == [BY_ID]
    database.close()
