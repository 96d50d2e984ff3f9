"""Receipts: kept once, together, and for good."""

from __future__ import annotations

import asyncio
import dataclasses
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from loacodecs.control import Receipt
from relay.errors import StoreUnavailable
from relay.store.database import Database
from relay.store.devices import CodeRecord, DeviceStore
from relay.store.receipts import ReceiptStore

NOW = 1_800_000_000.0


def receipt(name: str = "r-1", started: float = NOW) -> Receipt:
    return Receipt(name, "Bản tin sáng", "xa", started, started + 900, 0.999, 20.0, -18.5, "played")


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = Database(tmp_path / "loa.sqlite3")
    devices = DeviceStore(opened)
    for name in ("rx-1", "rx-2"):
        await devices.add_code(CodeRecord(name.encode(), name, "xa", NOW, "operator", NOW + 60))
        await devices.enrol(name.encode(), device=name, name="", public_key=name.encode() * 8, now=NOW)
    yield opened
    opened.close()


async def test_a_receipt_comes_back_as_it_was_and_is_kept_once(database: Database) -> None:
    receipts = ReceiptStore(database)
    silent = dataclasses.replace(receipt("r-2", NOW + 60), level_dbfs=None, outcome="quiet hours")
    assert await receipts.keep("rx-1", receipt(), NOW)
    assert await receipts.keep("rx-1", silent, NOW)
    assert not await receipts.keep("rx-1", receipt(), NOW + 5)
    assert await receipts.keep("rx-2", receipt(), NOW), "ids are each device's own"
    kept = await receipts.of_device("rx-1", limit=10)
    assert [record.receipt for record in kept] == [silent, receipt()]
    assert [record.received for record in kept] == [NOW, NOW]


async def test_the_latest_come_first_page_by_page(database: Database) -> None:
    receipts = ReceiptStore(database)
    for number in range(5):
        await receipts.keep("rx-1", receipt(f"r-{number}", NOW + number), NOW)
    page = await receipts.of_device("rx-1", limit=2)
    assert [record.receipt.id for record in page] == ["r-4", "r-3"]
    page = await receipts.of_device("rx-1", limit=2, before=page[-1].receipt.started)
    assert [record.receipt.id for record in page] == ["r-2", "r-1"]


async def test_a_thousand_at_once_are_a_few_transactions(database: Database) -> None:
    class Counting(Database):
        writes = 0

        async def write(self, work):  # type: ignore[no-untyped-def]
            self.writes += 1
            return await database.write(work)

    counting = Counting(Path("unused"))
    receipts = ReceiptStore(counting)
    kept = await asyncio.gather(*(receipts.keep("rx-1", receipt(f"r-{n}"), NOW) for n in range(1000)))
    assert all(kept)
    assert counting.writes <= 3
    assert len(await ReceiptStore(database).of_device("rx-1", limit=2000)) == 1000
    counting.close()


async def test_a_receipt_is_not_acknowledged_while_the_store_is_locked(
    database: Database, tmp_path: Path
) -> None:
    receipts = ReceiptStore(database)
    other = sqlite3.connect(tmp_path / "loa.sqlite3", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    outcomes = await asyncio.gather(
        *(receipts.keep("rx-1", receipt(f"r-{n}"), NOW) for n in range(3)), return_exceptions=True
    )
    assert all(isinstance(outcome, StoreUnavailable) for outcome in outcomes)
    other.execute("ROLLBACK")
    other.close()
    assert await receipts.of_device("rx-1", limit=10) == []


async def test_who_hangs_up_while_the_disk_writes_harms_nobody(database: Database) -> None:
    receipts = ReceiptStore(database)
    gone = asyncio.create_task(receipts.keep("rx-1", receipt("r-1"), NOW))
    stays = asyncio.create_task(receipts.keep("rx-2", receipt("r-2"), NOW))
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays
    assert await receipts.keep("rx-1", receipt("r-3"), NOW)


async def test_old_receipts_go(database: Database) -> None:
    receipts = ReceiptStore(database)
    await receipts.keep("rx-1", receipt("old"), NOW)
    await receipts.keep("rx-1", receipt("new"), NOW + 100)
    assert await receipts.prune(NOW + 50) == 1
    assert [record.receipt.id for record in await receipts.of_device("rx-1", limit=9)] == ["new"]
