"""The receiver's control link against the relay's: two implementations of one protocol, in one event loop."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from loacodecs.clocksync import ClockSync
from loacodecs.control import Receipt, Settings
from loaedge.control.classes import LiveClasses
from loaedge.control.enrol import EnrolmentError, KeyRevokedError, enrol
from loaedge.control.identity import KEY_FILE, IdentityStore
from loaedge.control.link import Link, LinkParts, LinkStatus
from loaedge.control.nonces import NONCE_FILE, NonceMemory
from loaedge.control.receipts import RECEIPTS_FILE, ReceiptBook
from loaedge.control.settings import SETTINGS_FILE, SettingsStore
from loaedge.control.telemetry import Report
from tests.support.edge_link import PATIENCE_S, EdgeRelay
from tests.support.hand_receiver import HandReceiver


class Ear:
    """A LinkListener that remembers, and tells whoever waits."""

    def __init__(self) -> None:
        self.settings: list[Settings] = []
        self.tokens: list[str] = []
        self.air: list[tuple[str, bool]] = []
        self.restarts = 0
        self.classes = 0
        self.statuses: list[LinkStatus] = []
        self._changed = asyncio.Event()

    def on_settings(self, settings: Settings) -> None:
        self.settings.append(settings)
        self._changed.set()

    def on_token(self, token: str, expires: float) -> None:
        self.tokens.append(token)
        self._changed.set()

    def on_air(self, channel: str, on_air: bool) -> None:
        self.air.append((channel, on_air))
        self._changed.set()

    def on_class(self) -> None:
        self.classes += 1
        self._changed.set()

    def on_restart(self) -> None:
        self.restarts += 1
        self._changed.set()

    def on_status(self, status: LinkStatus) -> None:
        self.statuses.append(status)
        self._changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                await self._changed.wait()
                self._changed.clear()


@dataclasses.dataclass
class Edge:
    """A receiver's end, enrolled and running."""

    device: str
    ear: Ear
    clock: ClockSync
    book: ReceiptBook
    classes: LiveClasses
    link: Link


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "edge"
    made.mkdir()
    return made


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[EdgeRelay]:
    async with EdgeRelay(tmp_path / "relay").running() as running:
        yield running


async def new_code(relay: EdgeRelay) -> str:
    async with relay.client() as client:
        answer = await client.post("/api/v1/devices/codes", json={"channel": "xa"})
    return str(answer.json()["code"])


@asynccontextmanager
async def receiver(relay: EdgeRelay, folder: Path) -> AsyncIterator[Edge]:
    base = f"http://127.0.0.1:{relay.port}"
    known = IdentityStore(folder)
    enrolment = (
        next(iter(known.load().values())).enrolment
        if (folder / KEY_FILE).exists()
        else await enrol(base, await new_code(relay), "Chợ", folder)
    )
    ear, clock, book = Ear(), ClockSync(), ReceiptBook(folder / RECEIPTS_FILE)
    classes = LiveClasses("xa")
    parts = LinkParts(
        memory=NonceMemory(folder / NONCE_FILE),
        settings=SettingsStore(folder / SETTINGS_FILE),
        receipts=book,
        classes=classes,
        clock=clock,
        report=lambda: Report(on_air=True, level_dbfs=-18.0, state="live"),
        on_air=lambda: True,
        listener=ear,
        version="0.1.0",
    )
    link = Link([base], known.load(), parts)
    running = asyncio.create_task(link.run())
    try:
        yield Edge(enrolment.device, ear, clock, book, classes, link)
    finally:
        running.cancel()
        await asyncio.wait({running})


async def shown(relay: EdgeRelay, device: str) -> dict[str, Any]:
    async with relay.client() as client:
        found: dict[str, Any] = (await client.get(f"/api/v1/devices/{device}")).json()
    return found


async def test_a_receiver_is_told_what_it_needs_and_its_clock_follows_the_relays(
    relay: EdgeRelay, folder: Path
) -> None:
    async with receiver(relay, folder) as edge:
        ear = edge.ear
        await ear.until(lambda: ear.settings and ear.tokens)
        assert ear.settings == [Settings("xa", 700, 0, 0.0, False)]
        assert relay.tokens.verify(ear.tokens[0]).allows("listen", "xa")
        assert ear.air[0] == ("", False)
        relay.on_air.add("xa")
        await ear.until(lambda: ear.air[-1] == ("xa", True))
        async with asyncio.timeout(PATIENCE_S):
            while edge.clock.relay_time(time.monotonic()) is None:
                await shown(relay, edge.device)
        now = time.monotonic()
        told = edge.clock.relay_time(now)
        assert told is not None
        assert abs(told - (time.time() + now - time.monotonic())) < 0.05


