"""The control link between a receiver and its relay: messages as JSON texts over one WebSocket.

    relay                          receiver
      | challenge  ----------------> |        a nonce to sign
      | <------------------- hello   |        who it is, signed (`loacodecs.signing`)
      | welcome | refused ---------> |
      | <------------------- clock   |        an exchange of clocks (`loacodecs.clocksync`)
      | clock ---------------------> |
      | <--------------- telemetry   |        answered by `clock`, too
      | <----------------- receipt   |        kept by the receiver until receipt_ok
      | receipt_ok ----------------> |
      | token, on_air, command ----> |
      | <------------------ result   |

The whole of it is told in docs/protocol.md. `encode` and `decode` hold both sides to the same bounds; `decode` raises
MalformedError for everything that is not exactly such a message, and ignores fields it does not know. Relay times are
unix seconds of the relay's clock, receiver times are seconds of a clock of its own that never jumps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from .errors import MalformedError
from .strict_json import (
    dump_object,
    finite,
    flag,
    from_object,
    load_object,
    maybe,
    octets,
    one_of,
    several,
    text,
    to_object,
    token,
    whole,
    wire,
    within,
)

PROTOCOL: Final = 1
PATH: Final = "/api/v1/edge/link"
ENROL_PATH: Final = "/api/v1/edge/enrol"
KEY_REVOKED: Final = "urn:loa:problem:key-revoked"
"""Type (RFC 9457 §3.1.1) of the refusal to enrol a key that was revoked; the code stays good for another key."""

MESSAGE_BYTES_MAX: Final = 16_384
HELLO_SECONDS: Final = 10.0
"""A link on which no hello has come by then is closed."""
SILENT_INTERVALS: Final = 2.5
"""A link on which nothing has come for so many idle telemetry intervals is closed, by either side."""

# Why the relay closes a link (RFC 6455 §7.4.2 leaves 4000-4999 to applications; 1012 and 1013 are registered).
CLOSE_RESTART: Final = 1012
"""The relay goes down: come back, with jitter."""
CLOSE_LATER: Final = 1013
"""The relay cannot look devices up, or is full: come back later, with back-off."""
CLOSE_MALFORMED: Final = 4400
CLOSE_REFUSED: Final = 4403
CLOSE_TIMEOUT: Final = 4408
CLOSE_REPLACED: Final = 4409
"""The same device has opened another link."""
CLOSE_TOO_MUCH: Final = 4429
"""More messages than the rate limit allows, or more waiting for the receiver than it takes."""

REFUSALS: Final = ("unknown", "revoked", "signature", "protocol")

_LOCAL_TIME = within(-1e12, 1e12)
_RELAY_TIME = within(0, 1e11)
_COUNT = whole(0, 2**53)
_DEVICE = token(64)
_NONCE = token(64)
_CHANNEL = text(63)


@dataclass(frozen=True, slots=True)
class Challenge:
    """The relay's first word. `relay` is `signing.relay_name` of its command key, `nonce` 32 octets, base64url."""

    protocol: int = wire("protocol", whole(1, 1000))
    relay: str = wire("relay", token(64))
    nonce: str = wire("nonce", octets(32))
    time: float = wire("time", _RELAY_TIME, digits=6)


@dataclass(frozen=True, slots=True)
class Hello:
    """Who the receiver is. `signature`: see `signing.sign_hello`."""

    device: str = wire("device", _DEVICE)
    version: str = wire("version", text(40))
    protocol: int = wire("protocol", whole(1, 1000))
    capabilities: tuple[str, ...] = wire("capabilities", several(32, token(40)))
    signature: str = wire("signature", octets(64))


@dataclass(frozen=True, slots=True)
class Welcome:
    """The link is up. `token` listens to the receiver's channel until `token_expires`; empty without a channel."""

    telemetry_on_air_s: float = wire("telemetry_on_air_s", within(0.05, 3600))
    telemetry_idle_s: float = wire("telemetry_idle_s", within(0.05, 3600))
    token: str = wire("token", text(4096))
    token_expires: float = wire("token_expires", _RELAY_TIME, digits=0)
    channel_on_air: bool = wire("channel_on_air", flag)


@dataclass(frozen=True, slots=True)
class Refused:
    """The relay will not have this device; `code` is one of REFUSALS. CLOSE_REFUSED follows."""

    code: str = wire("code", token(40))
    detail: str = wire("detail", text(400))


