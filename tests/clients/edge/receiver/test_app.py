"""The receiver put together, in this process: what its threads do to one another."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from loacodecs.backoff import Backoff
from loacodecs.control import Settings
from loacodecs.opus import Pcm
from loacodecs.strict_json import to_base64url
from loaedge.control.classes import LiveClasses
from loaedge.control.identity import KEY_FILE, IdentityStore
from loaedge.control.receipts import ReceiptBook
from loaedge.control.settings import SETTINGS_FILE, SettingsStore
from loaedge.local.selector import Selector
from loaedge.outputs import player
from loaedge.receiver import app
from loaedge.receiver.app import Receiver
from loaedge.receiver.config import parse
from loaedge.receiver.linking import RECEIPTS_FILE
from loaedge.receiver.notify import Notifier
from tests.support.fake_link_relay import RELAY_TIME, RelayKeys
from tests.support.hand_receiver import write_wav
from tests.support.whip_server import Reply, WhipServer

NOBODY = "http://127.0.0.1:9"
PATIENCE_S = 20.0


class Manager(Notifier):
    """A service manager that notes what it is told."""

    def __init__(self) -> None:
        super().__init__({"WATCHDOG_USEC": "60000"})
        self.looks: asyncio.Queue[tuple[str, int]] = asyncio.Queue()
        self.alives = 0

    def alive(self) -> None:
        self.alives += 1

    def status(self, line: str) -> None:
        self.looks.put_nowait((line, self.alives))


@asynccontextmanager
async def running(
    folder: Path, manager: Manager, relay: str = NOBODY, **more: object
) -> AsyncIterator[Receiver]:
    """A receiver without sound device or relay, whose fallback plays after five seconds."""
    write_wav(folder / "fallback.wav", 30.0)
    values = {
        "relays": [relay],
        "channel": "xa",
        "control": False,
        "output": "null",
        "quiet_hours": "never",
        "state_dir": str(folder),
        "fallback": {"play": str(folder / "fallback.wav"), "after": "5s", "always": True},
        **more,
    }
    receiver = Receiver(parse(values, folder), notifier=manager)
    stop = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(receiver.run(stop))
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield receiver
    finally:
        stop.set_result(None)
        async with asyncio.timeout(PATIENCE_S):
            await task


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "SOUND_STALLED_S", 0.3)
    monkeypatch.setattr(app, "NO_DEVICE_S", 0.3)
    monkeypatch.setattr(player, "Backoff", lambda random, **_: Backoff(random, first_s=0.01, limit_s=0.02))


async def test_sound_that_fails_at_each_block_is_not_called_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _hooked: None)

    def fails(*_: object) -> Pcm:
        raise ZeroDivisionError

    monkeypatch.setattr(Selector, "render", fails)
    manager = Manager()
    async with running(tmp_path, manager):
        before, steady = -1, 0
        while steady < 40:
            _, alives = await manager.looks.get()
            steady, before = (steady + 1 if alives == before else 0), alives


@pytest.fixture
def no_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Names are looked up until this is set."""
    release = threading.Event()

    def lookup(*_args: object, **_more: object) -> list[object]:
        release.wait(PATIENCE_S)
        raise socket.gaierror(socket.EAI_AGAIN, "no name server answers")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    yield release
    release.set()


async def test_local_programmes_play_while_every_name_is_looked_up_in_vain(
    tmp_path: Path, no_names: threading.Event
) -> None:
    loop, manager = asyncio.get_running_loop(), Manager()
    lookups = [asyncio.ensure_future(loop.getaddrinfo("relay.example", 443)) for _ in range(64)]
    try:
        async with running(tmp_path, manager, "http://relay.example"):
            while not (await manager.looks.get())[0].startswith("playing fallback"):
                pass
    finally:
        no_names.set()
        await asyncio.gather(*lookups, return_exceptions=True)


@pytest.mark.parametrize(("enrolled", "channel"), [(False, "xa"), (True, "old")])
async def test_what_a_relay_has_told_goes_before_the_file_with_an_enrolment_only(
    tmp_path: Path, enrolled: bool, channel: str
) -> None:
    """Settings stay on a board that is nobody's any more."""
    keys, manager = RelayKeys(), Manager()
    SettingsStore(tmp_path / SETTINGS_FILE).save(Settings("old", 700, 0, 0.0, True), RELAY_TIME)
    if enrolled:
        (tmp_path / KEY_FILE).write_text(to_base64url(keys.device.private_bytes_raw()))
        IdentityStore(tmp_path).add(keys.enrolment())
    async with WhipServer(lambda _request: Reply(404)) as server:
        async with running(tmp_path, manager, server.url, control=True):
            while not any(request.method == "POST" for request in server.requests):
                await manager.looks.get()
        assert {each.path for each in server.requests if each.method == "POST"} == {f"/{channel}/whep"}


async def test_an_emergency_ends_in_its_time_while_the_disk_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or else what comes after it would be heard at night until the disk is itself again."""
    release, ticking, stated = threading.Event(), list[Selector](), ["emergency"]

    def hangs(selector: Selector, _now: float) -> None:
        ticking.append(selector)
        release.wait(PATIENCE_S)

    monkeypatch.setattr(Selector, "tick", hangs)
    monkeypatch.setattr(LiveClasses, "kind", lambda *_: stated[-1])
    manager = Manager()
    async with running(tmp_path, manager):
        try:
            while not ticking:
                await manager.looks.get()
            stated.append("normal")
            while ticking[0].live_state.kind != "normal":
                await manager.looks.get()
        finally:
            release.set()


async def test_a_programme_that_runs_as_the_receiver_stops_is_told_as_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, slow, reached = Selector.tick, threading.Event(), threading.Event()

    def tick(selector: Selector, now: float) -> None:
        real(selector, now)
        if selector.sounding.source == "local":
            reached.set()
            slow.wait(0.5)  # a card that takes its time, just as we are told to stop

    monkeypatch.setattr(Selector, "tick", tick)
    manager = Manager()
    async with running(tmp_path, manager):
        while not reached.is_set():
            await manager.looks.get()
    receipt = ReceiptBook(tmp_path / RECEIPTS_FILE).next_unsent()
    assert receipt is not None
    assert "interrupted" not in receipt.outcome
