"""Keeps sound going: plays an output, opens it again when it is lost, leaves it behind when it hangs.

The session with the relay knows nothing of this: `render` is simply not called while there is no device.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from loacodecs.backoff import Backoff

from .output import Output, OutputError, Pcm, Ready, Render, all_ready

log = logging.getLogger(__name__)

HANG_S: Final = 5.0
"""A device that has not asked for sound for so long hangs; more than any buffer holds."""
OPENING: Final = 4
"""So many times as long it is given until its first sound: a sound server that does not answer is waited for, and what
"auto" falls back to must still get its turn."""
STOOD_S: Final = 10.0
"""A device that played for so long is tried again at once when it is lost."""
MOST_STUCK: Final = 4
"""Threads left behind in a driver that does not return, before no more are started."""
_STOP_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class PlayerState:
    """For telemetry: what plays, how far behind, and how often it failed.

    `device` is empty before the first one is open, `problem` while it plays; `latency_ms` is from render to
    loudspeaker. `underruns` and `lost` count since the start.
    """

    device: str = ""
    running: bool = False
    latency_ms: float = 0.0
    underruns: int = 0
    lost: int = 0
    problem: str = ""


class Player:
    """Plays `render` on the output that `open_device` gives, whatever happens to it."""

    def __init__(
        self,
        open_device: Callable[[], Output],
        render: Render,
        *,
        ready: Ready = all_ready,
        hang_s: float = HANG_S,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`open_device` is called in the player's threads and may raise OutputError."""
        self._open = open_device
        self._render = render
        self._ready = ready
        self._hang_s = hang_s
        self._backoff = backoff or Backoff(os.urandom, first_s=0.25, limit_s=10.0)
        self._clock = clock
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._stuck: list[_Attempt] = []
        self._current: _Attempt | None = None
        self._device = ""
        self._underruns = 0
        self._lost = 0
        self._problem = ""

    def start(self) -> None:
        """Begin to play; once only."""
        self._thread = threading.Thread(target=self._supervise, name="loa-player", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the sound; returns within about two seconds even when the device hangs."""
        self._stop.set()
        if (attempt := self._current) is not None:
            attempt.stop.set()
        if self._thread is not None:
            self._thread.join(_STOP_S + 1.0)

    @property
    def state(self) -> PlayerState:
        """As it is now; may be asked from any thread."""
        attempt = self._current
        output = attempt.output if attempt else None
        return PlayerState(
            device=output.name if output else self._device,
            running=bool(attempt and attempt.rendered and not attempt.ended.is_set()),
            latency_ms=round(1000 * output.latency_s, 1) if output else 0.0,
            underruns=self._underruns + (output.underruns if output else 0),
            lost=self._lost,
            problem=self._problem,
        )

    @property
    def commit_s(self) -> float | None:
        """So long before it is heard the device asks for sound at the latest; None while there is none."""
        attempt = self._current
        output = attempt.output if attempt else None
        return output.commit_s if output else None

    def _supervise(self) -> None:
        while not self._stop.is_set():
            self._stuck = [attempt for attempt in self._stuck if not attempt.ended.is_set()]
            if len(self._stuck) < MOST_STUCK:
                try:
                    self._play_once()
                except Exception as error:  # no memory for a thread, say: there may be some again
                    self._current = None
                    self._tell(f"the sound cannot be started: {error}")
            self._stop.wait(self._backoff.next_pause())

    def _play_once(self) -> None:
        """Play one device until it ends, hangs or the player stops."""
        attempt = _Attempt(self._open, self._render, self._ready, self._clock)
        self._current = attempt
        began = self._clock()
        attempt.thread.start()
        hung = self._watch(attempt)
        attempt.stop.set()
        self._current = None
        if attempt.output is not None:
            self._device = attempt.output.name
            self._underruns += attempt.output.underruns
        if self._stop.is_set():
            attempt.ended.wait(_STOP_S)
            return
        if hung:
            self._stuck.append(attempt)
        self._lost += int(attempt.rendered)
        self._tell(f"{self._device or 'the device'} hangs" if hung else attempt.reason)
        if attempt.rendered and self._clock() - began >= STOOD_S:
            self._backoff.reset()

    def _tell(self, problem: str) -> None:
        """Keep the problem for `state`; log it when it is another than before."""
        if problem and problem != self._problem:
            log.warning("no sound: %s; trying again", problem)
        elif self._problem and not problem:
            log.info("sound again")
        self._problem = problem

    def _watch(self, attempt: _Attempt) -> bool:
        """Wait for the end of the attempt or of the player; True when the device hangs instead."""
        step = self._hang_s / 4
        looked = self._clock()
        while not self._stop.is_set():
            if attempt.ended.wait(min(step, 1.0)):
                return False
            if attempt.rendered:
                self._tell("")
            now = self._clock()
            if now - looked > step + 1.0:
                # We were stopped ourselves (SIGSTOP, a very busy machine): the device had no chance either.
                attempt.alive_at = now
            looked = now
            if now - attempt.alive_at > self._hang_s * (1 if attempt.rendered else OPENING):
                return True
        return False


class _Attempt:
    """One opened device and its thread."""

    def __init__(
        self,
        open_device: Callable[[], Output],
        render: Render,
        ready: Ready,
        clock: Callable[[], float],
    ) -> None:
        self.output: Output | None = None
        self.rendered = False
        self.reason = "the sound stopped"
        self.alive_at = clock()
        self.stop = threading.Event()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run, name="loa-sound", daemon=True)
        self._open = open_device
        self._render = render
        self._ready = ready
        self._clock = clock

    def _run(self) -> None:
        # A fault in `render` ends this thread with its traceback; the player sees the end and tries again.
        try:
            self.output = self._open()
            self.output.play(self._render_alive, self.stop, self._ready)
        except OutputError as error:
            self.reason = str(error)
        finally:
            self.ended.set()

    def _render_alive(self, frames: int, heard_at: float) -> Pcm:
        """Note that the device lives; one that comes back after it was given up must not take any more sound."""
        if self.stop.is_set():
            raise OutputError("the device came back too late")
        self.alive_at = self._clock()
        pcm = self._render(frames, heard_at)
        self.rendered = True
        return pcm
