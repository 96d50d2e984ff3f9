"""Signatures of the control link (Ed25519, RFC 8032): who a receiver is, and what its relay commands.

    hello     receiver's key over b"loa-hello-1\\n" + relay + b"\\n" + nonce + b"\\n" + device
    command   relay's key    over b"loa-command-1\\n" + body

The prefixes keep one kind from being taken for the other. No text signed in a hello can hold a line feed. A receiver
takes `relay` and the relay's key from its enrolment and from nowhere else. Time is an argument: relay time.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from .control import Command, CommandBody, Hello, decode_body, encode_body
from .errors import ConfigurationError, MalformedError
from .strict_json import from_base64url, to_base64url

KEY_BYTES: Final = 32
FUTURE_S: Final = 60.0
"""How far in the future a command may have been issued: the receiver's idea of relay time has an error."""
LIFETIME_MAX_S: Final = 3600.0
"""Commands that want to be valid for longer are refused, so that nonces need not be remembered for longer."""
NONCES_MAX: Final = 4096


def private_key(seed: bytes) -> Ed25519PrivateKey:
    """The key of a secret seed of 32 octets; raises ConfigurationError for another length."""
    if len(seed) != KEY_BYTES:
        raise ConfigurationError(f"an Ed25519 key has {KEY_BYTES} octets, not {len(seed)}")
    return Ed25519PrivateKey.from_private_bytes(seed)


def public_octets(key: Ed25519PrivateKey) -> bytes:
    """The 32 octets of the public key."""
    return key.public_key().public_bytes_raw()


def relay_name(command_key: bytes) -> str:
    """The name by which receivers know the relay with this public key."""
    return "loa-" + to_base64url(hashlib.sha256(command_key).digest()[:12])


def sign_hello(key: Ed25519PrivateKey, *, relay: str, nonce: str, device: str) -> str:
    """The `signature` of a Hello that answers the Challenge with `relay` and `nonce`."""
    return to_base64url(key.sign(_hello_octets(relay, nonce, device)))


def is_genuine(hello: Hello, *, relay: str, nonce: str, public_key: bytes) -> bool:
    """Whether the holder of `public_key` (32 octets) signed `hello` for this challenge."""
    return _verifies(public_key, hello.signature, _hello_octets(relay, nonce, hello.device))


def sign_command(key: Ed25519PrivateKey, body: CommandBody) -> Command:
    """`body` as it travels; raises MalformedError when a field is out of bounds."""
    document = encode_body(body)
    return Command(document, to_base64url(key.sign(_command_octets(document))))


class Seen(Protocol):
    """Remembers nonces. A receiver wraps a SeenNonces so that it is on the disk before `remember` returns."""

    def remember(self, nonce: str, expires: float, now: float) -> bool:
        """Keep `nonce` until `expires`; False when it is known already, or could have been forgotten."""
        ...


class SeenNonces:
    """A bounded store of nonces and the relay times at which they may be forgotten.

    When it is full, the one that expires first goes, and with it the right of every command that expires no later:
    forgetting must never let a replay in. `floor` is that time; keep it together with `items`.
    """

    def __init__(
        self, items: Iterable[tuple[str, float]] = (), *, floor: float = 0.0, maximum: int = NONCES_MAX
    ) -> None:
        self.floor = floor
        self._maximum = maximum
        self._expires = dict(items)

    def items(self) -> list[tuple[str, float]]:
        """All that is remembered: (nonce, expires)."""
        return list(self._expires.items())

    def __len__(self) -> int:
        return len(self._expires)

    def remember(self, nonce: str, expires: float, now: float) -> bool:
        """Keep `nonce` until `expires` (relay time); False when it is known already, or could have been forgotten."""
        if nonce in self._expires or expires <= self.floor:
            return False
        if len(self._expires) >= self._maximum:
            self._expires = {known: until for known, until in self._expires.items() if until > now}
        self._expires[nonce] = expires
        if len(self._expires) > self._maximum:
            first = min(self._expires, key=self._expires.__getitem__)
            self.floor = max(self.floor, self._expires.pop(first))
        return True


@dataclass(frozen=True, slots=True)
class Verdict:
    """`body` of an accepted command; else None, and `refusal` says why: one word of CommandGuard's list.

    `nonce` is there whenever the signature was the relay's and the body could be read: a Result can be sent.
    """

    body: CommandBody | None
    refusal: str = ""
    nonce: str = ""


class CommandGuard:
    """Decides whether a command may be obeyed by `device`, whose relay has `public_key` (32 octets).

    Refusals: signature (not the relay's), malformed, device (meant for another), expired, future (issued later than
    now + FUTURE_S), lifetime (no order of times, or longer than LIFETIME_MAX_S), replayed. Counted in `refused`.
    """

    def __init__(self, device: str, public_key: bytes, seen: Seen) -> None:
        self.refused: Counter[str] = Counter()
        self._device = device
        self._public_key = public_key
        self._seen = seen

    def check(self, command: Command, now: float) -> Verdict:
        """Judge `command` at relay time `now`, and remember it if it is accepted. Never raises for what came."""
        if not _verifies(self._public_key, command.signature, _command_octets(command.body)):
            return self._refuse("signature")
        try:
            body = decode_body(command.body)
        except MalformedError:
            return self._refuse("malformed")
        refusal = self._objection(body, now)
        return self._refuse(refusal, body.nonce) if refusal else Verdict(body, nonce=body.nonce)

    def _objection(self, body: CommandBody, now: float) -> str:
        if body.device != self._device:
            return "device"
        if not 0 < body.expires - body.issued <= LIFETIME_MAX_S:
            return "lifetime"
        if body.expires <= now:
            return "expired"
        if body.issued > now + FUTURE_S:
            return "future"
        return "" if self._seen.remember(body.nonce, body.expires, now) else "replayed"

    def _refuse(self, refusal: str, nonce: str = "") -> Verdict:
        self.refused[refusal] += 1
        return Verdict(None, refusal, nonce)


def _hello_octets(relay: str, nonce: str, device: str) -> bytes:
    return b"\n".join((b"loa-hello-1", relay.encode(), nonce.encode(), device.encode()))


def _command_octets(body: str) -> bytes:
    return b"loa-command-1\n" + body.encode("utf-8", "surrogatepass")


def _verifies(public_key: bytes, signature: str, signed: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(from_base64url(signature), signed)
    except (InvalidSignature, ValueError):
        return False
    return True
