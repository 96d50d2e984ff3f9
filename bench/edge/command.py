"""The command `loa bench edge`. Only click is imported here, so that `loa --help` stays light."""

from __future__ import annotations

from pathlib import Path

import click

from bench.scenario_commands import FILE, carry_out
from relay.asking import Number

EDGES_MAX = 32


def _milliseconds(context: click.Context, parameter: click.Parameter, text: str) -> int:
    """Whole milliseconds, from "700ms" or "1.5s"."""
    from loacodecs.errors import ConfigurationError
    from loaedge.receiver.checking import parse_duration

    try:
        seconds = parse_duration(text)
    except ConfigurationError as error:
        raise click.BadParameter(str(error)) from error
    if not 0.15 <= seconds <= 3:
        raise click.BadParameter("must be between 150ms and 3s")
    return round(seconds * 1000)


@click.command(short_help="Listen to what receivers play behind a bad path.")
@click.option("--edges", type=click.IntRange(1, EDGES_MAX), default=2, show_default=True, help="Receivers.")
@click.option("--link", default="P2", show_default=True, help="The path: none, lan, wifi, P1, P2, P3 or P4.")
@click.option("--duration", type=Number(2, 86_400), required=True, help="Seconds that are measured.")
@click.option(
    "--settle",
    type=Number(1, 3600),
    default=10.0,
    show_default=True,
    help="Seconds of sound before, while clocks find each other.",
)
@click.option("--seed", default="1", show_default=True, help="The same seed gives the same path.")
@click.option(
    "--delay",
    "delay_ms",
    callback=_milliseconds,
    default="700ms",
    show_default=True,
    metavar="TIME",
    help="From capture to the horn.",
)
@click.option(
    "--rendition",
    type=click.Choice(["20ms", "60ms", "red-1", "red-2", "auto"]),
    default="auto",
    show_default=True,
    help="Form of the packets that receivers ask for.",
)
@click.option(
    "--bitrate",
    type=click.IntRange(6_000, 128_000),
    default=24_000,
    show_default=True,
    help="Of Opus, bits per second.",
)
@click.option(
    "--mode",
    type=click.Choice(["first", "both"]),
    default="first",
    show_default=True,
    help="Sessions of a receiver: one, or one with each of two relays.",
)
@click.option(
    "--kill",
    type=Number(0, 86_400),
    metavar="AT",
    help="Kill the first of two relays so many seconds in.",
)
@click.option(
    "--stall-every",
    type=Number(5, 86_400),
    help="The path stands still for 3 s, so many seconds apart.",
)
@click.option(
    "--idle",
    type=Number(0, 86_400),
    default=0.0,
    help="Then measure the data of so many seconds with nothing on air.",
)
@click.option(
    "--output",
    type=click.Choice(["wav", "pulse"]),
    default="wav",
    show_default=True,
    help="Files, or two sinks of a PulseAudio server recorded by one monitor.",
)
@click.option(
    "--output-latency",
    "output_latency_ms",
    type=click.IntRange(30, 2000),
    metavar="MS",
    help="What the receivers' sound devices hold. Their default if none.",
)
@click.option(
    "--keep",
    # receivers take a relative path from their own folders
    type=click.Path(path_type=Path, resolve_path=True),
    metavar="FOLDER",
    help="Keep recordings and logs, and what was sent, in a new folder.",
)
@click.option("--quality", is_flag=True, help="Then reckon intelligibility over loss, by kind of repair.")
@click.option("--json", "json_file", type=FILE, required=True, help="Where the report goes.")
@click.option("--html", "html_file", type=FILE, help="Write it as a page, too.")
def edge(
    edges: int,
    link: str,
    duration: float,
    *,
    settle: float,
    seed: str,
    delay_ms: int,
    rendition: str,
    bitrate: int,
    mode: str,
    kill: float | None,
    stall_every: float | None,
    idle: float,
    output: str,
    output_latency_ms: int | None,
    keep: Path | None,
    quality: bool,
    json_file: Path,
    html_file: Path | None,
) -> None:
    """Run real receivers behind a bad path and judge them by the sound they play.

    Relay, station and receivers run on this machine. Delay, skew and concealment are found in the recordings by
    comparing them with what was sent. Ends with 1 when the figures may not be believed.
    """
    if output == "pulse" and edges != 2:
        raise click.BadParameter("pulse has two sinks: --edges 2", param_hint="--output")
    if kill is not None and kill >= duration:
        raise click.BadParameter("must come before the end of --duration", param_hint="--kill")
    # numpy, scipy and the relay's libraries take a second to import: not for `loa --help`
    from bench.edge import report, scenario

    parameters = scenario.Parameters(
        edges=edges,
        link=link,
        duration=duration,
        seed=seed,
        delay_ms=delay_ms,
        rendition=rendition,
        mode=mode,
        relays=2 if mode == "both" or kill is not None else 1,
        bitrate=bitrate,
        settle=settle,
        kill=kill,
        stall_every=stall_every,
        idle=idle,
        output=output,
        output_latency_ms=output_latency_ms,
        keep=None if keep is None else str(keep),
    )
    carry_out(
        lambda say: report.run(parameters, say, with_quality=quality), report.table, json_file, html_file
    )
