"""`loa bench live` on the command line."""

from __future__ import annotations

from pathlib import Path

import click

from bench.scenario_commands import FILE, LISTENERS_MAX, carry_out
from relay.asking import Number

INPUTS_MAX = 256


@click.command()
@click.option(
    "--inputs",
    type=click.IntRange(1, INPUTS_MAX),
    default=8,
    show_default=True,
    help="Publishers that are mixed.",
)
@click.option(
    "--listeners",
    type=click.IntRange(1, LISTENERS_MAX),
    default=500,
    show_default=True,
    help="WHEP sessions.",
)
@click.option("--seconds", type=Number(2, 86_400), default=60.0, show_default=True, help="Of playing.")
@click.option("--record/--no-record", default=True, show_default=True, help="Record the channel meanwhile.")
@click.option("--json", "json_file", type=FILE, required=True, help="Where the report goes.")
@click.option("--html", "html_file", type=FILE, help="Write it as a page, too.")
def live(
    inputs: int, listeners: int, seconds: float, record: bool, json_file: Path, html_file: Path | None
) -> None:
    """Mix publishers on a channel with listeners: how punctual its ticks are, and how late the sound, by the sound.

    Ends with 1 when the run failed or the load generator itself was the bottleneck.
    """
    # numba and the peers take a second to import: not for `loa --help`
    from bench.live.scenario import Parameters, run, table

    parameters = Parameters(inputs, listeners, seconds, record)
    carry_out(lambda say: run(parameters, say), table, json_file, html_file)
