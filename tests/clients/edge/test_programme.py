"""A source becomes packets, whatever the pace at which it can be read."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from loacodecs.opus import OpusDecoder
from loaedge.programme import BlockReader, Encoding, Programme
from loaedge.sources import Samples, SourceError, open_source
from tests.support.tones import dominant_frequency


class Counting:
    """Gives 0, 1, 2, … up to `size`; fails or waits where it is told to."""

    title = "counting"

    def __init__(self, size: int, *, fail_at: int | None = None, gate: threading.Event | None = None) -> None:
        self.size = size
        self.position = 0
        self.closed = threading.Event()
        self.threads: set[int] = set()
        self._fail_at = fail_at
        self._gate = gate

    def read(self, samples: int) -> Samples:
        self.threads.add(threading.get_ident())
        if self._gate is not None:
            self._gate.wait(10)
        if self._fail_at is not None and self.position >= self._fail_at:
            raise SourceError("the disk is gone")
        first, self.position = self.position, min(self.size, self.position + samples)
        return np.arange(first, self.position, dtype=np.float32)

    def close(self) -> None:
        self.closed.set()
        if self._gate is not None:
            self._gate.set()


async def drained(reader: BlockReader) -> list[Samples]:
    blocks = []
    while (block := await reader.next()) is not None:
        blocks.append(block)
    return blocks


@pytest.mark.parametrize("size", [0, 1, 960, 961, 19_200, 100_000])
async def test_every_sample_comes_once_and_in_order(size: int) -> None:
    source = Counting(size)
    reader = BlockReader(source, 960)
    blocks = await drained(reader)
    assert np.array_equal(np.concatenate([np.empty(0), *blocks]), np.arange(size))
    assert all(block.size == 960 for block in blocks[:-1])
    assert await reader.next() is None
    reader.close()
    assert source.closed.is_set()
    assert len(source.threads) == 1, "one thread reads"


async def test_reading_ahead_is_bounded() -> None:
    source = Counting(10_000_000)
    reader = BlockReader(source, 960)
    for _ in range(100):
        await reader.next()
    reader.close()
    assert await asyncio.to_thread(source.closed.wait, 5)
    assert source.position <= 100 * 960 + 2 * 19_200 + 960


async def test_a_failing_source_says_so_to_whoever_asks_next() -> None:
    source = Counting(100_000, fail_at=50_000)
    reader = BlockReader(source, 960)
    with pytest.raises(SourceError, match="disk is gone"):
        await drained(reader)
    reader.close()


async def test_who_gives_up_waiting_loses_nothing() -> None:
    gate = threading.Event()
    source = Counting(5000, gate=gate)
    reader = BlockReader(source, 960)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.next(), 0.05)
    gate.set()
    assert np.array_equal(np.concatenate(await drained(reader)), np.arange(5000))
    reader.close()


async def test_closing_ends_a_read_that_hangs_and_does_not_wait_for_it() -> None:
    gate = threading.Event()
    source = Counting(5000, gate=gate)
    reader = BlockReader(source, 960)
    waiting = asyncio.create_task(reader.next())
    await asyncio.sleep(0)
    waiting.cancel()
    reader.close()
    assert source.closed.is_set()
    assert gate.is_set(), "otherwise the thread would keep the program from ending"


@pytest.mark.parametrize("frame_ms", [10, 20, 40, 60])
async def test_a_duration_ends_the_programme(frame_ms: int) -> None:
    programme = Programme(open_source("tone:440"), Encoding(frame_ms=frame_ms), duration_s=1.2)
    decoder = OpusDecoder()
    sound = []
    while (frame := await programme.next()) is not None:
        assert frame.needed
        assert frame.level == 15
        sound.append(decoder.decode(frame.payload)[:, 0])
    pcm = np.concatenate(sound)
    assert pcm.size == programme.samples == 57_600
    assert dominant_frequency(pcm[4800:]) == pytest.approx(440, abs=1)
    assert programme.meter.mean == pytest.approx(-15.05, abs=0.1)
    programme.close()


def test_fec_asks_for_the_mode_that_has_it() -> None:
    encoder = Encoding(fec=True, bitrate=20_000).encoder()
    assert (encoder.application, encoder.fec, encoder.expected_loss) == ("voip", True, 10)
