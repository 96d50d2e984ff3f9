"""Log lines on their way out: whoever logs makes its line and goes on; a thread of its own, `loa-log`, writes it.

Standard error may be a pipe that nobody reads for a while, and a line may take long to be made. The threads of the
sound wait for neither: there is no lock between those who log, and what nobody reads is lost, and counted.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from queue import SimpleQueue
from typing import Final, TextIO

WAITING_MAX: Final = 5_000
"""Lines that may wait to be written."""
PATIENCE_S: Final = 1.0
"""So long the end of the program waits for who does not read."""


class LineHandler(logging.Handler):
    """Writes to `stream`. `flush` and `close` wait until what was logged before is written, PATIENCE_S at most."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._waiting: SimpleQueue[str | threading.Event | None] = SimpleQueue()
        self._lost = 0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="loa-log", daemon=True)
        self._thread.start()

    def createLock(self) -> None:  # noqa: N802 - logging's name
        """None: what is shared is a queue."""
        self.lock = None

    def emit(self, record: logging.LogRecord) -> None:
        """Have the record's line written."""
        if self._waiting.qsize() >= WAITING_MAX:
            self._lost += 1
            return
        try:
            self._waiting.put(self.format(record))
        except Exception:  # as all handlers of logging do: a record that cannot be told harms nobody
            self.handleError(record)

    def flush(self) -> None:
        """Wait until what was logged before is written."""
        written = threading.Event()
        if not self._closed:
            self._waiting.put(written)
            written.wait(PATIENCE_S)

    def close(self) -> None:
        """Write what waits, and end the thread."""
        if not self._closed:
            self._closed = True
            self._waiting.put(None)
            self._thread.join(PATIENCE_S)
        super().close()

    def _run(self) -> None:
        while (item := self._waiting.get()) is not None:
            if isinstance(item, threading.Event):
                item.set()
                continue
            with contextlib.suppress(OSError, ValueError):  # it is closed: nobody is there to be told
                self._stream.write(self._loss() + item + "\n")
                self._stream.flush()

    def _loss(self) -> str:
        lost, self._lost = self._lost, 0
        if not lost:
            return ""
        told = {"name": "loa.log", "levelno": logging.WARNING, "levelname": "WARNING", "args": (lost,)}
        return (
            self.format(logging.makeLogRecord(told | {"msg": "%d lines are lost: nobody read the log"}))
            + "\n"
        )
