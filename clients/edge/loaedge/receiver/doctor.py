"""`loa edge doctor`: what keeps a receiver silent, and how to mend it. Each check gives findings, none raises."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import stat
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

from loacodecs.errors import LoaError

from ..control.identity import IdentityError, IdentityStore
from ..disk import Disk, DiskError
from ..local.audiofile import Fault, ProgrammeError, open_audio
from ..local.cache import MANIFEST, CacheError, verify
from ..local.programme import files_of
from ..local.wallclock import EARLIEST
from ..outputs.opening import open_output
from ..outputs.output import OutputError, Pcm
from .config import DEFAULT_STATE, Config
from .doctor_relay import RelayDoctor
from .finding import Finding, Verdict

SOUND_S: Final = 4.0
ENOUGH_BYTES: Final = 50 << 20
LEAST_BYTES: Final = 2 << 20
_CHOOSE_DEVICE: Final = "plug it in and look at aplay -l, or choose one of: loa edge devices"
HIDDEN: Final = (Path("/home"), Path("/root"), Path("/run/user"), Path("/tmp"), Path("/var/tmp"))  # noqa: S108
_PROGRAMME_MENDS: Final[dict[Fault, str]] = {
    "missing": "copy it there",
    "unreadable": "let the receiver's user read it: chmod a+r",
    "unsupported": "make it one that is: ffmpeg -i FILE -c:a libopus NEW.opus",
    "empty": "copy something to be played there",
}


async def examine(config: Config, now: float) -> AsyncIterator[Finding]:
    """Look at everything; `now` is the system's clock (time.time()). Findings come as they are made."""
    yield clock(now)
    for finding in disk(config.state_dir):
        yield finding
    yield await asyncio.to_thread(sound, config)
    for finding in amplifier(config.amplifier.switch):
        yield finding
    for finding in programmes(config):
        yield finding
    for finding in for_the_service(config):
        yield finding
    yield identity(config)
    relays = RelayDoctor(config)
    for relay in config.relays:
        async for finding in relays.examine(relay):
            yield finding


def clock(now: float) -> Finding:
    """Whether the system's clock can be right."""
    shown = datetime.fromtimestamp(max(0.0, now), UTC).strftime("%Y-%m-%d %H:%M UTC")
    if now < EARLIEST:
        return Finding(
            "clock",
            "failure",
            f"it shows {shown}, which is long past",
            "let it be set from the network (timedatectl set-ntp true), and replace the battery of the board's "
            "clock; until then the relay's time is used, and nothing local plays while that is unknown",
        )
    return Finding("clock", "ok", f"it shows {shown}")


def disk(directory: Path) -> Iterator[Finding]:
    """Whether the state directory takes what must be kept."""
    probe = directory / f".doctor-{os.getpid()}"
    keeper = Disk()
    try:
        keeper.replace(probe, b"loa")
        whole = keeper.read(probe) == b"loa"
        keeper.remove(probe)
    except DiskError as error:
        yield Finding("disk", "failure", str(error), _disk_mend(error, directory))
        return
    if not whole:
        yield Finding(
            "disk", "failure", f"{directory} does not give back what was written", "replace the card"
        )
        return
    free = shutil.disk_usage(directory).free
    sentence = f"{directory} can be written, {free >> 20} MB are free"
    if free < ENOUGH_BYTES:
        verdict: Verdict = "failure" if free < LEAST_BYTES else "warning"
        yield Finding("disk", verdict, sentence, "make room: receipts and programmes need some")
    else:
        yield Finding("disk", "ok", sentence)


def _disk_mend(error: DiskError, directory: Path) -> str:
    if error.full:
        return f"make room: df -h {directory}"
    if error.read_only:
        return (
            "a worn or damaged card turns read-only: look at dmesg, then mount -o remount,rw, or replace the card; "
            "or choose another state_dir"
        )
    return f"make it, and let it belong to this user: chown $USER {directory}"


