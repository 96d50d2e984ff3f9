"""`loa channel …`: what operators state of a channel, and what it plays, over a relay's HTTP API, from anywhere."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from relay.asking import Duration, asks, relay_of
from relay.printing import moment
from relay.programme_cli import COMMANDS


@click.group()
def channel() -> None:
    """See and command what a channel plays, and say what its live programme is."""


for member in COMMANDS:
    channel.add_command(member)


@channel.command("class")
@click.argument("name", metavar="CHANNEL")
@click.argument("kind", metavar="[CLASS]", required=False, type=click.Choice(["normal", "emergency"]))
@click.option(
    "--for",
    "seconds",
    type=Duration(),
    default="15m",
    show_default=True,
    metavar="TIME",
    help="How long it is an emergency unless it is declared again, 10s to 1h.",
)
@asks("emergency")
def channel_class(name: str, kind: str | None, seconds: float, **where: Any) -> None:
    """Declare the class of CHANNEL's live programme: normal, or an emergency that is heard in quiet hours too.

    Without CLASS, show what it is. An emergency ends with its time, with its programme, or by declaring normal.
    """
    relay, path = relay_of(**where), f"/api/v1/channels/{quote(name, safe='')}/class"
    if kind is None:
        answer = relay.ask("GET", path)
    else:
        answer = relay.ask("PUT", path, {"class": kind, "ttl_s": round(seconds)})
    click.echo(_sentence(answer))


def _sentence(answer: dict[str, Any]) -> str:
    sentence = f"{answer['channel']}: {answer['class']}"
    if answer["until"] is not None:
        sentence += f" until {moment(answer['until'])}, declared by {answer['declared_by']}"
    if answer["receivers"] is not None:
        sentence += f"; {answer['receivers']} receivers told"
    if answer["receivers_too_old"]:
        sentence += f", {answer['receivers_too_old']} of them too old to understand"
    return sentence
