"""What a receiver is told by its file, /etc/loa/edge.toml unless another one is named; docs/edge.md lists every key.

Values are checked when they are read: unknown keys, wrong types and impossible values are mistakes, all told at
once. Durations are seconds here and texts with a unit in the file; paths are relative to the file's folder.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from pathlib import Path
from typing import Any, Final, Literal

from loacodecs.errors import ConfigurationError

from ..client import Wishes
from ..disk import reason
from ..local.director import Fallback
from ..local.quiet import QuietHours
from ..local.timetable import LATE_S, BulletinClass, Entry, parse_days, parse_time
from ..local.wallclock import find_zone
from ..outputs.opening import check_spec
from ..outputs.power import open_power
from ..urls import endpoint, shown
from .checking import InvalidConfiguration, Table, parse_duration

DEFAULT_PATH: Final = Path("/etc/loa/edge.toml")
DEFAULT_STATE: Final = Path("/var/lib/loa-edge")
CHANNEL: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
"""As docs/configuration.md allows a channel to be named."""
IDLE_S: Final = 50.0

Mode = Literal["first", "both"]

_MODES: Final[dict[str, Mode]] = {"first": "first", "both": "both"}
_CLASSES: Final[dict[str, BulletinClass]] = {
    "normal": "normal",
    "priority": "priority",
    "emergency": "emergency",
}
RECENT_MS: Final = 600
"""What was captured so long before a session stands can still be heard at the usual delay of 700 ms: after a change of
relays the sound is back so much sooner."""
_RENDITIONS: Final = {
    "20ms": Wishes(),
    "60ms": Wishes(ptime=60),
    "red-1": Wishes(red=1),
    "red-2": Wishes(red=2),
    "auto": Wishes(ptime=60, adaptive=True),
}
_LEVELS: Final = {name: name for name in ("debug", "info", "warning", "error")}


@dataclass(frozen=True, slots=True)
class AmplifierConfig:
    """How the amplifier is switched: `switch` is what `outputs.power.open_power` takes."""

    switch: str = "none"
    lead_s: float = 1.0
    tail_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Config:
    """Everything a receiver is told. `relays` are base addresses in order of preference."""

    relays: tuple[str, ...]
    channel: str = ""
    mode: Mode = "first"
    token_file: Path | None = None
    ca_file: Path | None = None
    control: bool = True
    delay_s: float = 0.7
    trim_s: float = 0.0
    volume_db: float = 0.0
    wishes: Wishes = field(default_factory=lambda: _RENDITIONS["auto"])
    output: str = "auto"
    output_latency_s: float | None = None
    channels: int = 1
    amplifier: AmplifierConfig = field(default_factory=AmplifierConfig)
    chime: bool = False
    quiet: QuietHours = field(default_factory=QuietHours)
    zone: tzinfo = field(default_factory=find_zone)
    fallback: Fallback | None = None
    timetable: tuple[Entry, ...] = ()
    state_dir: Path = DEFAULT_STATE
    log_level: str = "info"


def load(path: Path) -> Config:
    """The configuration in the file. Raises InvalidConfiguration, or ConfigurationError when it cannot be read."""
    try:
        with path.open("rb") as file:
            values = tomllib.load(file)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {reason(error)}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not TOML: {error}") from error
    return parse(values, path.absolute().parent)


def parse(values: dict[str, Any], folder: Path) -> Config:
    """The configuration in a TOML document; `folder` is what relative paths begin at.

    Raises InvalidConfiguration.
    """
    mistakes: list[str] = []
    table = Table(values, mistakes)
    relays = tuple(_relay(table, relay) for relay in table.texts("relays"))
    if not relays and not mistakes:
        table.mistake("relays", 'is required: relays = ["https://relay.example.vn"]')
    control = table.flag("control", True)
    channel = table.text("channel", "")
    if channel and not CHANNEL.fullmatch(channel):
        table.mistake("channel", "must be 1 to 63 of a-z 0-9 . _ - and begin with a letter or digit")
    if not channel and not control:
        table.mistake("channel", "is required unless control = true: the relay then says which")
    wishes = table.choice("rendition", _RENDITIONS["auto"], _RENDITIONS)
    idle = round(table.duration("idle", IDLE_S, 5, 300))
    zone = table.parsed("zone", find_zone(), find_zone)
    config = Config(
        relays=relays,
        channel=channel,
        mode=table.choice("mode", "first", _MODES),
        token_file=table.path("token_file", None, folder),
        ca_file=table.path("ca_file", None, folder),
        control=control,
        delay_s=table.duration("delay", 0.7, 0.15, 3.0),
        trim_s=table.duration("trim", 0.0, 0.0, 1.0),
        volume_db=table.number("volume_db", 0.0, -60, 20),
        wishes=replace(wishes, idle_s=idle, recent_ms=RECENT_MS, clock=True),
        output=table.parsed("output", "auto", lambda text: _output(text, folder)),
        output_latency_s=table.duration("output_latency", None, 0.03, 2.0),
        channels=table.choice("channels", 1, {"mono": 1, "stereo": 2}),
        amplifier=_amplifier(table.table("amplifier")),
        chime=table.flag("chime", False),
        quiet=table.parsed("quiet_hours", QuietHours(), _quiet),
        zone=zone,
        fallback=_fallback(table.table("fallback"), folder) if "fallback" in table else None,
        timetable=_timetable(table, folder),
        state_dir=table.path("state_dir", DEFAULT_STATE, folder),
        log_level=table.choice("log_level", "info", _LEVELS),
    )
    table.table("fallback")
    table.finish()
    if mistakes:
        raise InvalidConfiguration(mistakes)
    return config


def _relay(table: Table, relay: str) -> str:
    """The base address as all parts take it: whoever asks whether it is https looks at small letters."""
    try:
        found = endpoint(f"{relay.strip().rstrip('/')}/x", "whep")
    except ConfigurationError as error:
        table.mistake("relays", f"cannot have {shown(relay)!r}: {error}")
        return relay
    if "://" not in relay or found.url.count("/") != 4:
        table.mistake("relays", f"takes addresses as https://relay.example.vn, not {shown(relay)!r}")
    return found.url.removesuffix("/x/whep")


def _output(text: str, folder: Path) -> str:
    """Files are where the other paths are. Raises ConfigurationError for what names no output."""
    check_spec(text)
    kind, _, name = text.partition(":")
    return f"wav:{folder / name}" if kind == "wav" and name else text


def _quiet(text: str) -> QuietHours:
    return QuietHours.parse("00:00-00:00" if text == "never" else text)


def _amplifier(table: Table) -> AmplifierConfig:
    gpio = table.parsed("gpio", "", lambda text: _switch(f"gpio:{text}"))
    command = table.parsed("command", "", lambda text: _switch(f"command:{text}"))
    if gpio and command:
        table.mistake("command", "and gpio say the same thing twice; keep one")
    amplifier = AmplifierConfig(
        switch=gpio or command or "none",
        lead_s=table.duration("lead", 1.0, 0.0, 60.0),
        tail_s=table.duration("tail", 10.0, 0.0, 3600.0),
    )
    table.finish()
    return amplifier


def _switch(spec: str) -> str:
    open_power(spec)
    return spec


def _fallback(table: Table, folder: Path) -> Fallback | None:
    play = table.path("play", None, folder)
    if play is None:
        table.mistake("play", "is required: a file, a folder or a playlist")
    fallback = Fallback(
        play=play or folder,
        after_s=table.duration("after", 20.0, 5.0, 3600.0),
        limit_s=table.duration("limit", None, 1.0, 86400.0),
        repeat=table.flag("repeat", False),
        always=table.flag("always", False),
        without_time=table.flag("without_time", False),
        volume_db=table.number("volume_db", 0.0, -40, 40),
    )
    table.finish()
    return fallback


def _timetable(table: Table, folder: Path) -> tuple[Entry, ...]:
    found = (_entry(one, folder) for one in table.tables("timetable"))
    entries = tuple(entry for entry in found if entry is not None)
    names = [entry.name for entry in entries]
    for name in sorted({name for name in names if names.count(name) > 1}):
        table.mistake("timetable", f"has two programmes that are called {name}")
    return entries


def _entry(table: Table, folder: Path) -> Entry | None:
    """One programme of the timetable; None when it has a mistake."""
    before = len(table.mistakes)
    name = table.text("name", "")
    days = table.texts("days")
    play = table.path("play", folder, folder)
    values = {
        "limit_s": table.duration("limit", None, 1.0, 86400.0),
        "kind": table.choice("class", "normal", _CLASSES),
        "volume_db": table.number("volume_db", 0.0, -40, 40),
        "late_s": table.parsed("late", LATE_S, parse_duration),
    }
    at = table.parsed("at", None, parse_time)
    for key, missing in (("name", not name), ("at", at is None), ("play", "play" not in table)):
        if missing and key not in table:
            table.mistake(key, "is required")
    table.finish()
    if len(table.mistakes) > before:
        return None
    try:
        return Entry(name=name, days=parse_days(days or ["daily"]), at=at, play=play, **values)
    except ConfigurationError as error:
        table.mistake("name", f"marks a programme that cannot be: {error}")
        return None
