"""`loa bench link` behind its options: files opened, the proxy run until its time is over or a signal comes."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import uvloop

from bench.errors import BenchError
from bench.procfs import require_descriptors
from loacodecs.address import Address
from loacodecs.errors import ConfigurationError

from . import trace
from .core import Limits
from .draws import Seed
from .loading import load
from .model import Links
from .observe import PathObserver
from .presets import preset
from .proxy import UdpProxy
from .replay import Pace
from .replay import links as replaying
from .report import LinkReport

_SAY_EVERY_S: Final = 1.0
_NICENESS: Final = -10
"""A path does not stand still because something else wants the processor."""


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """What to run. Exactly one of `preset`, `config` and `replay` says what the path is like."""

    listen: Address
    to: Address
    preset: str | None = None
    config: Path | None = None
    replay: Path | None = None
    pace: Pace = "time"
    seed: Seed = 1
    duration: float | None = None
    trace: Path | None = None
    observe: Path | None = None
    observe_base: float = 0.0
    limits: Limits = Limits()  # noqa: RUF009 - frozen
    json: Path | None = None


def run(settings: LinkSettings, say: Callable[[str], None]) -> LinkReport:
    """Run to the end; `say` gets the way at first, then a line each second. Raises LoaError."""
    links, name = _links(settings)
    require_descriptors(settings.limits.clients)
    if settings.json is not None and not settings.json.parent.is_dir():
        raise BenchError(f"{settings.json}: there is no such folder")
    return uvloop.run(_run(settings, links, name, say))


def save(report: LinkReport, file: Path) -> None:
    """Write the figures of the end. Raises BenchError."""
    try:
        file.write_text(json.dumps(report.as_dict(), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise BenchError(f"{file}: {error.strerror}") from error


def resolve(host: str, port: int) -> Address:
    """The address of a host by name or number. Raises ConfigurationError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(f"{host} is neither an IP address nor a name that is known here") from error
    name = found[0][4]
    return str(name[0]), int(name[1])


def _links(settings: LinkSettings) -> tuple[Links, str]:
    if settings.replay is not None:
        return replaying(trace.read(settings.replay), settings.pace), f"replay of {settings.replay}"
    path = load(settings.config) if settings.config is not None else preset(settings.preset or "")
    return path.links(settings.seed), f"{path.name}, seed {settings.seed}"


async def _run(settings: LinkSettings, links: Links, name: str, say: Callable[[str], None]) -> LinkReport:
    done, seen = (None if file is None else _writer(file) for file in (settings.trace, settings.observe))
    files = [
        (file, writer)
        for file, writer in ((settings.trace, done), (settings.observe, seen))
        if file is not None and writer is not None
    ]
    proxy = UdpProxy(
        links,
        to=settings.to,
        listen=settings.listen,
        limits=settings.limits,
        record=None if done is None else done.row,
        observer=None if seen is None else PathObserver(seen.row, settings.observe_base),
    )
    try:
        report, elapsed = await _forward(settings, proxy, name, say)
    except BenchError:  # it did not even begin: the names are free again
        for file, writer in files:
            writer.close(0.0)
            file.unlink()
        raise
    for _, writer in files:
        writer.close(elapsed)
    incomplete = [
        f"{file} is not complete: {writer.failure.strerror}" for file, writer in files if writer.failure
    ]
    return replace(report, incomplete=tuple(incomplete))


async def _forward(
    settings: LinkSettings, proxy: UdpProxy, name: str, say: Callable[[str], None]
) -> tuple[LinkReport, float]:
    """What was done, and how long after the first datagram it ended."""
    with _stopped_by_signals() as stop:
        async with proxy:
            say(f"{_text(proxy.address)} leads to {_text(settings.to)}: {name}")
            with contextlib.suppress(OSError):  # not permitted: then at the common priority
                os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)
            gc.collect()
            gc.freeze()  # what lives for the whole run need not be looked through again
            await _until(stop, settings.duration, lambda: say(proxy.report().line()))
            elapsed = 0.0 if proxy.core.epoch is None else time.monotonic() - proxy.core.epoch
            return proxy.report(), elapsed


async def _until(stop: asyncio.Event, duration: float | None, say: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    end = None if duration is None else loop.time() + duration
    while not stop.is_set():
        left = _SAY_EVERY_S if end is None else min(_SAY_EVERY_S, end - loop.time())
        if left <= 0:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), left)
        say()


def _writer(file: Path) -> trace.TraceWriter:
    """A new file; an old one is left alone, since it may be what somebody wanted to replay."""
    try:
        return trace.TraceWriter(file.open("x", encoding="utf-8"))
    except FileExistsError as error:
        raise BenchError(f"{file} exists already; name another file, or replay it with --replay") from error
    except OSError as error:
        raise BenchError(f"{file}: {error.strerror}") from error


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[asyncio.Event]:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    signals = (signal.SIGINT, signal.SIGTERM)
    for number in signals:
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


def _text(address: Address) -> str:
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    return f"{host}:{address[1]}"
