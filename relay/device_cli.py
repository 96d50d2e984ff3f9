"""`loa device …`: the administration of edge receivers over a relay's HTTP API, from anywhere.

Only click is imported here: httpx waits until a command runs, so that `loa --help` stays light.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import click

from relay.asking import Duration, Number, asks, relay_of
from relay.printing import moment, print_table

_BASE: Final = "/api/v1/devices"


def _path(device_id: str, rest: str = "") -> str:
    return f"{_BASE}/{quote(device_id, safe='')}{rest}"


@click.group()
def device() -> None:
    """Enrol receivers, say what they play, see how they are."""


@device.command()
@click.option("--channel", default="", metavar="NAME", help="Channel the receiver will play.")
@click.option("--name", default="", help="What people will call it.")
@click.option(
    "--ttl",
    type=Duration(),
    default="24h",
    show_default=True,
    metavar="TIME",
    help="How long the code is good.",
)
@asks("admin")
def code(channel: str, name: str, ttl: float, **where: Any) -> None:
    """Print a one-time enrolment code, and nothing else, on standard output."""
    wanted = {"channel": channel, "name": name, "ttl_s": round(ttl)}
    answer = relay_of(**where).ask("POST", f"{_BASE}/codes", wanted)
    click.echo(answer["code"])


@device.command("list")
@click.option("--all", "everything", is_flag=True, help="Revoked devices, too.")
@click.option("--json", "as_json", is_flag=True, help="Everything that is known, as JSON.")
@asks("admin")
def list_devices(everything: bool, as_json: bool, **where: Any) -> None:
    """List devices: what is wanted of them, and how they are."""
    answer = relay_of(**where).ask("GET", _BASE)
    devices = [item for item in answer["devices"] if everything or item["revoked"] is None]
    if as_json:
        click.echo(json.dumps(devices, ensure_ascii=False, indent=2))
        return
    heading = ("DEVICE", "NAME", "CHANNEL", "DELAY", "TRIM", "VOLUME", "STATE", "HEARD")
    print_table([heading, *map(_row, devices)])


def _row(item: Mapping[str, Any]) -> tuple[str, ...]:
    volume = "muted" if item["muted"] else f"{item['volume_db']:g} dB"
    telemetry = item["telemetry"]
    if item["revoked"] is not None:
        state = "revoked"
    elif not item["connected"]:
        state = "away"
    else:
        state = (telemetry or {}).get("state") or "connected"
        state += "".join(f", {fault}" for fault in (telemetry or {}).get("faults", ()))
        state += "" if item["settings_state"] == "applied" else f", settings {item['settings_state']}"
    heard = item["seen"] if telemetry is None else max(item["seen"] or 0.0, telemetry["at"])
    timing = (f"{item['delay_ms']} ms", f"{item['trim_ms']} ms")
    return (item["id"], item["name"], item["channel"] or "-", *timing, volume, state, moment(heard))


@device.command("set")
@click.argument("device_id", metavar="DEVICE")
@click.option("--name", help="What people call it.")
@click.option("--channel", metavar="NAME", help="Channel to play; '' for none.")
@click.option(
    "--delay", type=Duration(), metavar="TIME", help="From the microphone to the horn, 150ms to 3s."
)
@click.option("--trim", type=Duration(), metavar="TIME", help="Added to the delay at this horn, 0ms to 1s.")
@click.option("--volume", type=Number(), metavar="DB", help="Decibels, -60 to 20; 0 is as it comes.")
@click.option("--mute/--unmute", "muted", default=None, help="Silence, until unmuted.")
@asks("admin")
def set_device(
    device_id: str,
    name: str | None,
    channel: str | None,
    delay: float | None,
    trim: float | None,
    volume: float | None,
    muted: bool | None,
    **where: Any,
) -> None:
    """Change what is wanted of DEVICE; whoever is connected hears of it at once."""
    wanted = {
        "name": name,
        "channel": channel,
        "delay_ms": None if delay is None else round(delay * 1000),
        "trim_ms": None if trim is None else round(trim * 1000),
        "volume_db": volume,
        "muted": muted,
    }
    changes = {key: value for key, value in wanted.items() if value is not None}
    if not changes:
        raise click.UsageError("say what to change, for instance --volume -6")
    answer = relay_of(**where).ask("PATCH", _path(device_id), changes)
    if not answer["connected"]:
        click.echo(f"{device_id} is away; it will be told when it connects")
    elif answer["settings_state"] == "applied":
        click.echo(f"{device_id} has applied it")
    elif answer["settings_state"] == "pending":
        click.echo(f"{device_id} has been told and has not answered yet")
    else:
        raise click.ClickException(
            f"{device_id} refuses: {answer['settings_detail'] or 'it does not say why'}"
        )


@device.command()
@click.argument("device_id", metavar="DEVICE")
@asks("admin")
def restart(device_id: str, **where: Any) -> None:
    """Have DEVICE start its receiver afresh."""
    relay_of(**where).ask("POST", _path(device_id, "/restart"))
    click.echo(f"{device_id} has been told")


@device.command()
@click.argument("device_id", metavar="DEVICE")
@asks("admin")
def revoke(device_id: str, **where: Any) -> None:
    """End DEVICE's right to connect, for ever: a stolen board, a lost key. It can be enrolled again as a new one."""
    relay_of(**where).ask("DELETE", _path(device_id))
    click.echo(f"{device_id} is revoked")


@device.command()
@click.argument("device_id", metavar="DEVICE")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@asks("admin")
def receipts(device_id: str, limit: int, as_json: bool, **where: Any) -> None:
    """Show what DEVICE played, the latest first."""
    answer = relay_of(**where).ask("GET", _path(device_id, "/receipts"), limit=limit)
    if as_json:
        click.echo(json.dumps(answer["receipts"], ensure_ascii=False, indent=2))
        return
    heading = ("STARTED", "SECONDS", "PROGRAMME", "CHANNEL", "PLAYED", "CONCEALED", "LEVEL", "OUTCOME")
    rows = [
        (
            moment(item["started"]),
            f"{item['ended'] - item['started']:.0f}",
            item["programme"] or "-",
            item["channel"] or "-",
            f"{item['played_ratio']:.1%}",
            f"{item['concealed_ms']:.0f} ms",
            "silent" if item["level_dbfs"] is None else f"{item['level_dbfs']:g} dBFS",
            item["outcome"],
        )
        for item in answer["receipts"]
    ]
    print_table([heading, *rows])
