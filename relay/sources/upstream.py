"""A channel whose source is a channel of another relay: pulled by WHEP, forwarded as it comes, for ever.

The HTTP half runs on asyncio; the session itself belongs to the media thread and has a UDP port of its own, because the
other relay tells its listeners apart by the address they send from.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import time
from collections.abc import Callable
from urllib.parse import urljoin, urlsplit, urlunsplit

import httpx

from loacodecs import rtp, sdp
from loacodecs.backoff import Backoff
from loacodecs.certificate import Certificate
from loacodecs.credentials import IceCredentials, generate_credentials
from loacodecs.errors import ConfigurationError, LoaError, TransportError
from loacodecs.peer import Peer
from relay.channels.channel import Channel
from relay.channels.ingest import Ingest
from relay.core import Core
from relay.net.port import open_port
from relay.ports import UpstreamStats
from relay.sessions.publisher import Publisher
from relay.sessions.session import Session

log = logging.getLogger("loa.upstream")

BACKOFF_FIRST_S = 0.5
BACKOFF_MAX_S = 20.0
STEADY_S = 10.0
"""A session that lasted this long was a good one: the next wait is the shortest again."""

HTTP_TIMEOUT_S = 10.0
CONSENT_TIMEOUT_S = 8.0
"""An upstream that answers no check for this long is gone; the channel is fetched anew rather than left silent for the
30 s that RFC 7675 would allow."""
CONSENT_INTERVAL_S = 2.0
"""Checks are sent so often, ±20 %: while nothing is on air two in a row may be lost. Of those that RFC 7675 asks for,
every 4 to 6 s, none may."""
PORT_BUFFER = 1 << 20


class Upstream:
    """Keeps `channel` fed from `source` ("whep+https://host/channel/whep"); `read_token` gives the bearer token."""

    def __init__(
        self, core: Core, channel: Channel, source: str, read_token: Callable[[], str | None],
        *, verify: bool | str = True, clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.channel = channel
        self._core = core
        self._url = endpoint(source)
        self._read_token = read_token
        self._verify = verify
        self._clock = clock
        self._backoff = Backoff(os.urandom, first_s=BACKOFF_FIRST_S, limit_s=BACKOFF_MAX_S)
        self._session: Session | None = None
        self._reconnects = 0
        self._began = clock()
        core.upstreams[channel.name] = self.stats

    def stats(self, now: float) -> UpstreamStats:
        """How the pull is."""
        session = self._session
        connected = session is not None and session.connected_at is not None and not session.closed
        return UpstreamStats(connected, self._reconnects, now - max(self.channel.last_packet, self._began))

    async def run(self) -> None:
        """Pull until cancelled."""
        async with httpx.AsyncClient(verify=self._verify, timeout=HTTP_TIMEOUT_S) as client:
            while True:
                began = self._clock()
                try:
                    reason = await self._pull(client)
                except (httpx.HTTPError, LoaError, OSError) as error:
                    reason = str(error) or type(error).__name__
                if self._clock() - began >= STEADY_S:
                    self._backoff.reset()
                wait = self._backoff.next_pause()
                log.warning(
                    "channel %s: upstream lost (%s); again in %.1f s", self.channel.name, reason, wait
                )
                await asyncio.sleep(wait)
                self._reconnects += 1

    async def _pull(self, client: httpx.AsyncClient) -> str:
        """One session from offer to end; returns why it ended."""
        credentials = generate_credentials(os.urandom)
        offer = sdp.make_offer(
            direction="recvonly", ice_ufrag=credentials.ufrag, ice_pwd=credentials.pwd,
            fingerprint=self._core.certificate.fingerprint, extensions=(rtp.ABS_CAPTURE_TIME_URI, rtp.AUDIO_LEVEL_URI),
            session_id=secrets.randbits(62),
        )  # fmt: skip
        headers = {"Content-Type": "application/sdp", "Accept": "application/sdp"}
        token = self._read_token()
        if token:
            headers["Authorization"] = f"Bearer {token}"
        response = await client.post(self._url, content=offer, headers=headers)
        if response.status_code != 201:
            raise TransportError(_refusal(response))
        resource = urljoin(self._url, response.headers.get("Location", ""))
        ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        session = await self._core.in_media(
            lambda: self._open(sdp.parse_answer(response.text), credentials, _from_thread(ended))
        )
        self._session = session
        try:
            return await ended
        finally:
            await self._end(client, session, resource, headers)

    def _open(
        self, answer: sdp.AudioDescription, credentials: IceCredentials, on_closed: Callable[[str], None]
    ) -> Session:
        """In the media thread: the session with its own port."""
        now = self._clock()
        port = open_port("::", 0, receive_buffer=PORT_BUFFER, send_buffer=PORT_BUFFER)
        peer = make_peer(self._core.certificate, credentials, os.urandom, now)
        session = Session("pull", self.channel, peer, credentials, now, offer=answer)
        session.port = port
        ingest = Ingest(
            nack=answer.nack,
            level_id=answer.extensions.get(rtp.AUDIO_LEVEL_URI, 0),
            capture_id=answer.extensions.get(rtp.ABS_CAPTURE_TIME_URI, 0),
            report_ssrc=secrets.randbits(32),
        )
        publisher = Publisher(session, ingest, answer.opus_payload_type, carries_clock=True)
        reactor = self._core.reactor

        def closed(reason: str) -> None:
            reactor.remove_port(port)
            on_closed(reason)

        session.on_closed = closed
        reactor.add_port(port)
        self._core.hub.add(session, publisher)
        publisher.take(now)
        peer.set_remote(answer, now)
        return session

    async def _end(
        self, client: httpx.AsyncClient, session: Session, resource: str, headers: dict[str, str]
    ) -> None:
        """Close both halves; the other relay is told, if it still listens."""
        await self._core.in_media(lambda: self._core.hub.close(session, "upstream ended", self._clock()))
        authorization = {key: value for key, value in headers.items() if key == "Authorization"}
        with contextlib.suppress(httpx.HTTPError, asyncio.TimeoutError):
            async with asyncio.timeout(2.0):
                await client.delete(resource, headers=authorization)


def make_peer(
    certificate: Certificate, credentials: IceCredentials, random: Callable[[int], bytes], now: float
) -> Peer:
    """This relay's side of a pull."""
    peer = Peer.client(
        certificate=certificate, ufrag=credentials.ufrag, pwd=credentials.pwd, random=random,
    )  # fmt: skip
    peer.set_consent(now, interval=CONSENT_INTERVAL_S, timeout=CONSENT_TIMEOUT_S)
    return peer


