"""A listener from a relay's socket to its file: what was lost, recovered and heard is accounted for."""

from __future__ import annotations

import asyncio
import io
import wave
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from loacodecs import rtcp
from loacodecs.ogg import OggOpusReader
from loacodecs.opus import OpusEncoder, packet_samples
from loacodecs.rtp import RtpPacket
from loaedge.client import ClientSettings, WebRtcClient
from loaedge.decoding import Piece
from loaedge.level import StatusLine
from loaedge.listen import Listener
from loaedge.sinks import Sink, SinkError, open_sink
from loaedge.stopping import run_until
from loaedge.urls import endpoint
from tests.support.loopback_relay import LoopbackRelay, Session
from tests.support.tones import dominant_frequency, level_dbfs, tone

FRAME = 960


async def send_tone(session: Session, count: int, *, first: int = 65500, amplitude: float = 0.25) -> None:
    """Send `count` packets of a 440 Hz tone, a little faster than real time."""
    encoder = OpusEncoder()
    sound = tone(440, count * 0.02, amplitude=amplitude).reshape(count, FRAME)
    start = asyncio.get_running_loop().time()
    for index in range(count):
        payload = encoder.encode(sound[index])
        number = first + index
        session.send(RtpPacket(111, False, number & 0xFFFF, number * FRAME & 0xFFFFFFFF, 7777, payload))
        await asyncio.sleep(start + index * 0.01 - asyncio.get_running_loop().time())


class Hearer:
    """A listener at work; `end` gives its summary and exit code."""

    def __init__(self, relay: LoopbackRelay, path: Path | None = None, sink: Sink | None = None) -> None:
        self.log = io.StringIO()
        self.client = WebRtcClient(ClientSettings(endpoint(relay.url, "whep"), "recvonly"))
        self.sink = sink or open_sink(path, serial=1, title="test")
        self.listener: Listener | None = None
        self._task: asyncio.Task[None] | None = None
        self._taken = asyncio.Event()

    async def __aenter__(self) -> Hearer:
        await self.client.connect()
        self.listener = Listener(self.client, self.sink, StatusLine(self.log))
        take = self.client.on_rtp

        def on_rtp(data: bytes, now: float) -> None:
            take(data, now)
            self._taken.set()

        self.client.on_rtp = on_rtp
        self._task = asyncio.create_task(self._run(self.listener))
        return self

    async def has(self, packets: int) -> None:
        """Wait until the listener has taken so many packets in."""
        assert self.listener is not None
        async with asyncio.timeout(10):
            while f" {packets} packets" not in self.listener.summary:
                self._taken.clear()
                await self._taken.wait()

    async def _run(self, listener: Listener) -> None:
        await run_until(listener.run(), self.client.closed)

    async def __aexit__(self, *exc: object) -> None:
        await self.client.close()
        if self._task is not None and not self._task.done():
            self._task.cancel()
        self.sink.close()

    async def ended(self) -> None:
        assert self._task is not None
        await asyncio.wait_for(self._task, 10)

    def end(self, *, until_the_end: bool = True) -> tuple[str, int]:
        assert self.listener is not None
        self.listener.finish()
        self.sink.close()
        broken = self.client.closed.result() if self.client.closed.done() else None
        return self.listener.summary, self.listener.verdict(broken, until_the_end=until_the_end)


def read_wav(path: Path) -> NDArray[np.float32]:
    with wave.open(str(path), "rb") as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 48000)
        data = file.readframes(file.getnframes())
    return (np.frombuffer(data, "<i2") / 32768).astype(np.float32)


def every(step: int, *, for_good: bool) -> Callable[[RtpPacket, int], bool]:
    """Drop each `step`-th packet, at its first sending only or at all of them."""
    return lambda packet, times: packet.sequence % step == 5 and (for_good or times == 0)


async def test_a_tone_is_written_as_it_was_sent(tmp_path: Path) -> None:
    async with LoopbackRelay() as relay, Hearer(relay, tmp_path / "a.wav") as hearer:
        session = await relay.session()
        await send_tone(session, 100)
        await hearer.has(100)
        summary, code = hearer.end()
        await session.until(lambda: any(isinstance(p, rtcp.Goodbye) for p in session.reports))
    pcm = read_wav(tmp_path / "a.wav")
    assert pcm.size == 100 * FRAME
    assert dominant_frequency(pcm[4800:]) == pytest.approx(440, abs=0.5)
    assert level_dbfs(pcm[4800:]) == pytest.approx(-15.05, abs=0.5)
    assert code == 0
    assert "100 packets, 0 lost, 0 recovered, 0 ms concealed" in summary
    assert [type(p) for p in session.reports[:2]] == [rtcp.ReceiverReport, rtcp.SourceDescription]
    assert [r.method for r in relay.requests] == ["POST", "DELETE"]


