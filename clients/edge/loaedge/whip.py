"""The HTTP half of a WHIP (RFC 9725) or WHEP session: offer, trickle, goodbye.

Whatever the relay or the network answers becomes one sentence in a SignallingError. The token goes into the
Authorization header and nowhere else.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final, Literal

import httpx

from loacodecs.errors import ConfigurationError, TransportError

from .retry_after import retry_after
from .urls import LOCAL_HOSTS, Endpoint, Token

ANSWER_LIMIT: Final = 65536
"""Bytes of an answer that are read at most."""
_TIMEOUT: Final = httpx.Timeout(10.0, connect=5.0)
_GOODBYE_TIMEOUT: Final = 3.0
# Answers that will be the same the next time, unless a person changes something.
_PERMANENT: Final = frozenset({400, 401, 403, 404, 405, 406, 409, 413, 415, 422})

_LINK: Final = re.compile(r'<([^<>"]{1,256})>((?:\s*;\s*[\w-]+\s*=\s*(?:"[^"]{0,256}"|[^",;\s]{0,256}))*)')
_PARAMETER: Final = re.compile(r';\s*([\w-]+)\s*=\s*(?:"([^"]*)"|([^",;\s]*))')


Need = Literal["", "token", "trust"]
_MENDS: Final = {
    "token": "give --token-file FILE or set LOA_TOKEN",
    "trust": "give --cacert FILE, or --insecure for a trial",
}


class SignallingError(TransportError):
    """The relay refused the session or could not be reached.

    `status` is that of HTTP, None when there was none; `retry_after` the seconds the relay asks to wait;
    `permanent` whether trying again without a change is in vain. `sentence` leaves out how the options of `loa listen`
    and `loa publish` mend it; `needs` says what is missing: a "token", "trust" in a certificate, or "".
    """

    def __init__(
        self,
        sentence: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        permanent: bool = False,
        needs: Need = "",
    ) -> None:
        super().__init__(f"{sentence}: {_MENDS[needs]}" if needs else sentence)
        self.sentence = sentence
        self.needs = needs
        self.status = status
        self.retry_after = retry_after
        self.permanent = permanent


@dataclass(frozen=True)
class IceServer:
    """A STUN or TURN server the relay recommends in a Link header (RFC 9725 §4.6)."""

    url: str
    username: str = ""
    credential: str = field(default="", repr=False)


@dataclass(frozen=True)
class Answer:
    """What a successful POST gives: the SDP answer and how to speak about the session from now on."""

    sdp: str
    location: str
    etag: str | None
    ice_servers: tuple[IceServer, ...]


@dataclass(frozen=True)
class Trust:
    """Which certificates to trust: those of the system, those of a file, or any. `option` names that file."""

    insecure: bool = False
    ca_file: str | None = None
    option: str = "--cacert"

    def context(self) -> ssl.SSLContext:
        """The TLS settings. Raises ConfigurationError when the file cannot be used."""
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(f"{self.option} {self.ca_file}: {_reason(error)}") from error
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


class Signalling:
    """One session's HTTP: `offer`, then perhaps `patch`, then `delete`; `close` in any case."""

    def __init__(
        self,
        endpoint: Endpoint,
        token: Token | None,
        *,
        tls: ssl.SSLContext | None = None,
        replace: bool = False,
    ) -> None:
        """`tls` is needed for https only; `replace` asks to take a busy channel over (WHIP)."""
        self._endpoint = endpoint
        self._url = httpx.URL(endpoint.url)
        self._headers = {"Authorization": f"Bearer {token.value}"} if token else {}
        self._has_token = token is not None
        self._replace = replace
        self._answer: Answer | None = None
        self._client = httpx.AsyncClient(
            # Without settings nobody is trusted: a redirect from http to https must not skip the check.
            verify=tls or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            timeout=_TIMEOUT,
            follow_redirects=True,
            max_redirects=5,
            trust_env=self._url.host not in LOCAL_HOSTS,
        )

    async def offer(self, sdp: str) -> Answer:
        """POST the offer. Raises SignallingError."""
        headers = {**self._headers, "Content-Type": "application/sdp", "Accept": "application/sdp"}
        # What is packed may be a thousand times as long as it seems.
        headers["Accept-Encoding"] = "identity"
        if self._replace:
            headers["X-Loa-Replace"] = "1"
        async with self._request("POST", self._url, headers, sdp) as response:
            body = await _read(response)
            if response.status_code != 201:
                raise self._refusal(response, body)
            if not response.headers.get("content-type", "").lower().startswith("application/sdp"):
                raise SignallingError(
                    f"{self._url.host} answered with something that is not SDP", permanent=True
                )
            location = response.headers.get("location")
            if not location:
                raise SignallingError(
                    f"{self._url.host} gave the session no address (Location)", permanent=True
                )
            self._answer = Answer(
                body,
                self._checked(location, response.url),
                response.headers.get("etag"),
                _ice_servers(response),
            )
        return self._answer

    async def patch(self, fragment: str, *, restart: bool = False) -> str | None:
        """PATCH a trickle fragment (RFC 9725 §4.3); the relay's own fragment when it answers with one.

        Raises SignallingError; status 412 tells that another ICE restart came first.
        """
        answer = self._answer
        if answer is None:
            raise SignallingError("there is no session yet")
        etag = "*" if restart else answer.etag
        headers = {**self._headers, "Content-Type": "application/trickle-ice-sdpfrag"}
        if etag:
            headers["If-Match"] = etag
        async with self._request("PATCH", httpx.URL(answer.location), headers, fragment) as response:
            body = await _read(response)
            if response.status_code not in (200, 204):
                raise self._refusal(response, body)
            new_etag = response.headers.get("etag")
            if new_etag:
                self._answer = Answer(answer.sdp, answer.location, new_etag, answer.ice_servers)
            return body if response.status_code == 200 else None

    async def delete(self) -> None:
        """DELETE the session, if there is one; a relay that cannot be reached will notice by itself."""
        answer, self._answer = self._answer, None
        if answer is None:
            return
        with suppress(httpx.HTTPError, httpx.InvalidURL, ValueError, ExceptionGroup, TimeoutError):
            # What the relay says to it is not read: it may never end.
            async with (
                asyncio.timeout(_GOODBYE_TIMEOUT),
                self._client.stream("DELETE", answer.location, headers=self._headers),
            ):
                pass

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    @asynccontextmanager
    async def _request(
        self, method: str, url: httpx.URL, headers: dict[str, str], body: str
    ) -> AsyncIterator[httpx.Response]:
        try:
            async with self._client.stream(method, url, headers=headers, content=body.encode()) as response:
                yield response
        except httpx.HTTPError as error:
            sentence, needs = _unreachable(self._url, error)
            raise SignallingError(sentence, needs=needs) from error
        except (ValueError, httpx.InvalidURL, ExceptionGroup) as error:
            # A redirect to port 99999 comes as a group of what the sockets say.
            raise SignallingError(
                f"cannot use the address {self._url.host}: {_reason(error)}", permanent=True
            ) from error

    def _checked(self, location: str, base: httpx.URL) -> str:
        """The session's URL; a relay reached by https must not make us send the token in the clear."""
        try:
            url = base.join(location)
        except (ValueError, httpx.InvalidURL) as error:
            raise SignallingError(f"{self._url.host} gave the session an unusable address") from error
        if url.scheme not in ("http", "https") or (base.scheme == "https" and url.scheme != "https"):
            raise SignallingError(
                f"{self._url.host} gave the session an address that is not https", permanent=True
            )
        return str(url)

    def _refusal(self, response: httpx.Response, body: str) -> SignallingError:
        status = response.status_code
        sentences = {
            401: f"{self._url.host} does not accept the token: it is wrong, altered or expired"
            if self._has_token
            else f"{self._url.host} wants a token",
            503: f"{self._url.host} takes no sessions just now",
        }
        if not self._endpoint.as_written:
            channel, protocol = self._url.path.rstrip("/").split("/")[-2:]
            does = "publishing to" if protocol == "whip" else "listening to"
            sentences |= {
                403: f"the token does not allow {does} {channel}",
                404: f"there is no channel {channel} at {self._url.host}",
                409: _conflict(response, body)
                or f"another publisher is on air on {channel}; --replace takes over",
            }
        sentence = sentences.get(status)
        if sentence is None:
            detail = _detail(response, body) or response.reason_phrase
            sentence = f"{self._url.host} refused the session with {status}: {detail}"
        pause = retry_after(response.headers.get("retry-after"))
        if pause is not None:
            sentence += f"; it asks to come back in {pause:.0f} s"
        needs: Need = "token" if status == 401 and not self._has_token else ""
        return SignallingError(
            sentence, status=status, retry_after=pause, permanent=status in _PERMANENT, needs=needs
        )


