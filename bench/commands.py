"""`loa bench diff` and `loa bench plan`: what reports say together, and what follows from one."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loacodecs.errors import LoaError
from relay.asking import Number

if TYPE_CHECKING:
    from bench.wire import Rendition

RECEIVERS_MAX = 8_000_000_000


class CannotCompare(click.ClickException):
    """Nothing was compared; 1 is kept for a ratio that got worse."""

    exit_code = 2


_REPORTS = click.Path(exists=True, path_type=Path)


@click.command()
@click.argument("old", type=_REPORTS)
@click.argument("new", type=_REPORTS)
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write it as JSON, too."
)
def diff(old: Path, new: Path, json_file: Path | None) -> None:
    """Compare reports: better, worse, the same, or cannot tell.

    OLD and NEW are a report each, or a folder of repeats. Three or more repeats on each side, taken in
    turns, let the noise be measured instead of assumed. Ends with 1 when a ratio got worse beyond noise,
    and with 2 when the reports cannot be compared.
    """
    from bench.diff import compare, load

    try:
        found = compare(load(old), load(new))
        if json_file is not None:
            json_file.write_text(
                json.dumps(found.to_json(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
            )
    except LoaError as error:
        raise CannotCompare(str(error)) from error
    except OSError as error:
        raise CannotCompare(f"{error.filename or json_file}: {error.strerror}") from error
    click.echo(found.table())
    if found.worse:
        sys.exit(1)


def _sizes(context: click.Context, parameter: click.Parameter, value: str) -> Sequence[int]:
    """Numbers of receivers, separated by commas."""
    try:
        sizes = tuple(int(part.replace("_", "")) for part in value.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not a list of whole numbers like 250,5000") from error
    if not all(1 <= size <= RECEIVERS_MAX for size in sizes):
        raise click.BadParameter(f"each must be 1 to {RECEIVERS_MAX:,}")
    return sizes


def _renditions(
    context: click.Context, parameter: click.Parameter, values: Sequence[str]
) -> Sequence[Rendition]:
    """Renditions, each value one or several separated by commas."""
    from bench.wire import Rendition

    try:
        return [Rendition.parse(part) for value in values for part in value.split(",")]
    except LoaError as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@click.argument("report", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--listeners",
    metavar="N[,N...]",
    callback=_sizes,
    default="250,5000,100000,10000000",
    show_default=True,
    help="Receivers.",
)
@click.option(
    "--rendition",
    "renditions",
    multiple=True,
    callback=_renditions,
    default=("24k/20ms", "24k/60ms", "32k/20ms"),
    show_default=True,
    help="Bitrate and packet time, /red or /red2 for RFC 2198; more than one with commas or by giving it again.",
)
@click.option(
    "--core-share",
    type=Number(0.05, 1.0),
    default=0.7,
    show_default=True,
    help="How full cores and memory may be.",
)
@click.option(
    "--link",
    type=Number(1.0),
    default=700.0,
    show_default=True,
    help="Mbit/s that one relay may send.",
)
@click.option("--hours", type=Number(0, 730), default=60.0, show_default=True, help="Of sound a month.")
@click.option(
    "--ip",
    type=click.Choice(["4", "6"]),
    default="6",
    show_default=True,
    help="Version of IP to reckon with.",
)
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write it as JSON, too."
)
@click.option(
    "--html", "html_file", type=click.Path(dir_okay=False, path_type=Path), help="Write it as a page, too."
)
def plan(
    report: Path,
    listeners: Sequence[int],
    renditions: Sequence[Rendition],
    core_share: float,
    link: float,
    hours: float,
    ip: str,
    json_file: Path | None,
    html_file: Path | None,
) -> None:
    """From a REPORT of `loa bench relay` to relays, cores, Mbit/s and monthly data for so many receivers."""
    from bench import plan_report
    from bench.plan import Assumptions, make
    from bench.present import schema
    from bench.present.html import write_html

    try:
        assumed = Assumptions(core_share=core_share, link_mbps=link, hours=hours, ip=int(ip))
        found = plan_report.to_json(make(schema.read(report), listeners, renditions, assumed), report)
        if json_file is not None:
            schema.write(found, json_file)
        if html_file is not None:
            write_html(found, html_file)
    except LoaError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from error
    click.echo(plan_report.tables(found))
