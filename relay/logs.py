"""Structured logs on standard error: readable lines for a terminal, or one JSON object a line.

Fields come from `extra={…}` of the call; `session` also from `session_context`. Tokens, passwords and the
unguessable part of session URLs are taken out of the finished line, wherever they came from.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final, Literal, TextIO

from relay.log_lines import LineHandler

_session: ContextVar[str | None] = ContextVar("session", default=None)

#: As much of a session's id as logs show: enough to follow a session, too little to act on it.
SESSION_SHOWN: Final = 8

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_REDACTIONS: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"eyJ[\w-]{4,}\.[\w-]*\.?[\w-]*"), "[token]"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}"), r"\1 [hidden]"),
    (re.compile(r"(?i)\b(token|access_token|password|credential|secret)=[^\s&;,\"']+"), r"\1=[hidden]"),
    (re.compile(r"a=ice-pwd:\S+"), "a=ice-pwd:[hidden]"),
    (re.compile(rf"(/wh[ei]p/[\w-]{{{SESSION_SHOWN}}})[\w-]+"), r"\1…"),
    (re.compile(r"(://)[^/@\s]+@"), r"\1[hidden]@"),
)


def redact(text: str) -> str:
    """`text` without tokens, passwords and whole session ids."""
    for pattern, replacement in _REDACTIONS:
        text = pattern.sub(replacement, text)
    return text


@contextmanager
def session_context(session: str) -> Iterator[None]:
    """While inside, records of this task carry the session's id."""
    token = _session.set(session)
    try:
        yield
    finally:
        _session.reset(token)


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """What the caller added to the record, the session (shortened) first."""
    fields = {key: value for key, value in vars(record).items() if key not in _STANDARD}
    session = fields.pop("session", None) or _session.get()
    if session is None:
        return fields
    return {"session": str(session)[:SESSION_SHOWN], **fields}


class TextFormatter(logging.Formatter):
    """`2026-11-23 05:00:00.123 info    relay.http.whip: sentence key=value …` in local time."""

    def format(self, record: logging.LogRecord) -> str:
        """The line or, with an exception, lines."""
        moment = datetime.fromtimestamp(record.created).astimezone()
        line = (
            f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d} {record.levelname.lower():<7} "
            f"{record.name}: {record.getMessage()}"
        )
        for key, value in fields_of(record).items():
            text = str(value)
            line += f" {key}={json.dumps(text, ensure_ascii=False) if ' ' in text else text}"
        # A line break inside a peer's text would forge a second entry.
        line = line.replace("\r", "\\r").replace("\n", "\\n")
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return redact(line)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (RFC 3339, UTC), level, logger, message, fields, exception."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        for key, value in fields_of(record).items():
            plain = value is None or isinstance(value, (bool, int, float))
            entry.setdefault(key, value if plain else redact(str(value)))
        if record.exc_info:
            entry["exception"] = redact(self.formatException(record.exc_info))
        return json.dumps(entry, ensure_ascii=False)


class FloodFilter(logging.Filter):
    """Passes at most `burst` records a second and says how many it held back: peers must not fill the disk.

    Errors always pass. `clock` gives monotonic seconds.
    """

    def __init__(self, burst: int = 20, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._burst = burst
        self._clock = clock
        self._second = -1
        self._passed = 0
        self._held = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written."""
        second = int(self._clock())
        if second != self._second:
            self._second, self._passed = second, 0
        if record.levelno < logging.ERROR and self._passed >= self._burst:
            self._held += 1
            return False
        self._passed += 1
        if self._held:
            record.held_back, self._held = self._held, 0
        return True


def set_up(
    level: Literal["debug", "info", "warning", "error"],
    style: Literal["text", "json"],
    stream: TextIO | None = None,
) -> None:
    """Send every logger of this process, uvicorn's included, to `stream` (standard error) in one style.

    Nobody waits for the stream (`relay.log_lines`). A thread that a mistake ends is told of there, too.
    """
    handler = LineHandler(stream or _standard_error())
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    root = logging.getLogger()
    before, root.handlers[:] = root.handlers[:], [handler]
    for other in before:
        if isinstance(other, LineHandler):
            other.close()
    threading.excepthook = _tell_of_thread
    root.setLevel(level.upper())
    # Libraries are quieter than we are: what they tell at info is of no use to an operator.
    for name in ("uvicorn", "uvicorn.error", "httpx", "httpcore", "asyncio", "numba", "aioice", "aiortc"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    for name in ("uvicorn.error", "relay.http.errors"):  # what peers can make us write
        noisy = logging.getLogger(name)
        if not any(isinstance(item, FloodFilter) for item in noisy.filters):
            noisy.addFilter(FloodFilter())


def _standard_error() -> TextIO:
    """With a buffer of its own: Python flushes its own when it ends, and aborts where a thread is stuck in that."""
    try:
        return open(sys.stderr.fileno(), "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    except OSError:  # it has been replaced by what is no file
        return sys.stderr


def _tell_of_thread(ended: threading.ExceptHookArgs) -> None:
    """Log what ended a thread that should have outlived it."""
    if ended.exc_type is SystemExit:
        return
    name = ended.thread.name if ended.thread is not None else "unknown"
    told = (ended.exc_type, ended.exc_value or ended.exc_type(), ended.exc_traceback)
    logging.getLogger("loa.threads").critical("the thread %s has ended by a mistake", name, exc_info=told)
