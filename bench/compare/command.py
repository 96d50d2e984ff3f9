"""`loa bench compare` on the command line."""

from __future__ import annotations

from pathlib import Path

import click

from bench.options import Seconds
from bench.scenario_commands import FILE, carry_out

SERVERS = ("loa", "janus", "janus_default", "aiortc_encode", "aiortc_packets")
LISTENERS_MAX = 5_000
TURN_S_MIN = 0.5
ROUNDS = 16


def _servers(context: click.Context, parameter: click.Parameter, text: str) -> list[str]:
    del context, parameter
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in SERVERS]:
        raise click.BadParameter(f"{unknown[0]!r} is none of {', '.join(SERVERS)}")
    if "loa" not in names:
        raise click.BadParameter("loa must be among them: the others are compared with it")
    return names


@click.command()
@click.option(
    "--listeners",
    type=click.IntRange(1, LISTENERS_MAX),
    default=200,
    show_default=True,
    help="Of each server; aiortc gets fewer.",
)
@click.option(
    "--duration",
    type=Seconds(1, 86_400),
    default=20,
    show_default=True,
    help="Of sound for each server, over all rounds.",
)
@click.option(
    "--rounds",
    type=click.IntRange(1, 1000),
    help="How often each server has its turn: 16, or as many as leave half a second for each.",
)
@click.option(
    "--servers",
    callback=_servers,
    default=",".join(SERVERS),
    show_default=True,
    help="Which to compare, with commas between them.",
)
@click.option(
    "--aiortc-listeners",
    type=(click.IntRange(1, LISTENERS_MAX), click.IntRange(1, LISTENERS_MAX)),
    default=(16, 60),
    show_default=True,
    metavar="ENCODE PACKETS",
    help="At most so many listeners of aiortc, encoding for each and with encoded packets.",
)
@click.option(
    "--janus-event-loops",
    type=click.IntRange(0, 64),
    default=1,
    show_default=True,
    help="Threads among which the server `janus` shares its viewers; 0 is one for each.",
)
@click.option("--json", "json_file", type=FILE, required=True, help="Where the report goes.")
@click.option("--html", "html_file", type=FILE, help="Write it as a page, too.")
def compare(
    listeners: int,
    duration: float,
    rounds: int | None,
    servers: list[str],
    aiortc_listeners: tuple[int, int],
    janus_event_loops: int,
    json_file: Path,
    html_file: Path | None,
) -> None:
    """Put the same load on this relay, on Janus's streaming plugin and on aiortc's MediaRelay, in turns.

    What is not installed is named with the command that installs it. Janus needs root for a network of its own. Ends
    with 1 when the run failed or the load generator itself was the bottleneck.
    """
    # numba and the peers take a second to import: not for `loa --help`
    from bench.compare.compare_scenario import Wish, run
    from bench.compare.report import table

    if rounds is None:
        rounds = min(ROUNDS, int(duration / TURN_S_MIN))
    if duration / rounds < TURN_S_MIN:
        raise click.BadParameter(
            f"{rounds} rounds of {duration:g} s leave less than {TURN_S_MIN:g} s for a turn",
            param_hint="--rounds",
        )
    most = dict.fromkeys(SERVERS, listeners)
    most["aiortc_encode"], most["aiortc_packets"] = (min(listeners, limit) for limit in aiortc_listeners)
    wish = Wish({name: most[name] for name in servers}, duration, rounds, janus_event_loops)
    carry_out(lambda say: run(wish, say).to_json(), table, json_file, html_file)
