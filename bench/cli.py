"""`loa bench`: load tests of this relay."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from bench.commands import diff, plan
from bench.compare.command import compare
from bench.link.command import link
from loacodecs.errors import LoaError

LISTENERS_MAX = 20_000
CHANNELS_MAX = 256


@click.group()
def bench() -> None:
    """Load tests: what a relay carries on this machine, and how even the sound is."""


bench.add_command(compare)
bench.add_command(diff)
bench.add_command(link)
bench.add_command(plan)


@bench.command()
@click.option(
    "--listeners", type=click.IntRange(1, LISTENERS_MAX), required=True, help="WHEP sessions to join."
)
@click.option(
    "--duration",
    type=click.FloatRange(1, 86_400),
    required=True,
    help="Seconds of steady playing; the pauses for the floor come on top.",
)
@click.option(
    "--channels", type=click.IntRange(1, CHANNELS_MAX), default=1, show_default=True, help="Publishers."
)
@click.option(
    "--frame",
    type=click.Choice(["20", "40", "60"]),
    default="20",
    show_default=True,
    help="Packet time in ms.",
)
@click.option(
    "--payload",
    type=click.IntRange(16, 1200),
    default=120,
    show_default=True,
    help="Bytes of Opus in a packet; 120 is 48 kb/s at 20 ms.",
)
@click.option(
    "--join-burst",
    type=click.IntRange(0, LISTENERS_MAX),
    default=0,
    help="After the steady playing, so many more listeners join at once.",
)
@click.option("--aligned", is_flag=True, help="All channels send at the same moment instead of staggered.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), required=True)
@click.option(
    "--html", "html_file", type=click.Path(dir_okay=False, path_type=Path), help="Write it as a page, too."
)
def relay(
    listeners: int,
    duration: float,
    channels: int,
    frame: str,
    payload: int,
    join_burst: int,
    aligned: bool,
    json_file: Path,
    html_file: Path | None,
) -> None:
    """Start a relay, join real WHEP sessions, publish, and measure cost, latency, jitter and loss.

    Ends with 1 when the run failed or the load generator itself was the bottleneck.
    """
    # numba and the peers take a second to import: not for `loa --help`
    from bench.present.html import require_libraries, write_html
    from bench.relay_scenario import run
    from bench.stage import Parameters

    if channels > listeners:
        raise click.BadParameter("more channels than listeners", param_hint="--channels")
    progress = Progress()
    parameters = Parameters(
        listeners=listeners,
        duration=duration,
        channels=channels,
        frame_ms=int(frame),
        payload_bytes=payload,
        join_burst=join_burst,
        aligned=aligned,
    )
    try:
        if html_file is not None:
            require_libraries()
        report = run(parameters, progress.say)
        report.write(json_file)
        if html_file is not None:
            write_html(report.to_json(), html_file)
    except LoaError as error:
        progress.end()
        raise click.ClickException(str(error)) from error
    except OSError as error:
        progress.end()
        raise click.ClickException(f"{error.filename or json_file}: {error.strerror}") from error
    progress.end()
    click.echo(report.table())
    click.echo(f"written to {json_file}")
    if not report.valid:
        sys.exit(1)


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
