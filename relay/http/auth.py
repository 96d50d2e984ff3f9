"""Bearer tokens on requests (RFC 6750): who may do what, and patience with those who present bad ones."""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Final

from starlette.requests import HTTPConnection

from relay.config import Config
from relay.http.body import STILL_GOOD
from relay.http.errors import Problem
from relay.http.peer import Peer, peer_of
from relay.tokens import Grant, Scope, TokenError, Tokens

REALM: Final = 'Bearer realm="loa"'

#: What everybody is granted when `auth.enabled = false`.
EVERYTHING: Final = Grant("anonymous", frozenset({"admin"}), ("*",), math.inf, "")
#: What a request without token is granted: public channels are looked up, not granted.
NOTHING: Final = Grant("anonymous", frozenset(), (), math.inf, "")


BARRED: Final = "the receiver this token was given to has been revoked; enrol it again"
VOID: Final = "the token has been revoked; ask the relay's operator for a new one"


class RevokedToken(Problem):
    """A genuine token that has been revoked, or whose bearer has: it opens nothing, not even what is open to
    everybody."""

    def __init__(self, sentence: str) -> None:
        challenge = f'{REALM}, error="invalid_token", error_description="{sentence}"'
        super().__init__(401, sentence, {"WWW-Authenticate": challenge})


