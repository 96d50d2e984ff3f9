"""A network in memory with a hand-driven clock: peers, addresses, delay, loss."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Callable

from loacodecs import sdp
from loacodecs.address import Address
from loacodecs.certificate import Certificate
from loacodecs.peer import Closed, Connected, Event, Peer, RemoteChanged, Transmit

SERVER: Address = ("192.0.2.1", 8189)
CLIENT: Address = ("198.51.100.7", 40000)
SERVER_CERTIFICATE = Certificate.generate("server")
CLIENT_CERTIFICATE = Certificate.generate("client")

Drop = Callable[[bytes, Address, Address], bool]


class Endpoint:
    """A peer at an address, with every event but Transmit it gave."""

    def __init__(self, peer: Peer, address: Address) -> None:
        self.peer = peer
        self.address = address
        self.events: list[Event] = []

    def of(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def closed(self) -> Closed | None:
        return next((event for event in self.events if isinstance(event, Closed)), None)

    @property
    def connected(self) -> Connected | None:
        return next((event for event in self.events if isinstance(event, Connected)), None)


class Wire:
    """Carries datagrams between endpoints; time moves only in `run`."""

    def __init__(self, delay: float = 0.01) -> None:
        self.now = 1000.0
        self.delay = delay
        self.drop: Drop = lambda _data, _source, _target: False
        #: Everything sent, in order, dropped or not.
        self.sent: list[tuple[float, bytes, Address, Address]] = []
        self._order = itertools.count()
        self._flying: list[tuple[float, int, bytes, Address, Address]] = []
        self._endpoints: dict[Address, Endpoint] = {}

    def attach(self, peer: Peer, address: Address) -> Endpoint:
        endpoint = Endpoint(peer, address)
        self._endpoints[address] = endpoint
        return endpoint

    def move(self, endpoint: Endpoint, address: Address) -> None:
        self._endpoints.pop(endpoint.address, None)
        endpoint.address = address
        self._endpoints[address] = endpoint

    def drain(self, endpoint: Endpoint) -> None:
        while (event := endpoint.peer.poll()) is not None:
            if isinstance(event, Transmit):
                self.send(event.data, endpoint.address, event.addr)
            else:
                endpoint.events.append(event)

    def send(self, data: bytes, source: Address, target: Address) -> None:
        self.sent.append((self.now, data, source, target))
        if not self.drop(data, source, target):
            heapq.heappush(self._flying, (self.now + self.delay, next(self._order), data, source, target))

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass; stop early, with True, when `until` holds."""
        end = self.now + seconds
        for _ in range(200_000):
            for endpoint in list(self._endpoints.values()):
                self.drain(endpoint)
            if until():
                return True
            moments = [flying[0] for flying in self._flying[:1]]
            moments += [d for e in self._endpoints.values() if (d := e.peer.next_deadline()) is not None]
            moment = max(self.now, min(moments, default=math.inf))
            if moment > end:
                self.now = end
                return False
            self.now = moment
            self._deliver_and_wake()
        raise AssertionError("the peers keep one another busy without time passing")

    def _deliver_and_wake(self) -> None:
        while self._flying and self._flying[0][0] <= self.now:
            _, _, data, source, target = heapq.heappop(self._flying)
            if target in self._endpoints:
                endpoint = self._endpoints[target]
                endpoint.peer.receive(self.now, data, source)
                self.drain(endpoint)
        for endpoint in self._endpoints.values():
            deadline = endpoint.peer.next_deadline()
            if deadline is not None and deadline <= self.now:
                endpoint.peer.on_timeout(self.now)


def randomness(seed: object) -> Callable[[int], bytes]:
    return random.Random(repr(seed)).randbytes


class Session:
    """A client that offers and a server that answers, on one wire."""

    def __init__(
        self,
        *,
        wire: Wire | None = None,
        setup: str = "actpass",
        addresses: list[Address] | None = None,
        defer_handshake: bool = False,
        client_certificate: Certificate = CLIENT_CERTIFICATE,
        announced_fingerprint: str | None = None,
        server_address: Address = SERVER,
        client_address: Address = CLIENT,
        client_consent_timeout: float = 30.0,
    ) -> None:
        self.wire = wire or Wire()
        self.server_pwd, self.client_pwd = "s" * 24, "c" * 24
        offer_text = sdp.make_offer(
            direction="sendonly",
            ice_ufrag="clientU",
            ice_pwd=self.client_pwd,
            fingerprint=announced_fingerprint or client_certificate.fingerprint,
            session_id=1,
        ).replace("a=setup:actpass", f"a=setup:{setup}")
        self.offer = sdp.parse_offer(offer_text)
        answer_text = sdp.make_answer(
            self.offer,
            direction="recvonly",
            ice_ufrag="serverU",
            ice_pwd=self.server_pwd,
            fingerprint=SERVER_CERTIFICATE.fingerprint,
            candidates=addresses or [server_address],
            session_id=2,
        )
        self.answer = sdp.parse_answer(answer_text)
        server = Peer.server(
            certificate=SERVER_CERTIFICATE,
            ufrag="serverU",
            pwd=self.server_pwd,
            offer=self.offer,
            random=randomness("server"),
            now=self.wire.now,
            defer_handshake=defer_handshake,
        )
        client = Peer.client(
            certificate=client_certificate,
            ufrag="clientU",
            pwd=self.client_pwd,
            random=randomness("client"),
            consent_timeout=client_consent_timeout,
        )
        self.server = self.wire.attach(server, server_address)
        self.client = self.wire.attach(client, client_address)

    def start(self) -> None:
        self.client.peer.set_remote(self.answer, self.wire.now)

    def connect(self, seconds: float = 20.0) -> None:
        self.start()
        assert self.wire.run(seconds, lambda: bool(self.server.connected and self.client.connected))

    @property
    def remote_changes(self) -> list[Event]:
        return self.server.of(RemoteChanged)
