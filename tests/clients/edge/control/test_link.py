"""The link against a small relay: connect, obey, report, come back. Waits for events, never for time."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from loacodecs.clocksync import ClockSync
from loacodecs.control import (
    Clock,
    Command,
    OnAir,
    Receipt,
    Result,
    Settings,
    Telemetry,
    Token,
    encode,
    encode_body,
)
from loacodecs.errors import ConfigurationError
from loaedge.control.classes import LiveClasses
from loaedge.control.link import Link, LinkParts, LinkStatus
from loaedge.control.nonces import NonceMemory
from loaedge.control.receipts import ReceiptBook
from loaedge.control.settings import SettingsStore
from loaedge.control.telemetry import Report
from loaedge.control.tls import forgiving
from tests.support.fake_link_relay import RELAY_TIME, RelayKeys, fake_relay
from tests.support.self_signed import server_tls
from tests.support.whip_server import Reply, WhipServer

WANTED = Settings("commune-1", 700, 0, -3.0, False)


class Listener:
    """Keeps what the link tells, and wakes whoever waits for it."""

    def __init__(self) -> None:
        self.settings: list[Settings] = []
        self.tokens: list[str] = []
        self.air: list[tuple[str, bool]] = []
        self.restarts = 0
        self.statuses: list[LinkStatus] = []
        self._changed = asyncio.Event()

    def on_settings(self, settings: Settings) -> None:
        self.settings.append(settings)
        self._changed.set()

    def on_token(self, token: str, expires: float) -> None:
        assert expires > RELAY_TIME
        self.tokens.append(token)
        self._changed.set()

    def on_air(self, channel: str, on_air: bool) -> None:
        self.air.append((channel, on_air))
        self._changed.set()

    def on_class(self) -> None:
        self._changed.set()

    def on_restart(self) -> None:
        self.restarts += 1
        self._changed.set()

    def on_status(self, status: LinkStatus) -> None:
        self.statuses.append(status)
        self._changed.set()

    async def until_word(self, word: str) -> LinkStatus:
        """Until the link has ended for that reason."""
        async with asyncio.timeout(10.0):
            while True:
                found = [
                    status for status in self.statuses if status.word == word and status.phase == "waiting"
                ]
                if found:
                    return found[0]
                self._changed.clear()
                await self._changed.wait()


class Running:
    """A link that runs, and its parts."""

    def __init__(self, link: Link, listener: Listener, parts: LinkParts, clock: ClockSync) -> None:
        self.link = link
        self.listener = listener
        self.parts = parts
        self.clock = clock


@asynccontextmanager
async def running(
    folder: Path, keys: RelayKeys, *urls: str, report: Report | None = None, **more: Any
) -> AsyncIterator[Running]:
    listener, clock = Listener(), ClockSync()
    known = report or Report(state="idle")
    parts = LinkParts(
        memory=NonceMemory(folder / "nonces.bin", new=True),
        settings=SettingsStore(folder / "settings.json"),
        receipts=ReceiptBook(folder / "receipts.bin"),
        classes=LiveClasses("commune-1"),
        clock=clock,
        report=lambda: known,
        on_air=lambda: known.on_air,
        listener=listener,
        version="1.2.3",
    )
    link = Link(urls, keys.identities(), replace(parts, **more), random=bytes)
    task = asyncio.create_task(link.run())
    try:
        yield Running(link, listener, parts, clock)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def keys() -> RelayKeys:
    return RelayKeys()


async def test_the_device_proves_itself_and_the_clocks_are_tied(tmp_path: Path, keys: RelayKeys) -> None:
    async with fake_relay(keys) as relay, running(tmp_path, keys, relay.url) as it:
        await relay.until(lambda: len(relay.of(Clock)) + len(relay.of(Telemetry)) >= 6)
        assert it.link.status == LinkStatus("up", "127.0.0.1")
        assert it.listener.tokens == ["jwt"]
        assert it.listener.air == [("", False)]
        now = asyncio.get_running_loop().time()
        relay_now = it.clock.relay_time(now)
        assert relay_now is not None
        assert abs(relay_now - relay.now()) < 0.05
        assert relay.of(Telemetry)[0].state == "idle"


async def test_a_command_is_obeyed_kept_and_answered(tmp_path: Path, keys: RelayKeys) -> None:
    async with fake_relay(keys) as relay, running(tmp_path, keys, relay.url) as it:
        await relay.until_has(Telemetry)
        await relay.send(keys.command_for("n1", relay.now()))
        assert await relay.until_has(Result) == [Result("n1", True)]
        assert it.listener.settings == [WANTED]
    kept = SettingsStore(tmp_path / "settings.json").load()
    assert kept is not None
    assert kept.settings == WANTED
    assert kept.at == pytest.approx(RELAY_TIME, abs=1e9)


async def test_bad_commands_are_refused_and_counted(tmp_path: Path, keys: RelayKeys) -> None:
    other = RelayKeys()
    async with fake_relay(keys) as relay, running(tmp_path, keys, relay.url) as it:
        await relay.until_has(Telemetry)
        now = relay.now()
        good = keys.command_for("n1", now)
        for command in (
            good,
            good,
            other.command_for("n2", now),
            keys.command_for("n3", now - 100),
            keys.command_for("n4", now + 100),
            keys.command_for("n5", now, device="dev-2"),
            keys.command_for("n6", now, verb="explode"),
            keys.command_for("n7", now, args={"channel": 7}),
            Command(encode_body(keys.body("n8", now)), good.signature),
        ):
            await relay.send(command)
        results = await relay.until_has(Result, 7)
        assert [(result.nonce, result.ok) for result in results] == [
            ("n1", True),
            ("n1", False),
            ("n3", False),
            ("n4", False),
            ("n5", False),
            ("n6", False),
            ("n7", False),
        ]
        await relay.send(keys.command_for("n9", relay.now()))
        await relay.until_has(Result, 8)
        assert it.listener.settings == [WANTED, WANTED]
        assert it.link.refused.total() == 8
        it.link.ask()
        await relay.until(lambda: relay.of(Telemetry)[-1].commands_refused == 8)


async def test_only_the_relays_own_fresh_word_makes_an_emergency(tmp_path: Path, keys: RelayKeys) -> None:
    """Forged, expired, issued in the future, replayed, another device's or channel's: none is heard at night."""
    other = RelayKeys()
    async with fake_relay(keys) as relay, running(tmp_path, keys, relay.url) as it:
        await relay.until_has(Telemetry)
        now, loop = relay.now(), asyncio.get_running_loop()

        def emergency(channel: str = "commune-1", until: float = now + 600) -> dict[str, Any]:
            return {"verb": "class", "args": {"channel": channel, "class": "emergency", "until": until}}

        good = keys.command_for("n0", now, **emergency())
        bad = [
            other.command_for("n1", now, **emergency()),
            keys.command_for("n2", now - 100, **emergency()),
            keys.command_for("n3", now + 100, **emergency()),
            keys.command_for("n4", now, device="dev-2", **emergency()),
            keys.command_for("n5", now, **emergency("commune-2")),
            keys.command_for("n6", now, **emergency(until=now - 1)),
            keys.command_for("n7", now, **emergency(until=now + 1e6)),
            keys.command_for(
                "n8", now, verb="class", args={"channel": "commune-1", "class": "doom", "until": now}
            ),
            Command(encode_body(keys.body("n9", now, **emergency())), good.signature),
        ]
        for command in bad:
            await relay.send(command)
        assert not any(result.ok for result in await relay.until_has(Result, 7))
        assert it.parts.classes.kind(loop.time()) == "normal"
        await relay.send(good)
        assert (await relay.until_has(Result, 8))[-1] == Result("n0", True)
        assert it.parts.classes.kind(loop.time()) == "emergency"
        end = {"verb": "class", "args": {"channel": "commune-1", "class": "normal", "until": 0}}
        await relay.send(keys.command_for("n10", relay.now(), **end))
        await relay.send(good)
        assert (await relay.until_has(Result, 10))[-1] == Result("n0", False, "replayed")
        assert it.parts.classes.kind(loop.time()) == "normal"
        assert it.link.refused.total() == len(bad) + 1


async def test_a_restart_is_answered_before_it_is_done(tmp_path: Path, keys: RelayKeys) -> None:
    async with fake_relay(keys) as relay, running(tmp_path, keys, relay.url) as it:
        await relay.until_has(Telemetry)
        await relay.send(keys.command_for("n1", relay.now(), verb="restart", args={}))
        assert await relay.until_has(Result) == [Result("n1", True)]
        assert it.listener.restarts == 1


async def test_tokens_and_on_air_are_passed_on(tmp_path: Path, keys: RelayKeys) -> None:
    async with fake_relay(keys, channel_on_air=True) as relay, running(tmp_path, keys, relay.url) as it:
        await relay.until_has(Telemetry)
        await relay.send(Token("jwt-2", RELAY_TIME + 9e6))
        await relay.send(OnAir("commune-1", False))
        await relay.send(keys.command_for("n1", relay.now()))
        await relay.until_has(Result)
        assert it.listener.tokens == ["jwt", "jwt-2"]
        assert it.listener.air == [("", True), ("commune-1", False)]


async def test_receipts_are_kept_until_the_relay_has_them(tmp_path: Path, keys: RelayKeys) -> None:
    receipt = Receipt("r1", "news", "commune-1", RELAY_TIME, RELAY_TIME + 60, 1.0, 0.0, -20.0, "played")
    async with fake_relay(keys, acknowledge=False) as relay, running(tmp_path, keys, relay.url) as it:
        it.parts.receipts.end(receipt)
        it.link.wake()
        assert await relay.until_has(Receipt) == [receipt]
        assert relay.link is not None
        await relay.link.close()
    assert len(ReceiptBook(tmp_path / "receipts.bin")) == 1
    async with fake_relay(keys) as relay, running(tmp_path, keys, relay.url) as it:
        assert await relay.until_has(Receipt) == [receipt]
        it.parts.receipts.end(replace(receipt, id="r2"))
        it.link.wake()
        await relay.until_has(Receipt, 2)  # sent when the first was acknowledged
    assert len(ReceiptBook(tmp_path / "receipts.bin")) <= 1


async def test_the_next_relay_is_tried_when_the_first_cannot_be_reached(
    tmp_path: Path, keys: RelayKeys
) -> None:
    async with fake_relay(keys) as relay, running(tmp_path, keys, "http://127.0.0.1:9", relay.url) as it:
        await relay.until_has(Telemetry)
        assert it.listener.statuses[1].word == "no network"
        assert it.link.status.phase == "up"


async def test_a_lost_link_comes_back(tmp_path: Path, keys: RelayKeys) -> None:
    async with fake_relay(keys) as relay, running(tmp_path, keys, relay.url):
        for greeted in (1, 2):
            await relay.until(lambda greeted=greeted: relay.greeted == greeted)  # type: ignore[misc]
            assert relay.link is not None
            await relay.link.close(1012)
        await relay.until(lambda: relay.greeted == 3)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"refuse": "revoked"}, "revoked"),
        ({"refuse": "unknown"}, "unknown"),
        ({"protocol": 2}, "protocol"),
        ({"name": "loa-other"}, "other relay"),
        ({"at_welcome": ["{}"]}, "malformed"),
        ({"at_welcome": ["x" * 20_000]}, "malformed"),
        ({"at_welcome": [encode(Clock(1.0))]}, "malformed"),
    ],
)
async def test_what_a_relay_may_do_wrong_has_a_word(
    tmp_path: Path, keys: RelayKeys, change: dict[str, Any], word: str
) -> None:
    async with fake_relay(keys, **change) as relay, running(tmp_path, keys, relay.url) as it:
        status = await it.listener.until_word(word)
        assert status.detail
        assert it.link.unanswered is None


async def test_somebody_else_with_the_address_of_the_relay_gets_no_signature_for_itself(
    tmp_path: Path, keys: RelayKeys
) -> None:
    stranger = RelayKeys()
    async with fake_relay(stranger) as relay, running(tmp_path, keys, relay.url) as it:
        await it.listener.until_word("other relay")
        assert relay.heard == []


async def test_a_server_that_is_no_relay(tmp_path: Path, keys: RelayKeys) -> None:
    async def refuse(socket: ServerConnection) -> None:
        raise AssertionError("nobody gets here")

    async def not_found(connection: ServerConnection, _request: object) -> object:
        return connection.respond(404, "no such page")

    async with serve(refuse, "127.0.0.1", 0, process_request=not_found) as server:  # type: ignore[arg-type]
        port = next(iter(server.sockets)).getsockname()[1]
        async with running(tmp_path, keys, f"http://127.0.0.1:{port}") as it:
            assert "404" in (await it.listener.until_word("not found")).detail


@pytest.mark.parametrize(("told", "pause"), [(["20"], 20.0), (["20", "7"], 20.0), (["soon"], 0.5), ([], 0.5)])
async def test_a_relay_without_room_is_asked_again_when_it_said(
    tmp_path: Path, keys: RelayKeys, monkeypatch: pytest.MonkeyPatch, told: list[str], pause: float
) -> None:
    asked: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    async def sleep(seconds: float) -> None:
        asked.set_result(seconds)
        await asyncio.Event().wait()

    async def nobody(_socket: ServerConnection) -> None:
        raise AssertionError("nobody gets here")

    async def full(connection: ServerConnection, _request: object) -> object:
        response = connection.respond(503, "no room")
        for value in told:
            response.headers["Retry-After"] = value
        return response

    monkeypatch.setattr("loaedge.control.link.asyncio.sleep", sleep)
    async with serve(nobody, "127.0.0.1", 0, process_request=full) as server:  # type: ignore[arg-type]
        port = next(iter(server.sockets)).getsockname()[1]
        async with running(tmp_path, keys, f"http://127.0.0.1:{port}") as it, asyncio.timeout(10.0):
            assert await asked == pause
            assert it.link.status.word == "busy"


async def test_a_port_that_speaks_something_else(tmp_path: Path, keys: RelayKeys) -> None:
    async def babble(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with running(tmp_path, keys, f"http://127.0.0.1:{port}") as it:
            await it.listener.until_word("malformed")


async def test_a_certificate_nobody_vouches_for(tmp_path: Path, keys: RelayKeys) -> None:
    server, path = server_tls(tmp_path)
    async with fake_relay(keys, server) as relay:
        async with running(tmp_path, keys, relay.url, tls=ssl.create_default_context) as it:
            await it.listener.until_word("tls")
            assert relay.heard == []
        trust = ssl.create_default_context(cafile=path)
        async with running(tmp_path, keys, relay.url, tls=lambda: trust):
            await relay.until_has(Telemetry)


async def test_a_board_that_wakes_in_1970_gets_on(tmp_path: Path, keys: RelayKeys) -> None:
    """To it every certificate is not yet valid; here the certificate is, and the clock is right."""
    server, path = server_tls(tmp_path, begins=timedelta(days=20_000))
    async with fake_relay(keys, server) as relay:
        trust = ssl.create_default_context(cafile=path)
        async with running(tmp_path, keys, relay.url, tls=lambda: forgiving(trust, 1.8e9)) as it:
            assert "not yet valid" in (await it.listener.until_word("tls")).detail.replace("_", " ").lower()
        async with running(tmp_path, keys, relay.url, tls=lambda: forgiving(trust, 100.0)):
            await relay.until_has(Telemetry)
        stranger = ssl.create_default_context()
        async with running(tmp_path, keys, relay.url, tls=lambda: forgiving(stranger, 100.0)) as it:
            await it.listener.until_word("tls")


async def test_an_address_that_is_none_is_a_mistake(tmp_path: Path, keys: RelayKeys) -> None:
    with pytest.raises(ConfigurationError):
        async with running(tmp_path, keys, "ftp://relay"):
            pass


async def test_a_broken_nonce_memory_refuses_and_says_why(tmp_path: Path, keys: RelayKeys) -> None:
    async with fake_relay(keys) as relay:
        memory = NonceMemory(tmp_path / "other.bin", new=True)
        (tmp_path / "other.bin").unlink()
        async with running(tmp_path, keys, relay.url, memory=memory) as it:
            await relay.until_has(Telemetry)
            await relay.send(keys.command_for("n1", relay.now()))
            assert await relay.until_has(Result) == [Result("n1", False, "disk")]
            assert it.listener.settings == []


@pytest.mark.parametrize(
    "locations",
    [["http://["], ["/a", "/b"], ["ws://127.0.0.1:99999/"], ["ws://127.0.0.1:x/"], [f"ws://{'a' * 80}.x/"]],
)
async def test_who_sends_us_to_an_address_that_is_none_costs_no_more_than_a_relay_that_is_away(
    tmp_path: Path, keys: RelayKeys, locations: list[str]
) -> None:
    portal = Reply(302, [("Location", location) for location in locations])
    async with (
        WhipServer(lambda _: portal) as server,
        fake_relay(keys) as relay,
        running(tmp_path, keys, server.url, relay.url) as receiver,
    ):
        status = await receiver.listener.until_word("malformed")
        assert status.relay == "127.0.0.1"
        await relay.until_has(Telemetry)