def endpoint(source: str) -> str:
    """The WHEP endpoint of a source; a mere channel address gets `/whep` appended.

    Raises ConfigurationError for anything but whep+https and whep+http.
    """
    parts = urlsplit(source)
    if parts.scheme not in ("whep+https", "whep+http"):
        raise ConfigurationError(f"source {source!r} is not whep+https://… or whep+http://…")
    path = parts.path.rstrip("/")
    if not path.endswith("/whep"):
        path += "/whep"
    return urlunsplit((parts.scheme.removeprefix("whep+"), parts.netloc, path, parts.query, ""))


def _from_thread(future: asyncio.Future[str]) -> Callable[[str], None]:
    loop = future.get_loop()

    def settle(reason: str) -> None:
        if not future.done():
            future.set_result(reason)

    def from_thread(reason: str) -> None:
        with contextlib.suppress(RuntimeError):  # the loop may have closed meanwhile
            loop.call_soon_threadsafe(settle, reason)

    return from_thread


def _refusal(response: httpx.Response) -> str:
    meanings = {
        401: "it wants a valid token; set token or token_file of this channel",
        403: "the token does not allow listening to that channel",
        404: "it has no such channel",
        503: "it takes no sessions now",
    }
    meaning = meanings.get(response.status_code, "it refused the session")
    return f"upstream answered {response.status_code}: {meaning}"
