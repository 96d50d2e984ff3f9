"""uvicorn on sockets that are open already, stopped by its owner and never by signals of its own."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import resource
import socket
import weakref
from asyncio import TimerHandle
from collections.abc import Generator, Sequence
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from loacodecs.control import MESSAGE_BYTES_MAX
from loacodecs.errors import ConfigurationError
from relay.addresses import split_address
from relay.http.stream import TAKE_OVER
from relay.http.tls import Tls
from relay.http.websocket import BoundedWebSocket

#: A request's line and header fields: more is refused with 431.
HEAD_BYTES_MAX: Final = 32_768
#: Seconds within which they must have come.
HEAD_SECONDS: Final = 10.0
CONNECTIONS_MAX: Final = 16_384
_BACKLOG: Final = 4096
_CERTIFICATE_LOOK_SECONDS: Final = 10.0
_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
)


def bind(listen: str) -> list[socket.socket]:
    """Listening sockets for `http.listen`; `[::]` is IPv4 too, and IPv4 alone where there is no IPv6.

    Raises ConfigurationError with the mend when the port is taken or not allowed.
    """
    host, port = split_address(listen)
    try:
        return [_listening(host, port)]
    except OSError as error:
        if host == "::" and error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
            with contextlib.suppress(OSError):
                return [_listening("0.0.0.0", port)]  # noqa: S104 - the configuration asked for every address
        raise ConfigurationError(f"http.listen = {listen!r}: {_reason(error, port)}") from None


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _reason(error: OSError, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is in use; stop the other program or choose another port"
    if error.errno == errno.EACCES:
        return f"port {port} needs root or CAP_NET_BIND_SERVICE; choose one above 1023"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine does not have that address"
    return os.strerror(error.errno or 0)


def raise_file_limit() -> int:
    """Let this process have as many open files as it may: each receiver that joins holds a connection."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return soft


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with an end to how large, and how slow, a request's head may be.

    When its connection is over nothing points in a circle: the collector sets what is alive aside (`settle_garbage`),
    and never again looks at a circle there.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_bytes = 0
        self._head_timer: TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """The head of the first request is awaited from now on."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is awaited any more."""
        self._head_complete()
        super().connection_lost(exc)
        self._let_go()

    def handle_websocket_upgrade(self) -> None:
        """The connection is another protocol's from now on."""
        super().handle_websocket_upgrade()
        self._let_go()

    def data_received(self, data: bytes) -> None:
        """Count what comes while a head is incomplete."""
        super().data_received(data)
        if self._head_timer is None or self.transport.is_closing():
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_BYTES_MAX:
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def on_message_begin(self) -> None:
        """A request begins on a kept connection."""
        super().on_message_begin()
        if self._head_timer is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        """The head is there; what follows is the application's to bound."""
        self._head_complete()
        super().on_headers_complete()
        if self.cycle is None:  # a WebSocket's request, answered by another protocol
            return
        answering, protocol = weakref.ref(self.cycle), weakref.ref(self)  # the former's task runs later

        def take_over() -> asyncio.Transport:
            """The transport, for an answer whose body ends with the connection and is framed by nothing else."""
            cycle, owner = answering(), protocol()
            assert cycle is not None, "called by its own task"
            assert owner is not None
            cycle.chunked_encoding = False
            return owner.transport

        self.scope["extensions"] = {TAKE_OVER: take_over}  # type: ignore[dict-item]  # an extension of our own

    def _let_go(self) -> None:
        self.parser = None  # type: ignore[assignment]  # as uvicorn does at the end of a connection
        self.cycle = None  # type: ignore[assignment]  # which calls us when it is done
        self.scope = {}  # type: ignore[typeddict-item]

    def _await_head(self) -> None:
        self._head_bytes = 0
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _head_complete(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, started: asyncio.Event) -> None:
        super().__init__(config)
        self._started = started
        self.stopping = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """The relay's owner handles signals: draining comes before the end of HTTP."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._started.set()

    async def main_loop(self) -> None:
        """Once a second, for the date in answers, and when it is to end; uvicorn's own looks ten times a second, a
        tenth of what a relay with a hundred listeners costs."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self.stopping.wait()


class HttpServer:
    """Serves `app` on `sockets`; `run` in a task, `stop` to end it.

    server = HttpServer(app, bind("[::]:8889"))
    task = group.create_task(server.run()); await server.started.wait()
    …
    server.stop(); await task
    """

    def __init__(
        self,
        app: ASGIApp,
        sockets: Sequence[socket.socket],
        *,
        tls: Tls | None = None,
        grace: float = 3.0,
    ) -> None:
        """`grace`: seconds that requests under way have to finish after `stop`."""
        self.started = asyncio.Event()
        self._sockets = list(sockets)
        self._tls = tls
        self._addresses = [tuple(item.getsockname()[:2]) for item in sockets]
        config = uvicorn.Config(
            app,
            http=BoundedProtocol,
            ws=BoundedWebSocket,
            ws_max_size=MESSAGE_BYTES_MAX,
            ws_ping_interval=None,  # telemetry keeps a link alive; a receiver pays for every ping
            ws_per_message_deflate=False,
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,  # relay.http.peer does it, for its own purposes
            server_header=False,
            limit_concurrency=CONNECTIONS_MAX,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=max(1, round(grace)),
            ssl_context_factory=None if tls is None else lambda _config, _default: tls.context,
        )
        self._server = _Server(config, self.started)

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """IP address and port of each socket, as bound."""
        return [(str(host), int(port)) for host, port in self._addresses]

    async def run(self) -> None:
        """Serve until `stop`; the sockets are closed afterwards."""
        looking = asyncio.create_task(self._look_at_certificate()) if self._tls is not None else None
        try:
            await self._server.serve(self._sockets)
        finally:
            if looking is not None:
                looking.cancel()
            for item in self._sockets:
                item.close()

    def stop(self, *, force: bool = False) -> None:
        """Take no more connections, finish the requests under way (not with `force`) and let `run` return."""
        self._server.should_exit = True
        self._server.stopping.set()
        self._server.force_exit = self._server.force_exit or force

    async def _look_at_certificate(self) -> None:
        assert self._tls is not None
        while True:
            await asyncio.sleep(_CERTIFICATE_LOOK_SECONDS)
            self._tls.reload_if_changed()
