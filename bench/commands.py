"""`loa bench diff` and `loa bench plan`: what reports say together, and what follows from one."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from loacodecs.errors import LoaError


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

    OLD and NEW are a report each, or a folder of repeats. Three or more repeats on each side, taken in turns, let the
    noise be measured instead of assumed. Ends with 1 when a ratio got worse beyond noise, and with 2 when the reports
    cannot be compared.
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
