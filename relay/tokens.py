"""Bearer tokens: JSON Web Tokens (RFC 7519) signed HS256 with one secret of this relay.

    {"sub": who, "scope": ["publish" | "listen" | "control" | "recordings" | "emergency" | "metrics" | "admin", …],
     "channels": [name or glob, …], "role": "chair" | "speaker", "iat": …, "exp": …, "jti": …, "parent": …}

Every token expires. `admin` stands for all scopes, on the token's channels. `role`, which may be missing, is what the
bearer is in a meeting. `parent` is in an invitation: the `jti` of the token it was made with, whose bearer its subject
names. Nothing here logs a token.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import math
import os
import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, Literal, cast, get_args

import jwt

from loacodecs.errors import ConfigurationError, LoaError
from relay.durable import sync_folder

Scope = Literal["publish", "listen", "control", "recordings", "emergency", "metrics", "admin"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
MeetingRole = Literal["chair", "speaker"]

SECRET_BYTES: Final = 32
#: What the subject of an invitation begins with; that of the token it was made with follows.
INVITED_BY: Final = "invited by "
#: No token lasts longer than this many seconds: 100 years.
LIFE_MAX: Final = 100 * 365 * 86_400.0
#: Longer texts are refused unread; ours are about 300 characters.
TOKEN_LENGTH_MAX: Final = 4096
#: How far a token may come from the future, in seconds: clocks of two machines differ.
CLOCK_LEEWAY: Final = 60.0
#: Unix seconds that no clock will show.
LATEST: Final = 2**53

_log = logging.getLogger(__name__)


class TokenError(LoaError):
    """A token that is not ours, has been altered, is malformed or has expired."""


class Secret:
    """Key bytes that do not show themselves in logs, tracebacks or reprs."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def reveal(self) -> bytes:
        """The bytes themselves."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")


@dataclass(frozen=True, slots=True)
class Grant:
    """What a verified token allows, and until when.

    expires  unix seconds; infinite without a token
    id       the token's `jti`, or what stands for it where another program left it out; "" without a token
    issued   when the token was minted, in unix seconds: 0 if it does not say so, infinite without a token
    parent   the id of the token that an invitation was made with, "" for all others
    """

    subject: str
    scopes: frozenset[str]
    channels: tuple[str, ...]
    expires: float
    id: str
    role: MeetingRole | None = None
    issued: float = math.inf
    parent: str = ""

    @property
    def inviter(self) -> str:
        """The subject of the token that an invitation was made with, "" for all others."""
        return self.subject.removeprefix(INVITED_BY) if self.parent else ""

    @property
    def meeting_role(self) -> MeetingRole:
        """What the bearer is in a meeting; without a word on it only `admin` is more than a speaker."""
        return self.role or ("chair" if "admin" in self.scopes else "speaker")

    def allows(self, scope: Scope, channel: str | None = None) -> bool:
        """Whether the token covers `scope`, and `channel` where the action has one."""
        if scope not in self.scopes and "admin" not in self.scopes:
            return False
        return channel is None or any(fnmatchcase(channel, pattern) for pattern in self.channels)


class Tokens:
    """Mints and verifies the tokens of one secret. `clock` gives unix seconds."""

    def __init__(self, secret: Secret, *, clock: Callable[[], float] = time.time) -> None:
        self._secret = secret
        self._clock = clock

    def mint(
        self, *, subject: str, scopes: Collection[Scope], channels: Sequence[str], ttl: float,
        role: MeetingRole | None = None, parent: str = "",
    ) -> str:  # fmt: skip
        """A token for `subject` that expires after `ttl` seconds; `channels` are names or globs (`xa-*`).

        `role` is for meetings and goes with the scope `publish`; `parent` is the id of the token that an invitation is
        made with. Raises ValueError with a sentence for an empty grant or one that never ends.
        """
        if not _is_text(subject):
            raise ValueError("a subject is text in UTF-8; look at how this terminal is set up")
        if not scopes or not set(scopes) <= set(SCOPES):
            raise ValueError(f"a token needs a scope: one or more of {', '.join(SCOPES)}")
        if not channels and set(scopes) != {"metrics"}:
            raise ValueError("a token needs a channel, by name or glob")
        if not 1 <= ttl < LIFE_MAX:
            raise ValueError("a token must expire, between 1s and 100 years from now")
        if role is not None and "publish" not in scopes:
            raise ValueError("a role is what one who publishes is in a meeting; it needs the scope publish")
        now = self._clock()
        claims: dict[str, object] = {
            "sub": subject,
            "scope": sorted(scopes),
            "channels": list(channels),
            "iat": round(now, 3),  # a token minted in the second after a revocation is good
            "exp": int(now) + int(ttl),
            "jti": secrets.token_hex(8),  # people read it out, and type it without a leading hyphen
        }
        if role is not None:
            claims["role"] = role
        if parent:
            claims["parent"] = parent
        return jwt.encode(claims, self._secret.reveal(), algorithm="HS256")

    def verify(self, token: str) -> Grant:
        """What `token` allows. Raises TokenError with a sentence for its bearer."""
        grant = self.recognise(token)
        if self.expired(grant):
            raise TokenError("the token has expired; ask the relay's operator for a new one")
        return grant

    def recognise(self, token: str) -> Grant:
        """What `token` allows or allowed: it is ours, and may have expired. Raises TokenError as `verify`."""
        if len(token) > TOKEN_LENGTH_MAX:
            raise TokenError("the token is too long to be one of this relay's")
        try:
            claims = jwt.decode(
                token,
                self._secret.reveal(),
                algorithms=["HS256"],
                # Times are compared below, against the clock we were given.
                options={
                    "require": ["exp", "sub", "scope", "channels"],
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                    "verify_aud": False,
                    "verify_iss": False,
                },
            )
        except jwt.InvalidSignatureError:
            raise TokenError("the token was not signed by this relay; ask for a new one") from None
        except (jwt.PyJWTError, ValueError, TypeError, UnicodeError):
            raise TokenError("the token cannot be read; copy the whole of it") from None
        return self._grant(claims, token)

    def expired(self, grant: Grant) -> bool:
        """Whether the time of a grant is over."""
        return grant.expires <= self._clock()

    def _grant(self, claims: dict[str, object], token: str) -> Grant:
        subject, expires = claims["sub"], claims["exp"]
        scopes, channels, role = claims["scope"], claims["channels"], claims.get("role")
        if (
            not isinstance(subject, str)
            or not isinstance(expires, int)
            or not isinstance(scopes, list)
            or not isinstance(channels, list)
            or not all(isinstance(item, str) for item in (*scopes, *channels))
            or role not in (None, *get_args(MeetingRole))
            or not abs(expires) < LATEST
            or not _is_text(f"{subject}{claims.get('jti')}{claims.get('parent')}")
        ):
            raise TokenError("the token's claims are not those of this relay; ask its operator for a new one")
        now = self._clock()
        for claim in ("iat", "nbf"):
            moment = claims.get(claim, 0)
            if not isinstance(moment, (int, float)) or not moment <= now + CLOCK_LEEWAY:
                raise TokenError("the token is not valid yet; set the clocks of both machines")
        return Grant(
            subject,
            frozenset(scopes),
            tuple(channels),
            float(expires),
            str(claims.get("jti") or _id_of(token)),
            cast(MeetingRole | None, role),
            float(max(0, cast(float, claims.get("iat", 0)))),
            str(claims.get("parent", "")),
        )


def _is_text(text: str) -> bool:
    """Whether it can be written down; half a character of UTF-16, which JSON has, can not, and no store takes it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _id_of(token: str) -> str:
    """An id for a token without one: of what is signed, since a signature can be written in several ways."""
    return hashlib.sha256(token.rpartition(".")[0].encode()).hexdigest()[:16]


