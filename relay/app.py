"""The composition root: builds the parts, wires them, runs them, and shuts down in order.

Order of life: sockets (so that a taken port is told before anything starts), kernels, media thread, HTTP, upstreams.
Order of death: no new sessions, BYE to everybody, HTTP and control links, store, upstreams, media thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import gc
import logging
import math
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from loacodecs.certificate import Certificate
from relay import logs
from relay.access.service import RevocationService
from relay.addresses import split_address, split_advertised
from relay.config import Config
from relay.core import Core
from relay.demo import Demo
from relay.devices.keys import Commander, load_command_key
from relay.devices.service import DeviceService
from relay.devices.serving import LinkSettings
from relay.http.app import create_app
from relay.http.server import HttpServer, bind, raise_file_limit
from relay.http.tls import prepare as prepare_tls
from relay.live.meeting_keeping import MeetingKeeping
from relay.net.addresses import AddressBook
from relay.net.fanout import FanoutEngine, FanoutTable
from relay.net.port import UdpPort, open_ports
from relay.net.reactor import IDLE_TICK_S, Reactor
from relay.net.watch import Watch
from relay.outputs.service import Outputs
from relay.sessions.hub import Hub
from relay.sessions.reports import Reporter
from relay.sources.upstream import Upstream
from relay.sources.upstream_class import UpstreamClass
from relay.statistics import channel_state
from relay.steady import steady
from relay.store.automation import AutomationStore
from relay.store.database import Database
from relay.store.meetings import MeetingStore
from relay.tokens import Tokens, load_secret

if TYPE_CHECKING:
    from relay.automation.service import AutomationService
    from relay.live.desk import Desk

log = logging.getLogger("loa.app")

DRAIN_S = 1.0
"""Between BYE and the end of HTTP: long enough for clients to come back, be told 503, and go elsewhere."""

SWITCH_INTERVAL_S = 0.0001
"""How long the HTTP thread may keep the GIL from the media thread; Python's default is fifty times that."""


AUTOGROUP = Path("/proc/self/autogroup")

COLLECT_INTERVAL_S = 20.0
COLLECT_THRESHOLDS = (2_000, 100, 1_000_000)
"""The collector's oldest generation is left to `_keep_house`: a full collection over ten thousand sessions would hold
the media thread for tens of milliseconds, and would come just when many of them join."""


@dataclass(slots=True)
class Relay:
    """The running parts, for those who shut them down."""

    config: Config
    core: Core
    engine: FanoutEngine
    watch: Watch
    reactor: Reactor
    ports: list[UdpPort]
    live: Desk | None = None
    """Mixes; None where no channel is mixed, so that a relay that only passes on does not even load the mixer."""


def build(config: Config) -> Relay:
    """The media plane of `config`, not yet running. Raises ConfigurationError when a port cannot be had."""
    media = config.media
    ports = [
        opened
        for host, port in map(split_address, media.listen)
        for opened in open_ports(
            host, port, receive_buffer=media.receive_buffer, send_buffer=media.send_buffer
        )
    ]
    table = FanoutTable(media.listeners_max)
    engine = FanoutEngine(table, media.threads)
    hub = Hub(table, engine, Reporter(engine))
    watch = Watch(engine, hub.upkeep, hub.sources)
    # A channel is on air by what is booked: it must not seem silent between two looks.
    reactor = Reactor(hub, watch, idle_s=min(IDLE_TICK_S, media.media_timeout / 2))
    for port in ports:
        reactor.add_port(port)
    advertised = [split_advertised(text) for text in media.advertise]
    book = AddressBook([port.address for port in ports if port.carries != "control"], advertised)
    core = Core(config, Certificate.generate("loa"), hub, reactor, book)
    return Relay(config, core, engine, watch, reactor, ports, _build_live(config, core))


def _build_live(config: Config, core: Core) -> Desk | None:
    if all(settings.mode != "mix" for settings in config.channels.named.values()):
        return None
    from relay.live.desk import Desk

    desk = Desk(config, core.hub, core.reactor)
    core.mixed = desk.studio.channels
    return desk


