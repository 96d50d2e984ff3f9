"""STUN Binding messages for ICE connectivity checks (RFC 8489, RFC 8445 §7), over `aioice.stun`.

aioice raises half a dozen exception types on hostile bytes; here there is MalformedError only.
"""

from __future__ import annotations

import struct
from enum import Enum

from aioice import stun as _aioice

from .address import Address
from .errors import MalformedError

# A connectivity check is about 100 bytes; one that is longer than this is nobody's.
MAX_LENGTH = 1280
ROLE_CONFLICT = 487

_HEADER_LENGTH = 20
_COOKIE = b"\x21\x12\xa4\x42"
_USERNAME = 0x0006
_PARSE_ERRORS = (ValueError, KeyError, IndexError, TypeError, OverflowError, struct.error)


class Class(Enum):
    """Class of a STUN message (RFC 8489 §5)."""

    REQUEST = _aioice.Class.REQUEST
    INDICATION = _aioice.Class.INDICATION
    RESPONSE = _aioice.Class.RESPONSE
    ERROR = _aioice.Class.ERROR


class Message:
    """A parsed Binding message; its attributes count only after `verify`."""

    __slots__ = ("_message",)

    def __init__(self, message: _aioice.Message) -> None:
        self._message = message

    @property
    def kind(self) -> Class:
        """Request, indication, response or error response."""
        return Class(self._message.message_class)

    @property
    def transaction_id(self) -> bytes:
        """Twelve bytes that pair a response with its request."""
        return self._message.transaction_id

    @property
    def username(self) -> str | None:
        """USERNAME: "ufrag of the one asked:ufrag of the one asking"."""
        value = self._message.attributes.get("USERNAME")
        return value if isinstance(value, str) else None

    @property
    def nominates(self) -> bool:
        """Whether USE-CANDIDATE is present."""
        return "USE-CANDIDATE" in self._message.attributes

    @property
    def priority(self) -> int:
        """PRIORITY, for a peer-reflexive candidate; 0 when absent."""
        return int(self._message.attributes.get("PRIORITY", 0))

    @property
    def controlling(self) -> int | None:
        """Tie-breaker of ICE-CONTROLLING, if the asker controls."""
        value = self._message.attributes.get("ICE-CONTROLLING")
        return None if value is None else int(value)

    @property
    def controlled(self) -> int | None:
        """Tie-breaker of ICE-CONTROLLED, if the asker is controlled."""
        value = self._message.attributes.get("ICE-CONTROLLED")
        return None if value is None else int(value)

    @property
    def error_code(self) -> int | None:
        """Number of ERROR-CODE."""
        return self._message.error_code

    @property
    def mapped_address(self) -> Address | None:
        """XOR-MAPPED-ADDRESS: how the other side sees us."""
        value = self._message.attributes.get("XOR-MAPPED-ADDRESS")
        return None if value is None else (str(value[0]), int(value[1]))

    def verify(self, password: str) -> bool:
        """Check MESSAGE-INTEGRITY in constant time; false when it is absent (RFC 8489 §9.1.3)."""
        return bool(self._message.check_message_integrity(password.encode()))


def parse(data: bytes) -> Message:
    """Parse one Binding message; raises MalformedError, also when FINGERPRINT is present and wrong."""
    if len(data) > MAX_LENGTH:
        raise MalformedError(f"the STUN message is longer than {MAX_LENGTH} bytes")
    try:
        message = _aioice.parse_message(data)
    except _PARSE_ERRORS as error:
        raise MalformedError(f"the STUN message cannot be read: {error}") from error
    if message.message_method != _aioice.Method.BINDING:
        raise MalformedError("the STUN message is no Binding message")
    return Message(message)


def username_of(data: bytes) -> str | None:
    """Peek at USERNAME of a request without verifying anything, to find its session; None when there is none.

    Never raises. USERNAME is the first attribute in what every implementation sends, so this is a few
    comparisons; it walks at most 16 attributes.
    """
    if len(data) < _HEADER_LENGTH or data[4:8] != _COOKIE or data[:2] != b"\x00\x01":
        return None
    position = _HEADER_LENGTH
    for _ in range(16):
        if position + 4 > len(data):
            return None
        kind, length = struct.unpack_from("!HH", data, position)
        position += 4
        if kind == _USERNAME:
            value = data[position : position + length]
            if len(value) != length or length > 513:
                return None
            try:
                return value.decode()
            except UnicodeDecodeError:
                return None
        position += (length + 3) & ~3
    return None


def binding_request(
    transaction_id: bytes,
    *,
    username: str,
    password: str,
    priority: int,
    controlling: bool,
    tie_breaker: int,
    nominate: bool = False,
) -> bytes:
    """Return a connectivity check signed with the other side's `password` (RFC 8445 §7.2.2)."""
    message = _message(_aioice.Class.REQUEST, transaction_id)
    message.attributes["USERNAME"] = username
    message.attributes["PRIORITY"] = priority
    message.attributes["ICE-CONTROLLING" if controlling else "ICE-CONTROLLED"] = tie_breaker
    if nominate:
        message.attributes["USE-CANDIDATE"] = None
    return _signed(message, password)


def binding_response(transaction_id: bytes, mapped: Address, password: str) -> bytes:
    """Return the success response to a check that came from `mapped`, signed with our `password`."""
    message = _message(_aioice.Class.RESPONSE, transaction_id)
    message.attributes["XOR-MAPPED-ADDRESS"] = mapped
    return _signed(message, password)


def role_conflict(transaction_id: bytes, password: str) -> bytes:
    """Return the 487 error response that tells the asker to switch roles (RFC 8445 §7.3.1.1)."""
    message = _message(_aioice.Class.ERROR, transaction_id)
    message.attributes["ERROR-CODE"] = (ROLE_CONFLICT, "Role Conflict")
    return _signed(message, password)


def _message(kind: _aioice.Class, transaction_id: bytes) -> _aioice.Message:
    return _aioice.Message(_aioice.Method.BINDING, kind, transaction_id)


def _signed(message: _aioice.Message, password: str) -> bytes:
    message.add_message_integrity(password.encode())
    return bytes(message)
