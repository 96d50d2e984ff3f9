"""uvicorn on real sockets of the loopback: starting, stopping, TLS, and requests that never end."""

from __future__ import annotations

import asyncio
import datetime
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from loacodecs.errors import ConfigurationError
from relay.http import server as module
from relay.http.server import HttpServer, bind
from relay.http.tls import Tls, self_signed
from tests.relay.http.conftest import Surface

WAIT = 10.0


@asynccontextmanager
async def running(surface: Surface, *, tls: Tls | None = None) -> AsyncIterator[tuple[HttpServer, int]]:
    http = HttpServer(surface.app(), bind("127.0.0.1:0"), tls=tls, grace=1)
    task = asyncio.create_task(http.run())
    try:
        async with asyncio.timeout(WAIT):
            await http.started.wait()
        yield http, http.addresses[0][1]
    finally:
        http.stop(force=True)
        async with asyncio.timeout(WAIT):
            await task


async def read_all(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(WAIT):
        return await reader.read()


async def test_it_serves_until_it_is_stopped(surface: Surface) -> None:
    http = HttpServer(surface.app(), bind("127.0.0.1:0"))
    task = asyncio.create_task(http.run())
    async with asyncio.timeout(WAIT):
        await http.started.wait()
        port = http.addresses[0][1]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            assert (await client.get("/healthz")).text == "ok\n"
            headers = {"Content-Type": "application/sdp"} | surface.bearer("listen")
            assert (await client.post("/xa/whep", content="v=0", headers=headers)).status_code == 201
            http.stop()
            await task
    assert surface.core.calls[0][-1] == "127.0.0.1", "the address the request arrived at"
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port))


async def test_every_address_is_one_socket_for_both_families(surface: Surface) -> None:
    sockets = bind("[::]:0")
    port = sockets[0].getsockname()[1]
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    finally:
        sockets[0].close()


def test_a_port_in_use_is_one_sentence() -> None:
    taken = bind("127.0.0.1:0")
    port = taken[0].getsockname()[1]
    try:
        with pytest.raises(ConfigurationError, match=f"port {port} is in use; stop the other program"):
            bind(f"127.0.0.1:{port}")
    finally:
        taken[0].close()


def test_an_address_that_is_not_here_is_one_sentence() -> None:
    with pytest.raises(ConfigurationError, match="does not have that address"):
        bind("192.0.2.1:0")


async def test_https_serves_the_renewed_certificate(surface: Surface, tmp_path: Path) -> None:
    now = datetime.datetime.now(datetime.UTC)
    first = self_signed(tmp_path / "1", ["localhost"], ["127.0.0.1"], now)
    second = self_signed(tmp_path / "2", ["localhost"], ["127.0.0.1"], now)
    tls = Tls(*first)

    async def visit(trusted: Path, port: int) -> httpx.Response:
        context = ssl.create_default_context(cafile=str(trusted))
        async with httpx.AsyncClient(base_url=f"https://127.0.0.1:{port}", verify=context) as client:
            return await client.get("/healthz")

    async with running(surface, tls=tls) as (_, port):
        assert (await visit(first[0], port)).status_code == 200
        for source, target in zip(second, first, strict=True):
            target.write_bytes(source.read_bytes())
        assert tls.reload_if_changed()
        assert (await visit(second[0], port)).status_code == 200


async def test_an_endless_head_is_431(surface: Surface) -> None:
    async with running(surface) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\n")
        received = b""
        async with asyncio.timeout(WAIT):
            while not received:
                writer.write(b"x-padding: " + b"y" * 4000 + b"\r\n")
                try:
                    received = await asyncio.wait_for(reader.read(1000), 0.01)
                except TimeoutError:
                    continue
        assert received.startswith(b"HTTP/1.1 431")
        writer.close()


async def test_a_head_that_never_comes_ends_the_connection(
    surface: Surface, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEAD_SECONDS", 0.2)
    async with running(surface) as (_, port):
        silent, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await read_all(silent) == b""
        writer.close()
        second, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /heal")
        text = await read_all(second)
        assert text.count(b"HTTP/1.1") == 1, "the first request is answered, the half one ends"
        writer.close()


async def test_a_large_body_in_one_piece_with_its_head_is_no_large_head(surface: Surface) -> None:
    async with running(surface) as (_, port):
        headers = {"Content-Type": "application/sdp"} | surface.bearer("listen")
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            for _ in range(3):
                response = await client.post("/xa/whep", content=b"x" * 60_000, headers=headers)
                assert response.status_code == 201


async def test_a_refused_large_body_ends_the_connection(surface: Surface) -> None:
    async with running(surface) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        token = surface.token("listen")
        writer.write(
            f"POST /xa/whep HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
            "Content-Type: application/sdp\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        chunk = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
        for _ in range(5):
            writer.write(chunk)
        assert (await read_all(reader)).startswith(b"HTTP/1.1 413")
        writer.close()


async def test_what_is_not_http_is_400(surface: Surface) -> None:
    async with running(surface) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x16\x03\x01\x02\x00 not http\r\n\r\n")
        assert (await read_all(reader)).startswith(b"HTTP/1.1 400")
        writer.close()


def test_the_limit_of_open_files_is_raised_as_far_as_allowed() -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, before[1]), before[1]))
        assert module.raise_file_limit() == min(65_536, before[1])
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(65_536, before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
