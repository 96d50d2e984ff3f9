"""What pages and relay say to each other in a meeting: JSON texts, see docs/protocol.md."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Final, Literal

import segno
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from loacodecs.errors import MalformedError
from relay.meeting_ports import (
    Admit,
    End,
    Entered,
    Extend,
    Hand,
    MeetingView,
    Mute,
    Open,
    Order,
    Remove,
    Rename,
)
from relay.tokens import TOKEN_LENGTH_MAX

_Person = Annotated[str, Field(max_length=16)]
_Name = Annotated[str, Field(max_length=200)]


class _Message(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class Join(_Message):
    """The first one: the token, what to be called, and the secret of an earlier welcome."""

    type: Literal["join"]
    token: Annotated[str, Field(max_length=TOKEN_LENGTH_MAX)] = ""
    name: _Name = ""
    secret: Annotated[str, Field(max_length=64)] = ""


class Invite(_Message):
    """Asks for an invitation; `page` is the address of the meeting's page as the chair sees it."""

    type: Literal["invite"]
    page: Annotated[str, Field(max_length=300, pattern=r"^https?://[^\s#?\"<>]+$")]


class _Plain(_Message):
    type: Literal["open", "end", "extend"]


class _About(_Message):
    type: Literal["admit", "remove"]
    person: _Person


class _Mute(_Message):
    type: Literal["mute"]
    person: _Person
    muted: bool


class _Hand(_Message):
    type: Literal["hand"]
    person: _Person
    raised: bool


class _Rename(_Message):
    type: Literal["rename"]
    name: _Name


_FIRST: Final = TypeAdapter(Join)
_NEXT: Final[TypeAdapter[Invite | _Plain | _About | _Mute | _Hand | _Rename]] = TypeAdapter(
    Annotated[Invite | _Plain | _About | _Mute | _Hand | _Rename, Field(discriminator="type")]
)


def read_join(text: str) -> Join:
    """The first message. Raises MalformedError."""
    try:
        return _FIRST.validate_json(text)
    except ValidationError:
        raise MalformedError('the first message is {"type": "join", "token": …}') from None


def read_order(text: str) -> Invite | Order:
    """Any other message. Raises MalformedError."""
    try:
        message = _NEXT.validate_json(text)
    except ValidationError:
        raise MalformedError("this is no message of a meeting") from None
    match message:
        case Invite():
            return message
        case _Plain(type="open"):
            return Open()
        case _Plain(type="end"):
            return End()
        case _Plain():
            return Extend()
        case _About():
            return Admit(message.person) if message.type == "admit" else Remove(message.person)
        case _Mute():
            return Mute(message.person, message.muted)
        case _Hand():
            return Hand(message.person, message.raised)
        case _Rename():
            return Rename(message.name)


def welcome(entered: Entered) -> str:
    """Who the page's participant is."""
    return _text({"type": "welcome", **asdict(entered)})


def state(view: MeetingView) -> str:
    """Everything but what changes all the time."""
    body = asdict(view)
    del body["remaining_s"]
    for person in body["people"]:
        del person["level_dbfs"], person["link"]
    return _text({"type": "state", **body})


def levels(view: MeetingView) -> str:
    """What changes all the time: the seconds that remain, and level in dBFS and link of each microphone."""
    people = {each.id: [round(each.level_dbfs, 1), each.link] for each in view.people if each.connected}
    remaining = None if view.remaining_s is None else round(view.remaining_s, 1)
    return _text({"type": "levels", "remaining_s": remaining, "people": people})


def refused(order: str, status: int, detail: str) -> str:
    """An order that was not carried out."""
    return _text({"type": "refused", "order": order, "status": status, "detail": detail})


def invitation(link: str, expires: float) -> str:
    """A link that lets its bearer speak, as text and as a QR code: the path of its dark modules, one unit each."""
    code = segno.make_qr(link, error="l")
    runs = []
    for y, row in enumerate(code.matrix):
        x = 0
        while x < len(row):
            length = 1
            while x + length < len(row) and row[x + length] == row[x]:
                length += 1
            if row[x]:
                runs.append(f"M{x} {y}h{length}v1h-{length}z")
            x += length
    size = code.symbol_size(border=0)[0]
    return _text(
        {"type": "invitation", "link": link, "expires": expires, "qr": {"size": size, "path": "".join(runs)}}
    )


def _text(body: dict[str, object]) -> str:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))
