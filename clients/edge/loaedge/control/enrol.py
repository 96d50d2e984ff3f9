"""Enrolment: a one-time code and a new public key for a device id and the relay's command key."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import httpx

from loacodecs.control import ENROL_PATH, KEY_REVOKED, PATH
from loacodecs.errors import ConfigurationError, LoaError, MalformedError
from loacodecs.signing import public_octets
from loacodecs.strict_json import from_object, load_object, to_base64url

from ..disk import Disk
from ..urls import LOCAL_HOSTS, shown, with_scheme
from ..whip import printable
from .identity import Enrolment, IdentityStore
from .nonces import NONCE_FILE, NonceMemory

_ANSWER_LIMIT: Final = 1 << 14
_TIMEOUT: Final = httpx.Timeout(15.0, connect=10.0)
_SENTENCES: Final = {
    400: "the relay does not understand the request: is it of another version?",
    401: "the relay does not know this code; codes are used once and expire",
    403: "the relay does not accept this code; codes are used once and expire",
    404: "the relay enrols no receivers: is this the right address, and does it have a state directory?",
    409: "this receiver is enrolled already; to make it another device: loa edge enrol CODE --anew",
    410: "this code has been used or has expired; make another one with loa device code",
    429: "too many attempts; wait a minute",
    503: "the relay cannot enrol anybody just now; try again later",
}


class EnrolmentError(LoaError):
    """The relay could not be reached, or refused."""


class KeyRevokedError(EnrolmentError):
    """The relay has revoked this receiver's key; the code is still good, for a new one."""


async def enrol(
    relay: str,
    code: str,
    name: str,
    directory: Path,
    *,
    tls: ssl.SSLContext | None = None,
    disk: Disk | None = None,
    random: Callable[[int], bytes] = os.urandom,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Enrolment:
    """Enrol this receiver with `relay` (a base address) and keep the result in `directory`.

    The key is on the disk before it is offered, so whatever fails the same key is offered again.
    Raises KeyRevokedError, EnrolmentError, ConfigurationError, IdentityError, DiskError.
    """
    url = relay_url(relay, ENROL_PATH, web_socket=False)
    store = IdentityStore(directory, disk)
    key = store.key(random)
    body = {"code": code.strip(), "public_key": to_base64url(public_octets(key)), "name": name}
    host = urlsplit(url).hostname or ""
    client = httpx.AsyncClient(
        verify=tls or ssl.create_default_context(),
        timeout=_TIMEOUT,
        trust_env=host not in LOCAL_HOSTS,
        transport=transport,
    )
    async with client:
        try:
            async with client.stream("POST", url, json=body) as response:
                text = await _text(response)
        except httpx.HTTPError as error:
            raise EnrolmentError(f"{host} cannot be reached: {error or type(error).__name__}") from error
    if response.status_code == 409 and _problem(text, "type") == KEY_REVOKED:
        raise KeyRevokedError(f"{host} has revoked this receiver's key")
    if response.status_code != 201:
        sentence = _SENTENCES.get(response.status_code, f"the relay answered {response.status_code}")
        if response.status_code == 403:  # used, expired or mistyped: the relay knows which
            sentence = _problem(text, "detail") or sentence
        raise EnrolmentError(f"{host}: {sentence}")
    try:
        enrolment = from_object(Enrolment, load_object(text, _ANSWER_LIMIT))
    except MalformedError as error:
        raise EnrolmentError(f"{host} answered something that is no enrolment: {error}") from error
    store.add(enrolment)
    # A device that has just been enrolled has seen no commands: the one moment to begin a memory of them.
    NonceMemory(directory / NONCE_FILE, disk, new=True)
    return enrolment


def relay_url(relay: str, path: str = PATH, *, web_socket: bool = True) -> str:
    """The address of `path` at a relay named by its base address. Raises ConfigurationError."""
    try:
        parts = urlsplit(with_scheme(relay.strip()))
        valid = parts.port is None or parts.port > 0
    except ValueError:
        valid = False
    if not valid or parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise ConfigurationError(f"{shown(relay)} is not the address of a relay, as https://host is")
    scheme = {"http": "ws", "https": "wss"}[parts.scheme] if web_socket else parts.scheme
    return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + path, "", ""))


def _problem(text: str, field: str) -> str:
    """A field of a refusal (RFC 9457), one printable line; empty when there is none."""
    try:
        value = load_object(text, _ANSWER_LIMIT).get(field)
    except MalformedError:
        return ""
    return printable(value) if isinstance(value, str) else ""


async def _text(response: httpx.Response) -> str:
    body = b""
    async for block in response.aiter_bytes():
        body += block
        if len(body) > _ANSWER_LIMIT:
            raise EnrolmentError("the relay answers too much")
    return body.decode("utf-8", "replace")
