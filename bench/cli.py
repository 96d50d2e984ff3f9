"""`loa bench`: load tests of this relay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bench.commands import diff, plan
from bench.compare.command import compare
from bench.edge.command import edge
from bench.link.command import link
from bench.links.command import links
from bench.live.command import live
from bench.mixer.command import mixer
from bench.options import Seconds
from bench.scenario_commands import (
    CHANNELS_MAX,
    LISTENERS_MAX,
    Progress,
    carry_out,
    join,
    require_channels,
    soak,
)
from relay.asking import Number

__all__ = ["Progress", "bench"]


@click.group()
def bench() -> None:
    """Load tests: what a relay carries on this machine, and how even the sound is."""


bench.add_command(compare)
bench.add_command(diff)
bench.add_command(edge)
bench.add_command(join)
bench.add_command(link)
bench.add_command(links)
bench.add_command(live)
bench.add_command(mixer)
bench.add_command(plan)
bench.add_command(soak)


@bench.command()
@click.option(
    "--listeners",
    type=click.IntRange(1, LISTENERS_MAX),
    required=True,
    help="WHEP sessions to join; with --ramp, the most to try.",
)
@click.option(
    "--duration",
    type=Seconds(1, 86_400),
    required=True,
    help="Of steady playing; the pauses for the floor come on top. With --ramp, of a step.",
)
@click.option(
    "--channels", type=click.IntRange(1, CHANNELS_MAX), default=1, show_default=True, help="Publishers."
)
@click.option(
    "--frame",
    type=click.Choice(["20", "40", "60"]),
    default="20",
    show_default=True,
    help="Packet time in ms.",
)
@click.option(
    "--payload",
    type=click.IntRange(16, 1200),
    default=120,
    show_default=True,
    help="Bytes of Opus in a packet; 120 is 48 kb/s at 20 ms.",
)
@click.option(
    "--join-burst",
    type=click.IntRange(0, LISTENERS_MAX),
    default=0,
    help="After the steady playing, so many more listeners join at once.",
)
@click.option("--aligned", is_flag=True, help="All channels send at the same moment instead of staggered.")
@click.option("--ipv6", is_flag=True, help="Relay and generator on ::1 instead of 127.0.0.1.")
@click.option(
    "--churn",
    type=Number(0, 200),
    default=0.0,
    metavar="R",
    help="Others leave and join, R of each per second, while the listeners are measured.",
)
@click.option(
    "--api-load",
    type=Number(0, 2000),
    default=0.0,
    is_flag=False,
    flag_value=50.0,
    metavar="[RATE]",
    help="HTTP and token traffic beside the audio, requests per second; 50 if no rate is given.",
)
@click.option("--ramp", is_flag=True, help="Search the most listeners without loss and with p99 up to 20 ms.")
@click.option(
    "--profile", is_flag=True, help="Then profile the relay: a flame graph beside the report, and a table."
)
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), required=True)
@click.option(
    "--html", "html_file", type=click.Path(dir_okay=False, path_type=Path), help="Write it as a page, too."
)
def relay(
    listeners: int,
    duration: float,
    channels: int,
    frame: str,
    payload: int,
    join_burst: int,
    aligned: bool,
    ipv6: bool,
    churn: float,
    api_load: float,
    ramp: bool,
    profile: bool,
    json_file: Path,
    html_file: Path | None,
) -> None:
    """Start a relay, join real WHEP sessions, publish, and measure cost, latency, jitter and loss.

    Ends with 1 when the run failed or the load generator itself was the bottleneck.
    """
    # numba and the peers take a second to import: not for `loa --help`
    from bench import ramp as climb
    from bench.relay_scenario import run
    from bench.report import Report
    from bench.stage import Parameters, Say

    require_channels(listeners, channels)
    if ramp and (join_burst or churn or api_load or profile):
        raise click.BadParameter(
            "cannot be combined with --join-burst, --churn, --api-load or --profile", param_hint="--ramp"
        )
    parameters = Parameters(
        listeners=listeners,
        duration=duration,
        channels=channels,
        frame_ms=int(frame),
        payload_bytes=payload,
        join_burst=join_burst,
        aligned=aligned,
        ipv6=ipv6,
        churn=churn,
        api_load=api_load,
    )
    if ramp:
        carry_out(lambda say: climb.run(parameters, say), climb.table, json_file, html_file)
        return
    flame_graph = json_file.with_suffix(".svg") if profile else None
    found: list[Report] = []

    def measure(say: Say) -> dict[str, Any]:
        found.append(run(parameters, say, flame_graph))
        return found[0].to_json()

    carry_out(measure, lambda _: found[0].table(), json_file, html_file)
