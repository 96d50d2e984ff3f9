"""`loa bench links` on the command line."""

from __future__ import annotations

from pathlib import Path

import click

from bench.options import Seconds
from bench.scenario_commands import FILE, carry_out


@click.command()
@click.option("--links", type=click.IntRange(1, 10_000), required=True, help="Receivers with a control link.")
@click.option(
    "--duration",
    type=Seconds(2, 3600),
    default=30.0,
    show_default=True,
    help="Of sound without links, and with them (60 at least).",
)
@click.option("--json", "json_file", type=FILE, required=True, help="Where the report goes.")
@click.option("--html", "html_file", type=FILE, help="Write it as a page, too.")
def links(links: int, duration: float, json_file: Path, html_file: Path | None) -> None:
    """Bring thousands of control links up, at once, again at once, and after a crash of the relay, while it plays.

    Ends with 1 when the run failed or the load generator itself was the bottleneck.
    """
    from bench.links import scenario
    from bench.stage import Parameters

    parameters = Parameters(scenario.LISTENERS, duration)
    carry_out(lambda say: scenario.run(parameters, links, say), scenario.table, json_file, html_file)
