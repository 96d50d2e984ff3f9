"""The desk: what is named by the API is judged, what is commanded is kept, a lost disk keeps nothing from the air."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from loamedia.policy import Policy
from relay.automation.service import AutomationService
from relay.automation.settings import AutomationConfig
from relay.automation_ports import InputChange, WantedItem
from relay.errors import ChannelNotFound, ItemNotFound, QueueFull, SourceRefused, Unprocessable
from relay.ports import ChannelState
from relay.store.automation import AutomationStore
from relay.store.database import Database
from tests.support.hand_mixer import HandChimes, HandMixer, HandSource, endless


@dataclass
class Desk:
    """A service over the hand mixer, on a real file, with clocks moved by hand."""

    folder: Path
    now: float = 1000.0
    mixer: HandMixer = field(default_factory=HandMixer)
    starts: dict[str, float] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    opened: dict[str, HandSource] = field(default_factory=dict)
    bad: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.database = Database(self.folder / "loa.sqlite3", clock=lambda: self.now)
        self.service = self.make()

    def make(self) -> AutomationService:
        return AutomationService(
            {"xa": AutomationConfig.model_validate(self.settings)},
            self.mixer_of,
            lambda name: ChannelState(name, "", False, False, False, 0, None, ""),
            self.open,
            Policy(allow_files=(self.folder / "jingles",), allow_hosts=("*.vov.vn",)),
            AutomationStore(self.database),
            monotonic=lambda: self.now,
            wall=lambda: self.now,
        )

    def mixer_of(self, channel: str) -> HandMixer:
        if channel != "xa":
            raise ChannelNotFound(channel)
        return self.mixer

    def open(self, source: str, *, trusted: bool, loop: bool, reconnect: bool, start_s: float) -> HandSource:
        self.starts[source] = start_s
        opened = HandSource(generate=endless(500), position=round(start_s * 48_000))
        if source in self.bad:
            opened.fail("it is damaged")
        self.opened[source] = opened
        return opened

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            self.mixer.hear(5)
            self.now += 0.1
            self.service.step()

    def queued(self) -> list[str]:
        return [item.source for item in self.service.queue("xa")]


def with_desk(folder: Path, scene: Callable[[Desk], Awaitable[None]], **fields: Any) -> None:
    async def play() -> None:
        desk = Desk(folder, **fields)
        await desk.service.begin()
        try:
            await scene(desk)
        finally:
            desk.database.close()

    asyncio.run(play())


TONE = WantedItem("tone:500")


def test_what_the_api_may_name(tmp_path: Path) -> None:
    (tmp_path / "jingles").mkdir()
    (tmp_path / "jingles" / "morning.mp3").write_bytes(b"x")
    (tmp_path / "secret.mp3").write_bytes(b"x")
    (tmp_path / "jingles" / "loop").symlink_to("loop")
    (tmp_path / "jingles" / "link.mp3").symlink_to(tmp_path / "secret.mp3")

    async def scene(desk: Desk) -> None:
        for text in (
            *("morning.mp3", "tone:500", "https://media.vov.vn/tin.mp3", "file:morning.mp3"),
            str(tmp_path / "jingles" / "morning.mp3"),
        ):
            await desk.service.enqueue("xa", [WantedItem(text)], place=None, subject="đài xã")
        assert (
            desk.queued()
            == ["morning.mp3", "tone 500 Hz", "https://media.vov.vn/tin.mp3"] + ["morning.mp3"] * 2
        )
        for text, error in (
            ("../secret.mp3", Unprocessable),
            ("link.mp3", Unprocessable),
            (str(tmp_path / "secret.mp3"), Unprocessable),
            ("/etc/passwd", Unprocessable),
            ("missing.mp3", Unprocessable),
            ("x" * 300 + ".mp3", Unprocessable),
            ("loop", Unprocessable),
            ("gopher://x/", Unprocessable),
            ("https://evil.example/x.mp3", SourceRefused),
            ("rtsp://camera/1", SourceRefused),
            ("alsa:hw:0", SourceRefused),
        ):
            with pytest.raises(error):
                await desk.service.enqueue("xa", [TONE, WantedItem(text)], place=None, subject="")
        assert len(desk.queued()) == 5, "all of a request or nothing"

    with_desk(tmp_path, scene)


def test_a_chime_is_asked_for_where_there_is_one_and_kept(tmp_path: Path) -> None:
    chimed = WantedItem("tone:500", chime=True)

    async def first(desk: Desk) -> None:
        with pytest.raises(Unprocessable, match=r"set chime = \"two-tone\" in \[channels.xa\]"):
            await desk.service.enqueue("xa", [TONE, chimed], place=None, subject="")

    async def second(desk: Desk) -> None:
        await desk.service.enqueue("xa", [TONE, chimed], place=None, subject="")

    async def third(desk: Desk) -> None:
        assert [item.chime for item in desk.service.queue("xa")] == [False, True]

    with_desk(tmp_path, first)
    for scene in (second, third):
        mixer = HandMixer()
        mixer.chime = HandChimes()
        with_desk(tmp_path, scene, mixer=mixer)


def test_an_announcement_that_goes_on_is_one_still(tmp_path: Path) -> None:
    """Programmes stay down for it; its chime was heard."""
    mixer = HandMixer()
    mixer.chime = chimes = HandChimes()

    async def scene(desk: Desk) -> None:
        await desk.service.enqueue("xa", [WantedItem("tone:500", chime=True)], place=None, subject="")
        desk.run(1)
        assert (True, True) in chimes.notes
        assert chimes.notes[-1] == (True, False)
        await desk.service.enqueue("xa", [WantedItem("tone:800")], place=0, subject="")
        desk.run(1)
        assert chimes.notes[-1] == (False, False)
        heard = len(chimes.notes)
        await desk.service.skip("xa")
        desk.run(1)
        assert desk.starts["tone:500"] > 0.5
        assert chimes.notes[-1] == (True, False)
        assert (True, True) not in chimes.notes[heard:]

    with_desk(tmp_path, scene, mixer=mixer)


def test_commands_are_kept_when_they_return(tmp_path: Path) -> None:
    async def first(desk: Desk) -> None:
        await desk.service.enqueue(
            "xa", [WantedItem("tone:500", "Bản tin", -3.0)], place=None, subject="đài xã"
        )
        await desk.service.enqueue("xa", [WantedItem("tone:800")], place=0, subject="đài huyện")
        desk.run(0.2)
        await desk.service.change_input("xa", "queue", InputChange(gain_db=-6.0, muted=True))
        await desk.service.stop("xa", fade_s=0.0)
        assert desk.service.view("xa").automation.stored

    async def second(desk: Desk) -> None:
        desk.run(0.2)
        items = desk.service.queue("xa")
        assert [(item.source, item.title, item.gain_db, item.added_by) for item in items] == [
            ("tone 800 Hz", "a sound", 0.0, "đài huyện"),
            ("tone 500 Hz", "Bản tin", -3.0, "đài xã"),
        ]
        assert desk.service.view("xa").automation.stopped
        assert desk.mixer.inputs["queue"].gains[-1] == -6.0
        assert desk.mixer.inputs["queue"].muted

    with_desk(tmp_path, first)
    with_desk(tmp_path, second)


def test_a_position_is_kept_every_five_seconds(tmp_path: Path) -> None:
    async def first(desk: Desk) -> None:
        await desk.service.enqueue("xa", [TONE], place=None, subject="")
        desk.run(7)
        await desk.service.keep_all(positions=True)
        desk.run(2)

    async def second(desk: Desk) -> None:
        desk.run(0.2)
        assert desk.starts == {"tone:500": pytest.approx(6.9, abs=0.15)}

    with_desk(tmp_path, first)
    with_desk(tmp_path, second)


def test_without_a_disk_commands_work_and_say_that_they_are_not_kept(tmp_path: Path) -> None:
    async def scene(desk: Desk) -> None:
        file = tmp_path / "loa.sqlite3"
        desk.database.close()
        file.write_bytes(b"this is no database, and long enough to be looked at" * 50)
        for suffix in ("-wal", "-shm"):
            file.with_name(file.name + suffix).unlink(missing_ok=True)
        desk.database = Database(file, clock=lambda: desk.now)
        desk.service = desk.make()
        await desk.service.begin()
        await desk.service.enqueue("xa", [TONE], place=None, subject="")
        desk.run(1)
        view = desk.service.view("xa").automation
        assert (view.on_air, view.length, view.stored) == ("queue", 1, False)
        file.unlink()
        await desk.service.keep_all()
        assert desk.service.view("xa").automation.stored

    with_desk(tmp_path, scene)


def test_the_log_tells_no_password_of_what_could_not_be_played(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    address = "https://dai:matkhau@radio.vov.vn/tin.mp3?token=bimat"

    async def scene(desk: Desk) -> None:
        desk.bad.add(address)
        await desk.service.enqueue("xa", [WantedItem(address)], place=None, subject="an")
        desk.run(1)

    with_desk(tmp_path, scene)
    assert "https://radio.vov.vn/tin.mp3 was not played: it is damaged" in caplog.text
    assert "matkhau" not in caplog.text
    assert "bimat" not in caplog.text


def test_what_was_kept_is_taken_up_when_the_disk_works_again(tmp_path: Path) -> None:
    """The stop, too, unless somebody has chosen since; and no item is lost for want of room."""

    async def first(desk: Desk) -> None:
        await desk.service.enqueue("xa", [TONE] * 3, place=None, subject="")
        await desk.service.stop("xa", fade_s=0.0)

    async def later(desk: Desk, chosen: bool) -> bool:
        file, aside = tmp_path / "loa.sqlite3", tmp_path / "aside"
        desk.database.close()
        file.rename(aside)
        file.mkdir()
        desk.database, desk.mixer = Database(file, clock=lambda: desk.now), HandMixer()
        desk.service = desk.make()
        await desk.service.begin()
        await desk.service.enqueue("xa", [TONE], place=None, subject="")
        if chosen:
            await desk.service.play("xa", source=None, item=None)
        file.rmdir()
        aside.rename(file)
        await desk.service.keep_all()
        desk.run(0.2)
        assert desk.service.view("xa").automation.stored
        assert len(desk.queued()) == 4
        return desk.service.view("xa").automation.stopped

    async def untouched(desk: Desk) -> None:
        assert await later(desk, chosen=False), "an operator has stopped it"

    async def played(desk: Desk) -> None:
        assert not await later(desk, chosen=True)

    with_desk(tmp_path, first, settings={"queue_max": 3})
    shutil.copy(tmp_path / "loa.sqlite3", tmp_path / "copy")
    with_desk(tmp_path, untouched, settings={"queue_max": 3})
    shutil.copy(tmp_path / "copy", tmp_path / "loa.sqlite3")
    with_desk(tmp_path, played, settings={"queue_max": 3})


def test_limits_and_things_that_are_not_there(tmp_path: Path) -> None:
    async def scene(desk: Desk) -> None:
        await desk.service.enqueue("xa", [TONE] * 3, place=None, subject="")
        with pytest.raises(QueueFull):
            await desk.service.enqueue("xa", [TONE], place=None, subject="")
        first, second, third = (item.id for item in desk.service.queue("xa"))
        await desk.service.move("xa", third, 0)
        await desk.service.remove("xa", second)
        assert [item.id for item in desk.service.queue("xa")] == [third, first]
        assert await desk.service.clear("xa") == 2
        with pytest.raises(ItemNotFound):
            await desk.service.remove("xa", first)
        with pytest.raises(ChannelNotFound):
            desk.service.view("huyen")

    with_desk(tmp_path, scene, settings={"queue_max": 3})


def test_a_mistake_of_ours_is_outlived_and_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene(desk: Desk) -> None:
        await desk.service.enqueue("xa", [TONE], place=None, subject="")
        await desk.service.duck("xa", True)
        held, desk.mixer.held = desk.mixer.hold_duck, False

        def broken(_held: bool) -> None:
            raise ZeroDivisionError

        desk.mixer.hold_duck = broken  # type: ignore[method-assign]
        desk.run(0.5)
        assert caplog.text.count("automation failed") == 1
        desk.mixer.hold_duck = held  # type: ignore[method-assign]
        desk.run(0.2)
        assert desk.mixer.held

    with_desk(tmp_path, scene)


def test_the_log_tells_of_a_fall_back_and_of_what_could_not_be_played(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    sources = {"sources": [{"source": "tone:500", "name": "tinh"}, {"source": "tone:900", "name": "music"}]}

    async def scene(desk: Desk) -> None:
        desk.run(2)
        desk.opened["tone:500"].generate = endless(500, 0.0)
        desk.run(25)
        desk.bad.add("https://radio.vov.vn/x.mp3")
        await desk.service.enqueue(
            "xa", [WantedItem("https://radio.vov.vn/x.mp3", "Bản tin", 0.0)], place=None, subject="an"
        )
        desk.run(1)

    with_desk(tmp_path, scene, settings=sources)
    lines = [(each.levelname, each.getMessage()) for each in caplog.records if each.name == "loa.automation"]
    assert ("INFO", "tinh is on air: the first of the list") in lines
    assert ("WARNING", "tinh is on air: tinh has fallen silent") in lines
    assert ("WARNING", "music is on air: tinh is silent") in lines
    assert lines.count(("WARNING", "music is on air: tinh is silent")) == 1
    assert ("WARNING", "Bản tin was not played: it is damaged") in lines
