"""A real relay behind the impairment link: the link loses, the listener asks again, the sound is whole."""

from __future__ import annotations

import asyncio
import re
import socket
import sys
import wave
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from bench.link.delay import Delay
from bench.link.loss import Loss
from bench.link.model import Fates, Link, LinkConfig, PathConfig
from bench.link.presets import NONE
from bench.link.proxy import UdpProxy
from tests.support.relay_process import RelayProcess, free_port
from tests.support.tones import dominant_frequency

PATIENCE_S = 40.0
SEED = 11
LOSSY = PathConfig(
    *(LinkConfig(Loss(0.02, burst=2), Delay(0.02, 0.005, correlation=0.8)),) * 2, name="lossy"
)  # fmt: skip
PUBLISHER, LISTENER = 0, 1
Row = tuple[float, int, str, int, tuple[float, ...]]


def clear_for_the_publisher(client: int, epoch: float) -> tuple[Fates, Fates]:
    """What is measured is the way to the listener."""
    return (NONE if client == PUBLISHER else LOSSY).links(SEED)(client, epoch)


@pytest.fixture
def relay_behind(tmp_path: Path) -> tuple[RelayProcess, int]:
    """A relay that is not started yet, and the port of loopback that it gives as its own."""
    relay = RelayProcess(tmp_path / "relay", {"xa": []})
    port = free_port(socket.SOCK_DGRAM)
    text = relay.config.read_text()
    relay.config.write_text(text.replace("[media]\n", f'[media]\nadvertise = ["127.0.0.1:{port}"]\n'))
    return relay, port


@asynccontextmanager
async def loa(*arguments: str, token: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "loaedge", *arguments),
        stdout=PIPE,
        stderr=PIPE,
        env={"PATH": "/usr/bin", "LOA_TOKEN": token},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()  # it says goodbye, so that the channel is free for the next
            await process.wait()


async def listen(relay: RelayProcess, port: int, seconds: int, file: Path) -> tuple[str, list[Row], UdpProxy]:
    """Publish a tone and hear it, both through a proxy; gives the listener's summary, all fates, the proxy."""
    rows: list[Row] = []
    proxy = UdpProxy(
        clear_for_the_publisher,
        to=("127.0.0.1", relay.media_port),
        listen=("127.0.0.1", port),
        record=lambda *row: rows.append(row),
    )
    url, token = f"{relay.base}/xa", relay.token("publish", "listen")
    async with (
        asyncio.timeout(PATIENCE_S + seconds),
        proxy,
        loa("publish", url, "tone:440", token=token) as publisher,
    ):
        assert publisher.stderr is not None
        assert (await publisher.stderr.readline()).startswith(b"on air: ")
        options = ["--duration", f"{seconds}s", "--output", str(file)]
        async with loa("listen", url, *options, token=token) as listener:
            output, errors = await listener.communicate()
            assert listener.returncode == 0, errors.decode()
    return output.decode(), rows, proxy


def frequency(file: Path) -> float:
    with wave.open(str(file), "rb") as sound:
        samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2")
    return dominant_frequency(samples[-48_000:] / 32768)


def lost(rows: list[Row], direction: str) -> list[bool]:
    return [not row[4] for row in rows if row[1] == LISTENER and row[2] == direction]


async def test_sound_passes_a_lossy_link_and_requests_bring_back_what_it_lost(
    relay_behind: tuple[RelayProcess, int], tmp_path: Path
) -> None:
    relay, port = relay_behind
    with relay:
        summary, rows, proxy = await listen(relay, port, 10, tmp_path / "first.wav")
        again, more, _ = await listen(relay, port, 2, tmp_path / "second.wav")

    packets, missing, recovered = map(
        int, re.search(r"(\d+) packets, (\d+) lost, (\d+) recovered", summary).groups()
    )
    assert abs(frequency(tmp_path / "first.wav") - 440) < 2
    assert packets > 450
    # The link's own count is of all datagrams to the listener; nearly all are sound.
    taken = sum(lost(rows, "down"))
    assert proxy.report().down.lost == taken >= 6
    assert 0.7 * taken <= recovered + missing <= taken + 2, summary
    assert recovered >= 0.8 * (recovered + missing), summary
    # Nobody went round the link: neither the listener's datagrams nor the publisher's.
    assert proxy.report().clients == 2
    assert proxy.core.counts("up").offered > 500
    # The fates are the model's, and the same again.
    assert abs(frequency(tmp_path / "second.wav") - 440) < 2, again
    for direction, config in (("up", LOSSY.up), ("down", LOSSY.down)):
        model = Link(config, f"{SEED}/{LISTENER}/{direction}")
        expected = [not model.fate(0.0, 1) for _ in lost(rows, direction)]
        assert lost(rows, direction) == expected
        assert lost(more, direction) == expected[: len(lost(more, direction))]
