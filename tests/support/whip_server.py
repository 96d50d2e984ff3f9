"""A WHIP/WHEP server of a few lines, for the edge cases of HTTP that a real relay would not show."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType


@dataclass
class Request:
    """What the client sent."""

    method: str
    path: str
    headers: dict[str, str]
    body: str


@dataclass
class Reply:
    """What the server answers; `raw` replaces everything."""

    status: int = 201
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: str = ""
    raw: bytes | None = None

    def to_bytes(self) -> bytes:
        if self.raw is not None:
            return self.raw
        lines = [f"HTTP/1.1 {self.status} Said So", *(f"{name}: {value}" for name, value in self.headers)]
        body = self.body.encode()
        length = [] if self.status == 204 else [f"Content-Length: {len(body)}"]
        return "\r\n".join([*lines, *length, "Connection: close", "", ""]).encode() + body


def created(sdp: str, location: str = "/session/1", *headers: tuple[str, str]) -> Reply:
    return Reply(201, [("Content-Type", "application/sdp"), ("Location", location), *headers], sdp)


class WhipServer:
    """Answers on a loopback port with whatever `respond` says, and remembers the requests."""

    def __init__(
        self, respond: Callable[[Request], Reply | Awaitable[Reply]], tls: ssl.SSLContext | None = None
    ) -> None:
        self.requests: list[Request] = []
        self.url = ""
        self._respond = respond
        self._tls = tls
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> WhipServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.url = (
            f"{'https' if self._tls else 'http'}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.split("\r\n")
            method, path, _ = first.split(" ")
            headers = {
                name.lower(): value.strip() for name, _, value in (li.partition(":") for li in lines if li)
            }
            body = (await reader.readexactly(int(headers.get("content-length", "0")))).decode()
            request = Request(method, path, headers, body)
            self.requests.append(request)
            reply = self._respond(request)
            writer.write((reply if isinstance(reply, Reply) else await reply).to_bytes())
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