@dataclass(frozen=True, slots=True)
class Token:
    """A new token to listen: before the old one expires, and when the channel changes (ahead of `settings`)."""

    token: str = wire("token", text(4096))
    expires: float = wire("expires", _RELAY_TIME, digits=0)


@dataclass(frozen=True, slots=True)
class Clock:
    """The receiver asks for the time; `sent` is its own clock's, and comes back."""

    sent: float = wire("sent", _LOCAL_TIME, digits=6)


@dataclass(frozen=True, slots=True)
class ClockAnswer:
    """The answer to Clock and to Telemetry: one exchange but for the moment of its arrival (RFC 5905 §8)."""

    sent: float = wire("sent", _LOCAL_TIME, digits=6)
    received: float = wire("received", _RELAY_TIME, digits=6)
    replied: float = wire("replied", _RELAY_TIME, digits=6)


@dataclass(frozen=True, slots=True)
class Telemetry:
    """How the receiver is. Counts go up from its start; `level_dbfs` is what it plays, None in silence.

    `link` describes the network ("eth0", "lte -91 dBm"), `state` what is being done ("live", "idle", "timetable", …),
    `faults` what needs mending ("disk full", …). Keys are short on the wire: idle receivers pay for them every minute.
    """

    number: int = wire("n", _COUNT)
    sent: float = wire("t", _LOCAL_TIME, digits=6)
    on_air: bool = wire("a", flag)
    level_dbfs: float | None = wire("l", maybe(within(-200, 50)), digits=1, default=None)
    buffer_ms: float = wire("b", within(0, 1e6), digits=0, default=0.0)
    concealed_ms: float = wire("c", within(0, 1e12), digits=0, default=0.0)
    lost: int = wire("x", _COUNT, default=0)
    recovered: int = wire("r", _COUNT, default=0)
    temperature_c: float | None = wire("T", maybe(within(-100, 200)), digits=1, default=None)
    link: str = wire("k", text(40), default="")
    clock_error_ms: float | None = wire("e", maybe(within(0, 1e9)), digits=2, default=None)
    state: str = wire("s", text(40), default="")
    error_ms: float | None = wire("d", maybe(within(-1e6, 1e6)), digits=2, default=None)
    """Playout error: how much later than capture time + delay + trim it sounds."""
    commands_refused: int = wire("g", _COUNT, default=0)
    uptime_s: float = wire("u", within(0, 1e10), digits=0, default=0.0)
    faults: tuple[str, ...] = wire("f", several(8, text(80)), default=())


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof of play of one programme. `id` is the receiver's, and the same whenever it is sent again."""

    id: str = wire("id", token(64))
    programme: str = wire("programme", text(200))
    channel: str = wire("channel", _CHANNEL)
    started: float = wire("started", _RELAY_TIME, digits=3)
    ended: float = wire("ended", _RELAY_TIME, digits=3)
    played_ratio: float = wire("played_ratio", within(0, 1), digits=4)
    concealed_ms: float = wire("concealed_ms", within(0, 1e9), digits=0)
    level_dbfs: float | None = wire("level_dbfs", maybe(within(-200, 50)), digits=1)
    outcome: str = wire("outcome", text(200))


@dataclass(frozen=True, slots=True)
class ReceiptOk:
    """The receipt is on the relay's disk; the receiver may forget it."""

    id: str = wire("id", token(64))


@dataclass(frozen=True, slots=True)
class OnAir:
    """The receiver's channel has come on air, or has gone."""

    channel: str = wire("channel", _CHANNEL)
    on_air: bool = wire("on_air", flag)


@dataclass(frozen=True, slots=True)
class Command:
    """Signed words of the relay: `body` is the JSON text of a CommandBody, the very one that was signed."""

    body: str = wire("body", text(8192))
    signature: str = wire("signature", octets(64))


@dataclass(frozen=True, slots=True)
class Result:
    """What became of the command with that nonce."""

    nonce: str = wire("nonce", _NONCE)
    ok: bool = wire("ok", flag)
    detail: str = wire("detail", text(400), default="")


Message = (
    Challenge | Hello | Welcome | Refused | Token | Clock | ClockAnswer | Telemetry | Receipt | ReceiptOk
    | OnAir | Command | Result
)  # fmt: skip

