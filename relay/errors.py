"""Errors of the relay that HTTP turns into a status and a sentence.

RelayError (LoaError)   .status, .retry_after
├── ChannelNotFound     404
├── SessionNotFound     404
├── ChannelBusy         409  another publisher is on air and `replace` was not asked for
├── PreconditionFailed  412  If-Match names an older ICE session
├── PreconditionRequired 428 PATCH without If-Match
├── Unprocessable       422  a fragment that fits no media section
└── Unavailable         503  draining or full; carries Retry-After
"""

from __future__ import annotations

from typing import ClassVar

from loacodecs.errors import LoaError


class RelayError(LoaError):
    """Something the relay refuses, with the HTTP status that says so."""

    status: ClassVar[int] = 500
    retry_after: int | None = None


class ChannelNotFound(RelayError):  # noqa: N818 - named by what happened, as the HTTP status is
    """No such channel."""

    status = 404


class SessionNotFound(RelayError):  # noqa: N818
    """No such session, or it has ended."""

    status = 404


class ChannelBusy(RelayError):  # noqa: N818
    """Another publisher is on air and `replace` was not asked for."""

    status = 409


class PreconditionFailed(RelayError):  # noqa: N818
    """If-Match names an ICE session that is no longer current (RFC 9725 §4.3.1)."""

    status = 412


class PreconditionRequired(RelayError):  # noqa: N818
    """A PATCH without If-Match (RFC 9725 §4.3.1)."""

    status = 428


class Unprocessable(RelayError):  # noqa: N818
    """A trickle fragment that fits no media section of the session."""

    status = 422


class Unavailable(RelayError):  # noqa: N818
    """The relay is draining or full; come back after `retry_after` seconds."""

    status = 503

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after
