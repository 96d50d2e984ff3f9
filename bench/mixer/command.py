"""`loa bench mixer` on the command line."""

from __future__ import annotations

from pathlib import Path

import click

from bench.scenario_commands import FILE, carry_out
from relay.asking import Number

ROWS_MAX = 4096


@click.command()
@click.option(
    "--inputs", type=click.IntRange(1, ROWS_MAX), required=True, help="Mono inputs, all of them heard."
)
@click.option(
    "--buses", type=click.IntRange(1, ROWS_MAX), required=True, help="Mono buses; each hears every input."
)
@click.option(
    "--seconds",
    type=Number(0.1, 86_400),
    default=10.0,
    show_default=True,
    help="Of sound that is mixed as fast as possible, and then once more by the clock.",
)
@click.option(
    "--codec", is_flag=True, help="With an Opus decoder for every input and an encoder for every bus."
)
@click.option(
    "--load",
    type=click.IntRange(0, 256),
    default=0,
    show_default=True,
    help="Other processes that want a core each while ticks go by the clock.",
)
@click.option("--json", "json_file", type=FILE, required=True, help="Where the report goes.")
@click.option("--html", "html_file", type=FILE, help="Write it as a page, too.")
def mixer(
    inputs: int,
    buses: int,
    seconds: float,
    codec: bool,
    load: int,
    json_file: Path,
    html_file: Path | None,
) -> None:
    """Measure the mixing engine: CPU, punctuality, FFmpeg's amix and GStreamer's audiomixer in the same run."""
    # numba takes a second to import: not for `loa --help`
    from bench.mixer.scenario import Parameters, run, table

    parameters = Parameters(inputs, buses, seconds, codec, load)
    carry_out(lambda say: run(parameters, say), table, json_file, html_file)
