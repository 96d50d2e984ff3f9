"""What a receiver tells about itself, gathered and kept within the bounds of the wire."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loacodecs.control import Telemetry

_STATE_LETTERS: Final = 40
_LINK_LETTERS: Final = 40
_FAULT_LETTERS: Final = 80
_FAULTS: Final = 8
_COUNT_LIMIT: Final = 2**53


@dataclass(frozen=True, slots=True)
class Report:
    """What the parts of the receiver know at a moment. `level_dbfs` is what is played, None in silence."""

    on_air: bool = False
    level_dbfs: float | None = None
    buffer_ms: float = 0.0
    concealed_ms: float = 0.0
    lost: int = 0
    recovered: int = 0
    error_ms: float | None = None
    state: str = ""
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """What the link itself adds: its own numbers and the machine's."""

    number: int
    uptime_s: float
    clock_error_s: float | None
    commands_refused: int
    temperature_c: float | None
    link: str


class Machine:
    """Reads the kernel's files below `root`; what is not there or makes no sense is left out."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root

    def temperature_c(self) -> float | None:
        """The hottest thermal zone, °C."""
        readings = []
        for zone in sorted((self._root / "sys/class/thermal").glob("thermal_zone*/temp"))[:16]:
            reading = _number(_read(zone))
            if reading is not None and -60_000 < reading < 200_000:
                readings.append(reading / 1000)
        return max(readings, default=None)

    def link(self) -> str:
        """The interface of the default route, and its signal where the kernel knows it: "wlan0 -61 dBm"."""
        interface = self._default_interface()
        if not interface:
            return ""
        signal = self._signal(interface)
        return interface if signal is None else f"{interface} {signal:.0f} dBm"

    def _default_interface(self) -> str:
        for line in _read(self._root / "proc/net/route").splitlines()[1:]:
            fields = line.split()
            if len(fields) > 7 and fields[1] == "00000000" and fields[7] == "00000000":
                return fields[0][:15]
        for line in _read(self._root / "proc/net/ipv6_route").splitlines():
            fields = line.split()
            if len(fields) == 10 and fields[0] == "0" * 32 and fields[1] == "00" and fields[9] != "lo":
                return fields[9][:15]
        return ""

    def _signal(self, interface: str) -> float | None:
        for line in _read(self._root / "proc/net/wireless").splitlines()[2:]:
            name, _, rest = line.partition(":")
            fields = rest.split()
            if name.strip() == interface and len(fields) > 2:
                level = _number(fields[2].rstrip("."))
                return level if level is not None and -130 < level < 0 else None
        return None


def telemetry(report: Report, place: Place, now: float) -> Telemetry:
    """The message to be sent at local time `now`; values no wire takes are bent to what it takes."""
    error_s = place.clock_error_s
    return Telemetry(
        number=place.number,
        sent=now,
        on_air=report.on_air,
        level_dbfs=_within(report.level_dbfs, -200, 50),
        buffer_ms=_within(report.buffer_ms, 0, 1e6) or 0.0,
        concealed_ms=_within(report.concealed_ms, 0, 1e12) or 0.0,
        lost=max(0, min(report.lost, _COUNT_LIMIT)),
        recovered=max(0, min(report.recovered, _COUNT_LIMIT)),
        temperature_c=_within(place.temperature_c, -100, 200),
        link=printable(place.link, _LINK_LETTERS),
        clock_error_ms=None if error_s is None else _within(error_s * 1000, 0, 1e9),
        state=printable(report.state, _STATE_LETTERS),
        error_ms=_within(report.error_ms, -1e6, 1e6),
        commands_refused=max(0, min(place.commands_refused, _COUNT_LIMIT)),
        uptime_s=_within(place.uptime_s, 0, 1e10) or 0.0,
        faults=tuple(printable(fault, _FAULT_LETTERS) for fault in report.faults[:_FAULTS]),
    )


def printable(text: str, letters: int) -> str:
    """`text` as the wire takes it: printable, at most `letters` long."""
    clean = "".join(letter if letter.isprintable() else " " for letter in text)
    return clean if len(clean) <= letters else clean[: letters - 1] + "…"


def _within(value: float | None, low: float, high: float) -> float | None:
    if value is None or math.isnan(value):
        return None
    return max(low, min(high, value))


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(1 << 16).decode("ascii", "replace")
    except OSError:
        return ""


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
