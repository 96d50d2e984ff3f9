"""One SQLite file behind one worker thread, so that neither the event loop nor the media thread ever waits for a disk.

The file is opened by the first call that needs it and again after a failure: a relay whose disk is full or whose file
is locked goes on playing, its store answers StoreUnavailable, and works again when the cause is gone.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from relay.errors import StoreUnavailable
from relay.store.schema import MIGRATIONS

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

BUSY_S: Final = 1.0
"""How long a call waits for another program that has the file locked; those behind it then fail at once, as long."""
WAITING_MAX: Final = 2048
"""Calls that may wait for the worker; more are refused at once."""

_log = logging.getLogger(__name__)


class Database:
    """The file `path`. Every piece of work is one transaction: all of it is on the disk, or nothing is."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.errors = 0
        """Calls that failed since the start."""
        self.waiting = 0
        """Calls under way."""
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._failing = False
        self._closed = False
        self._clock = clock
        self._locked_until = -math.inf
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="loa-store")

    async def read(self, work: Work[T]) -> T:
        """What `work` reads, all of it of one moment; raises StoreUnavailable."""
        return await self._call("BEGIN", work)

    async def write(self, work: Work[T]) -> T:
        """What `work` gives, once its changes would survive a power cut; raises StoreUnavailable.

        Whatever else `work` raises undoes its changes and comes out here.
        """
        return await self._call("BEGIN IMMEDIATE", work)

    def close(self) -> None:
        """Finish the calls under way and close the file; later ones are refused."""
        if self._closed:
            return
        self._closed = True
        self._worker.submit(self._drop)
        self._worker.shutdown()

    async def _call(self, begin: str, work: Work[T]) -> T:
        if self._closed:
            raise StoreUnavailable(f"the store {self._path} is closed: the relay is shutting down")
        if self.waiting >= WAITING_MAX:
            self.errors += 1
            raise StoreUnavailable(f"{WAITING_MAX} calls wait for the store {self._path} already")
        self.waiting += 1
        try:
            result = await asyncio.get_running_loop().run_in_executor(
                self._worker, self._transaction, begin, work
            )
        except StoreUnavailable as error:
            self.errors += 1
            self._tell(error)
            raise
        finally:
            self.waiting -= 1
        self._failing = False
        return result

    def _tell(self, error: StoreUnavailable) -> None:
        """Once for each time that it goes wrong, not for each call."""
        if not self._failing:
            _log.error("%s; sound goes on, receivers cannot connect or hand in receipts", error)
        self._failing = True

    # In the worker thread

    def _transaction(self, begin: str, work: Work[T]) -> T:
        try:
            if self._clock() < self._locked_until and (self._connection is None or begin != "BEGIN"):
                raise sqlite3.OperationalError("locked")
            connection = self._opened()
            connection.execute(begin)
            try:
                result = work(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        except (sqlite3.Error, OSError) as error:
            self._note(error)
            raise StoreUnavailable(f"the store {self._path} cannot be used: {_reason(error)}") from None
        self._locked_until = -math.inf
        return result

    def _note(self, error: sqlite3.Error | OSError) -> None:
        if "locked" not in str(error):
            self._drop()  # a file that was replaced or repaired meanwhile is opened anew
        elif self._clock() >= self._locked_until:
            self._locked_until = self._clock() + BUSY_S

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = _open(self._path)
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # SQLite would make it readable by everybody
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # a receipt acknowledged survives a power cut
        connection.execute("PRAGMA foreign_keys = ON")
        _migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _migrate(connection: sqlite3.Connection) -> None:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > len(MIGRATIONS):
        raise sqlite3.DatabaseError("it was written by a newer Loa; run that one, or restore a backup")
    for number in range(version, len(MIGRATIONS)):
        script = f"BEGIN IMMEDIATE; {MIGRATIONS[number]} PRAGMA user_version = {number + 1}; COMMIT;"
        try:
            connection.executescript(script)
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _reason(error: sqlite3.Error | OSError) -> str:
    """What is wrong and how to mend it."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    text = str(error)
    if "locked" in text:
        return "another program has it locked; end that program"
    if "full" in text:
        return "the disk is full; make room"
    if "not a database" in text or "malformed" in text:
        return "it is damaged; restore a backup (docs/operations.md says how)"
    if "readonly" in text:
        return "it may not be written; give it to the relay's user"
    return text
