"""Proof of play: what became of each programme, kept on the disk until the relay has it.

`ReceiptBook` keeps them in slots written in place, so that a full disk takes no receipt away. A programme that has
begun is in the book at once, as interrupted: if the power fails, that is what is told. `spans` makes the receipts
out of what is heard.
"""

from __future__ import annotations

import contextlib
import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Final

from loacodecs.control import Receipt
from loacodecs.errors import MalformedError
from loacodecs.strict_json import from_object, load_object, to_object

from ..disk import Disk, DiskError
from .slots import SlotFile
from .telemetry import printable

RECEIPTS_FILE: Final = "receipts.bin"
SLOT_BYTES: Final = 1530
"""More than the longest names need in UTF-8."""
_COUNT: Final = 256
INTERRUPTED: Final = "interrupted: power or program failed"
_NAME_LETTERS: Final = 64
_OUTCOME_LETTERS: Final = 80


class ReceiptBook:
    """All receipts the relay has not acknowledged, oldest first. May be used by several threads; it waits for the disk.

    `fault` says what is wrong with the disk ("" when nothing is): then receipts are kept in memory, and written with
    the next one that can be. When the book is full the oldest goes; `dropped` counts these.
    """

    def __init__(self, path: Path, disk: Disk | None = None, *, count: int = _COUNT) -> None:
        self.fault = ""
        self.dropped = 0
        self._lock = threading.Lock()
        self._file = SlotFile(path, count=count, size=SLOT_BYTES, disk=disk or Disk())
        self._unwritten: set[str] = set()
        """Those whose newest version is not on the disk."""
        self._version = 0
        self._receipts: dict[str, Receipt] = {}  # in the order of their beginning
        self._slots: dict[str, int] = {}
        self._running: set[str] = set()
        self._unsent: Receipt | None = (
            None  # read without the lock: the event loop must not wait for the disk
        )
        self._load()
        self._choose()

    def begin(self, receipt: Receipt) -> None:
        """A programme has begun: until `end` it counts as interrupted."""
        with self._lock:
            self._running.add(receipt.id)
            self._keep(replace(receipt, outcome=INTERRUPTED))
            self._choose()

    def update(self, receipt: Receipt) -> None:
        """How far the programme has come; what a power cut leaves."""
        self.begin(receipt)

    def end(self, receipt: Receipt) -> None:
        """The programme is over: this is for the relay."""
        with self._lock:
            self._running.discard(receipt.id)
            self._keep(receipt)
            self._choose()

    def next_unsent(self) -> Receipt | None:
        """The oldest receipt of a programme that is over; never waits."""
        return self._unsent

    def acknowledge(self, receipt_id: str) -> None:
        """The relay has it on its disk."""
        with self._lock:
            self._forget(receipt_id)
            self._choose()

    def __len__(self) -> int:
        with self._lock:
            return len(self._receipts)

    def _choose(self) -> None:
        self._unsent = next((r for r in self._receipts.values() if r.id not in self._running), None)

    def _keep(self, receipt: Receipt) -> None:
        receipt = replace(
            receipt,
            programme=printable(receipt.programme, _NAME_LETTERS),
            outcome=printable(receipt.outcome, _OUTCOME_LETTERS),
        )
        try:
            to_object(receipt)
        except MalformedError as error:  # it could never be sent, and would hold up all others
            self.fault = f"a receipt was dropped: {error}"
            self.dropped += 1
            return
        if receipt.id not in self._receipts and len(self._receipts) >= self._file.count - 1:
            oldest = next((key for key in self._receipts if key not in self._running), None)
            if oldest is not None:
                self._forget(oldest)
                self.dropped += 1
        self._receipts[receipt.id] = receipt
        self._unwritten.add(receipt.id)
        if self._write(receipt):
            for other in [self._receipts[key] for key in self._receipts if key in self._unwritten]:
                if not self._write(other):
                    return

    def _write(self, receipt: Receipt) -> bool:
        """Into a free slot first, then the old version's slot is free: one of them is whole at any time.

        False when the disk does not take it.
        """
        taken = set(self._slots.values())
        slot = next((index for index in range(self._file.count) if index not in taken), None)
        if slot is None:
            return False
        self._version += 1
        document = {"v": self._version, "r": to_object(receipt)}
        data = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
        try:
            self._file.write(slot, data)
            old = self._slots.get(receipt.id)
            self._slots[receipt.id] = slot
            self._unwritten.discard(receipt.id)
            if old is not None:
                self._file.write(old, b"")
            self.fault = ""
        except DiskError as error:
            self.fault = str(error)
            return False
        return True

    def _forget(self, receipt_id: str) -> None:
        self._receipts.pop(receipt_id, None)
        self._unwritten.discard(receipt_id)
        slot = self._slots.pop(receipt_id, None)
        if slot is None:
            return
        try:
            self._file.write(slot, b"")
        except DiskError as error:  # it will be sent once more after a restart, and the relay knows its id
            self.fault = str(error)

    def _load(self) -> None:
        try:
            payloads = self._file.open() or {}
        except DiskError as error:
            self.fault = str(error)
            payloads = {}
            with contextlib.suppress(DiskError):  # else it is made with the first receipt
                self._file.make_anew()
        found: dict[str, tuple[int, int, Receipt]] = {}
        for slot, payload in payloads.items():
            read = _read(payload)
            if read is None:
                continue
            version, receipt = read
            self._version = max(self._version, version)
            if receipt.id not in found or found[receipt.id][0] < version:
                found[receipt.id] = (version, slot, receipt)
        for _version, slot, receipt in sorted(found.values(), key=lambda entry: entry[2].started):
            self._receipts[receipt.id] = receipt
            self._slots[receipt.id] = slot


def _read(payload: bytes) -> tuple[int, Receipt] | None:
    try:
        document = load_object(payload.decode(), SLOT_BYTES)
        version, receipt = document["v"], document["r"]
        if not isinstance(version, int) or not isinstance(receipt, dict):
            return None
        return version, from_object(Receipt, receipt)
    except (MalformedError, ValueError, KeyError):
        return None
