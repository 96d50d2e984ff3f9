"""The relay's core behind `relay.ports.RelayCore`: coroutines outside, the media thread inside.

What needs no lock is done by the caller's thread (parsing and writing SDP); whatever touches sessions, channels or
the fan-out table is a short function handed to the reactor.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from loacodecs import rtp, sdp
from loacodecs.credentials import IceCredentials, generate_credentials
from loacodecs.dtls import Certificate
from loacodecs.peer import Peer
from relay.barring import Barring
from relay.channels.channel import Channel
from relay.channels.ingest import Ingest
from relay.config import RENDITIONS, Config
from relay.errors import (
    ChannelBusy,
    ChannelNotFound,
    PreconditionFailed,
    PreconditionRequired,
    SessionNotFound,
    Unavailable,
    Unprocessable,
)
from relay.names import is_channel_name
from relay.net.addresses import AddressBook
from relay.net.reactor import Reactor
from relay.pace import Pace
from relay.ports import ChannelState, RelayStats, SessionCreated, SessionKind, TrickleResult, UpstreamStats
from relay.sessions.agreeing import agree
from relay.sessions.contributor import Contributor
from relay.sessions.hub import Hub
from relay.sessions.listener import Listener, Terms
from relay.sessions.publisher import Publisher
from relay.sessions.session import Session
from relay.statistics import channel_state, snapshot
from relay.tokens import Grant

if TYPE_CHECKING:  # who mixes nothing does not load the mixer
    from relay.live.inputs import ChannelInput
    from relay.live.mixed import MixedChannel
    from relay.ports import Hearing

T = TypeVar("T")

RETRY_AFTER_S = 5
"""What a full or draining relay tells its clients to wait."""

SETUP_TIMEOUT_S = 15.0
"""A session that has not finished its handshake by then is ended."""

JOIN_INTERVAL_S = 0.004
"""Listeners' sessions are set up this far apart: 500 who come at once are all heard within 3 s, and between two of
them the media thread has the interpreter to itself."""

IDLE_CHECKS = 2.5
"""A listener that checks consent rarely while idle is ended after so many of its times without an authentic packet."""

CHANNELS_MAX = 4_096
"""Channels that `channels.auto` may make; beyond that the relay says it is full."""


class Core:
    """Sessions and channels for the HTTP side. Made by `relay.app`, which owns the parts it is given."""

    def __init__(
        self,
        config: Config,
        certificate: Certificate,
        hub: Hub,
        reactor: Reactor,
        addresses: AddressBook,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.config = config
        self.certificate = certificate
        self.hub = hub
        self.reactor = reactor
        self._addresses = addresses
        self._clock = clock
        self._draining = False
        self.mixed: Mapping[str, MixedChannel] = {}
        """The mixed channels; set by who builds the studio, before the reactor runs."""
        self.barring = Barring(hub, self.in_media, clock)
        self.upstreams: dict[str, Callable[[float], UpstreamStats]] = {}
        """How the pull of each channel that is pulled from another relay is, at a moment."""
        self._pace = Pace(JOIN_INTERVAL_S, sleep=sleep)
        for name, settings in config.channels.named.items():
            self.add_channel(name, title=settings.title, public=settings.public, origin=settings.source)

    # What HTTP asks without waiting

    @property
    def draining(self) -> bool:
        """True once no new session is accepted."""
        return self._draining

    def ready(self) -> tuple[bool, str]:
        """Whether a new session would be served now."""
        if self._draining:
            return False, "the relay is draining"
        if not self.reactor.alive:
            return False, "the media thread has ended"
        return True, "ok"

    def stats(self) -> RelayStats:
        """A snapshot of all counters; taken without stopping the media thread."""
        return snapshot(self.hub, self.reactor, self.upstreams, self.mixed, self._clock())

    def channels(self) -> Sequence[ChannelState]:
        """All channels, by name."""
        now = self._clock()
        known: Mapping[str, Channel] = dict(self.hub.channels)
        return [channel_state(known[name], now) for name in sorted(known) if not known[name].private]

    def on_air(self, channel: str) -> bool:
        """Whether sound arrives on `channel` now; cheap enough to be asked often."""
        known = self.hub.channels.get(channel)
        return known is not None and known.on_air(self._clock())

    # What HTTP waits for

    async def publish(
        self, channel: str, offer: str, *, replace: bool, subject: str, local_address: str | None,
        grant: Grant | None = None,
    ) -> SessionCreated:  # fmt: skip
        """Answer a WHIP offer; raises RelayError, SdpError, NegotiationError. Waits behind no crowd of listeners."""
        self._check_open()
        description = sdp.parse_offer(offer)
        credentials = generate_credentials(os.urandom)
        answering = self._answering(credentials, local_address)
        answer = answering(description, direction="recvonly", extensions=(rtp.AUDIO_LEVEL_URI,))
        mixed = self.mixed.get(channel)
        if mixed is not None:
            session = await self._contribute(mixed, description, credentials, subject, grant, replace)
            return self._created(session, answer)
        open_session = partial(
            self._open_publisher, channel, description, credentials, subject, grant, replace
        )
        return self._created(await self.in_media(open_session), answer)

    async def listen(
        self, channel: str, offer: str, *, subject: str, local_address: str | None, without: str = "",
        grant: Grant | None = None,
    ) -> SessionCreated:  # fmt: skip
        """Answer a WHEP offer; raises RelayError, SdpError, NegotiationError.

        `without` is the id of a session that publishes to the mixed channel: its owner hears all but himself.
        """
        await self._pace.turn()
        self._check_open()
        description = sdp.parse_offer(offer)
        credentials = generate_credentials(os.urandom)
        ssrc = secrets.randbits(32)
        answering = self._answering(credentials, local_address)
        settings = self.config.channels.named.get(channel)
        terms, delivery = agree(description, RENDITIONS if settings is None else settings.renditions)
        answer = answering(
            description,
            direction="sendonly",
            extensions=(rtp.ABS_CAPTURE_TIME_URI,),
            ssrc=ssrc,
            cname="loa",
            delivery=delivery,
        )
        heard = self._mix_minus(channel, without) if without else None
        open_session = partial(
            self._open_listener, channel, description, credentials, subject, grant, ssrc, terms, heard
        )
        return self._created(await self.in_media(open_session), answer)

    def talks(self, channel: str, session: str) -> bool:
        """Whether a session publishes to a mixed channel."""
        return channel in self.mixed and self.mixed[channel].input_of(session) is not None

    def hearing(self, channel: str, session: str) -> Hearing | None:
        """Whether a publisher is heard now; None where no chime can keep him waiting."""
        return self.mixed[channel].hearing(session) if channel in self.mixed else None

    async def trickle(
        self, channel: str, kind: SessionKind, session: str, fragment: str, if_match: str | None
    ) -> TrickleResult:
        """Take candidates or an ICE restart (RFC 9725 §4.3); raises RelayError, SdpError."""
        if if_match is None:
            raise PreconditionRequired("PATCH needs If-Match with the ETag of the session")
        parsed = sdp.parse_fragment(fragment)
        return await self.in_media(partial(self._trickle, channel, kind, session, parsed, if_match))

    async def close(self, channel: str, kind: SessionKind, session: str) -> None:
        """End a session; raises SessionNotFound."""

        def end() -> None:
            self.hub.close(self._find(channel, kind, session), "deleted", self._clock())

        await self.in_media(end)

    async def drain(self) -> None:
        """Accept nothing new, say goodbye to everybody."""
        self._draining = True
        await self.in_media(lambda: self.hub.close_all("drained", self._clock()))

    async def _contribute(
        self, mixed: MixedChannel, offer: sdp.AudioDescription, credentials: IceCredentials, subject: str,
        grant: Grant | None, replace: bool,
    ) -> Session:  # fmt: skip
        """A session of one more who publishes to a mixed channel."""
        source = mixed.admit(subject, replace=replace)
        try:
            return await self.in_media(
                partial(self._open_contributor, mixed, source, offer, credentials, subject, grant, replace)
            )
        except BaseException:
            mixed.leave(source)
            raise

    def _mix_minus(self, channel: str, session: str) -> Channel:
        mixed = self.mixed.get(channel)
        source = mixed.input_of(session) if mixed is not None else None
        if mixed is None or source is None:
            raise SessionNotFound("no such session publishes to this channel; it may have ended")
        return mixed.mix_minus(source.name)

    def add_channel(self, name: str, *, title: str = "", public: bool = False, origin: str = "") -> Channel:
        """Make a channel. Before the reactor runs, or in the media thread."""
        media = self.config.media
        channel = Channel(
            name,
            title=title,
            public=public,
            origin=origin,
            media_timeout=media.media_timeout,
            capacity=media.listeners_max,
            history=media.history,
            first_timestamp=secrets.randbits(32),
        )
        self.hub.channels[name] = channel
        return channel

    async def in_media(self, function: Callable[[], T]) -> T:
        """Run a short `function` in the media thread."""
        return await asyncio.wrap_future(self.reactor.call(function))

    # In the media thread

    def _open_publisher(
        self, name: str, offer: sdp.AudioDescription, credentials: IceCredentials, subject: str,
        grant: Grant | None, replace: bool,
    ) -> Session:  # fmt: skip
        now = self._clock()
        channel = self._channel(name, make=True)
        if channel.origin:
            raise ChannelBusy(f"channel {name} is pulled from another relay and cannot be published to")
        free = channel.free_for(None, now)
        if not (free or replace):
            raise ChannelBusy(f"channel {name} has a publisher on air; send replace to take over")
        session = self._session("publish", channel, offer, credentials, subject, grant, now)
        publisher = Publisher(session, self._ingest(offer), offer.opus_payload_type, preempts=replace)
        self.hub.add(session, publisher)
        if free:
            publisher.take(now)
        return session

    def _open_contributor(
        self, mixed: MixedChannel, source: ChannelInput, offer: sdp.AudioDescription, credentials: IceCredentials,
        subject: str, grant: Grant | None, replace: bool,
    ) -> Session:  # fmt: skip
        now = self._clock()
        channel = self._channel(mixed.name)
        earlier = [
            session for session in self.hub.sessions.values()
            if replace and session.kind == "publish" and session.channel is channel and session.subject == subject
        ]  # fmt: skip

        def take_over(now: float) -> None:
            for session in earlier:
                self.hub.close(session, "replaced", now)

        session = self._session("publish", channel, offer, credentials, subject, grant, now)
        ingest = self._ingest(offer)
        contributor = Contributor(
            session, ingest, offer.opus_payload_type, mixed.sink(source), on_sound=take_over,
            on_end=partial(mixed.leave, source),
        )  # fmt: skip
        source.session = session.id
        self.hub.add(session, contributor)
        return session

    def _open_listener(
        self, name: str, offer: sdp.AudioDescription, credentials: IceCredentials, subject: str,
        grant: Grant | None, ssrc: int, terms: Terms, heard: Channel | None = None,
    ) -> Session:  # fmt: skip
        channel = heard or self._channel(name)
        if len(self.hub.listeners) >= self.config.media.listeners_max:
            raise Unavailable(
                "the relay serves as many listeners as media.listeners_max allows", RETRY_AFTER_S
            )
        session = self._session("listen", channel, offer, credentials, subject, grant, self._clock())
        listener = Listener(session, ssrc, terms, retransmissions=self.config.media.retransmissions)
        self.hub.add(session, listener)
        return session

    def _ingest(self, offer: sdp.AudioDescription) -> Ingest:
        return Ingest(
            nack=offer.nack,
            level_id=offer.extensions.get(rtp.AUDIO_LEVEL_URI, 0),
            report_ssrc=secrets.randbits(32),
        )

    def _session(
        self, kind: SessionKind, channel: Channel, offer: sdp.AudioDescription,
        credentials: IceCredentials, subject: str, grant: Grant | None, now: float,
    ) -> Session:  # fmt: skip
        self.barring.check(subject, grant)
        peer = Peer.server(
            certificate=self.certificate, ufrag=credentials.ufrag, pwd=credentials.pwd, offer=offer,
            random=os.urandom,
            now=now,
            consent_timeout=self.config.media.consent_timeout if kind == "publish" else max(
                self.config.media.consent_timeout, IDLE_CHECKS * offer.delivery.idle_s
            ),
            setup_timeout=SETUP_TIMEOUT_S,
        )  # fmt: skip
        return Session(kind, channel, peer, credentials, now, subject=subject, grant=grant, offer=offer)

    def _trickle(
        self, channel: str, kind: SessionKind, name: str, fragment: sdp.IceFragment, if_match: str
    ) -> TrickleResult:
        session = self._find(channel, kind, name)
        restart = bool(fragment.ufrag) and fragment.ufrag != session.remote_ufrag
        tags = {tag.strip().removeprefix("W/").strip('"') for tag in if_match.split(",")}
        if session.etag not in tags and not (restart and "*" in tags):
            raise PreconditionFailed("If-Match names an older ICE session; use the ETag of the newest answer")
        if not restart:
            session.peer.add_remote_candidates(fragment.candidates)
            return TrickleResult(session.etag)
        if not fragment.ufrag or not fragment.pwd:
            raise Unprocessable("an ICE restart needs a=ice-ufrag and a=ice-pwd")
        session.credentials = generate_credentials(os.urandom)
        session.remote_ufrag = fragment.ufrag
        session.etag = secrets.token_urlsafe(9)
        session.peer.restart(session.credentials.ufrag, session.credentials.pwd, fragment.ufrag, fragment.pwd)
        self.hub.rename(session)
        answer = sdp.make_fragment(
            ufrag=session.credentials.ufrag,
            pwd=session.credentials.pwd,
            candidates=self._addresses.candidates(None),
            mid=session.mid,
        )
        return TrickleResult(session.etag, answer)

    def _find(self, channel: str, kind: SessionKind, name: str) -> Session:
        session = self.hub.sessions.get(name)
        if session is None or session.kind != kind or session.channel.reached_as != channel:
            raise SessionNotFound("no such session; it may have ended")
        return session

    def _channel(self, name: str, *, make: bool = False) -> Channel:
        channel = self.hub.channels.get(name)
        if channel is not None and not channel.private:
            return channel
        if not (make and self.config.channels.auto and is_channel_name(name)):
            raise ChannelNotFound(f"channel {name} is not configured on this relay")
        if len(self.hub.channels) >= CHANNELS_MAX:
            raise Unavailable(f"this relay has its {CHANNELS_MAX} channels", RETRY_AFTER_S)
        return self.add_channel(name)

    # Small things

    def _check_open(self) -> None:
        if self._draining:
            raise Unavailable("the relay is shutting down", RETRY_AFTER_S)

    def _answering(self, credentials: IceCredentials, asked_at: str | None) -> Callable[..., str]:
        """`sdp.make_answer` with this side's transport filled in."""
        return partial(
            sdp.make_answer,
            ice_ufrag=credentials.ufrag,
            ice_pwd=credentials.pwd,
            fingerprint=self.certificate.fingerprint,
            candidates=self._addresses.candidates(asked_at),
            session_id=secrets.randbits(62),
        )

    def _created(self, session: Session, answer: str) -> SessionCreated:
        return SessionCreated(session.id, answer, session.etag)