async def test_lost_packets_are_recovered_by_asking(tmp_path: Path) -> None:
    async with LoopbackRelay() as relay, Hearer(relay, tmp_path / "a.wav") as hearer:
        session = await relay.session()
        session.drop = every(10, for_good=False)
        await send_tone(session, 150)
        await session.until(
            lambda: sum(len(p.lost) for p in session.reports if isinstance(p, rtcp.Nack)) >= 15
        )
        await hearer.has(150)
        summary, code = hearer.end()
    assert "150 packets, 0 lost, 15 recovered, 0 ms concealed" in summary
    pcm = read_wav(tmp_path / "a.wav")
    assert pcm.size == 150 * FRAME
    assert dominant_frequency(pcm[4800:]) == pytest.approx(440, abs=0.5)
    assert code == 0


async def test_what_cannot_be_recovered_is_concealed_in_its_time(tmp_path: Path) -> None:
    async with LoopbackRelay() as relay, Hearer(relay, tmp_path / "a.wav") as hearer:
        session = await relay.session()
        session.drop = every(25, for_good=True)
        await send_tone(session, 150, first=1000)
        await hearer.has(144)
        summary, code = hearer.end()
    assert "144 packets, 6 lost, 0 recovered, 120 ms concealed" in summary
    pcm = read_wav(tmp_path / "a.wav")
    assert pcm.size == 150 * FRAME
    assert level_dbfs(pcm[4800:]) == pytest.approx(-15.05, abs=1.0)
    assert code == 0


async def test_an_ogg_file_holds_the_packets_as_they_came(tmp_path: Path) -> None:
    path = tmp_path / "a.ogg"
    async with LoopbackRelay() as relay, Hearer(relay, path) as hearer:
        session = await relay.session()
        session.drop = every(25, for_good=True)
        await send_tone(session, 150, first=1000)
        await hearer.has(144)
        hearer.end()
    with path.open("rb") as file:
        packets = [packet for _, packet in OggOpusReader(file)]
    assert sum(len(packet) > 2 for packet in packets) == 144
    assert sum(packet_samples(packet) for packet in packets) == 150 * FRAME
    assert [index for index, packet in enumerate(packets) if len(packet) <= 2] == list(range(5, 150, 25))
    with av.open(str(path)) as container:
        pcm = np.concatenate([f.to_ndarray().reshape(-1) for f in container.decode(audio=0)])
    assert dominant_frequency(pcm[9600:]) == pytest.approx(440, abs=1)


async def test_a_wav_file_is_playable_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    async with LoopbackRelay() as relay, Hearer(relay, path) as hearer:
        session = await relay.session()
        await send_tone(session, 120)
        await hearer.has(120)
        # As after kill -9: nothing has been closed.
        assert read_wav(path).size >= 48000


async def test_silence_is_called_silence(tmp_path: Path) -> None:
    async with LoopbackRelay() as relay, Hearer(relay) as hearer:
        session = await relay.session()
        await send_tone(session, 250, amplitude=0.0)
        summary, code = hearer.end()
        log = hearer.log.getvalue()
    assert code == 1
    assert "connected but silent: packets come, and there is no sound in them" in log
    assert "nothing was heard" in log
    assert summary.startswith("heard 0.0 of ")


async def test_a_relay_that_sends_nothing_is_called_silent() -> None:
    async with LoopbackRelay() as relay, Hearer(relay) as hearer:
        await relay.session()
        _, code = hearer.end()
        assert code == 1
        assert "nothing was heard: connected but silent: no packets come" in hearer.log.getvalue()


async def test_a_session_that_breaks_off_is_no_success() -> None:
    async with LoopbackRelay() as relay, Hearer(relay) as hearer:
        session = await relay.session()
        await send_tone(session, 60)
        session.close()
        await hearer.ended()
        _, code = hearer.end(until_the_end=False)
        assert code == 1
        assert "the session broke off: the relay ended it" in hearer.log.getvalue()


async def test_goodbye_of_the_relay_ends_listening() -> None:
    async with LoopbackRelay() as relay, Hearer(relay) as hearer:
        session = await relay.session()
        await send_tone(session, 60)
        session.send_rtcp(rtcp.ReceiverReport(9), rtcp.Goodbye((7777,)))
        await hearer.ended()
        _, code = hearer.end(until_the_end=False)
        assert code == 1
        assert "the relay said BYE" in hearer.log.getvalue()


class FullDisk:
    """A sink that fails at the third packet."""

    def __init__(self) -> None:
        self.written = 0

    def write(self, piece: Piece) -> None:
        self.written += 1
        if self.written >= 3:
            raise SinkError("cannot write a.wav: no space left on device")

    def close(self) -> None:
        pass


async def test_a_full_disk_ends_listening_with_its_sentence() -> None:
    async with LoopbackRelay() as relay, Hearer(relay, sink=FullDisk()) as hearer:
        session = await relay.session()
        await send_tone(session, 10)
        with pytest.raises(SinkError, match="no space left"):
            await hearer.ended()