def build_automation(config: Config, relay: Relay, database: Database) -> AutomationService | None:
    """What decides by itself what mixed channels play; None where no channel is mixed."""
    live = relay.live
    if live is None:
        return None
    from relay.automation.service import AutomationService
    from relay.sources.feed import OPERATOR, StreamFeed, api_policy, open_source

    named, strangers = config.channels.named, api_policy(config.sources)

    def opened(source: str, *, trusted: bool, loop: bool, reconnect: bool, start_s: float) -> StreamFeed:
        policy = OPERATOR if trusted else strangers
        return open_source(source, policy, paused=True, loop=loop, reconnect=reconnect, start_s=start_s)

    return AutomationService(
        {name: settings.automation for name, settings in named.items() if settings.mode == "mix"},
        live.channel,
        lambda name: channel_state(relay.core.hub.channels[name], time.monotonic()),
        opened,
        strangers,
        AutomationStore(database),
    )


def build_meetings(relay: Relay, database: Database) -> MeetingKeeping:
    """What lets meetings outlast the process; without any, what was kept of them is dropped."""
    return MeetingKeeping({} if relay.live is None else relay.live.meetings.rooms, MeetingStore(database))


def build_desk(config: Config, core: Core, tokens: Tokens, database: Database) -> DeviceService:
    """The relay's side of edge receivers. Raises ConfigurationError when the command key cannot be had."""
    devices = config.devices
    return DeviceService(
        database,
        Commander(load_command_key(config.command_key_file), wall=time.time),
        tokens,
        settings=LinkSettings(devices.telemetry_on_air, devices.telemetry_idle, devices.links_max),
        receipts_keep_s=devices.receipts_keep,
        on_air=core.on_air,
        draining=lambda: core.draining,
        bar=core.barring.bar,
    )


def build_revocations(core: Core, database: Database) -> RevocationService:
    """Which tokens are void before their time, made known to the core."""
    revocations = RevocationService(database, core.barring.end)
    core.barring.is_revoked = revocations.is_revoked
    return revocations


def _is_emergency(desk: DeviceService, channel: str) -> bool:
    declared = desk.declared(channel)
    return declared is not None and declared.kind == "emergency"


def serve(config: Config, demo: bool = False) -> None:
    """Run the relay until SIGTERM or SIGINT; raises LoaError when it cannot start."""
    logs.set_up(config.log.level, config.log.format)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    run_ahead(config.media.nice)
    raise_file_limit()
    if demo:
        config = Demo.configure(config)
    sockets = bind(config.http.listen)
    tls = prepare_tls(config, datetime.datetime.now(datetime.UTC))
    tokens = Tokens(load_secret(config.secret_file))
    relay = build(config)
    relay.engine.warm_up()
    relay.watch.warm_up()
    database = Database(config.store_file)
    desk = build_desk(config, relay.core, tokens, database)
    revocations = build_revocations(relay.core, database)
    log.info("receivers, and relays that take its word, know this relay as %s", desk.relay)
    if relay.live is not None:
        relay.live.studio.is_emergency = partial(_is_emergency, desk)
    automation = build_automation(config, relay, database)
    meetings = build_meetings(relay, database)
    outputs = Outputs(config, relay.core.hub, relay.reactor, playing=partial(_playing, relay.live))
    app = create_app(
        relay.core, config, tokens, desk=desk, outputs=outputs, live=relay.live, automation=automation,
        meetings=relay.live.meetings if relay.live is not None else None, revocations=revocations,
    )  # fmt: skip
    http = HttpServer(app, sockets, tls=tls)
    gc.set_threshold(*COLLECT_THRESHOLDS)
    settle_garbage()
    outputs.start()
    relay.reactor.start()
    try:
        if relay.live is not None:
            relay.live.open()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            playing = Demo(config, tokens) if demo else None
            runner.run(_run(relay, http, desk, revocations, meetings, automation, playing))
    finally:
        if relay.live is not None:
            relay.live.stop()
        relay.reactor.stop()
        outputs.stop()
        relay.engine.close()


def _playing(live: Desk | None, channel: str) -> str:
    """What a mixed channel plays of files and streams just now, as they call it; "" when that cannot be told."""
    mixed = None if live is None else live.studio.channels.get(channel)
    for each in [] if mixed is None else list(mixed.inputs.values()):
        heard = each.sounding and not each.muted and math.isfinite(each.fade_db)
        # Who speaks is nobody's business: of publishers only the label is known.
        if each.role == "programme" and heard and each.title != each.label:
            return each.title
    return ""