def _conflict(response: httpx.Response, body: str) -> str:
    """What a relay says that cannot be mended by taking over; "" if it says nothing of the kind."""
    is_problem = response.headers.get("content-type", "").startswith("application/problem+json")
    detail = _detail(response, body) if is_problem else ""
    return "" if "replace" in detail else detail


async def _read(response: httpx.Response) -> str:
    body = bytearray()
    async for part in response.aiter_raw():
        body += part
        if len(body) > ANSWER_LIMIT:
            raise SignallingError(
                f"{response.url.host} answered with more than {ANSWER_LIMIT} bytes", permanent=True
            )
    return body.decode("utf-8", "replace")


def _unreachable(url: httpx.URL, error: httpx.HTTPError) -> tuple[str, Need]:
    """Why nobody was reached, and what would mend it."""
    where = f"{url.host}:{url.port}" if url.port else url.host
    text = _reason(error)
    if "certificate is not yet valid" in text or "certificate has expired" in text:
        today = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
        return (
            f"the certificate of {where} does not hold at {today} UTC: is the clock of this machine right?",
            "",
        )
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return f"the certificate of {where} is not trusted", "trust"
    if isinstance(error, httpx.TimeoutException):
        return f"{where} does not answer", ""
    if isinstance(error, httpx.TooManyRedirects):
        return f"{where} sends us round in circles", ""
    if text == "All connection attempts failed":
        text = "nobody answers there; is the relay running?"
    return f"cannot reach {where}: {text}", ""


