"""A relay and the bad path before it: one UDP proxy for media, one TCP proxy for HTTP and the control link."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from types import TracebackType
from typing import Any, Final

import httpx

from bench.edge.ledger import Ledger
from bench.edge.tcp_link import TcpProxy
from bench.errors import BenchError
from bench.link.core import Limits
from bench.link.draws import derive
from bench.link.model import Fates, Links, PathConfig
from bench.link.presets import NONE
from bench.link.proxy import UdpProxy
from bench.server import Server, free_port
from loacodecs.address import Address
from loaedge.client import ClientSettings
from loaedge.urls import bearer, endpoint

HOST: Final = "127.0.0.1"
UDP_IPV4: Final = 28
CHANNEL: Final = 0
_IDLE_S: Final = 600.0


class Way:
    """`async with` it after `Server` is up. The station is the first client of the UDP proxy and meets no path."""

    def __init__(self, path: PathConfig, seed: str, secret: bytes) -> None:
        """Start a relay. Raises BenchError.

        In the main thread: the relay lives as long as the thread that started it.
        """
        self.ledger = Ledger()
        self.epoch: float | None = None
        """From when stalls count; of the first receiver if not set."""
        self._path = path
        self._seed = seed
        self._listen: Address = (HOST, free_port(socket.SOCK_DGRAM, HOST))
        self.server = Server(1, 64, HOST, advertise=self._listen, secret=secret)
        self._up = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Way:
        """Open the proxies. Raises BenchError."""
        server = self.server
        self.udp = await self._up.enter_async_context(
            UdpProxy(
                self._links("udp", spared=1),
                to=server.media,
                listen=self._listen,
                limits=Limits(idle_s=_IDLE_S),
                record=self.ledger.row,
                observer=self.ledger,
            )
        )
        self.tcp = await self._up.enter_async_context(
            TcpProxy(self._links("tcp", spared=0), to=(server.http_host, server.http_port))
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._up.aclose()

    @property
    def address(self) -> str:
        """The base address that a receiver is told."""
        host, port = self.tcp.address
        return f"http://{host}:{port}"

    @property
    def media_bytes(self) -> int:
        """Bytes of the IP packets of all sessions so far, both directions, the station's left out."""
        return self.ledger.bytes + UDP_IPV4 * self.ledger.datagrams

    @property
    def link_bytes(self) -> int:
        """The same of HTTP and control links."""
        return self.tcp.carried.wire_bytes

    def publisher(self) -> ClientSettings:
        """How the station reaches the relay: HTTP past the path."""
        server = self.server
        page = f"http://{server.http_host}:{server.http_port}/{server.channels[CHANNEL]}"
        return ClientSettings(
            endpoint(page, "whip"), "sendonly", bearer(server.token("publish"), "the bench"), replace=True
        )

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """The JSON that the relay's administration answers. Raises BenchError."""
        server = self.server
        headers = {"Authorization": f"Bearer {server.token('admin')}"}
        try:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # not used, and quicker made than the usual one
            async with httpx.AsyncClient(trust_env=False, timeout=15, verify=tls) as client:
                url = f"http://{server.http_host}:{server.http_port}/api/v1/devices{path}"
                answer = await client.request(method, url, json=body, headers=headers)
        except httpx.HTTPError as error:
            raise BenchError(f"the relay does not answer: {error}") from error
        if not answer.is_success:
            raise BenchError(
                f"the relay answered {answer.status_code} to {method} {path}: {answer.text[:200]}"
            )
        return answer.json()

    def _links(self, kind: str, spared: int) -> Links:
        """The path, for all clients but the first `spared`."""
        clean = NONE.links(0)
        impaired = self._path.links(derive(self._seed, kind))

        def make(client: int, epoch: float) -> tuple[Fates, Fates]:
            if client < spared:
                return clean(client, epoch)
            if self.epoch is None:
                self.epoch = time.monotonic()
            return impaired(client - spared, self.epoch)

        return make