def run_ahead(nice: int) -> None:
    """Ask the scheduler to prefer this process, as sound servers do; without the right to ask, go on as everybody.

    The whole process, not the media thread alone: a preempted HTTP thread may hold the GIL.
    """
    if not nice:
        return
    try:
        os.setpriority(os.PRIO_PROCESS, 0, nice)
    except PermissionError:
        log.info(
            "no right to run at nice %d (CAP_SYS_NICE); busy neighbours may make the sound less even", nice
        )
        return
    if os.getsid(0) == os.getpid():
        # A service's session is a group of its own to the scheduler, in which alone its nice counts (sched(7), "The
        # autogroup feature"): busy neighbours of other sessions would go halves with it, whatever its priority.
        with contextlib.suppress(OSError):
            AUTOGROUP.write_text(str(nice))


def settle_garbage() -> None:
    """Collect, then set what is alive aside: a later collection walks only what is new, not every session there is."""
    gc.collect()
    gc.freeze()


async def _keep_house() -> None:
    while True:
        await asyncio.sleep(COLLECT_INTERVAL_S)
        settle_garbage()


async def _run(
    relay: Relay,
    http: HttpServer,
    desk: DeviceService,
    revocations: RevocationService,
    meetings: MeetingKeeping,
    automation: AutomationService | None,
    demo: Demo | None,
) -> None:
    stopping = _on_signals()
    await revocations.begin()
    await meetings.begin()
    if automation is not None:
        await automation.begin()
    if relay.live is not None:  # after automation, which mutes again what was muted
        relay.live.start()
    async with asyncio.TaskGroup() as group:
        await desk.begin()
        serving = group.create_task(http.run())
        await http.started.wait()
        works = [*_background(relay, desk, automation), ("revoked tokens", revocations.run)]
        works.append(("what is kept of meetings", meetings.run))
        background = [group.create_task(steady(name, run)) for name, run in works]
        _announce(relay, http)
        if demo is not None:
            background.append(group.create_task(demo.run(http.addresses[0][1])))
        await stopping.wait()
        log.info("draining: no new sessions, saying goodbye")
        for task in background:
            task.cancel()
        await relay.core.drain()
        await asyncio.sleep(DRAIN_S)
        http.stop()
        await serving
        if automation is not None:
            await automation.close()
        await meetings.close()
        await revocations.keep_house()
        await desk.close()
    log.info("stopped")


def _background(
    relay: Relay, desk: DeviceService, automation: AutomationService | None
) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
    """What runs beside the sound, each with its name for the log; all of it can begin again."""
    works: list[tuple[str, Callable[[], Awaitable[None]]]] = [
        (f"pulling channel {each.channel.name}", each.run) for each in _upstreams(relay)
    ]
    works += [("the class of a pulled channel", each.run) for each in _upstream_classes(relay.config, desk)]
    works += [("house-keeping", _keep_house), ("what receivers are told", desk.run)]
    if relay.live is not None:
        works += [("meetings", relay.live.meetings.run), ("the log of faults", relay.live.faults.run)]
    if automation is not None:
        works.append(("automation", automation.run))
    return works


def _upstreams(relay: Relay) -> list[Upstream]:
    channels = relay.core.hub.channels
    return [
        Upstream(relay.core, channels[name], settings.source, settings.read_token)
        for name, settings in relay.config.channels.named.items()
        if settings.source
    ]


def _upstream_classes(config: Config, desk: DeviceService) -> list[UpstreamClass]:
    return [
        UpstreamClass(name, settings.source, settings.class_from, settings.read_token, desk.adopt)
        for name, settings in config.channels.named.items()
        if settings.class_from
    ]


def _on_signals() -> asyncio.Event:
    """Set by the first SIGTERM or SIGINT; the second one ends the process at once."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stopping.is_set():
            os._exit(1)
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, on_signal)
    return stopping


def _announce(relay: Relay, http: HttpServer) -> None:
    scheme = "http" if relay.config.http.tls == "off" else "https"
    where = ", ".join(f"{scheme}://{_shown(host)}:{port}" for host, port in http.addresses)
    media = ", ".join(
        f"{_shown(port.address[0])}:{port.address[1]}" for port in relay.ports if port.carries != "control"
    )
    log.info("serving %d channels: %s, media on UDP %s", len(relay.core.hub.channels), where, media)


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
