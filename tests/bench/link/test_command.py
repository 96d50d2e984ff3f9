"""`loa bench link` as a person runs it: a process of its own, stopped by Ctrl-C or its duration."""

from __future__ import annotations

import asyncio
import json
import re
import resource
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
from click.testing import CliRunner

from bench.cli import bench
from bench.link.trace import read
from loacodecs.address import Address
from tests.support.relay_process import free_port

PATIENCE_S = 30.0


class Echo(asyncio.DatagramProtocol):
    """A relay that sends back what it gets."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.transport.sendto(data, addr)


class Answers(asyncio.DatagramProtocol):
    """A client that keeps what comes back."""

    def __init__(self) -> None:
        self.data: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.data.put_nowait(data)


@asynccontextmanager
async def link(*arguments: str) -> AsyncIterator[tuple[Process, Address]]:
    """The command, running before an echo; and where to send to."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "loaedge", "bench", "link"),
        *("--listen", "127.0.0.1:0", "--to", f"localhost:{port}", *arguments),
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        assert process.stderr is not None
        first = (await asyncio.wait_for(process.stderr.readline(), PATIENCE_S)).decode()
        match = re.match(r"127\.0\.0\.1:(\d+) leads to 127\.0\.0\.1:(\d+): ", first)
        assert match, first
        assert int(match[2]) == port
        yield process, ("127.0.0.1", int(match[1]))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        transport.close()


async def exchange(address: Address, packets: int) -> int:
    """Send numbered RTP packets; how many of them came back when the last that did was there."""
    loop = asyncio.get_running_loop()
    transport, answers = await loop.create_datagram_endpoint(Answers, remote_addr=address)
    back = 0
    for number in range(packets):
        transport.sendto(b"\x80\x6f" + number.to_bytes(2, "big") + bytes(168))
        await asyncio.sleep(0.001)
    try:
        while True:
            await asyncio.wait_for(answers.data.get(), 0.7)
            back += 1
    except TimeoutError:
        transport.close()
        return back


async def ended(process: Process) -> tuple[int, str, str]:
    output, errors = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


async def test_counts_are_told_and_a_trace_is_written_until_interrupted(tmp_path: Path) -> None:
    trace, figures, seen = tmp_path / "link.csv", tmp_path / "link.json", tmp_path / "seen.csv"
    options = ["--preset", "p1", "--seed", "7", "--trace", str(trace), "--json", str(figures)]
    async with link(*options, "--observe", str(seen)) as (process, address):
        back = await exchange(address, 500)
        process.send_signal(signal.SIGINT)
        code, output, _ = await ended(process)
    report = json.loads(figures.read_text())
    assert code == (1 if report["problems"] else 0)
    assert "offered" in output
    assert report["up"]["offered"] == 500
    assert report["down"]["offered"] == 500 - report["up"]["lost"]
    assert back == report["down"]["offered"] - report["down"]["lost"]
    assert report["sent"] == report["down"]["offered"] + back
    assert 0 < report["late_ms"]["p50"] <= report["late_ms"]["p99"] <= report["late_ms"]["max"]
    up = read(trace).recording(0, "up")
    assert sum(not up.delays_of(number) for number in range(500)) == report["up"]["lost"]
    # An observer sees RTP of both directions, and what is lost before the proxy: what the way up lost is
    # missing in the echo.
    assert set(read(seen).recordings) == {(0, "up"), (0, "down")}


async def test_a_replay_loses_the_same_packets_again(tmp_path: Path) -> None:
    trace = tmp_path / "link.csv"
    rows = ["10" if number % 5 else "lost" for number in range(50)]
    lines = [f"{number * 0.02:.6f},0,up,172,{row}" for number, row in enumerate(rows)]
    trace.write_text("\n".join(["# loa-link-trace 1", *lines, *(f"{n},0,down,9,1" for n in range(2))]))
    async with link("--replay", str(trace), "--pace", "packet") as (process, address):
        assert await exchange(address, 200) == 160
        process.terminate()
        code, output, _ = await ended(process)
    assert code == 0 or "late" in output


