"""`loa channel state`, `play`, `queue` … against a relay in a thread."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from relay.channel_cli import channel
from relay.http.server import HttpServer, bind
from tests.support.live_desk import LiveRelay

PATIENCE_S = 10.0


@dataclass
class Running:
    """A relay whose event loop runs in a thread of its own."""

    port: int
    token_file: Path

    def __call__(self, *arguments: str) -> Result:
        where = ["--url", f"127.0.0.1:{self.port}", "--token-file", str(self.token_file)]
        return CliRunner().invoke(channel, [*arguments, *where], env={"LOA_TOKEN": ""})


@pytest.fixture
def loa(tmp_path: Path) -> Iterator[Running]:
    started, stop = threading.Event(), asyncio.Event()
    found: list[tuple[Running, asyncio.AbstractEventLoop]] = []

    async def run() -> None:
        relay = LiveRelay(tmp_path)
        async with relay.open():
            http = HttpServer(relay.app(), bind("127.0.0.1:0"), grace=1)
            serving = asyncio.create_task(http.run())
            await http.started.wait()
            file = tmp_path / "token"
            file.write_text(relay.token("control") + "\n")
            found.append((Running(http.addresses[0][1], file), asyncio.get_running_loop()))
            started.set()
            await stop.wait()
            http.stop(force=True)
            await serving

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    assert started.wait(PATIENCE_S)
    running, loop = found[0]
    yield running
    loop.call_soon_threadsafe(stop.set)
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


def test_a_day_at_the_desk(loa: Running) -> None:
    shown = loa("state", "xa")
    assert shown.exit_code == 0, shown.output
    assert "music is on air: the first of the list" in shown.output
    assert "tone 500 Hz" in shown.output

    assert loa("queue", "add", "xa", "tone:800", "tone:900").exit_code == 0
    items = json.loads(loa("queue", "list", "xa", "--json").output)
    assert [item["source"] for item in items] == ["tone 800 Hz", "tone 900 Hz"]
    first, second = (item["id"] for item in items)
    assert loa("queue", "add", "xa", "tone:700", "--title", "Bản tin", "--now").exit_code == 0
    assert loa("queue", "move", "xa", second, "0").exit_code == 0
    titles = [item["source"] for item in json.loads(loa("queue", "list", "xa", "--json").output)]
    assert titles == ["tone 900 Hz", "tone 700 Hz", "tone 800 Hz"]
    assert loa("skip", "xa").exit_code == 0
    assert loa("queue", "remove", "xa", first).exit_code == 0
    listed = loa("queue", "list", "xa").output
    assert "Bản tin" in listed
    assert listed.count("\n") == 2, "a heading and one item"
    assert loa("queue", "clear", "xa").output == "the queue is empty\n"

    assert loa("play", "xa", "--source", "music").output == "music is on air: chosen by an operator\n"
    assert loa("play", "xa").exit_code == 0
    assert (
        loa("stop", "xa", "--fade", "500ms").output == "nothing is on air by itself: stopped by an operator\n"
    )
    assert loa("fade", "xa", "music", "-12", "--over", "2s").output == "music goes to -12 dB\n"
    assert loa("mute", "xa", "music").output == "music is muted\n"
    assert loa("mute", "xa", "music", "--off").output == "music is open\n"
    assert loa("duck", "xa").output == "the programme is held down\n"
    assert loa("duck", "xa", "--off").output == "the programme comes up again\n"


def test_what_the_disk_does_not_take_is_said(loa: Running) -> None:
    assert loa("queue", "add", "xa", "tone:800").stderr == ""
    (item,) = json.loads(loa("queue", "list", "xa", "--json").output)
    file = loa.token_file.with_name("loa.sqlite3")
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        for command in (["add", "xa", "tone:700"], ["remove", "xa", item["id"]], ["clear", "xa"]):
            result = loa("queue", *command)
            assert result.exit_code == 0
            assert "a restart would not know of it" in result.stderr


def test_what_is_wrong_is_one_line(loa: Running) -> None:
    for arguments, sentence in (
        (("queue", "add", "xa", "/etc/passwd"), "files are not allowed"),
        (("queue", "add", "xa", "tone:700", "--chime"), "channel xa has no chime"),
        (("play", "xa", "--source", "radio"), "the list has no source radio"),
        (("skip", "xa"), "the queue is empty"),
        (("state", "plain"), "does not allow control on channel plain"),
        (("state", "huyen"), "does not allow control on channel huyen"),
    ):
        result = loa(*arguments)
        assert result.exit_code == 1
        assert sentence in result.output
        assert result.output.count("\n") == 1
    for gain in ("99", "nan", "-inf"):
        assert loa("fade", "xa", "music", gain).exit_code == 2
    assert "nan is not a number" in loa("queue", "add", "xa", "tone:700", "--gain", "nan").output
    assert loa("queue", "add", "xa", "a", "b", "--title", "x").exit_code == 2


@pytest.mark.parametrize("listed", [["queue"], ["queue", "music"]])
def test_who_uses_no_automation_is_told_nothing_of_it(
    monkeypatch: pytest.MonkeyPatch, listed: list[str]
) -> None:
    sources = [
        {"name": name, "source": name, "on_air": False, "verdict": "absent", "title": "", "fault": ""}
        for name in listed
    ]
    answer = {
        "on_air": True,
        "chime": False,
        "inputs": [],
        "levels": {"listeners": 3, "short_term_lufs": -18.0, "inputs": {}},
        "automation": {
            "on_air": None, "reason": "nothing has begun", "stopped": False, "sources": sources, "queue": [],
            "past": [],
        },
    }  # fmt: skip

    class Relay:
        def ask(self, *request: object) -> dict[str, object]:
            return answer

    monkeypatch.setattr("relay.programme_cli.relay_of", lambda **where: Relay())
    shown = CliRunner().invoke(channel, ["state", "xa"]).output
    if listed == ["queue"]:
        assert shown == "xa: on air, 3 listeners, -18.0 LUFS\n"
    else:
        assert "nothing is on air by itself: nothing has begun" in shown
        assert "SOURCE" in shown
