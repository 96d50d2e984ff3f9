"""Traces: what a path did to each packet, as a file that a spreadsheet opens.

    # loa-link-trace 1
    time_s,client,direction,size,delay_ms
    0.000000,0,down,172,61.204
    0.020011,0,down,172,lost
    0.040017,0,down,172,60.871 74.020
    # end 600.000000

One row for each packet, by the time it was sent (seconds; each client's and direction's rows rise), client number,
direction (up: from the client), UDP payload bytes, and the milliseconds until it arrived: `lost`, one number, or
several for a packet that came more than once. The last line holds the end of the recording; it is missing when
the recorder was killed. Lines that begin with # are remarks otherwise.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, NoReturn, TextIO, get_args

from loacodecs.errors import ConfigurationError

Direction = Literal["up", "down"]
Row = Callable[[float, int, Direction, int, tuple[float, ...]], None]
"""Takes a packet: seconds since the beginning, client, direction, bytes, and its delays in seconds, () if lost."""

DIRECTIONS: Final[tuple[Direction, ...]] = get_args(Direction)
PACKETS_MAX: Final = 10_000_000
_HEADER: Final = "# loa-link-trace 1"
_COLUMNS: Final = "time_s,client,direction,size,delay_ms"


@dataclass(slots=True)
class Recording:
    """One client's packets in one direction, in the order sent: times in seconds, delays in seconds, NaN if lost."""

    times: array[float] = field(default_factory=lambda: array("d"))
    delays: array[float] = field(default_factory=lambda: array("d"))
    copies: dict[int, tuple[float, ...]] = field(default_factory=dict)
    """All delays of the packets that came more than once, by their index."""

    def add(self, at: float, delays: Sequence[float]) -> None:
        """Add a packet sent at `at`; no delays if it was lost."""
        if len(delays) > 1:
            self.copies[len(self.times)] = tuple(delays)
        self.times.append(at)
        self.delays.append(delays[0] if delays else math.nan)

    def delays_of(self, index: int) -> tuple[float, ...]:
        """The delays of a packet; () if it was lost."""
        if index in self.copies:
            return self.copies[index]
        delay = self.delays[index]
        return () if math.isnan(delay) else (delay,)

    @property
    def in_order(self) -> bool:
        """Whether no packet overtook another."""
        latest = -math.inf
        for index, at in enumerate(self.times):
            for delay in sorted(self.delays_of(index)):
                if at + delay < latest - 1e-6:  # a trace is written to the microsecond
                    return False
                latest = at + delay
        return True


@dataclass(frozen=True, slots=True)
class Trace:
    """Recordings by client and direction; `period` is how long it takes until it may begin again, in seconds."""

    recordings: dict[tuple[int, Direction], Recording]
    period: float

    @property
    def clients(self) -> list[int]:
        """The numbers of the clients recorded."""
        return sorted({client for client, _ in self.recordings})

    def recording(self, client: int, direction: Direction) -> Recording:
        """What the n-th client replays: clients take turns; a direction that was not recorded is as the other."""
        recorded = self.clients[client % len(self.clients)]
        other: Direction = "down" if direction == "up" else "up"
        found = self.recordings.get((recorded, direction)) or self.recordings.get((recorded, other))
        if found is None:
            raise LookupError(f"client {recorded} is not in the trace")
        return found


