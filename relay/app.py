"""The composition root: builds the parts, wires them, runs them, and shuts down in order.

Order of life: sockets (so that a taken port is told before anything starts), kernels, media thread, HTTP, upstreams.
Order of death: no new sessions, BYE to everybody, HTTP, upstreams, media thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import gc
import logging
import os
import signal
import sys
from dataclasses import dataclass

import uvloop

from loacodecs.certificate import Certificate
from relay import logs
from relay.addresses import split_address, split_advertised
from relay.config import Config
from relay.core import Core
from relay.demo import Demo
from relay.http.app import create_app
from relay.http.server import HttpServer, bind, raise_file_limit
from relay.http.tls import prepare as prepare_tls
from relay.net.addresses import AddressBook
from relay.net.fanout import FanoutEngine, FanoutTable
from relay.net.port import UdpPort, open_ports
from relay.net.reactor import Reactor
from relay.sessions.hub import Hub
from relay.sessions.reports import Reporter
from relay.sources.upstream import Upstream
from relay.tokens import Tokens, load_secret

log = logging.getLogger("loa.app")

DRAIN_S = 1.0
"""Between BYE and the end of HTTP: long enough for clients to come back, be told 503, and go elsewhere."""

SWITCH_INTERVAL_S = 0.0001
"""How long the HTTP thread may keep the GIL from the media thread; Python's default is fifty times that."""


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
    reactor: Reactor
    ports: list[UdpPort]


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
    reactor = Reactor(hub)
    for port in ports:
        reactor.add_port(port)
    advertised = [split_advertised(text) for text in media.advertise]
    book = AddressBook([port.address for port in ports if port.carries != "control"], advertised)
    core = Core(config, Certificate.generate("loa"), table, engine, hub, reactor, book)
    return Relay(config, core, engine, reactor, ports)


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
    relay.core.hub.warm_up()
    http = HttpServer(create_app(relay.core, config, tokens), sockets, tls=tls)
    gc.set_threshold(*COLLECT_THRESHOLDS)
    settle_garbage()
    relay.reactor.start()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run(relay, http, Demo(config, tokens) if demo else None))
    finally:
        relay.reactor.stop()
        relay.engine.close()


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


def settle_garbage() -> None:
    """Collect, then set what is alive aside: a later collection walks only what is new, not every session there is."""
    gc.collect()
    gc.freeze()


async def _keep_house() -> None:
    while True:
        await asyncio.sleep(COLLECT_INTERVAL_S)
        settle_garbage()


async def _run(relay: Relay, http: HttpServer, demo: Demo | None) -> None:
    stopping = _on_signals()
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(http.run())
        await http.started.wait()
        background = [group.create_task(upstream.run()) for upstream in _upstreams(relay)]
        background.append(group.create_task(_keep_house()))
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
    log.info("stopped")


def _upstreams(relay: Relay) -> list[Upstream]:
    channels = relay.core.hub.channels
    return [
        Upstream(relay.core, channels[name], settings.source, settings.read_token)
        for name, settings in relay.config.channels.named.items()
        if settings.source
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