def sound(config: Config) -> Finding:
    """Whether the output can be opened and asks for sound; plays half a second of silence."""
    if config.output.startswith("wav:"):
        folder = Path(config.output[4:]).absolute().parent
        writable = os.access(folder, os.W_OK)
        sentence = f"{config.output} is a file" + ("" if writable else f", and {folder} cannot be written")
        return Finding(
            "sound", "warning" if writable else "failure", sentence, "choose a device: loa edge devices"
        )
    asked = threading.Event()
    stop = threading.Event()
    problem: list[str] = []

    def render(frames: int, heard_at: float) -> Pcm:
        del heard_at
        asked.set()
        return np.zeros((frames, config.channels), np.float32)

    try:
        output = open_output(config.output, latency_s=config.output_latency_s, channels=config.channels)
    except LoaError as error:
        return Finding("sound", "failure", str(error), _CHOOSE_DEVICE)

    def play() -> None:
        try:
            output.play(render, stop)
        except OutputError as error:
            problem.append(str(error))
            asked.set()

    thread = threading.Thread(target=play, daemon=True)
    thread.start()
    if asked.wait(SOUND_S) and not problem:
        stop.wait(0.5)
    stop.set()
    thread.join(2.0)
    if problem:
        busy = "in use" in problem[0]
        mend = "is it the receiver? Then first: systemctl stop loa-edge" if busy else _CHOOSE_DEVICE
        return Finding("sound", "failure", problem[0], mend)
    if not asked.is_set():
        return Finding("sound", "failure", f"{output.name} hangs", "unplug it, or choose another one")
    return Finding("sound", "ok", f"{output.name} plays, {output.latency_s * 1000:.0f} ms behind")


def amplifier(switch: str) -> Iterator[Finding]:
    """Whether what switches the amplifier is there; it is not switched."""
    kind, _, rest = switch.partition(":")
    if kind == "none":
        return
    name = rest.partition(":")[0] if kind == "gpio" else rest.split()[0]
    path = Path(name if "/" in name else f"/dev/{name}")
    usable = os.access(path, os.R_OK | os.W_OK if kind == "gpio" else os.X_OK)
    if usable:
        yield Finding("amplifier", "ok", f"{path} is there")
    else:
        what = "does not exist" if not path.exists() else "is not allowed to this user"
        mend = (
            "see gpiodetect; the user needs its group" if kind == "gpio" else "chmod +x, and the right path"
        )
        yield Finding("amplifier", "failure", f"{path} {what}", mend)


def programmes(config: Config) -> Iterator[Finding]:
    """Whether local programmes can be read, and are what they were."""
    plays = [(entry.name, entry.play) for entry in config.timetable]
    if config.fallback is not None:
        plays.append(("fallback", config.fallback.play))
    for name, play in plays:
        try:
            verify(play)
            for path in files_of(play):
                with contextlib.closing(open_audio(path)) as file:
                    next(file.blocks(), None)
        except ProgrammeError as error:
            mend = _PROGRAMME_MENDS.get(error.fault, "copy it there again")
            yield Finding(f"programme {name}", "failure", f"{error} ({error.path})", mend)
        except CacheError as error:
            mend = f"copy it there again, or the {MANIFEST} that goes with it"
            yield Finding(f"programme {name}", "failure", f"{error} ({play})", mend)
        else:
            yield Finding(f"programme {name}", "ok", f"{play} can be played")


def for_the_service(config: Config) -> Iterator[Finding]:
    """Files that root sees and the service of `loa edge unit` does not; nothing when all is well or nobody can tell."""
    if os.geteuid() != 0:
        return
    if not config.state_dir.resolve().is_relative_to(DEFAULT_STATE.resolve()):
        sentence = f"{config.state_dir} is root's to write, but the service of loa edge unit has {DEFAULT_STATE} alone"
        mend = "take state_dir out of the file and enrol again, or write a unit of your own"
        yield Finding("service", "warning", sentence, mend)
    plays = [entry.play for entry in config.timetable]
    plays += [config.fallback.play] if config.fallback is not None else []
    others = [path for path in (config.token_file, config.ca_file) if path is not None]
    for path in dict.fromkeys((*others, *plays)):
        if path.is_relative_to(config.state_dir) or not path.exists():
            continue
        if any(path.is_relative_to(hidden) for hidden in HIDDEN):
            sentence = f"{path} is seen by root, but the service of loa edge unit sees nothing below {path.parents[-2]}"
            yield Finding("service", "warning", sentence, f"move it to /etc/loa or {config.state_dir}")
        elif not path.stat().st_mode & stat.S_IROTH:
            mend = f"chmod a+r {path}, or move it to {config.state_dir}: loa edge enrol gives that to the service"
            yield Finding("service", "warning", f"{path} can be read by root and not by the service", mend)


def identity(config: Config) -> Finding:
    """Whether this receiver is enrolled, if it is to have a control link."""
    if not config.control:
        return Finding("enrolment", "ok", "not wanted: control = false")
    try:
        known = IdentityStore(config.state_dir).load()
    except IdentityError as error:
        mend = "ask for a code (loa device code), then: loa edge enrol CODE --relay URL"
        return Finding("enrolment", "failure", str(error), mend)
    except DiskError as error:
        return Finding("enrolment", "failure", str(error), "run doctor as the receiver's user")
    devices = ", ".join(sorted({entry.device for entry in known.values()}))
    return Finding("enrolment", "ok", f"enrolled as {devices}")
