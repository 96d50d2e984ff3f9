"""The addresses people type, turned into WHIP and WHEP endpoints. Light: the command line imports it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit, urlunsplit

from loacodecs.errors import ConfigurationError

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
_PAGES = ("publish", "whip", "whep")


@dataclass(frozen=True)
class Token:
    """A bearer token; its `repr` hides it."""

    value: str = field(repr=False)

    def __str__(self) -> str:
        return "Token(…)"


@dataclass(frozen=True)
class Endpoint:
    """Where to POST an offer, and the token that came with the address, if any.

    `as_written`: of another server, whose paths name no channels.
    """

    url: str
    token: Token | None
    as_written: bool = False

    def __str__(self) -> str:
        """Without the query, in which other servers have their keys: it is shown and goes into recordings."""
        return self.url.partition("?")[0]


def endpoint(text: str, protocol: str) -> Endpoint:
    """The endpoint of a channel's page, or of an endpoint itself; `protocol` is "whip" or "whep".

    Without a scheme http is taken for this machine and https for all others. A query is kept; a fragment
    `#token=…`, as the pages use it, gives the token. `whip+https://…` is the endpoint of another server, taken as it is
    written. Raises ConfigurationError.
    """
    text = text.strip()
    as_written = text.lower().startswith(f"{protocol}+http")
    if as_written:
        text = text[len(protocol) + 1 :]
    try:
        parts = urlsplit(with_scheme(text))
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        port_is_valid = False
    if not port_is_valid or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(f"{shown(text)} is not the address of a channel, as https://host/channel is")
    if parts.username is not None:
        raise ConfigurationError("no name or password in the address, please: use --token-file")
    segments = [segment for segment in parts.path.split("/") if segment]
    if segments and segments[-1] in _PAGES and len(segments) > 1 and not as_written:
        segments.pop()
    if not segments:
        raise ConfigurationError(f"which channel? {shown(text)} names only the relay; add /channel")
    secret = parse_qs(parts.fragment).get("token", [""])[0]
    path = parts.path if as_written else "/" + "/".join([*segments, protocol])
    url = urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))
    return Endpoint(url, bearer(secret, "the address") if secret else None, as_written)


def bearer(text: str, where: str) -> Token:
    """The token in `text`, as it can stand in a header; its text is not repeated. Raises ConfigurationError."""
    word = text.strip()
    if not re.fullmatch(r"[A-Za-z0-9._~+/=-]+", word):
        raise ConfigurationError(
            f"{where} holds no bearer token: one word of letters, digits and . _ ~ + / - ="
        )
    return Token(word)


def with_scheme(text: str) -> str:
    """The address; where it has no scheme http for this machine, https for all others. Raises ValueError."""
    if "://" in text:
        return text
    return f"{'http' if urlsplit(f'//{text}').hostname in LOCAL_HOSTS else 'https'}://{text}"


def shown(text: str) -> str:
    """The address as it may be repeated to a person: query and fragment can hold a key, what is before @ a password."""
    return "an address with @" if "@" in text else re.split("[?#]", text, maxsplit=1)[0][:200]