async def test_it_ends_by_itself_when_its_time_is_over(tmp_path: Path) -> None:
    config, trace = tmp_path / "hill.toml", tmp_path / "link.csv"
    config.write_text("[both]\ndelay = { base = '10ms' }")
    async with link("--config", str(config), "--duration", "0.3", "--trace", str(trace)) as (process, _):
        code, output, errors = await ended(process)
    assert code == 0
    assert output.splitlines()[1].split()[:3] == ["up", "0", "0"]
    assert "0 clients" in errors or not errors
    assert trace.read_text().splitlines()[-1] == "# end 0.000000"


def invoke(*arguments: str) -> tuple[int, str]:
    """Exit code and error, of what fails before it begins."""
    address = f"127.0.0.1:{free_port(socket.SOCK_DGRAM)}"
    result = CliRunner().invoke(bench, ["link", "--listen", address, "--to", "127.0.0.1:9", *arguments])
    return result.exit_code, result.stderr or str(result.exception)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give one of --preset, --config and --replay"),
        (["--preset", "P2", "--replay", "x"], "give one of"),
        (["--preset", "P2", "--listen", "9000"], "'9000' is no address"),
        (["--preset", "P2", "--listen", "127.0.0.1:70000"], "is no address"),
        (["--preset", "P2", "--to", "::1:9000"], "brackets"),
        (["--preset", "P2", "--duration", "0"], "--duration"),
        (["--preset", "P2", "--clients", "0"], "--clients"),
    ],
)
def test_bad_arguments_are_named_and_end_with_2(arguments: list[str], words: str) -> None:
    code, errors = invoke(*arguments)
    assert code == 2
    assert words in errors


def test_what_cannot_work_is_one_sentence(tmp_path: Path) -> None:
    there = tmp_path / "there.csv"
    there.write_text("not a trace")
    cases = [
        (["--preset", "P9"], "there is no preset 'P9'"),
        (["--preset", "P2", "--to", "no.such.host.invalid:9"], "neither an IP address nor a name"),
        (["--config", str(tmp_path / "none.toml")], "No such file"),
        (["--replay", str(there)], "line 1: is no trace"),
        (["--preset", "P2", "--trace", str(there)], "exists already"),
        (["--preset", "P2", "--json", str(tmp_path / "no" / "x.json")], "there is no such folder"),
    ]
    for arguments, words in cases:
        _, errors = invoke(*arguments)
        assert words in errors
        assert len(errors.strip().splitlines()) == 1
    assert there.read_text() == "not a trace"


def test_a_full_disk_takes_no_figures() -> None:
    full = ["--preset", "none", "--duration", "0.05", "--json", "/dev/full"]
    result = CliRunner().invoke(bench, ["link", "--listen", "127.0.0.1:0", "--to", "127.0.0.1:9", *full])
    assert "/dev/full: No space left" in str(result.exception)
    assert "offered" in result.stdout


async def test_a_trace_that_is_not_complete_takes_no_figures(tmp_path: Path) -> None:
    trace, figures = tmp_path / "link.csv", tmp_path / "link.json"
    async with link("--preset", "none", "--json", str(figures), "--trace", str(trace)) as (process, address):
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (2048, 2048))
        assert await exchange(address, 100) == 100
        process.send_signal(signal.SIGINT)
        code, output, _ = await ended(process)
    assert code == 1
    assert f"{trace} is not complete: File too large" in output
    assert "offered" in output
    assert json.loads(figures.read_text())["up"]["offered"] == 100


def test_a_port_that_is_taken_leaves_no_trace_behind(tmp_path: Path) -> None:
    trace = tmp_path / "link.csv"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        words = ["link", "--listen", taken, "--to", "127.0.0.1:9", "--preset", "P2", "--trace", str(trace)]
        for _ in range(2):
            result = CliRunner().invoke(bench, words)
            assert "choose another with --listen" in str(result.exception)
    assert not trace.exists()
