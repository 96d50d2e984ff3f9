"""Logs: two styles, fields, sessions, and what must never be in them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest

from relay.logs import FloodFilter, redact, session_context, set_up
from relay.tokens import Secret, Tokens

TOKEN = Tokens(Secret(b"s" * 32)).mint(subject="s", scopes=["listen"], channels=["xa"], ttl=60)
SESSION = "AbCdEf0123456789AbCdEf"


@pytest.fixture
def stream() -> Iterator[Callable[[Literal["text", "json"]], io.StringIO]]:
    """Sets logging up on a text in memory, and everything back afterwards."""
    root = logging.getLogger()
    before = root.handlers[:], root.level

    def start(style: Literal["text", "json"]) -> io.StringIO:
        text = io.StringIO()
        set_up("info", style, text)
        return text

    yield start
    root.handlers[:], root.level = before


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