_KINDS: Final[Mapping[str, type[Any]]] = {
    "challenge": Challenge,
    "hello": Hello,
    "welcome": Welcome,
    "refused": Refused,
    "token": Token,
    "clock": Clock,
    "telemetry": Telemetry,
    "receipt": Receipt,
    "receipt_ok": ReceiptOk,
    "on_air": OnAir,
    "command": Command,
    "result": Result,
}
_NAMES: Final[Mapping[type[Any], str]] = {kind: name for name, kind in _KINDS.items()} | {
    ClockAnswer: "clock"
}


def encode(message: Message) -> str:
    """The JSON text of `message`; raises MalformedError when a field is out of its bounds."""
    document = dump_object({"type": _NAMES[type(message)]} | to_object(message))
    if len(document.encode()) > MESSAGE_BYTES_MAX:
        raise MalformedError(f"the message is larger than {MESSAGE_BYTES_MAX} bytes")
    return document


def decode(document: str) -> Message:
    """The message in `document`; raises MalformedError."""
    source = load_object(document, MESSAGE_BYTES_MAX)
    name = source.get("type")
    kind = _KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise MalformedError("type is not one of a message")
    if kind is Clock and not source.keys().isdisjoint(("received", "replied")):
        kind = ClockAnswer
    message: Message = from_object(kind, source)
    return message


# Commands

VERBS: Final = ("settings", "restart", "class")

BulletinClass = Literal["normal", "priority", "emergency"]
"""The classes of Circular 39/2020; quiet hours silence all but the last."""
CLASSES: Final[tuple[BulletinClass, ...]] = get_args(BulletinClass)
CLASS_SECONDS_MAX: Final = 3600.0
"""How far ahead a statement of class may reach: for so long a receiver believes it that has lost its relay."""
CLASS_CONFIRM_S: Final = 10.0
"""A receiver that comes back is told at once of a class other than normal; after so long without word it is normal."""


def _args(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or len(value) > 32:
        raise ValueError("an object of at most 32 arguments")
    for key, item in value.items():
        plain = item is None or isinstance(item, str | bool) or finite(item)
        if not isinstance(key, str) or not plain:
            raise ValueError("an object of texts, numbers, booleans and nulls")
    return dict(value)


@dataclass(frozen=True, slots=True)
class CommandBody:
    """What a command says. `issued` and `expires` are relay times; `nonce` is never used twice."""

    device: str = wire("device", _DEVICE)
    nonce: str = wire("nonce", _NONCE)
    issued: float = wire("issued", _RELAY_TIME, digits=3)
    expires: float = wire("expires", _RELAY_TIME, digits=3)
    verb: str = wire("verb", token(40))
    args: Mapping[str, Any] = wire("args", _args)


@dataclass(frozen=True, slots=True)
class Settings:
    """The args of `settings`: the whole of what is wanted. No channel is the empty text."""

    channel: str = wire("channel", _CHANNEL)
    delay_ms: int = wire("delay_ms", whole(150, 3000))
    trim_ms: int = wire("trim_ms", whole(0, 1000))
    volume_db: float = wire("volume_db", within(-60, 20), digits=1)
    muted: bool = wire("muted", flag)


@dataclass(frozen=True, slots=True)
class LiveClass:
    """The args of `class`: what the live programme of `channel` is until relay time `until`, and normal afterwards."""

    channel: str = wire("channel", _CHANNEL)
    kind: BulletinClass = wire("class", one_of(*CLASSES))  # noqa: RUF009 (a field, as all others)
    until: float = wire("until", _RELAY_TIME, digits=3)


def encode_body(body: CommandBody) -> str:
    """The JSON text to be signed; raises MalformedError."""
    return dump_object(to_object(body))


def decode_body(document: str) -> CommandBody:
    """The command in a text whose signature was verified; raises MalformedError."""
    return from_object(CommandBody, load_object(document, MESSAGE_BYTES_MAX))


def settings_args(settings: Settings) -> dict[str, Any]:
    """`settings` as the args of a command; raises MalformedError."""
    return to_object(settings)


def parse_settings(args: Mapping[str, Any]) -> Settings:
    """The args of a `settings` command; raises MalformedError."""
    return from_object(Settings, dict(args))


def class_args(stated: LiveClass) -> dict[str, Any]:
    """`stated` as the args of a command; raises MalformedError."""
    return to_object(stated)


def parse_class(args: Mapping[str, Any]) -> LiveClass:
    """The args of a `class` command; raises MalformedError."""
    return from_object(LiveClass, dict(args))
