"""Errors of the relay that HTTP turns into a status and a sentence.

RelayError (LoaError)   .status, .retry_after
├── ChannelNotFound     404
├── SessionNotFound     404
├── DeviceNotFound      404
├── ItemNotFound        404  the queue of a channel has no such item
├── SourceRefused       403  a source that the API may not open
├── MeetingRefused      403  what is not a participant's to do, or makes no sense now
│   └── MeetingFull     409  … since it has as many participants as there may be
├── CodeRefused         403  an enrolment code that is unknown, used or expired
├── Revoked             403  a session for a receiver, or by a token, that was revoked since it asked
├── DeviceExists        409  a key that is enrolled already
│   └── KeyRevoked           … and has been revoked
├── DeviceAway          409  a command for a receiver that is not connected
├── ChannelBusy         409  another publisher is on air and `replace` was not asked for
├── NotMixed            409  the channel passes its one source on and mixes nothing
├── InputNotFound       404  the mixed channel has no input of that name
├── InputExists         409  the mixed channel has an input of that name
├── QueueFull           409  the queue of a channel takes no more
├── RevocationsFull     409  as many tokens are revoked as one relay keeps
├── PreconditionFailed  412  If-Match names an older ICE session
├── PreconditionRequired 428 PATCH without If-Match
├── Unprocessable       422  well-formed and without sense: a fragment of no media section, a source that is none
└── Unavailable         503  draining or full; carries Retry-After
    └── StoreUnavailable     the store cannot be opened, read or written
"""

from __future__ import annotations

from typing import ClassVar

from loacodecs.control import KEY_REVOKED
from loacodecs.errors import LoaError


class RelayError(LoaError):
    """Something the relay refuses, with the HTTP status that says so."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = ""
    """The problem's type (RFC 9457 §3.1.1), where a program has to tell it from others of its status."""
    retry_after: int | None = None


class ChannelNotFound(RelayError):  # noqa: N818 - named by what happened, as the HTTP status is
    """No such channel."""

    status = 404


class SessionNotFound(RelayError):  # noqa: N818
    """No such session, or it has ended."""

    status = 404


class DeviceNotFound(RelayError):  # noqa: N818
    """No such device."""

    status = 404


class ItemNotFound(RelayError):  # noqa: N818
    """The queue has no such item; it may have been played meanwhile."""

    status = 404


class SourceRefused(RelayError):  # noqa: N818
    """A source that `[sources]` does not let the API open."""

    status = 403


class MeetingRefused(RelayError):  # noqa: N818
    """What is not for this participant to do in a meeting, or not now."""

    status = 403


class MeetingFull(MeetingRefused):
    """A meeting that has as many participants as there may be."""

    status = 409


class CodeRefused(RelayError):  # noqa: N818
    """An enrolment code that is unknown, used or expired."""

    status = 403


class Revoked(RelayError):  # noqa: N818
    """A session for a receiver, or by a token, that was revoked since it asked."""

    status = 403


class DeviceExists(RelayError):  # noqa: N818
    """A key that is enrolled already."""

    status = 409


class KeyRevoked(DeviceExists):
    """A key that was enrolled and has been revoked: the receiver needs another one."""

    type = KEY_REVOKED


class DeviceAway(RelayError):  # noqa: N818
    """A command for a receiver that is not connected."""

    status = 409


class ChannelBusy(RelayError):  # noqa: N818
    """Another publisher is on air and `replace` was not asked for."""

    status = 409


class QueueFull(RelayError):  # noqa: N818
    """The queue takes no more items."""

    status = 409


class RevocationsFull(RelayError):  # noqa: N818
    """As many tokens are revoked as one relay keeps."""

    status = 409


class NotMixed(RelayError):  # noqa: N818
    """The channel passes its one source on; there is nothing to mix."""

    status = 409


class InputNotFound(RelayError):  # noqa: N818
    """The mixed channel has no input of that name."""

    status = 404


class InputExists(RelayError):  # noqa: N818
    """The mixed channel has an input of that name already."""

    status = 409


class PreconditionFailed(RelayError):  # noqa: N818
    """If-Match names an ICE session that is no longer current (RFC 9725 §4.3.1)."""

    status = 412


class PreconditionRequired(RelayError):  # noqa: N818
    """A PATCH without If-Match (RFC 9725 §4.3.1)."""

    status = 428


class Unprocessable(RelayError):  # noqa: N818
    """A trickle fragment that fits no media section of the session, a source or a name that is none."""

    status = 422


class Unavailable(RelayError):  # noqa: N818
    """The relay is draining or full; come back after `retry_after` seconds."""

    status = 503

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class StoreUnavailable(Unavailable):
    """The store cannot be opened, read or written now; what needs it can be tried again."""

    def __init__(self, message: str, retry_after: int = 10) -> None:
        super().__init__(message, retry_after)
