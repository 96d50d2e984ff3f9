"""Bytes of an http or https address for FFmpeg: connections judged by the policy, titles taken out, downloads resumed.

FFmpeg's own HTTP resolves names again when it connects and follows redirects by itself, which no policy can judge;
hence this small reader on `http.client`. It speaks to old SHOUTcast servers too ("ICY 200 OK").
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import io
import socket
import ssl
import string
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

from loacodecs.errors import reason

from .errors import SourceError
from .icy import IcySplitter, plain
from .parts import Parts
from .policy import Policy, Resolve, system_resolve
from .spec import shown

MAX_REDIRECTS: Final = 5
RESUMES: Final = 3
"""How often a download that broke off is taken up again without a byte of progress."""
_PASSING: Final = frozenset({404, 408, 410, 425, 429, 500, 502, 503, 504, 509})
"""Answers that may be others later: a mount point without its source is 404 on Icecast."""


class Transfer:
    """The connections of one source, so that all of them can be cut from another thread."""

    def __init__(
        self, policy: Policy, *, timeout_s: float = 10.0, resolve: Resolve = system_resolve,
        parts: Parts | None = None,
    ) -> None:  # fmt: skip
        """`parts` are those that the source played when it was open before."""
        self.policy = policy
        self.parts = parts or Parts()
        self.timeout_s = timeout_s
        self.resolve = resolve
        self.why: str | None = None
        """Why it was cut, None while it was not."""
        self._sockets: set[socket.socket] = set()
        self._others: list[Callable[[], None]] = []

    def cut(self, why: str) -> None:
        """End every read that waits and every one to come; from any thread."""
        self.why = self.why or why
        for each in list(self._sockets):  # copied at once: the source's thread adds and takes away
            with contextlib.suppress(OSError):
                socket.socket.shutdown(each, socket.SHUT_RDWR)
        for end in list(self._others):
            end()

    def on_cut(self, end: Callable[[], None]) -> None:
        """From now on `cut` calls `end` too, perhaps more than once."""
        self._others.append(end)
        if self.why is not None:
            end()

    def check(self, address: str) -> None:
        """Raises SourceError when it was cut."""
        if self.why is not None:
            raise SourceError(f"{shown(address)} {self.why}", passing=True)

    def connect(self, host: str, port: int) -> socket.socket:
        """A TCP connection to an address of `host` that the policy allows. Raises SourceError, OSError."""
        last: OSError | None = None
        for address in self.policy.addresses(host, port, self.resolve):
            self.check(host)
            try:
                connection = socket.create_connection((address, port), self.timeout_s)
            except OSError as error:
                last = error
                continue
            self.add(connection)
            return connection
        raise last or OSError("no address")

    def add(self, connection: socket.socket) -> None:
        """From now on `cut` ends this one too."""
        self._sockets.add(connection)
        if self.why is not None:
            self.cut(self.why)

    def forget(self, connection: socket.socket) -> None:
        """It is closed, or another object stands for it."""
        self._sockets.discard(connection)


class WebFile(io.RawIOBase):
    """The body of an address as a file for reading, from `start` to before `end` (bytes) if given.

    name         the address at which it was found in the end, after redirects
    length       of the whole in bytes, None for a stream without end
    station      the name an Icecast server gives itself, "" if none
    content_type its media type in lower case
    """

    def __init__(
        self,
        address: str,
        transfer: Transfer,
        *,
        start: int = 0,
        end: int | None = None,
    ) -> None:
        """Connect and read the head. Raises SourceError."""
        super().__init__()
        self.name = address
        self.length: int | None = None
        self.station = ""
        self.content_type = ""
        self.bytes = 0
        self._transfer = transfer
        self._end = end
        self._position = start
        self._splitter: IcySplitter | None = None
        self._ranges = False
        self._broken = False
        self._connection: _Connection | None = None
        self._response: http.client.HTTPResponse | None = None
        self._open(first=True)

    @property
    def title(self) -> str:
        """What is on just now, as the stream says; "" when it does not."""
        return self._splitter.title if self._splitter else ""

    @property
    def live(self) -> bool:
        """Whether it is a stream rather than a file."""
        return self.length is None

    @property
    def endless(self) -> bool:
        """Whether the server says that it is a stream: it gives itself a name, or titles."""
        return self.live and (self._splitter is not None or bool(self.station))

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._ranges and self.length is not None

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        """Where to read on; asks the server only when something is read there."""
        if not self.seekable():
            raise io.UnsupportedOperation("seek")
        base = {0: 0, 1: self._position, 2: self.length or 0}[whence]
        target = max(0, base + offset)
        if target != self._position:
            self._position = target
            self._drop()
        return target

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, b"" at the end. Raises SourceError, once; then it is at its end."""
        if self._broken:  # FFmpeg asks again after an error; it was told once
            return b""
        try:
            return self._read(size)
        except SourceError:
            self._broken = True
            raise

    def _read(self, size: int) -> bytes:
        wanted = 32768 if size is None or size < 0 else size
        attempts = 0
        while wanted:
            data = self._read_once(wanted)
            if data:
                self.bytes += len(data)
                return data
            if self._at_end():
                return b""
            attempts += 1
            if attempts > RESUMES or not self.seekable():
                raise SourceError(
                    f"{shown(self.name)} broke off after {self._position} of {self.length} bytes",
                    passing=True,
                )
            self._drop()
        return b""

    def close(self) -> None:
        self._drop()
        super().close()

    def _at_end(self) -> bool:
        stop = self.length if self._end is None else self._end
        return stop is None or self._position >= stop

    def _read_once(self, wanted: int) -> bytes:
        """Some bytes of the body; b"" when the connection has no more."""
        if self._at_end() and self.length is not None:
            return b""
        if self._response is None:
            self._open(first=False)
        assert self._response is not None
        while True:
            self._transfer.check(self.name)
            try:
                data = self._response.read1(wanted)
            except TimeoutError as error:
                self._transfer.check(self.name)
                seconds = self._transfer.timeout_s
                raise SourceError(
                    f"{shown(self.name)} sent nothing for {seconds:g} s", passing=True
                ) from error
            except (OSError, http.client.HTTPException, ValueError):
                self._transfer.check(self.name)
                return b""  # a connection that breaks is a body that ends too early
            if not data:
                self._transfer.check(self.name)
                return b""
            sound = self._splitter.feed(data) if self._splitter else data
            if sound:
                self._position += len(sound)
                return sound

    def _open(self, *, first: bool) -> None:
        address = self.name
        for _ in range(MAX_REDIRECTS + 1):
            self._transfer.check(address)
            response = self._ask(address)
            where = _recoded(response.getheader("location") or "")
            if response.status in (301, 302, 303, 307, 308) and where:
                self._drop()
                address = urljoin(address, where)
                continue
            if response.status not in (200, 206):
                self._drop()
                raise SourceError(
                    f"{shown(address)} answers {response.status} {plain(response.reason or '')}".rstrip(),
                    passing=response.status in _PASSING,
                )
            if response.status == 200 and self._position and self._ranges:
                self._drop()
                raise SourceError(f"{shown(address)} does not go on where it broke off", passing=True)
            self.name = address
            if first:
                self._read_head(response)
            return
        raise SourceError(f"{shown(self.name)} sends us round in circles")

    def _ask(self, address: str) -> http.client.HTTPResponse:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SourceError(f"{shown(address)} is not an address of the web")
        connection = self._connection = _Connection(parts, self._transfer)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        target = quote(target, safe=string.punctuation)  # as people write it; what is escaped stays so
        try:
            connection.request("GET", target, headers=self._headers(parts))
            self._response = connection.getresponse()
        except TimeoutError as error:
            self._drop()
            self._transfer.check(address)
            seconds = self._transfer.timeout_s
            raise SourceError(
                f"{shown(address)} does not answer within {seconds:g} s", passing=True
            ) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._drop()
            self._transfer.check(address)
            raise SourceError(f"cannot reach {shown(address)}: {reason(error)}", passing=True) from error
        return self._response

    def _headers(self, parts: SplitResult) -> dict[str, str]:
        headers = {"User-Agent": "Loa", "Accept": "*/*", "Icy-MetaData": "1", "Accept-Encoding": "identity"}
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        if self._position or self._end is not None:
            last = "" if self._end is None else str(self._end - 1)
            headers["Range"] = f"bytes={self._position}-{last}"
        return headers

    def _read_head(self, response: http.client.HTTPResponse) -> None:
        def header(name: str) -> str:
            return response.getheader(name) or ""

        self.content_type = header("content-type").partition(";")[0].strip().lower()
        self.station = plain(_recoded(header("icy-name")))
        interval = header("icy-metaint")
        if interval.isdecimal() and 0 < int(interval) <= 1 << 24:
            self._splitter = IcySplitter(int(interval))
        total = header("content-range").rpartition("/")[2] if response.status == 206 else ""
        if self._splitter is None and not self.station:  # some servers promise a length for an endless stream
            self.length = int(total) if total.isdecimal() else response.length
        self._ranges = response.status == 206 or header("accept-ranges").lower() == "bytes"

    def _drop(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None
        if self._connection is not None:
            self._connection.end()
            self._connection = None


class _Response(http.client.HTTPResponse):
    """Takes the status line of SHOUTcast, "ICY 200 OK", for one of HTTP."""

    def __init__(self, sock: socket.socket, *arguments: Any, **named: Any) -> None:
        super().__init__(sock, *arguments, **named)
        if self.fp.peek(4)[:4] == b"ICY ":
            self.fp.read(4)
            self.fp = io.BufferedReader(_Joined(b"HTTP/1.0 ", self.fp))


class _Joined(io.RawIOBase):
    """`head`, and then what `tail` has."""

    def __init__(self, head: bytes, tail: io.BufferedIOBase) -> None:
        super().__init__()
        self._head = head
        self._tail = tail

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._head[: len(buffer)] or self._tail.read1(len(buffer))
        self._head = self._head[len(data) :]
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._tail.close()
        super().close()


class _Connection(http.client.HTTPConnection):
    """To an address that the policy allowed, with TLS to the name it was asked by."""

    response_class = _Response

    def __init__(self, parts: SplitResult, transfer: Transfer) -> None:
        self._secure = parts.scheme == "https"
        self._transfer = transfer
        self._kept: socket.socket | None = None
        super().__init__(parts.hostname or "", parts.port or (443 if self._secure else 80))
        self.default_port = 443 if self._secure else 80

    def connect(self) -> None:
        connection = self._transfer.connect(self.host, self.port)
        if self._secure:
            context = ssl.create_default_context()
            try:
                secured = context.wrap_socket(
                    connection, server_hostname=self.host, do_handshake_on_connect=False
                )
            except OSError:
                connection.close()
                raise
            self._transfer.forget(connection)
            self._transfer.add(secured)
            self.sock = self._kept = secured
            secured.do_handshake()
            return
        self.sock = self._kept = connection

    def end(self) -> None:
        """Close it for good. `close` is called by http.client itself while the body is still to be read."""
        self.close()
        if self._kept is not None:
            self._transfer.forget(self._kept)
            with contextlib.suppress(OSError):
                self._kept.close()
            self._kept = None


def _recoded(header: str) -> str:
    """http.client reads header lines as Latin-1; stations write UTF-8."""
    with contextlib.suppress(UnicodeError):
        return header.encode("latin-1").decode("utf-8")
    return header
