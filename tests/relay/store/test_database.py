"""The store's file: what goes wrong with it, and that it is no catastrophe."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.errors import StoreUnavailable
from relay.store.database import WAITING_MAX, Database
from relay.store.schema import MIGRATIONS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "loa.sqlite3"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    opened = Database(path)
    yield opened
    opened.close()


def tables(connection: sqlite3.Connection) -> set[str]:
    return {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def one(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT 1").fetchone()[0])


def test_the_first_call_makes_the_file_for_its_owner_only(path: Path, database: Database) -> None:
    assert not path.exists()
    assert {"device", "code", "receipt"} <= asyncio.run(database.read(tables))
    assert path.stat().st_mode & 0o077 == 0
    assert path.with_name("loa.sqlite3-wal").stat().st_mode & 0o077 == 0


async def test_what_is_acknowledged_is_synced(database: Database) -> None:
    def pragmas(connection: sqlite3.Connection) -> tuple[object, ...]:
        names = ("journal_mode", "synchronous", "foreign_keys", "user_version")
        return tuple(connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names)

    assert await database.read(pragmas) == ("wal", 2, 1, len(MIGRATIONS))


async def test_work_that_fails_is_undone_as_a_whole(database: Database) -> None:
    def work(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO code VALUES (x'00', '', '', 0, '', 0, NULL)")
        raise LookupError("in the middle")

    with pytest.raises(LookupError):
        await database.write(work)
    assert await database.read(lambda c: c.execute("SELECT count(*) FROM code").fetchone()[0]) == 0


async def test_work_runs_in_a_thread_of_its_own(database: Database) -> None:
    threads = {await database.read(lambda _: threading.current_thread().name) for _ in range(3)}
    assert len(threads) == 1
    assert threads != {threading.current_thread().name}


async def test_the_event_loop_goes_on_while_the_disk_is_slow(database: Database) -> None:
    release = threading.Event()
    slow = asyncio.create_task(database.read(lambda _: release.wait(10)))
    await asyncio.sleep(0)
    turns = 0
    while turns < 100:
        await asyncio.sleep(0)
        turns += 1
    assert not slow.done()
    release.set()
    assert await slow


async def test_calls_that_wait_are_bounded(database: Database) -> None:
    release = threading.Event()
    calls = [asyncio.create_task(database.read(lambda _: release.wait(10)))]
    calls += [asyncio.create_task(database.read(one)) for _ in range(WAITING_MAX - 1)]
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable, match="wait for the store"):
        await database.read(one)
    release.set()
    assert all(await asyncio.gather(*calls))
    assert await database.read(one) == 1
    assert database.waiting == 0


async def test_a_file_locked_by_another_program_is_told_and_works_again_afterwards(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = 1000.0
    database = Database(path, clock=lambda: now)
    await database.read(one)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    for _ in range(3):  # the second and third do not wait for it again
        with pytest.raises(
            StoreUnavailable, match=r"another program has it locked; end that program"
        ) as told:
            await database.write(one)
    assert (told.value.status, told.value.retry_after) == (503, 10)
    assert [record.levelname for record in caplog.records] == ["ERROR"], "once, not once a call"
    assert database.errors == 3
    other.execute("ROLLBACK")
    other.close()
    now += 2
    assert await database.write(one) == 1
    database.close()


def test_a_damaged_file_is_told_and_opened_again_once_it_is_replaced(path: Path, database: Database) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is no database " * 500)
    with pytest.raises(StoreUnavailable, match="it is damaged; restore a backup"):
        asyncio.run(database.read(one))
    path.unlink()
    assert asyncio.run(database.read(one)) == 1


async def test_a_full_disk_is_told_and_nothing_half_written(database: Database) -> None:
    await database.read(one)

    def fill(connection: sqlite3.Connection) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")  # SQLite's own way to be full
        for number in range(1000):
            row = (number.to_bytes(4, "big") * 100, "n" * 1000)
            connection.execute("INSERT INTO code VALUES (?, ?, '', 0, '', 0, NULL)", row)

    with pytest.raises(StoreUnavailable, match="the disk is full; make room"):
        await database.write(fill)
    assert await database.read(lambda c: c.execute("SELECT count(*) FROM code").fetchone()[0]) == 0


async def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    database = Database(tmp_path / "file" / "loa.sqlite3")
    with pytest.raises(StoreUnavailable, match=r"cannot be used: (File exists|Not a directory)"):
        await database.read(one)
    database.close()


async def test_a_file_of_a_newer_loa_is_left_alone(path: Path, database: Database) -> None:
    await database.write(lambda c: c.execute("PRAGMA user_version = 99"))
    database.close()
    later = Database(path)
    with pytest.raises(StoreUnavailable, match="written by a newer Loa"):
        await later.read(one)
    later.close()


async def test_migrations_run_once(path: Path, database: Database) -> None:
    await database.write(lambda c: c.execute("INSERT INTO code VALUES (x'00', 'a', '', 0, '', 0, NULL)"))
    database.close()
    again = Database(path)
    assert await again.read(lambda c: c.execute("SELECT name FROM code").fetchone()[0]) == "a"
    again.close()


async def test_a_closed_store_is_unavailable(database: Database) -> None:
    database.close()
    with pytest.raises(StoreUnavailable, match="shutting down"):
        await database.read(one)
