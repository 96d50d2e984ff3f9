"""`loa token show`, `revoke`, `revoked`: what a token says of itself, and the end of one that has leaked.

Only click is imported here: the heavy libraries wait until a command runs, so that `loa --help` stays light.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from relay.asking import asks, relay_of
from relay.printing import moment, one_line, print_table

_PATH: Final = "/api/v1/tokens/revocations"
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LONGEST: Final = 8_192


@click.command()
@click.argument("file", metavar="FILE")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def show(file: str, as_json: bool) -> None:
    """Show what a token says of itself.

    Its id, whose it is, what it allows; FILE '-' is standard input. Its signature is not looked at, so this works
    anywhere.
    """
    from relay.tokens import TokenError, claims_of

    try:
        claims = claims_of(_read(file))
    except TokenError as error:
        raise click.ClickException(f"{file}: {error}") from None
    if as_json:
        click.echo(json.dumps(claims, ensure_ascii=False, indent=2))
        return
    for name, value in _described(claims):
        click.echo(f"{name:<9}{one_line(value)}")


def _described(claims: Mapping[str, Any]) -> list[tuple[str, str]]:
    lines = [
        ("id", str(claims["jti"])),
        ("subject", str(claims.get("sub", "-"))),
        ("scope", _listed(claims.get("scope"))),
        ("channels", _listed(claims.get("channels"))),
        ("role", str(claims.get("role", "-"))),
        ("minted", _when(claims.get("iat"))),
        ("expires", _when(claims.get("exp"))),
    ]
    return [*lines, ("parent", str(claims["parent"]))] if "parent" in claims else lines


def _listed(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) and value else "-"


def _when(value: object) -> str:
    known = isinstance(value, int | float) and 0 < value < 1e11
    return moment(value) if known else "-"  # type: ignore[arg-type]  # it is a number


@click.command()
@click.argument("what", metavar="[FILE_OR_ID]", required=False)
@click.option("--subject", metavar="WHO", help="Instead: every token of this subject minted until now.")
@asks("admin, for all channels")
def revoke(what: str | None, subject: str | None, **where: Any) -> None:
    """End a token before its time, at once and for ever.

    The one in FILE ('-' is standard input), or of that ID. Whatever was begun with it ends, invitations to meetings
    included, and a restart of the relay knows it.
    """
    if (what is None) == (subject is None):
        raise click.UsageError("name a token by its file or its id, or all tokens of somebody by --subject")
    relay = relay_of(**where)
    done = relay.ask("POST", _PATH, {"subject": subject} if what is None else _wanted(what))
    click.echo(_sentence(done))
    if not done["kept"]:
        note = "note: the relay's disk does not take it yet; a restart before it does would not know of it"
        click.echo(note, err=True)


def _wanted(what: str) -> dict[str, str]:
    if what == "-" or os.path.isfile(what):  # noqa: PTH113 - what is too long for a name is no file, and no error
        return {"token": _read(what)}
    if _ID.fullmatch(what):
        return {"id": what}
    if what.startswith("eyJ"):
        raise click.UsageError(
            "this is a token itself, which others see here; give its file, or - and pipe it in"
        )
    raise click.UsageError(f"{what} is neither a file nor the id of a token, as loa token show tells it")


def _sentence(done: Mapping[str, Any]) -> str:
    ended = f"{done['sessions']} session{'s' * (done['sessions'] != 1)} ended"
    if done["kind"] == "subject":
        return f"all tokens of {done['name']} minted until {moment(done['revoked'])} are revoked; {ended}"
    of = f" of {done['subject']}" if done["subject"] else ""
    return one_line(f"token {done['name']}{of} is revoked; {ended}")


def _read(file: str) -> str:
    """The text in a file, or on standard input, without the line breaks around it. Raises click.ClickException."""
    try:
        if file == "-":
            content = sys.stdin.buffer.read(_LONGEST)
        else:
            with Path(file).open("rb") as opened:
                content = opened.read(_LONGEST)
        text = content.decode("ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise click.ClickException(f"{file} cannot be read as a token") from None
    if not text:
        raise click.ClickException(f"{file} is empty; it must hold a token")
    return text


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@asks("admin, for all channels")
def revoked(as_json: bool, **where: Any) -> None:
    """List what is revoked, the latest first."""
    items = relay_of(**where).ask("GET", _PATH)["revocations"]
    if as_json:
        click.echo(json.dumps(items, ensure_ascii=False, indent=2))
        return
    rows = [_row(item) for item in items]
    print_table([("TOKEN", "SUBJECT", "REVOKED", "BY", "FORGOTTEN"), *rows])


def _row(item: Mapping[str, Any]) -> tuple[str, ...]:
    token = "all until then" if item["kind"] == "subject" else item["name"]
    times = (moment(item["revoked"]), item["revoked_by"], moment(item["until"]))
    return (token, item["subject"] or "-", *times)


COMMANDS: Final = (show, revoke, revoked)
"""Members of the group `loa token`, which mints."""