class TraceWriter:
    """Writes rows as they happen; `close` says how long it was.

    When the disk is full the rest is left out, since a recorder must not disturb what it records: `failure` says so.
    """

    def __init__(self, stream: TextIO) -> None:
        self.failure: OSError | None = None
        self._stream = stream
        self._closed = False
        self._write(f"{_HEADER}\n{_COLUMNS}\n")

    def row(self, at: float, client: int, direction: Direction, size: int, delays: Iterable[float]) -> None:
        """Note a packet sent at `at`, seconds since the beginning, and its delays in seconds."""
        said = " ".join([f"{delay * 1000:.3f}" for delay in delays]) or "lost"
        self._write(f"{at:.6f},{client},{direction},{size},{said}\n")

    def close(self, end: float) -> None:
        """Write the end of the recording, in seconds since the beginning, and close the file."""
        if self._closed:
            return
        self._write(f"# end {end:.6f}\n")
        self._closed = True
        try:
            self._stream.close()
        except OSError as error:
            self.failure = self.failure or error

    def _write(self, text: str) -> None:
        if self.failure is None:
            try:
                self._stream.write(text)
            except OSError as error:
                self.failure = error


def read(file: Path) -> Trace:
    """The trace of a file. Raises ConfigurationError that names file and line."""
    try:
        with file.open(encoding="utf-8") as stream:
            return parse(stream, str(file))
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{file}: is not UTF-8 text") from error


def parse(lines: Iterable[str], name: str = "trace") -> Trace:
    """The trace that lines of text hold. Raises ConfigurationError that names the line."""
    reader = _Reader(name)
    for number, line in enumerate(lines, 1):
        reader.take(number, line.strip())
    return reader.finish()


class _Reader:
    """Collects rows, and moves them in time so that the first is at 0."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._line = 0
        self._recordings: dict[tuple[int, Direction], Recording] = {}
        self._packets = 0
        self._end: float | None = None

    def take(self, number: int, line: str) -> None:
        self._line = number
        if number == 1 and line != _HEADER:
            self._refuse(f"is no trace: it does not begin with {_HEADER!r}")
        if line.startswith("# end "):
            self._end = self._number(line.removeprefix("# end "), "end")
        elif line and not line.startswith("#") and line != _COLUMNS:
            self._row(line.split(","))

    def finish(self) -> Trace:
        if not self._recordings:
            self._refuse("holds no packets")
        begin = min(recording.times[0] for recording in self._recordings.values())
        last = max(recording.times[-1] for recording in self._recordings.values())
        for recording in self._recordings.values():
            recording.times = array("d", (at - begin for at in recording.times))
        longest = max(len(recording.times) for recording in self._recordings.values())
        usual_pause = (last - begin) / (longest - 1) if longest > 1 else 0.0
        end = last + usual_pause if self._end is None else max(self._end, last)
        return Trace(self._recordings, max(end - begin, usual_pause, 0.001))

    def _row(self, cells: list[str]) -> None:
        if len(cells) != 5:
            self._refuse(f"has {len(cells)} columns instead of 5")
        at, client = self._number(cells[0], "time_s"), self._whole(cells[1], "client")
        direction = next((known for known in DIRECTIONS if known == cells[2]), None)
        if direction is None:
            self._refuse(f"direction {cells[2]!r} is neither up nor down")
        self._whole(cells[3], "size")
        delays = () if cells[4] == "lost" else tuple(self._delay(cell) for cell in cells[4].split(" "))
        recording = self._recordings.setdefault((client, direction), Recording())
        if recording.times and at < recording.times[-1]:
            self._refuse(f"time {at:g} s is before that of the row before")
        recording.add(at, delays)
        self._packets += 1
        if self._packets > PACKETS_MAX:
            self._refuse(f"is more than {PACKETS_MAX:,} packets; cut the file")

    def _delay(self, text: str) -> float:
        delay = self._number(text, "delay_ms") / 1000
        if delay < 0:
            self._refuse(f"delay {text} ms is negative")
        return delay

    def _number(self, text: str, column: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            self._refuse(f"{column} {text!r} is not a number")
        return value

    def _whole(self, text: str, column: str) -> int:
        if not (text.isascii() and text.isdecimal() and len(text) < 10):
            self._refuse(f"{column} {text!r} is not a whole number")
        return int(text)

    def _refuse(self, sentence: str) -> NoReturn:
        raise ConfigurationError(f"{self._name} line {self._line}: {sentence}")
