"""`loa channel state`, `play`, `queue` …: what a mixed channel plays, over a relay's HTTP API, from anywhere.

Only click is imported here: httpx waits until a command runs, so that `loa --help` stays light.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import click

from relay.asking import Duration, Number, asks, relay_of
from relay.printing import print_table

_SCOPE: Final = "control"
_LONGEST_S: Final = 600.0


def _path(channel: str, rest: str) -> str:
    return f"/api/v1/channels/{quote(channel, safe='')}/{rest}"


def _command(
    channel: str, rest: str, body: Mapping[str, Any] | None, where: Mapping[str, Any], method: str = "POST"
) -> Any:
    answer = relay_of(**where).ask(method, _path(channel, rest), body)
    if not answer.get("automation", answer).get("stored", True):
        click.echo("note: the relay's disk does not take it; a restart would not know of it", err=True)
    return answer


def _on_air(answer: Mapping[str, Any]) -> str:
    automation = answer["automation"]
    if automation["on_air"] is None:
        return f"nothing is on air by itself: {automation['reason']}"
    return f"{automation['on_air']} is on air: {automation['reason']}"


def _unused(answer: Mapping[str, Any]) -> bool:
    """Whether the channel has no list of sources, and nothing was ever queued."""
    automation = answer["automation"]
    listed = [each["name"] for each in automation["sources"]]
    return listed == ["queue"] and not (automation["stopped"] or automation["queue"] or automation["past"])


@click.command()
@click.argument("name", metavar="CHANNEL")
@click.option("--json", "as_json", is_flag=True, help="Everything that is known, as JSON.")
@asks(_SCOPE)
def state(name: str, as_json: bool, **where: Any) -> None:
    """Show what CHANNEL plays and why, its sources, its inputs and its queue."""
    answer = relay_of(**where).ask("GET", _path(name, "state"))
    if as_json:
        click.echo(json.dumps(answer, ensure_ascii=False, indent=2))
        return
    levels = answer["levels"]
    click.echo(
        f"{name}: {'on air' if answer['on_air'] else 'silent'}, {levels['listeners']} listeners, "
        f"{_level(levels['short_term_lufs'])} LUFS{'' if _unused(answer) else '; ' + _on_air(answer)}"
        f"{'; the chime sounds' if answer['chime'] else ''}"
    )
    for heading, rows in _tables(answer):
        if rows:
            click.echo()
            print_table([heading, *rows])


_Row = tuple[str, ...]


def _tables(answer: Mapping[str, Any]) -> list[tuple[_Row, list[_Row]]]:
    levels, automation = answer["levels"], answer["automation"]
    sources: list[_Row] = [
        (
            "*" if each["on_air"] else "",
            each["name"],
            each["verdict"],
            each["source"],
            each["fault"] or each["title"],
        )
        for each in automation["sources"]
    ]
    inputs: list[_Row] = [
        (
            each["name"],
            each["role"],
            "muted" if each["muted"] else "chime" if each["awaits_chime"] else f"{each['gain_db']:g} dB",
            _level(levels["inputs"].get(each["name"], {}).get("rms_dbfs", -200.0)),
            each["fault"] or each["title"] or each["label"],
        )
        for each in answer["inputs"]
    ]
    past: list[_Row] = [
        (each["id"], each["title"] or each["source"], each["outcome"], each["fault"])
        for each in automation["past"]
    ]
    return [
        (("", "SOURCE", "STATE", "WHAT", ""), [] if _unused(answer) else sources),
        (("INPUT", "ROLE", "GAIN", "DBFS", ""), inputs),
        (_QUEUE, [_item(each) for each in automation["queue"]]),
        (("PLAYED", "WHAT", "OUTCOME", ""), past),
    ]


_QUEUE: Final = ("ITEM", "STATE", "LENGTH", "GAIN", "BY", "WHAT", "")


def _item(each: Mapping[str, Any]) -> tuple[str, ...]:
    length = "" if each["duration_s"] is None else f"{each['duration_s']:.0f} s"
    title = each["title"] or each["source"]
    return (
        each["id"],
        each["state"],
        length,
        f"{each['gain_db']:g} dB",
        each["added_by"],
        title,
        each["fault"],
    )


@click.command()
@click.argument("name", metavar="CHANNEL")
@click.option("--source", metavar="NAME", help="Put this source of the list on air and keep it there.")
@click.option("--item", metavar="ID", help="Go to this item of the queue at once.")
@asks(_SCOPE)
def play(name: str, source: str | None, item: str | None, **where: Any) -> None:
    """Go on after a stop, and by itself; or put a source or an item on air."""
    body = {key: value for key, value in (("source", source), ("item", item)) if value is not None}
    click.echo(_on_air(_command(name, "play", body, where)))


@click.command()
@click.argument("name", metavar="CHANNEL")
@click.option(
    "--fade", type=Duration(), default="1s", show_default=True, metavar="TIME", help="How long it fades."
)
@asks(_SCOPE)
def stop(name: str, fade: float, **where: Any) -> None:
    """Fade the programme of CHANNEL out; who publishes is still heard."""
    click.echo(_on_air(_command(name, "stop", {"fade_s": fade}, where)))


@click.command()
@click.argument("name", metavar="CHANNEL")
@asks(_SCOPE)
def skip(name: str, **where: Any) -> None:
    """Go to the next item of the queue."""
    _show_queue(_command(name, "skip", {}, where)["automation"]["queue"])


@click.command(context_settings={"ignore_unknown_options": True})  # a gain may begin with a minus
@click.argument("name", metavar="CHANNEL")
@click.argument("input_name", metavar="INPUT")
@click.argument("gain", type=Number(-120, 24), metavar="DB")
@click.option(
    "--over", type=Duration(), default="3s", show_default=True, metavar="TIME", help="How long it takes."
)
@asks(_SCOPE)
def fade(name: str, input_name: str, gain: float, over: float, **where: Any) -> None:
    """Bring INPUT of CHANNEL to a gain of so many decibels."""
    _command(name, "fade", {"input": input_name, "gain_db": gain, "seconds": min(over, _LONGEST_S)}, where)
    click.echo(f"{input_name} goes to {gain:g} dB")


@click.command()
@click.argument("name", metavar="CHANNEL")
@click.argument("input_name", metavar="INPUT")
@click.option("--off", is_flag=True, help="Open it again.")
@asks(_SCOPE)
def mute(name: str, input_name: str, off: bool, **where: Any) -> None:
    """Close INPUT of CHANNEL."""
    _command(name, f"inputs/{quote(input_name, safe='')}", {"muted": not off}, where, "PATCH")
    click.echo(f"{input_name} is {'open' if off else 'muted'}")


@click.command()
@click.argument("name", metavar="CHANNEL")
@click.option("--off", is_flag=True, help="Leave it to the announcements again.")
@asks(_SCOPE)
def duck(name: str, off: bool, **where: Any) -> None:
    """Hold the programme of CHANNEL down, to speak over it."""
    _command(name, "duck", {"held": not off}, where)
    click.echo("the programme comes up again" if off else "the programme is held down")


@click.group()
def queue() -> None:
    """See and change the queue."""


@queue.command("list")
@click.argument("name", metavar="CHANNEL")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@asks(_SCOPE)
def list_items(name: str, as_json: bool, **where: Any) -> None:
    """List all items."""
    items = relay_of(**where).ask("GET", _path(name, "queue"))["queue"]
    if as_json:
        click.echo(json.dumps(items, ensure_ascii=False, indent=2))
    else:
        _show_queue(items)


@queue.command()
@click.argument("name", metavar="CHANNEL")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option("--title", default="", help="What to call it; for a single source.")
@click.option("--gain", type=Number(-120, 24), default=0.0, metavar="DB", help="Decibels.")
@click.option("--next", "is_next", is_flag=True, help="Before all others, when what is played has ended.")
@click.option("--now", is_flag=True, help="At once; what is played goes on afterwards.")
@click.option("--chime", is_flag=True, help="With the channel's chime before each.")
@asks(_SCOPE)
def add(
    name: str, sources: Sequence[str], title: str, gain: float, is_next: bool, now: bool, chime: bool,
    **where: Any,
) -> None:  # fmt: skip
    """Put sources into the queue of CHANNEL: files of the relay, addresses of the web."""
    if title and len(sources) > 1:
        raise click.UsageError("--title is for a single source")
    item = {"title": title, "gain_db": gain} | ({"chime": True} if chime else {})
    body: dict[str, Any] = {"items": [{"source": each, **item} for each in sources]}
    if now or is_next:
        body["place"] = 0 if now else 1
    _show_queue(_command(name, "queue", body, where)["queue"])


@queue.command()
@click.argument("name", metavar="CHANNEL")
@click.argument("item", metavar="ITEM")
@asks(_SCOPE)
def remove(name: str, item: str, **where: Any) -> None:
    """Take ITEM out of the queue."""
    answer = _command(name, f"queue/{quote(item, safe='')}", None, where, "DELETE")
    _show_queue(answer["automation"]["queue"])


@queue.command()
@click.argument("name", metavar="CHANNEL")
@click.argument("item", metavar="ITEM")
@click.argument("place", type=click.IntRange(0, 10_000), metavar="PLACE")
@asks(_SCOPE)
def move(name: str, item: str, place: int, **where: Any) -> None:
    """Put ITEM at another place; 0 is the one that is played."""
    answer = _command(name, f"queue/{quote(item, safe='')}", {"place": place}, where, "PATCH")
    _show_queue(answer["automation"]["queue"])


@queue.command()
@click.argument("name", metavar="CHANNEL")
@asks(_SCOPE)
def clear(name: str, **where: Any) -> None:
    """Empty the queue; what is played fades out."""
    _command(name, "queue", None, where, "DELETE")
    click.echo("the queue is empty")


COMMANDS: Final = (state, play, stop, skip, fade, mute, duck, queue)
"""Members of the group `loa channel`."""


def _show_queue(items: Sequence[Mapping[str, Any]]) -> None:
    if items:
        print_table([_QUEUE, *map(_item, items)])
    else:
        click.echo("the queue is empty")


def _level(value: float) -> str:
    return "-" if value <= -120 else f"{value:.1f}"
