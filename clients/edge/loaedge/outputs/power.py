"""The switch of the amplifier: a GPIO line, or a command.

A switch never blocks and never raises: what goes wrong is its `problem`, and it is tried again.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from loacodecs.errors import ConfigurationError

COMMAND_S: Final = 5.0
"""A command that takes longer is killed."""
RETRY_S: Final = 5.0
"""Pause before a switch that failed is tried again."""
_FORMS: Final = "none, gpio:CHIP:LINE, gpio:CHIP:LINE:low or command:PROGRAM WORDS"


class Power(Protocol):
    """A switch; `problem` is what is wrong with it, empty when nothing is."""

    problem: str

    def switch(self, on: bool, now: float) -> None:
        """Make it so; call it again and again (a few times a second), which also drives what takes time."""

    def close(self) -> None:
        """Switch off for good."""


class NoPower:
    """An amplifier that is always on, or switches itself."""

    problem = ""

    def switch(self, on: bool, now: float) -> None:
        """There is nothing to switch."""

    def close(self) -> None:
        """There is nothing to switch."""


class GpioPower:
    """A line of a GPIO chip, by libgpiod's `gpiod` package (`pip install loa[gpio]`)."""

    def __init__(self, chip: str, line: int, *, active_low: bool = False) -> None:
        """`chip` as a path or a name in /dev, `line` by its offset."""
        self.problem = ""
        self._path = chip if "/" in chip else f"/dev/{chip}"
        self._line = line
        self._active_low = active_low
        self._request: Any = None
        self._is: bool | None = None
        self._retry_at = 0.0

    def switch(self, on: bool, now: float) -> None:
        if on == self._is or (self.problem and now < self._retry_at):
            return
        self._set(on)
        self._retry_at = now + RETRY_S

    def close(self) -> None:
        if self._request is not None:
            self._set(False)
        self._release()

    def _set(self, on: bool) -> None:
        try:
            import gpiod
            from gpiod.line import Value
        except ImportError:
            self.problem = "the gpiod package is not installed: pip install 'loa[gpio]'"
            return
        try:
            if self._request is None:
                self._request = self._requested(gpiod)
            self._request.set_value(self._line, Value.ACTIVE if on else Value.INACTIVE)
        except (OSError, ValueError) as error:
            self.problem = f"GPIO {self._path} line {self._line}: {str(error).lower()}"
            self._release()
        else:
            self.problem = ""
            self._is = on

    def _requested(self, gpiod: Any) -> Any:
        """The line as an output, off."""
        line = gpiod.LineSettings(
            direction=gpiod.line.Direction.OUTPUT,
            output_value=gpiod.line.Value.INACTIVE,
            active_low=self._active_low,
        )
        return gpiod.request_lines(self._path, consumer="loa", config={self._line: line})

    def _release(self) -> None:
        self._is = None
        if self._request is not None:
            request, self._request = self._request, None
            try:
                request.release()
            except (OSError, ValueError) as error:
                self.problem = f"GPIO {self._path} line {self._line}: {str(error).lower()}"


class CommandPower:
    """Runs a program with "on" or "off" added; one at a time, never through a shell, never for long."""

    def __init__(self, command: Sequence[str]) -> None:
        """Raises ConfigurationError for an empty command."""
        if not command:
            raise ConfigurationError("the amplifier's command is empty")
        self.problem = ""
        self._command = list(command)
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._asked: bool | None = None
        self._is: bool | None = None
        self._retry_at = 0.0

    def switch(self, on: bool, now: float) -> None:
        if self._process is not None:
            self._look_after(self._process, now)
        elif on != self._is and not (self.problem and now < self._retry_at):
            self._start(on, now)

    def close(self) -> None:
        if self._process is not None:
            self._finish(self._process)
        if self._is is not False:
            self._start(False, 0.0)
            if self._process is not None:
                self._finish(self._process)

    def _start(self, on: bool, now: float) -> None:
        self._asked, self._started_at = on, now
        self._retry_at = now + RETRY_S
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the words of the configuration, without a shell
                [*self._command, "on" if on else "off"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            self.problem = f"{self._command[0]}: {(error.strerror or str(error)).lower()}"

    def _look_after(self, process: subprocess.Popen[bytes], now: float) -> None:
        """See whether the command has ended, and end it, children included, when it takes too long."""
        code = process.poll()
        if code is not None:
            self._ended(code)
        elif now - self._started_at > COMMAND_S:
            _kill(process)

    def _ended(self, code: int) -> None:
        self._process = None
        if code == 0:
            self.problem, self._is = "", self._asked
            return
        self._is = None
        how = f"took longer than {COMMAND_S:g} s" if code == -signal.SIGKILL else f"ended with {code}"
        self.problem = f"{self._command[0]} {how}"

    def _finish(self, process: subprocess.Popen[bytes]) -> None:
        """Wait for the end, for the last command before the receiver ends."""
        try:
            self._ended(process.wait(COMMAND_S))
        except subprocess.TimeoutExpired:
            _kill(process)
            self._ended(-signal.SIGKILL)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def open_power(spec: str) -> Power:
    """The switch that `spec` names. Raises ConfigurationError."""
    kind, _, rest = spec.strip().partition(":")
    if kind == "none" and not rest:
        return NoPower()
    if kind == "gpio":
        chip, _, line = rest.partition(":")
        number, _, level = line.partition(":")
        if chip and number.isascii() and number.isdigit() and level in ("", "low", "high"):
            return GpioPower(chip, int(number), active_low=level == "low")
    if kind == "command":
        try:
            words = shlex.split(rest)
        except ValueError as error:
            raise ConfigurationError(f"the amplifier's command {rest!r}: {str(error).lower()}") from error
        if words and Path(words[0]).is_absolute():
            return CommandPower(words)
        raise ConfigurationError("the amplifier's command must begin with the full path of a program")
    raise ConfigurationError(f"{spec!r} names no amplifier switch; write {_FORMS}")
