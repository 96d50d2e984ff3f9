"""Logs: two styles, fields, sessions, and what must never be in them."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest

from relay.log_lines import WAITING_MAX
from relay.logs import FloodFilter, redact, session_context, set_up
from relay.tokens import Secret, Tokens
from tests.support.bounds import within

TOKEN = Tokens(Secret(b"s" * 32)).mint(subject="s", scopes=["listen"], channels=["xa"], ttl=60)
SESSION = "AbCdEf0123456789AbCdEf"


@pytest.fixture
def stream() -> Iterator[Callable[[Literal["text", "json"]], io.StringIO]]:
    """Sets logging up on a text in memory, and everything back afterwards."""
    with as_before():

        def start(style: Literal["text", "json"]) -> io.StringIO:
            text = Text()
            set_up("info", style, text)
            return text

        yield start


@contextlib.contextmanager
def as_before() -> Iterator[None]:
    """Whatever is done to logging inside, it is as it was afterwards."""
    root = logging.getLogger()
    before, told = (root.handlers[:], root.level), threading.excepthook
    yield
    for handler in root.handlers:
        if handler not in before[0]:
            handler.close()
    (root.handlers[:], root.level), threading.excepthook = before, told


class Text(io.StringIO):
    """What has been logged by now."""

    def getvalue(self) -> str:
        for handler in logging.getLogger().handlers:
            handler.flush()
        return super().getvalue()


class Stuck(Text):
    """A pipe that nobody reads until `read` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.full, self.read = threading.Event(), threading.Event()

    def write(self, text: str) -> int:
        self.full.set()
        self.read.wait(30)
        return super().write(text)


Start = Callable[[Literal["text", "json"]], io.StringIO]


def test_text_is_for_people(stream: Start) -> None:
    text = stream("text")
    logging.getLogger("relay.x").info("session %s", "created", extra={"session": SESSION, "title": "Xã Một"})
    line = text.getvalue()
    assert 'info    relay.x: session created session=AbCdEf01 title="Xã Một"\n' in line
    assert SESSION not in line


def test_json_is_one_object_a_line(stream: Start) -> None:
    text = stream("json")
    logging.getLogger("relay.x").warning("a\nb", extra={"session": SESSION, "count": 3, "none": None})
    entry = json.loads(text.getvalue())
    assert entry["message"] == "a\nb"
    assert entry["level"] == "warning"
    assert entry["logger"] == "relay.x"
    assert entry["session"] == "AbCdEf01"
    assert entry["count"] == 3
    assert entry["none"] is None
    assert entry["time"].endswith("+00:00")
    assert text.getvalue().count("\n") == 1


@pytest.mark.parametrize("style", ["text", "json"])
def test_a_session_can_come_from_the_context(stream: Start, style: Literal["text", "json"]) -> None:
    text = stream(style)
    log = logging.getLogger("relay.x")
    with session_context(SESSION):
        log.info("inside")
    log.info("outside")
    inside, outside = text.getvalue().splitlines()
    assert "AbCdEf01" in inside
    assert "session" not in outside


@pytest.mark.parametrize("style", ["text", "json"])
def test_exceptions_come_with_their_traceback_and_without_secrets(
    stream: Start, style: Literal["text", "json"]
) -> None:
    text = stream(style)
    try:
        raise ValueError(f"Bearer {TOKEN}")
    except ValueError:
        logging.getLogger("relay.x").exception("failed with %s", TOKEN, extra={"token": f"token={TOKEN}"})
    assert "ValueError" in text.getvalue()
    assert TOKEN not in text.getvalue()
    assert TOKEN.split(".")[2] not in text.getvalue()


def test_a_peer_cannot_forge_a_line(stream: Start) -> None:
    text = stream("text")
    logging.getLogger("relay.x").info("subject %s", "x\n2026-11-23 00:00:00.000 info relay: forged")
    assert text.getvalue().count("\n") == 1


@pytest.mark.parametrize(
    ("text", "kept", "gone"),
    [
        (f"Authorization: Bearer {TOKEN}", "Bearer", TOKEN),
        (f"cut {TOKEN[:60]}", "cut", TOKEN[:60]),
        ("Authorization: Bearer short-opaque", "Bearer", "short-opaque"),
        ("Authorization: Basic dXNlcjpwYXNz", "Basic", "dXNlcjpwYXNz"),
        ("GET /xa?token=abc&replace=1", "replace=1", "abc"),
        ("password=hunter2;", "password=", "hunter2"),
        (f"DELETE /xa/whip/{SESSION}", "/xa/whip/AbCdEf01…", SESSION),
        ("a=ice-pwd:verysecret", "a=ice-pwd:", "verysecret"),
        ("whep+https://user:pass@relay.example/xa", "relay.example/xa", "pass"),
    ],
)
def test_secrets_are_taken_out_wherever_they_come_from(text: str, kept: str, gone: str) -> None:
    assert kept in redact(text)
    assert gone not in redact(text)


