"""Who this receiver is: its Ed25519 key, and what each relay it was enrolled with has told it.

    device.key       the secret seed, base64url, 0600; made once and never sent anywhere
    enrolment.json   for each relay, by its name: the device id, the relay's command key, the first channel

A key that is used no more is kept beside it, as device.key.old, with the enrolments that went with it.
Broken files are an IdentityError with a word and a mend; nothing is guessed, and nothing is made anew silently: a new
key would be another device.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from loacodecs.errors import ConfigurationError, LoaError, MalformedError
from loacodecs.signing import KEY_BYTES, private_key, public_octets, relay_name, sign_hello
from loacodecs.strict_json import (
    from_base64url,
    from_object,
    load_object,
    octets,
    text,
    to_base64url,
    to_object,
    token,
    wire,
)

from ..disk import Disk, DiskError

KEY_FILE: Final = "device.key"
ENROLMENT_FILE: Final = "enrolment.json"
_LIMIT: Final = 1 << 16


class IdentityError(LoaError):
    """This receiver cannot prove who it is; `word` is for telemetry and the console."""

    def __init__(self, word: str, sentence: str) -> None:
        super().__init__(sentence)
        self.word = word


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What a relay answered when the device was enrolled."""

    device: str = wire("device", token(64))
    relay: str = wire("relay", token(64))
    command_key: str = wire("command_key", octets(KEY_BYTES))
    channel: str = wire("channel", text(63), default="")


@dataclass(frozen=True, slots=True)
class Aside:
    """What became of an identity that is used no more: `key` is the old key's file, None without one.

    `relays` are the names of those it was enrolled with; each of them wants an enrolment of the new key.
    """

    key: Path | None = None
    relays: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Identity:
    """One enrolment with the key that goes with it; signs the answer to a relay's challenge."""

    enrolment: Enrolment
    key: Ed25519PrivateKey = field(repr=False)

    @property
    def device(self) -> str:
        """The id the relay gave."""
        return self.enrolment.device

    @property
    def command_key(self) -> bytes:
        """The relay's public key, 32 octets: whose commands are obeyed."""
        return from_base64url(self.enrolment.command_key)

    @property
    def public_key(self) -> bytes:
        """The device's own, 32 octets."""
        return public_octets(self.key)

    def answer(self, nonce: str) -> str:
        """The signature of a Hello for the challenge with that nonce."""
        return sign_hello(self.key, relay=self.enrolment.relay, nonce=nonce, device=self.device)


class IdentityStore:
    """The two files in `directory`."""

    def __init__(self, directory: Path, disk: Disk | None = None) -> None:
        self._directory = directory
        self._disk = disk or Disk()

    def key(self, random: Callable[[int], bytes]) -> Ed25519PrivateKey:
        """The device's key, made and stored now if there is none. Raises IdentityError, DiskError."""
        known = self._read_key()
        if known is None:
            seed = random(KEY_BYTES)
            self._disk.replace(self._directory / KEY_FILE, to_base64url(seed).encode() + b"\n", 0o600)
            known = private_key(seed)
        return known

    def load(self) -> dict[str, Identity]:
        """All identities by the relay's name, at least one. Raises IdentityError, DiskError."""
        key = self._read_key()
        if key is None:
            raise IdentityError("not enrolled", "this receiver is not enrolled; do it with loa edge enrol")
        enrolments = self._read_enrolments(key)
        if not enrolments:
            raise IdentityError("not enrolled", "this receiver is not enrolled; do it with loa edge enrol")
        return {name: Identity(enrolment, key) for name, enrolment in enrolments.items()}

    @property
    def is_enrolled(self) -> bool:
        """Whether any relay knows this receiver; while the files are broken or cannot be read one may."""
        try:
            self.load()
        except IdentityError as error:
            return error.word != "not enrolled"
        except DiskError:
            return True
        return True

    def first_channel(self) -> str:
        """What a receiver plays that has heard nothing of its relay yet; "" when it is not enrolled for any channel."""
        try:
            channels = [identity.enrolment.channel for identity in self.load().values()]
        except (IdentityError, DiskError):  # the control link says what is wrong
            return ""
        return next(filter(None, channels), "")

    def add(self, enrolment: Enrolment) -> None:
        """Keep what a relay has answered, beside the other relays'. Raises IdentityError, DiskError."""
        key = self._read_key()
        if key is None:
            raise IdentityError("not enrolled", "there is no device key to enrol")
        if relay_name(from_base64url(enrolment.command_key)) != enrolment.relay:
            raise IdentityError("enrolment corrupt", "the relay's name is not that of its command key")
        try:
            known = self._read_enrolments(key)
        except IdentityError:
            known = {}  # this enrolment mends it
        known[enrolment.relay] = enrolment
        document = {
            "public_key": to_base64url(public_octets(key)),
            "relays": [to_object(entry) for entry in known.values()],
        }
        data = json.dumps(document, indent=1).encode() + b"\n"
        self._disk.replace(self._directory / ENROLMENT_FILE, data, 0o600)

    def set_aside(self) -> Aside:
        """Rename key and enrolments: the next enrolment is that of a new device. Raises DiskError."""
        try:
            relays = tuple(self.load())
        except IdentityError:
            relays = ()
        number = 1
        while self._is_taken(_old(number)):
            number += 1
        # The key last: after a power cut in between, it is offered, refused and set aside again.
        kept = None
        for name in (ENROLMENT_FILE, KEY_FILE):
            path = self._directory / name
            if path.exists():
                self._disk.rename(path, name + _old(number))
                kept = path.with_name(name + _old(number))
        return Aside(kept, relays)

    def bring_back(self, aside: Aside) -> None:
        """Undo `set_aside`: what was made since is of no use to anybody. Raises DiskError."""
        if aside.key is None:
            return
        old = aside.key.name[aside.key.name.index(_old(1)) :]
        for name in (KEY_FILE, ENROLMENT_FILE):
            path = self._directory / (name + old)
            if path.exists():
                self._disk.rename(path, name)

    def _is_taken(self, suffix: str) -> bool:
        return any((self._directory / (name + suffix)).exists() for name in (ENROLMENT_FILE, KEY_FILE))

    def _read_key(self) -> Ed25519PrivateKey | None:
        data = self._disk.read(self._directory / KEY_FILE, _LIMIT)
        if data is None:
            return None
        try:
            return private_key(from_base64url(data.decode("ascii").strip()))
        except (ValueError, ConfigurationError):
            raise IdentityError(
                "key corrupt",
                f"{self._directory / KEY_FILE} is no device key; loa edge enrol --anew makes another one",
            ) from None

    def _read_enrolments(self, key: Ed25519PrivateKey) -> dict[str, Enrolment]:
        path = self._directory / ENROLMENT_FILE
        data = self._disk.read(path, _LIMIT)
        if data is None:
            return {}
        try:
            document = load_object(data.decode(), _LIMIT)
            enrolments = [from_object(Enrolment, _mapping(entry)) for entry in _list(document["relays"])]
            genuine = all(relay_name(from_base64url(e.command_key)) == e.relay for e in enrolments)
            if not genuine or from_base64url(document["public_key"]) != public_octets(key):
                raise ValueError("of another key")
        except (ValueError, KeyError, TypeError, MalformedError):
            raise IdentityError(
                "enrolment corrupt", f"{path} does not belong to the device key; enrol this receiver again"
            ) from None
        return {enrolment.relay: enrolment for enrolment in enrolments}


def _old(number: int) -> str:
    return ".old" if number == 1 else f".old-{number}"


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list) or len(value) > 16:
        raise ValueError("no list of relays")
    return value


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("no relay")
    return value