def claims_of(token: str) -> Mapping[str, object]:
    """What `token` says of itself, for people to look at: whether it is genuine and in force is another matter.

    With an id in any case. Raises TokenError.
    """
    try:
        claims: dict[str, object] = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, TypeError, UnicodeError):
        raise TokenError("this is no token; copy the whole of it, and nothing else") from None
    return claims | {"jti": str(claims.get("jti") or _id_of(token))}


def load_secret(
    path: Path, *, random: Callable[[int], bytes] = os.urandom, purpose: str = "the tokens' secret"
) -> Secret:
    """The secret in `path`; made there, readable by its owner only, when the file does not exist.

    Two processes that start together end with the same secret. Raises ConfigurationError with the mend.
    """
    try:
        with suppress(FileExistsError):
            if not path.exists():
                _create(path, random(SECRET_BYTES).hex().encode() + b"\n")
        content = path.read_bytes().strip()
        mode = path.stat().st_mode
    except OSError as error:
        raise ConfigurationError(f"{purpose} in {path} cannot be used: {error.strerror}") from None
    if len(content) < SECRET_BYTES:
        raise ConfigurationError(
            f"{purpose} in {path} is under {SECRET_BYTES} bytes; delete the file to have one made"
        )
    if mode & 0o007:
        _log.warning("every user of this machine can read the secret in %s; run chmod 600 on it", path)
    return Secret(content)


def _create(path: Path, content: bytes) -> None:
    """Write `path` whole or not at all, a power cut included; FileExistsError when somebody else made it first."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.link(draft, path)  # unlike rename, never replaces a secret that is there
    finally:
        draft.unlink()
    sync_folder(path.parent)
