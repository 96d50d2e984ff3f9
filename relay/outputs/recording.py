"""The thread that records: it alone waits for the disk, and serves all channels in turn."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from relay.outputs.recorder import Recorder

log = logging.getLogger("loa.recording")

TURN_S = 0.25
"""Packets wait at most so long to be paged, and a killed relay loses them."""


class RecordingThread:
    """Turns every recorder `TURN_S` after the last one was done; `stop` finishes their files."""

    def __init__(
        self,
        recorders: Sequence[Recorder],
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.faults = 0
        """Exceptions that should not have been; each is logged, none ends the thread."""
        self._recorders = recorders
        self._clock = clock
        self._wall = wall
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="loa-record", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, patience: float = 10.0) -> None:
        """Finish what is being recorded; a disk that hangs is given up after `patience` seconds, the next start mends
        what it leaves."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(patience)

    def _run(self) -> None:
        while not self._stopping.wait(TURN_S):
            self._each(lambda recorder: recorder.turn(self._clock(), self._wall()))
        self._each(lambda recorder: recorder.turn(self._clock(), self._wall()))
        self._each(lambda recorder: recorder.close(self._clock(), self._wall()))

    def _each(self, work: Callable[[Recorder], None]) -> None:
        for recorder in self._recorders:
            try:
                work(recorder)
            except Exception:  # one channel's mistake is not the others'
                self.faults += 1
                log.exception("the recording of a channel failed")