def test_other_text_is_left_alone() -> None:
    text = "listener joined channel=xa whep://relay.example/xa/whep bearer of news"
    assert redact(text) == text


def test_a_flood_is_cut_and_counted() -> None:
    now = 100.0
    flood = FloodFilter(2, clock=lambda: now)

    def record(level: int = logging.WARNING) -> Any:
        return logging.LogRecord("x", level, "x", 1, "x", (), None)

    assert [flood.filter(record()) for _ in range(4)] == [True, True, False, False]
    assert flood.filter(record(logging.ERROR)), "errors always pass"
    now = 101.0
    assert flood.filter(record())
    now = 102.0
    for _ in range(5):
        flood.filter(record())
    now = 103.0
    last = record()
    assert flood.filter(last)
    assert last.held_back == 3


def test_setting_up_twice_does_not_double_lines(stream: Start) -> None:
    stream("text")
    text = stream("text")
    logging.getLogger("relay.x").info("once")
    assert text.getvalue().count("once") == 1


def test_libraries_are_quiet(stream: Start) -> None:
    text = stream("text")
    logging.getLogger("uvicorn.error").info("Started server process")
    logging.getLogger("httpx").info("HTTP Request: GET")
    assert text.getvalue() == ""


@pytest.mark.parametrize("style", ["text", "json"])
def test_who_logs_does_not_wait_for_who_reads(style: Literal["text", "json"]) -> None:
    """The media thread logs who comes and goes; a pipe that nobody reads must not end the sound."""
    with as_before(), within(30.0, "it waits for the stream"):
        stuck, log = Stuck(), logging.getLogger("relay.x")
        set_up("info", style, stuck)
        log.info("number %d", 0)
        stuck.full.wait(10)
        for number in range(1, WAITING_MAX + 51):
            log.info("number %d", number)
        stuck.read.set()
        lines = stuck.getvalue().splitlines()
        assert "50 lines are lost" in lines[1]
        assert lines[1].startswith("{") == (style == "json")
        numbers = [line.partition("number ")[2].partition('"')[0] for line in (lines[0], *lines[2:])]
        assert numbers == [str(number) for number in range(WAITING_MAX + 1)]


def test_who_logs_does_not_wait_for_another_who_logs() -> None:
    class Long:
        def __str__(self) -> str:
            begun.set()
            go_on.wait(30)
            return "long"

    begun, go_on = threading.Event(), threading.Event()
    with as_before(), within(30.0, "it waits for the other"):
        text, log = Text(), logging.getLogger("relay.x")
        set_up("info", "text", text)
        other = threading.Thread(target=log.info, args=("a %s line", Long()))
        other.start()
        begun.wait(10)
        try:
            log.info("a short one")
            assert "a short one" in text.getvalue()
        finally:
            go_on.set()
            other.join()
        assert "a long line" in text.getvalue()


def test_a_thread_that_a_mistake_ends_is_told_of(stream: Start) -> None:
    text = stream("text")

    def fail() -> None:
        raise ZeroDivisionError(f"Bearer {TOKEN}")

    thread = threading.Thread(target=fail, name="loa-x")
    thread.start()
    thread.join()
    told = text.getvalue()
    assert "critical loa.threads: the thread loa-x has ended by a mistake" in told
    assert "ZeroDivisionError" in told
    assert TOKEN not in told


def test_the_end_of_the_program_writes_what_waits() -> None:
    program = (
        "import logging; from relay.logs import set_up; set_up('info', 'text'); logging.info('xã %d', 7)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=30)
    assert (ended.returncode, ended.stdout) == (0, b"")
    assert "info    root: xã 7\n" in ended.stderr.decode()


def test_a_program_ends_though_nobody_reads_its_log() -> None:
    program = (
        "import logging; from relay.logs import set_up; set_up('info', 'text')\n"
        "for number in range(3000): logging.info('x' * 100)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE) as unread:
        assert unread.wait(timeout=30) == 0
