"""A web server on loopback for the sources: files with ranges, redirects, Icecast with titles, servers that fail."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field


@dataclass
class Asked:
    """A request: its path, its header lines by name, and the connection to answer on as one likes."""

    path: str
    headers: dict[str, str]
    connection: socket.socket
    closing: threading.Event

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def answer(self, status: str, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in (headers or {}).items())]
        self.send("\r\n".join([*lines, "Connection: close", "", ""]).encode() + body)

    def serve(
        self, body: bytes, kind: str = "audio/mpeg", *, ranges: bool = True, cut_at: int | None = None
    ) -> None:
        """A file; `cut_at` breaks off there."""
        headers = {"Content-Type": kind} | ({"Accept-Ranges": "bytes"} if ranges else {})
        asked = self.headers.get("range", "")
        if ranges and asked:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, stop = int(first), int(last) + 1 if last else len(body)
            headers |= {
                "Content-Range": f"bytes {start}-{stop - 1}/{len(body)}",
                "Content-Length": str(stop - start),
            }
            self.answer("206 Partial Content", headers, body[start:stop])
        else:
            headers["Content-Length"] = str(len(body))
            self.answer("200 OK", headers, body[:cut_at])

    def wait(self) -> None:
        """Say nothing more until the server ends."""
        self.closing.wait(20)


@dataclass
class WebRadio:
    """Where the server is and what it was asked."""

    port: int
    requests: list[Asked] = field(default_factory=list)

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"


@contextlib.contextmanager
def web_radio(respond: Callable[[Asked], None]) -> Iterator[WebRadio]:
    """Answers each connection's one request by `respond`, in a thread of its own."""
    listener = socket.create_server(("127.0.0.1", 0))
    closing = threading.Event()
    radio = WebRadio(listener.getsockname()[1])
    connections: list[socket.socket] = []

    def one(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                part = connection.recv(4096)
                if not part:
                    return
                head += part
            first, *lines = head.decode().split("\r\n")
            headers = {
                name.lower(): value.strip()
                for name, _, value in (line.partition(":") for line in lines if line)
            }
            asked = Asked(first.split(" ")[1], headers, connection, closing)
            radio.requests.append(asked)
            respond(asked)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connections.append(connection)
            threading.Thread(target=one, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield radio
    finally:
        closing.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def with_titles(sound: bytes, interval: int, titles: dict[int, str]) -> bytes:
    """`sound` as SHOUTcast sends it: after each `interval` bytes a block, with a title at the numbered ones."""
    out = bytearray()
    for number, at in enumerate(range(0, len(sound), interval)):
        out += sound[at : at + interval]
        if len(sound) - at < interval:
            break
        text = f"StreamTitle='{titles[number]}';StreamUrl='';".encode() if number in titles else b""
        sixteenths = -(-len(text) // 16)
        out += bytes((sixteenths,)) + text.ljust(16 * sixteenths, b"\0")
    return bytes(out)
