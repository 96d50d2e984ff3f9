"""The command `loa bench link`. Only click is imported here, so that `loa --help` stays light."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from bench.options import Seconds
from relay.asking import Number

_FILE = click.Path(dir_okay=False, path_type=Path)


class AddressType(click.ParamType[tuple[str, int]]):
    """HOST:PORT, an IPv6 address in brackets."""

    name = "host:port"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        host, colon, port = str(value).rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        plain = host[1:-1] if bracketed else host
        if not (colon and plain and port.isascii() and port.isdecimal() and int(port) < 65536):
            self.fail(f"{value!r} is no address; write 127.0.0.1:9000 or [::1]:9000", param, ctx)
        if ":" in plain and not bracketed:
            self.fail(f"{value!r}: put the IPv6 address in brackets, as in [::1]:9000", param, ctx)
        return plain, int(port)


@click.command(short_help="Put a bad path before a relay.")
@click.option("--listen", type=AddressType(), required=True, help="Where clients send to.")
@click.option("--to", type=AddressType(), required=True, help="The relay's media port.")
@click.option("--preset", metavar="NAME", help="none, lan, wifi, or the mobile links P1, P2, P3, P4.")
@click.option("--config", type=_FILE, help="A path described in TOML.")
@click.option("--replay", type=_FILE, help="A trace, as --trace and --observe write them.")
@click.option(
    "--pace",
    type=click.Choice(["time", "packet"]),
    default="time",
    show_default=True,
    help="What moves a replay on.",
)
@click.option("--seed", default="1", show_default=True, help="The same seed gives the same fates.")
@click.option(
    "--duration",
    type=Seconds(0.001, 30 * 86_400),
    help="End by itself after so long; without it until stopped.",
)
@click.option("--trace", type=_FILE, help="Write what became of each datagram to a new file.")
@click.option("--observe", type=_FILE, help="Write what the path in front of the proxy did to RTP packets.")
@click.option(
    "--observe-base",
    type=Number(0, 10_000),
    default=0,
    help="Milliseconds that path takes at the least.",
)
@click.option("--clients", type=click.IntRange(1, 20_000), default=512, show_default=True, help="At a time.")
@click.option("--json", "json_file", type=_FILE, help="Write the figures of the end.")
def link(
    listen: tuple[str, int],
    to: tuple[str, int],
    *,
    preset: str | None,
    config: Path | None,
    replay: Path | None,
    pace: Any,
    seed: str,
    duration: float | None,
    trace: Path | None,
    observe: Path | None,
    observe_base: float,
    clients: int,
    json_file: Path | None,
) -> None:
    """Forward UDP between clients and a relay as a bad path would: losing, delaying, holding back.

    The relay has to name the proxy as its address: media.advertise = ["127.0.0.1:9000"]. One of --preset, --config and
    --replay says what the path is like. Ends with 1 when the proxy itself made the path worse than that.
    """
    if sum(choice is not None for choice in (preset, config, replay)) != 1:
        raise click.UsageError("give one of --preset, --config and --replay")
    # uvloop and the sockets take a moment to import: not for `loa --help`
    from .core import Limits
    from .running import LinkSettings, resolve, run, save

    settings = LinkSettings(
        listen=resolve(*listen),
        to=resolve(*to),
        preset=preset,
        config=config,
        replay=replay,
        pace=pace,
        seed=seed,
        duration=duration,
        trace=trace,
        observe=observe,
        observe_base=observe_base / 1000,
        limits=Limits(clients=clients),
        json=json_file,
    )
    progress = _Progress()
    try:
        report = run(settings, progress.say)
    finally:
        progress.end()
    click.echo(report.table())
    if json_file is not None:
        save(report, json_file)
    if report.problems:
        sys.exit(1)


class _Progress:
    """The first line stays; those after it are rewritten on a terminal, elsewhere one of ten is printed."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._said = 0

    def say(self, text: str) -> None:
        """Show the state of things."""
        if self._said == 0:
            click.echo(text, err=True)
        elif self._terminal:
            click.echo(f"\r\x1b[K{text}", nl=False, err=True)
        elif self._said % 10 == 0:
            click.echo(text, err=True)
        self._said += 1

    def end(self) -> None:
        """Take the rewritten line away."""
        if self._terminal:
            click.echo("\r\x1b[K", nl=False, err=True)
