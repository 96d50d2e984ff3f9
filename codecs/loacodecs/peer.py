"""One WebRTC peer without I/O: ICE, DTLS and SRTP on one component with rtcp-mux.

The driving rule: after every call that takes `now`, and after `send_rtp` and `send_rtcp`, drain `poll` until it
returns None, then ask `next_deadline` and call `on_timeout` at that moment at the latest. `now` is in seconds
of any monotonic clock. Nothing that comes from the network raises; what is refused is counted in `refused`:

    stun_malformed, stun_integrity   STUN that cannot be read, or is not signed for this session (never answered)
    unchecked_address                DTLS or SRTP from where no authentic check came (the ClientHello race)
    dtls                             not DTLS records
    srtp_authentication, srtp_replay SRTP or SRTCP that is not the peer's, or came before
    not_ready                        SRTP before the handshake is done
    too_many_sources                 more SSRCs than one session may have
    malformed                        anything else, oversized datagrams included
    queue_full                       the shell did not drain; the oldest was dropped
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable

from . import demux
from .address import Address
from .candidate import Candidate
from .credentials import IceCredentials, generate_credentials
from .description import AudioDescription, answer_setup
from .dtls import Certificate, DtlsSession
from .events import Closed, Connected, Event, RemoteChanged, Rtcp, Rtp, Transmit
from .ice_client import IceClient
from .ice_lite import IceLite
from .srtp import Keys, Receiver, Sender, SrtpError

__all__ = [
    "Closed", "Connected", "Event", "IceCredentials", "Peer", "RemoteChanged", "Rtcp", "Rtp", "Transmit",
    "generate_credentials",
]  # fmt: skip

# Nothing we take is longer; a larger datagram is not looked at.
MAX_DATAGRAM = 2048
MAX_QUEUED = 512
MAX_PENDING_HANDSHAKE = 8
CONSENT_TIMEOUT = 30.0
SETUP_TIMEOUT = 30.0

_REASONS = {"authentication": "srtp_authentication", "replay": "srtp_replay"}


class Peer:
    """One side of a WebRTC session; made by `Peer.server` or `Peer.client`."""

    __slots__ = (
        "_certificate",
        "_consent_timeout",
        "_defer_handshake",
        "_dtls",
        "_dtls_source",
        "_ice",
        "_pending",
        "_queue",
        "_receiver",
        "_sender",
        "_setup_deadline",
        "_setup_timeout",
        "last_received",
        "local_ufrag",
        "refused",
        "remote",
        "state",
    )

    def __init__(
        self,
        ice: IceLite | IceClient,
        *,
        certificate: Certificate,
        ufrag: str,
        consent_timeout: float,
        setup_timeout: float,
        defer_handshake: bool,
    ) -> None:
        """Use `server` or `client` instead."""
        self._ice = ice
        self._certificate = certificate
        self._consent_timeout = consent_timeout
        self._setup_timeout = setup_timeout
        self._setup_deadline: float | None = None
        self._defer_handshake = defer_handshake
        self._dtls: DtlsSession | None = None
        self._dtls_source: Address | None = None
        self._pending: deque[bytes] = deque()
        self._queue: deque[Event] = deque()
        self._sender: Sender | None = None
        self._receiver: Receiver | None = None
        self.local_ufrag = ufrag
        #: Where media goes: last nominated, before that the checked address the handshake comes from.
        self.remote: Address | None = None
        #: "new", "checking", "handshaking", "connected", "closed".
        self.state = "new"
        #: When the last authentic packet came (check, SRTP or SRTCP), 0.0 before.
        self.last_received = 0.0
        #: Datagrams refused, by reason.
        self.refused: Counter[str] = Counter()

    @classmethod
    def server(
        cls,
        *,
        certificate: Certificate,
        ufrag: str,
        pwd: str,
        offer: AudioDescription,
        random: Callable[[int], bytes],
        now: float | None = None,
        consent_timeout: float = CONSENT_TIMEOUT,
        setup_timeout: float = SETUP_TIMEOUT,
        defer_handshake: bool = False,
    ) -> Peer:
        """Answerer with ICE-lite; its DTLS role is what `sdp.answer_setup(offer)` answered.

        A peer not connected `setup_timeout` seconds after `now` (None: after the first call with a time) is
        closed; so is one that sent nothing authentic for `consent_timeout`. SRTP counts like a check there,
        because some publishers (FFmpeg) never check again.
        """
        del random  # ICE-lite draws no lots; taken so that both kinds are made alike
        ice = IceLite(ufrag=ufrag, pwd=pwd, remote_ufrag=offer.ice_ufrag)
        peer = cls(
            ice,
            certificate=certificate,
            ufrag=ufrag,
            consent_timeout=consent_timeout,
            setup_timeout=setup_timeout,
            defer_handshake=defer_handshake,
        )
        passive = answer_setup(offer) == "passive"
        peer._dtls = DtlsSession(certificate, server=passive, fingerprints=offer.fingerprints)
        if now is not None:
            peer._start_clock(now)
        return peer

    @classmethod
    def client(
        cls,
        *,
        certificate: Certificate,
        ufrag: str,
        pwd: str,
        random: Callable[[int], bytes],
        consent_timeout: float = CONSENT_TIMEOUT,
        setup_timeout: float = SETUP_TIMEOUT,
        defer_handshake: bool = False,
    ) -> Peer:
        """Offerer with full, controlling ICE; idle until `set_remote`."""
        ice = IceClient(ufrag=ufrag, pwd=pwd, random=random, consent_timeout=consent_timeout)
        return cls(
            ice,
            certificate=certificate,
            ufrag=ufrag,
            consent_timeout=consent_timeout,
            setup_timeout=setup_timeout,
            defer_handshake=defer_handshake,
        )

    def set_remote(self, answer: AudioDescription, now: float) -> None:
        """As client, learn the answer and begin; once only (`restart` is for later answers)."""
        if not isinstance(self._ice, IceClient) or self._dtls is not None:
            raise ValueError("set_remote is for a client peer, once")
        server = answer.setup != "passive"
        self._dtls = DtlsSession(self._certificate, server=server, fingerprints=answer.fingerprints)
        self._ice.set_remote(answer.ice_ufrag, answer.ice_pwd, answer.candidates, lite=answer.ice_lite)
        self._start_clock(now)
        self.state = "checking"
        self.on_timeout(now)
        self.handshake(now)

    def add_remote_candidates(self, candidates: Iterable[Candidate]) -> None:
        """Try further addresses; an ICE-lite server has no use for them."""
        if isinstance(self._ice, IceClient):
            self._ice.add_candidates(candidates)

    def set_consent(self, now: float, *, interval: float, timeout: float) -> None:
        """As client, ask for consent at the next `on_timeout`, then every `interval` s; lost by `timeout` s silence."""
        self._consent_timeout = timeout
        if isinstance(self._ice, IceClient):
            self._ice.set_consent(now, interval=interval, timeout=timeout)

    def restart(self, ufrag: str, pwd: str, remote_ufrag: str, remote_pwd: str) -> None:
        """Restart ICE with new credentials of both sides (RFC 8445 §9); DTLS and SRTP go on as they are."""
        self.local_ufrag = ufrag
        if isinstance(self._ice, IceClient):
            self._ice.restart(ufrag=ufrag, pwd=pwd, remote_ufrag=remote_ufrag, remote_pwd=remote_pwd)
        else:
            self._ice.restart(ufrag=ufrag, pwd=pwd, remote_ufrag=remote_ufrag)

    @property
    def keys(self) -> Keys | None:
        """SRTP keys, from "connected" on."""
        return self._dtls.keys if self._dtls is not None else None

    @property
    def opener(self) -> Receiver:
        """What opens the peer's SRTP and SRTCP, for a shell that does so itself; ValueError before "connected"."""
        if self._receiver is None:
            if self.keys is None:
                raise ValueError("there are no keys yet")
            self._receiver = Receiver(self.keys)
        return self._receiver

    def note_authentic(self, now: float) -> None:
        """The shell itself had an authentic check or packet of the peer at `now`."""
        self.last_received = max(self.last_received, now)
        if isinstance(self._ice, IceClient):
            self._ice.note_alive(now)

    @property
    def round_trip(self) -> float | None:
        """As client, seconds the last connectivity or consent check took; None before one was answered."""
        return self._ice.round_trip if isinstance(self._ice, IceClient) else None

    @property
    def handshake_pending(self) -> bool:
        """Whether deferred DTLS datagrams wait for `handshake`."""
        return bool(self._pending)

    def receive(self, now: float, data: bytes, addr: Address) -> None:
        """Take in one datagram that came from `addr` (canonical, see `address`)."""
        if self.state == "closed":
            return
        self._start_clock(now)
        kind = demux.kind(data) if len(data) <= MAX_DATAGRAM else demux.Kind.UNKNOWN
        if kind is demux.Kind.STUN:
            self._refuse(self._ice.receive(now, data, addr))
            self._after_ice(now)
        elif kind is demux.Kind.UNKNOWN:
            self._refuse("malformed")
        elif not self._ice.is_checked(addr):
            self._refuse("unchecked_address")
        elif kind is demux.Kind.DTLS:
            self._receive_dtls(now, data, addr)
        else:
            self._receive_srtp(now, data, rtcp=kind is demux.Kind.RTCP)

    def handshake(self, now: float) -> None:
        """Work through deferred DTLS datagrams (at most MAX_PENDING_HANDSHAKE; about 0.3 ms of CPU in all)."""
        while self._pending and self._dtls is not None and self.state != "closed":
            if not self._dtls.receive(now, self._pending.popleft()):
                self._refuse("dtls")
            self._after_dtls()

    def on_timeout(self, now: float) -> None:
        """Do what is due: checks, retransmissions, consent, limits."""
        if self.state == "closed":
            return
        self._start_clock(now)
        if self.state != "connected" and self._setup_deadline is not None and now >= self._setup_deadline:
            self._close("setup_timeout", f"not connected within {self._setup_timeout:g} s")
            return
        if isinstance(self._ice, IceClient):
            self._ice.on_timeout(now)
            self._after_ice(now)
            lost = self._ice.consent_lost
        else:
            lost = self.state == "connected" and now >= self.last_received + self._consent_timeout
        if lost:
            self._close("consent_lost", f"nothing authentic came for {self._consent_timeout:g} s")
        elif self._dtls is not None:
            self._dtls.on_timeout(now)
            self._after_dtls()

    def next_deadline(self) -> float | None:
        """When `on_timeout` must be called at the latest, or None while nothing can fall due."""
        if self.state == "closed":
            return None
        moments = [None if self.state == "connected" else self._setup_deadline]
        if self.state == "connected" and isinstance(self._ice, IceLite):
            moments.append(self.last_received + self._consent_timeout)
        if isinstance(self._ice, IceClient):
            moments.append(self._ice.next_deadline())
        if self._dtls is not None:
            moments.append(self._dtls.next_deadline())
        return min((moment for moment in moments if moment is not None), default=None)

    def poll(self) -> Event | None:
        """Next thing for the shell, in order; None when there is no more for now."""
        return self._queue.popleft() if self._queue else None

    def send_rtp(self, packet: bytes) -> bool:
        """Seal and queue one RTP packet; false when not connected or too long (1200 bytes always fit)."""
        return self._send(packet, rtcp=False)

    def send_rtcp(self, packet: bytes) -> bool:
        """Seal and queue one compound RTCP packet.

        A shell that seals RTP or RTCP of this session elsewhere from `keys` must not also send the same kind
        of packet here: two senders count the same SRTCP index (see `srtp`).
        """
        return self._send(packet, rtcp=True)

    def close(self, now: float) -> None:
        """Say goodbye (DTLS close_notify) and be closed; `poll` still gives the farewell and Closed."""
        del now  # nothing is scheduled after the end
        if self.state != "closed":
            self._close("closed")

    def _start_clock(self, now: float) -> None:
        if self._setup_deadline is None:
            self._setup_deadline = now + self._setup_timeout

    def _receive_dtls(self, now: float, data: bytes, addr: Address) -> None:
        self._dtls_source = addr
        if len(self._pending) >= MAX_PENDING_HANDSHAKE:
            self._pending.popleft()
            self._refuse("queue_full")
        self._pending.append(data)
        if not self._defer_handshake:
            self.handshake(now)

    def _receive_srtp(self, now: float, data: bytes, *, rtcp: bool) -> None:
        if self.state != "connected":
            self._refuse("not_ready")
            return
        opener = self.opener
        try:
            event = Rtcp(opener.unprotect_rtcp(data)) if rtcp else Rtp(opener.unprotect(data))
        except SrtpError as error:
            self._refuse(_REASONS.get(error.reason, error.reason))
            return
        self.note_authentic(now)
        self._put(event)

    def _send(self, packet: bytes, *, rtcp: bool) -> bool:
        keys = self.keys
        if self.state != "connected" or keys is None or self.remote is None:
            return False
        if self._sender is None:
            self._sender = Sender(keys)
        try:
            sealed = self._sender.protect_rtcp(packet) if rtcp else self._sender.protect(packet)
        except SrtpError:
            return False
        self._put(Transmit(sealed, self.remote))
        return True

    def _after_ice(self, now: float) -> None:
        """Collect what ICE wants sent, and follow where it points."""
        for data, addr in self._ice.outgoing:
            self._put(Transmit(data, addr))
        self._ice.outgoing.clear()
        self.note_authentic(self._ice.last_check or 0.0)
        if self.state == "new" and self._ice.last_check is not None:
            self.state = "checking"
        if self._ice.remote is not None and self._ice.remote != self.remote:
            self.remote = self._ice.remote
            if self.state == "connected":
                self._put(RemoteChanged(self.remote))
        if self._dtls is not None and self._dtls.state == "new" and not self._dtls.server and self.remote:
            self._dtls.start(now, self.round_trip)
            self._after_dtls()

    def _after_dtls(self) -> None:
        """Collect what DTLS wants sent, and follow its state."""
        assert self._dtls is not None
        target = self.remote or self._dtls_source
        for data in self._dtls.take():
            if target is not None:
                self._put(Transmit(data, target))
        if self._dtls.state == "handshaking":
            self.state = "handshaking"
        elif self._dtls.state == "connected" and self.state != "connected" and target is not None:
            assert self._dtls.keys is not None
            self.state = "connected"
            self.remote = target
            self._put(Connected(self._dtls.keys, target))
        elif self._dtls.state == "closed":
            self._close("handshake_failed" if self._dtls.keys is None else "peer_closed", self._dtls.reason)

    def _close(self, reason: str, detail: str = "") -> None:
        self.state = "closed"
        if self._dtls is not None:
            self._dtls.close()
            for data in self._dtls.take():
                if self.remote is not None:
                    self._put(Transmit(data, self.remote))
        self._pending.clear()
        self._receiver = self._sender = None
        self._put(Closed(reason, detail))

    def _refuse(self, reason: str | None) -> None:
        if reason is not None:
            self.refused[reason] += 1

    def _put(self, event: Event) -> None:
        """Queue, dropping the oldest packet (never a change of state) when the shell does not drain."""
        if len(self._queue) >= MAX_QUEUED:
            for index, queued in enumerate(self._queue):
                if isinstance(queued, Transmit | Rtp | Rtcp | RemoteChanged):
                    del self._queue[index]
                    break
            self._refuse("queue_full")
        self._queue.append(event)