class BadTokens:
    """Counts bad tokens by address: `burst` at once, then one every `interval` seconds; more get a 429.

    Only bad tokens are refused so. A whole commune may stand behind one address of its mobile operator, and
    one receiver with an old token must not silence the others. Memory is bounded by `addresses_max`, the
    address longest silent forgotten first. `clock` gives monotonic seconds.
    """

    def __init__(
        self,
        *,
        burst: int = 10,
        interval: float = 6.0,
        addresses_max: int = 4096,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._burst = burst
        self._interval = interval
        self._addresses_max = addresses_max
        self._clock = clock
        #: When the address' debt is paid off, in monotonic seconds: a bucket that leaks one an interval.
        self._paid_at: OrderedDict[str, float] = OrderedDict()

    def record(self, address: str) -> float:
        """Take note of a bad token; seconds that this address should wait, 0 while within its measure."""
        now = self._clock()
        key = _network_of(address)
        debt = max(0.0, self._paid_at.pop(key, now) - now)
        over = debt + self._interval - self._burst * self._interval
        if over <= 0:
            debt += self._interval
        self._paid_at[key] = now + debt
        if len(self._paid_at) > self._addresses_max:
            self._paid_at.popitem(last=False)
        return max(0.0, over)

    def __len__(self) -> int:
        """Addresses remembered."""
        return len(self._paid_at)


def _network_of(address: str) -> str:
    """An IPv6 host owns its /64 and can change within it at will."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 6:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return address


class Authority:
    """Decides what a request may do.

    `is_barred` says whether the receiver that is a token's subject has been revoked, `is_revoked` whether the token
    itself has.
    """

    def __init__(
        self,
        config: Config,
        tokens: Tokens,
        bad_tokens: BadTokens,
        on_bad_token: Callable[[], object],
        *,
        is_barred: Callable[[str], bool] = lambda _subject: False,
        is_revoked: Callable[[Grant], bool] = lambda _grant: False,
        on_revoked_token: Callable[[], object] = lambda: None,
    ) -> None:
        self._enabled = config.auth.enabled
        self._tokens = tokens
        self._bad_tokens = bad_tokens
        self._trusted = [ipaddress.ip_network(text, strict=False) for text in config.http.trusted_proxies]
        self._on_bad_token = on_bad_token
        self._is_barred = is_barred
        self._is_revoked = is_revoked
        self._on_revoked_token = on_revoked_token

    def peer(self, request: HTTPConnection) -> Peer:
        """Where the request came from."""
        return peer_of(request, self._trusted)

    def grant(self, request: HTTPConnection, peer: Peer, *, in_query: bool = False) -> Grant:
        """What the request's token grants; NOTHING without token. With `in_query` it may also be `?token=`, for players
        and links, which cannot send header fields.

        Raises Problem 401 for a bad token, 429 when the address keeps presenting them, RevokedToken.
        """
        if not self._enabled:
            return EVERYTHING
        authorization = request.headers.get("authorization")
        if authorization is None and in_query and request.query_params.get("token"):
            authorization = f"Bearer {request.query_params['token']}"
        if authorization is None:
            return NOTHING
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise Problem(
                401,
                "this relay takes bearer tokens: Authorization: Bearer TOKEN",
                {"WWW-Authenticate": REALM},
            )
        grant = self.grant_of(token.strip(), peer)
        setattr(request.state, STILL_GOOD, partial(self._check_revoked, grant))
        return grant

    def grant_of(self, token: str, peer: Peer) -> Grant:
        """What a bare token grants, as it comes in a message. Raises as `grant`."""
        if not self._enabled:
            return EVERYTHING
        try:
            grant = self._tokens.verify(token)
        except TokenError as error:
            raise self._bad_token(peer, str(error)) from None
        self._check_revoked(grant)
        return grant

    def require(
        self,
        request: HTTPConnection,
        peer: Peer,
        scope: Scope,
        channel: str | None = None,
        *,
        in_query: bool = False,
    ) -> Grant:
        """The request's grant when it covers `scope` and `channel`; `in_query` as in `grant`.

        Raises Problem 401 without or with a bad token, 403 for another scope or channel, 429 as `grant`.
        """
        return self.permit(self.grant(request, peer, in_query=in_query), scope, channel)

    def lenient(self, request: HTTPConnection, peer: Peer, *, in_query: bool = False) -> Grant:
        """The grant where none is needed: a token is welcome for its name but must not get in the way, expired ones
        included. Raises RevokedToken."""
        try:
            return self.grant(request, peer, in_query=in_query)
        except RevokedToken:
            raise
        except Problem:
            return NOTHING

    def holds(self, grant: Grant, *, whenever: bool = False) -> bool:
        """Whether what was granted is so still: not expired, unless it holds `whenever`, and not revoked since."""
        expired = not whenever and self._tokens.expired(grant)
        return not expired and not self.revoked(grant)

    def revoked(self, grant: Grant) -> str:
        """Why what was granted is void before its time, as a sentence for its bearer; "" if it is not."""
        if self._is_barred(grant.subject):
            return BARRED
        return VOID if self._is_revoked(grant) else ""

    def permit(self, grant: Grant, scope: Scope, channel: str | None = None) -> Grant:
        """`grant` itself when it covers `scope` and `channel`. Raises Problem 401, 403 as `require`."""
        if grant is NOTHING:
            raise Problem(
                401,
                f"a token with scope {scope} is needed here; send it as Authorization: Bearer TOKEN",
                {"WWW-Authenticate": REALM},
            )
        if not grant.allows(scope, channel):
            of_channel = f" on channel {channel}" if channel is not None else ""
            raise Problem(
                403,
                f"the token does not allow {scope}{of_channel}; ask the relay's operator for one that does",
                {"WWW-Authenticate": f'{REALM}, error="insufficient_scope", scope="{scope}"'},
            )
        return grant

    def _check_revoked(self, grant: Grant) -> None:
        reason = self.revoked(grant)
        if reason:
            self._on_revoked_token()
            raise RevokedToken(reason)

    def _bad_token(self, peer: Peer, sentence: str) -> Problem:
        self._on_bad_token()
        wait = self._bad_tokens.record(peer.address)
        if wait > 0:
            seconds = math.ceil(wait)
            return Problem(
                429,
                f"too many bad tokens from this address; wait {seconds} s and present a valid one",
                {"Retry-After": str(seconds)},
            )
        described = sentence.replace('"', "'").encode("ascii", "replace").decode()
        challenge = f'{REALM}, error="invalid_token", error_description="{described}"'
        return Problem(401, sentence, {"WWW-Authenticate": challenge})
