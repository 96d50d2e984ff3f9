"""Receipts: proof of what each device played. What `keep` has said yes to survives a power cut.

A programme ends on a thousand devices at once. All receipts that wait while one transaction is written go into the
next one together, so that the disk is asked to sync a few times and not a thousand.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Sequence
from typing import Final

from loacodecs.control import Receipt
from relay.device_ports import ReceiptRecord
from relay.errors import StoreUnavailable
from relay.store.database import Database

WAITING_MAX: Final = 20_000
"""Receipts that may wait for the disk; the device of one more keeps it and sends it again later."""
BATCH: Final = 1_000

_Row = tuple[str, str, str, str, float, float, float, float, float | None, str, float]
_COLUMNS: Final = ", ".join(
    (
        *("device", "id", "programme", "channel", "started", "ended", "played_ratio"),
        *("concealed_ms", "level_dbfs", "outcome", "received"),
    )
)


class ReceiptStore:
    """To be used from one event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: deque[tuple[_Row, asyncio.Future[bool]]] = deque()
        self._writing: asyncio.Task[None] | None = None

    async def keep(self, device: str, receipt: Receipt, now: float) -> bool:
        """True when the receipt is on the disk now, False when it was there already. Raises StoreUnavailable."""
        if len(self._waiting) >= WAITING_MAX:
            raise StoreUnavailable(f"{WAITING_MAX} receipts wait for the disk already")
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((_row(device, receipt, now), future))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        return await future

    async def of_device(
        self, device: str, *, limit: int, before: float | None = None
    ) -> Sequence[ReceiptRecord]:
        """At most `limit` receipts of programmes that started before `before`, the latest first."""
        query = (
            f"SELECT {_COLUMNS} FROM receipt WHERE device = ? AND started < ?"  # noqa: S608 - constants only
            " ORDER BY started DESC, id LIMIT ?"
        )
        bound = float("inf") if before is None else before

        def work(connection: sqlite3.Connection) -> list[ReceiptRecord]:
            return [_record(row) for row in connection.execute(query, (device, bound, limit))]

        return await self._database.read(work)

    async def prune(self, older_than: float) -> int:
        """Delete what came before `older_than` (unix seconds); how many went."""
        return await self._database.write(
            lambda connection: (
                connection.execute("DELETE FROM receipt WHERE received < ?", (older_than,)).rowcount
            )
        )

    async def _write(self) -> None:
        try:
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
                await self._write_batch(batch)
        finally:
            self._writing = None

    async def _write_batch(self, batch: list[tuple[_Row, asyncio.Future[bool]]]) -> None:
        places = ", ".join("?" * len(_COLUMNS.split(",")))
        query = f"INSERT OR IGNORE INTO receipt ({_COLUMNS}) VALUES ({places})"  # noqa: S608 - constants only

        def work(connection: sqlite3.Connection) -> list[bool]:
            return [connection.execute(query, row).rowcount == 1 for row, _ in batch]

        open_futures = [future for _, future in batch]
        try:
            kept = await self._database.write(work)
            for future, new in zip(open_futures, kept, strict=True):
                if not future.done():  # its device has hung up meanwhile
                    future.set_result(new)
        except StoreUnavailable as error:
            for future in open_futures:
                if not future.done():
                    future.set_exception(error)
        finally:
            for future in open_futures:
                future.cancel()


def _row(device: str, receipt: Receipt, now: float) -> _Row:
    return (
        device,
        receipt.id,
        receipt.programme,
        receipt.channel,
        receipt.started,
        receipt.ended,
        receipt.played_ratio,
        receipt.concealed_ms,
        receipt.level_dbfs,
        receipt.outcome,
        now,
    )


def _record(row: _Row) -> ReceiptRecord:
    device, *fields, received = row
    return ReceiptRecord(device, Receipt(*fields), received)  # type: ignore[arg-type]  # in the order of columns
