"""`loa bench join` and `loa bench soak` on the command line, and what scenarios share there."""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from bench.options import Seconds, require_writable
from loacodecs.errors import LoaError
from relay.asking import Number

LISTENERS_MAX = 20_000
CHANNELS_MAX = 256
SOAK_MIN_S, SOAK_MAX_S = 2.0, 30 * 86_400.0
FILE = click.Path(dir_okay=False, path_type=Path)

Report = dict[str, Any]


class Progress:
    """One line on a terminal, rewritten; elsewhere a line whenever the text before the first comma
    changes.
    """

    _EVERY_S = 0.2

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._topic = ""
        self._said_at = 0.0

    def say(self, text: str) -> None:
        """Show what is going on."""
        topic = text.split(",")[0]
        if self._terminal:
            now = time.monotonic()
            if topic == self._topic and now - self._said_at < self._EVERY_S:
                return
            self._said_at = now
            click.echo(f"\r\x1b[K{text}", nl=False, err=True)
        elif topic != self._topic and not topic[:1].isdigit():
            click.echo(text, err=True)
        self._topic = topic

    def end(self) -> None:
        """Clear the line."""
        if self._terminal:
            click.echo("\r\x1b[K", nl=False, err=True)


def carry_out(
    measure: Callable[[Callable[[str], None]], Report],
    table: Callable[[Report], str],
    json_file: Path,
    html_file: Path | None,
) -> None:
    """Measure, write the report, print the table; ends with 1 when the report is not valid or not flat."""
    from bench.present import schema
    from bench.present.html import require_libraries, write_html

    require_writable(json_file)
    progress = Progress()
    try:
        if html_file is not None:
            require_writable(html_file)
            require_libraries()
        with _tidy_when_terminated():
            report = measure(progress.say)
        try:
            schema.write(report, json_file)
            if html_file is not None:
                write_html(report, html_file)
        finally:  # a disk that is full by then takes the files only
            progress.end()
            click.echo(table(report))
    except LoaError as error:
        progress.end()
        raise click.ClickException(str(error)) from error
    except OSError as error:
        progress.end()
        raise click.ClickException(f"{error.filename or json_file}: {error.strerror}") from error
    click.echo(f"written to {json_file}")
    if not report["valid"] or report.get("flat") is False:
        sys.exit(1)


@contextlib.contextmanager
def _tidy_when_terminated() -> Iterator[None]:
    """SIGTERM, as `timeout` sends it, ends like Ctrl-C: processes stopped, folders removed."""

    def stop(number: int, frame: object) -> None:
        del frame
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def require_channels(listeners: int, channels: int) -> None:
    """Every channel needs a listener. Raises click.BadParameter."""
    if channels > listeners:
        raise click.BadParameter("more channels than listeners", param_hint="--channels")


_LISTENERS = click.option(
    "--listeners", type=click.IntRange(1, LISTENERS_MAX), required=True, help="WHEP sessions."
)
_CHANNELS = click.option(
    "--channels", type=click.IntRange(1, CHANNELS_MAX), default=1, show_default=True, help="Publishers."
)
_FRAME = click.option(
    "--frame",
    type=click.Choice(["20", "40", "60"]),
    default="20",
    show_default=True,
    help="Packet time in ms.",
)
_PAYLOAD = click.option(
    "--payload",
    type=click.IntRange(16, 1200),
    default=120,
    show_default=True,
    help="Bytes of Opus in a packet.",
)
_IPV6 = click.option("--ipv6", is_flag=True, help="Relay and generator on ::1 instead of 127.0.0.1.")
_JSON = click.option("--json", "json_file", type=FILE, required=True, help="Where the report goes.")
_HTML = click.option("--html", "html_file", type=FILE, help="Write it as a page, too.")


def _load(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say what the load is and where the report goes."""
    for option in reversed((_LISTENERS, _CHANNELS, _FRAME, _PAYLOAD, _IPV6, _JSON, _HTML)):
        command = option(command)
    return command


@click.command()
@_load
@click.option(
    "--duration",
    type=Seconds(1, 3600),
    default=10.0,
    show_default=True,
    help="Of sound before the first return and after the restart.",
)
@click.option(
    "--stay",
    type=Number(0.05, 1.0),
    default=0.5,
    show_default=True,
    help="Share of the listeners that stay on while the others return.",
)
def join(
    listeners: int,
    channels: int,
    frame: str,
    payload: int,
    ipv6: bool,
    json_file: Path,
    html_file: Path | None,
    duration: float,
    stay: float,
) -> None:
    """Let everybody come back at once: part of the listeners while the others play, then all after a crash.

    Ends with 1 when the run failed or the load generator itself was the bottleneck.
    """
    from bench import join_scenario
    from bench.stage import Parameters

    require_channels(listeners, channels)
    parameters = Parameters(listeners, duration, channels, int(frame), payload, ipv6=ipv6)
    carry_out(lambda say: join_scenario.run(parameters, stay, say), join_scenario.table, json_file, html_file)


@click.command()
@_load
@click.option(
    "--duration",
    type=Seconds(SOAK_MIN_S, SOAK_MAX_S),
    required=True,
    help="Of the soak, such as 90s, 1h or 8h.",
)
def soak(
    listeners: int,
    channels: int,
    frame: str,
    payload: int,
    ipv6: bool,
    json_file: Path,
    html_file: Path | None,
    duration: float,
) -> None:
    """Play a fixed load for hours and tell whether memory, descriptors, threads or latency grow.

    Ends with 1 when one of them rises, when the run failed, or when the load generator itself was the bottleneck.
    """
    from bench import soak_scenario
    from bench.stage import Parameters

    require_channels(listeners, channels)
    parameters = Parameters(listeners, duration, channels, int(frame), payload, ipv6=ipv6)
    carry_out(lambda say: soak_scenario.run(parameters, say), soak_scenario.table, json_file, html_file)