async def test_settings_are_applied_and_the_operator_hears_of_it(relay: EdgeRelay, folder: Path) -> None:
    async with receiver(relay, folder) as edge, relay.client() as client:
        await edge.ear.until(lambda: edge.ear.settings)
        change = {"channel": "huyen", "volume_db": -6.5, "trim_ms": 85}
        answer = (await client.patch(f"/api/v1/devices/{edge.device}", json=change)).json()
        assert answer["settings_state"] == "applied"
        assert edge.ear.settings[-1] == Settings("huyen", 700, 85, -6.5, False)
        assert relay.tokens.verify(edge.ear.tokens[-1]).allows("listen", "huyen")
        assert (await client.post(f"/api/v1/devices/{edge.device}/restart")).status_code == 202
        await edge.ear.until(lambda: edge.ear.restarts)
        telemetry = (await shown(relay, edge.device))["telemetry"]
        assert (telemetry["state"], telemetry["level_dbfs"]) == ("live", -18.0)
    assert edge.link.refused == {}


async def test_a_revoked_receiver_knows_and_cannot_come_back_with_its_key(
    relay: EdgeRelay, folder: Path
) -> None:
    async with receiver(relay, folder) as edge, relay.client() as client:
        await edge.ear.until(lambda: edge.ear.settings)
        await client.delete(f"/api/v1/devices/{edge.device}")
        await edge.ear.until(lambda: edge.ear.statuses[-1].phase == "waiting")
        assert edge.ear.statuses[-1].word == "revoked"
    base, code, store = f"http://127.0.0.1:{relay.port}", await new_code(relay), IdentityStore(folder)
    with pytest.raises(KeyRevokedError):
        await enrol(base, code, "Chợ", folder)
    assert store.set_aside().key == folder / f"{KEY_FILE}.old"
    assert (await enrol(base, code, "Chợ", folder)).device != edge.device, "the code is still good"
    with pytest.raises(EnrolmentError, match="enrolled already"):
        await enrol(base, await new_code(relay), "Chợ", folder)


async def test_receipts_reach_the_relay_and_leave_the_receivers_disk(relay: EdgeRelay, folder: Path) -> None:
    async with receiver(relay, folder) as edge, relay.client() as client:
        await edge.ear.until(lambda: edge.ear.settings)
        for number in range(5):
            edge.book.end(
                Receipt(f"r-{number}", "Bản tin", "xa", 1.8e9, 1.8e9 + 60, 1.0, 0.0, -18.0, "played")
            )
        edge.link.wake()
        async with asyncio.timeout(PATIENCE_S):
            while len(edge.book):
                await shown(relay, edge.device)
        answer = await client.get(f"/api/v1/devices/{edge.device}/receipts")
        assert {item["id"] for item in answer.json()["receipts"]} == {f"r-{number}" for number in range(5)}
    assert relay.desk.stats().receipts == {"stored": 5}


def heard_at_night(edge: Edge, ahead_s: float = 0.0) -> float:
    """The level of a live programme at 02:00, `ahead_s` from now, as the receiver's quiet hours let it through."""
    night = HandReceiver("2026-11-26T02:00:00")
    night.live.on = True
    night.link(True, kind=edge.classes.kind(time.monotonic() + ahead_s))
    return float(abs(night.run(0.5)).max())


async def test_an_emergency_is_heard_at_night_as_long_as_it_is_one(relay: EdgeRelay, folder: Path) -> None:
    url = "/api/v1/channels/xa/class"
    async with receiver(relay, folder) as edge, relay.client() as operator:
        await edge.ear.until(lambda: edge.ear.settings)
        relay.on_air.add("xa")
        assert heard_at_night(edge) == 0.0
        declared = await operator.put(url, json={"class": "emergency", "ttl_s": 600})
        assert declared.json()["receivers"] == 1
        await edge.ear.until(lambda: edge.ear.classes == 1)
        assert heard_at_night(edge) == 0.5
        assert heard_at_night(edge, 590) == 0.5
        assert heard_at_night(edge, 610) == 0.0
    # A receiver that comes in the middle, and has forgotten all it knew.
    async with receiver(relay, folder) as edge, relay.client() as operator:
        await edge.ear.until(lambda: edge.ear.classes == 1)
        assert heard_at_night(edge) == 0.5
        await operator.delete(url)
        await edge.ear.until(lambda: edge.ear.classes == 2)
        assert heard_at_night(edge) == 0.0
    assert edge.link.refused == {}