def _reason(error: Exception) -> str:
    return printable(str(error)) or type(error).__name__


def printable(text: str) -> str:
    """One line without control characters: it came from a peer and goes to a terminal."""
    return " ".join("".join(c if c.isprintable() else " " for c in text[:300]).split())


def _detail(response: httpx.Response, body: str) -> str:
    """The sentence in an error's body, when it is meant for people."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "text/plain":
        return printable(body)
    if kind in ("application/json", "application/problem+json"):
        with suppress(ValueError, RecursionError):
            fields = json.loads(body)
            if isinstance(fields, dict):
                return printable(str(fields.get("detail") or fields.get("title") or ""))
    return ""


def _ice_servers(response: httpx.Response) -> tuple[IceServer, ...]:
    return parse_ice_servers(response.headers.get_list("link"))


def parse_ice_servers(values: Iterable[str]) -> tuple[IceServer, ...]:
    """The ICE servers among the values of Link headers; at most 16, what is malformed is left out."""
    servers: list[IceServer] = []
    for value in values:
        for url, parameters in _LINK.findall(value[:4096]):
            fields = {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(parameters)}
            scheme = url.partition(":")[0].lower()
            if "ice-server" in fields.get("rel", "").split() and scheme in ("stun", "stuns", "turn", "turns"):
                servers.append(IceServer(url, fields.get("username", ""), fields.get("credential", "")))
    return tuple(servers[:16])
