"""A publisher from its source to a relay's socket: what arrives is decoded and measured."""

from __future__ import annotations

import asyncio
import io
import itertools
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from loacodecs import rtcp, rtp
from loacodecs.errors import ConfigurationError
from loacodecs.opus import OpusDecoder
from loaedge.level import StatusLine
from loaedge.programme import Encoding
from loaedge.publish import Publisher, PublishSettings, SessionLost
from loaedge.sources import open_source
from loaedge.urls import Token, endpoint
from loaedge.whip import SignallingError
from tests.support.loopback_relay import LoopbackRelay, Session
from tests.support.tones import dominant_frequency, level_dbfs, tone, write_wav
from tests.support.whip_server import Reply, Request

BOTH = (rtp.AUDIO_LEVEL_URI, rtp.ABS_CAPTURE_TIME_URI)


def publisher(
    url: str,
    source: str = "tone:440",
    *,
    stop: asyncio.Future[None] | None = None,
    log: io.StringIO | None = None,
    **changes: object,
) -> Publisher:
    settings = PublishSettings(endpoint(url, "whip"), source, lambda: Token("s3cret"))
    for name, value in changes.items():
        object.__setattr__(settings, name, value)
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    opened = open_source(source, loop=settings.loop)
    return Publisher(settings, StatusLine(log or io.StringIO()), stop or never, opened)


def decoded(session: Session) -> NDArray[np.float32]:
    decoder = OpusDecoder()
    return np.concatenate([decoder.decode(packet.payload)[:, 0] for packet in session.packets])


async def test_a_tone_arrives_as_it_was_at_an_even_pace() -> None:
    async with LoopbackRelay(extensions=BOTH) as relay:
        await publisher(relay.url, duration_s=2.0).run()
        session = await relay.session()
        await session.until(lambda: any(isinstance(p, rtcp.Goodbye) for p in session.reports))
    packets = session.packets
    assert len(packets) == 100
    pairs = list(itertools.pairwise(packets))
    assert {rtp.sequence_delta(b.sequence, a.sequence) for a, b in pairs} == {1}
    assert {rtp.timestamp_delta(b.timestamp, a.timestamp) for a, b in pairs} == {960}
    assert dominant_frequency(decoded(session)[4800:]) == pytest.approx(440, abs=0.5)
    assert level_dbfs(decoded(session)[4800:]) == pytest.approx(-15.05, abs=0.5)
    # Neither drift nor bunching: the last packet leaves 99 frames after the first.
    assert session.arrivals[-1] - session.arrivals[0] == pytest.approx(1.98, abs=0.1)
    level = rtp.audio_level(packets[5].extension_value(session.offer.extensions[rtp.AUDIO_LEVEL_URI]) or b"")
    assert level == (True, -15)
    assert packets[0].extension_value(session.offer.extensions[rtp.ABS_CAPTURE_TIME_URI]) is not None
    assert [r.method for r in relay.requests] == ["POST", "DELETE"]
    assert relay.requests[0].headers["authorization"] == "Bearer s3cret"


async def test_sender_report_and_capture_time_name_the_same_instant() -> None:
    async with LoopbackRelay(extensions=BOTH) as relay:
        await publisher(relay.url, duration_s=0.5).run()
        session = await relay.session()
        await session.until(lambda: any(isinstance(p, rtcp.Goodbye) for p in session.reports))
    report = next(p for p in session.reports if isinstance(p, rtcp.SenderReport))
    first = session.packets[0]
    capture = rtp.capture_time(
        first.extension_value(session.offer.extensions[rtp.ABS_CAPTURE_TIME_URI]) or b""
    )
    assert capture is not None
    by_report = (
        rtp.unix_from_ntp(report.ntp) - rtp.timestamp_delta(report.rtp_timestamp, first.timestamp) / 48000
    )
    assert rtp.unix_from_ntp(capture) == pytest.approx(by_report, abs=0.005)
    assert (report.packet_count, session.reports[1].__class__) == (1, rtcp.SourceDescription)


async def test_lost_packets_are_sent_again_on_request() -> None:
    async with LoopbackRelay() as relay:
        running = asyncio.create_task(publisher(relay.url, duration_s=2.0).run())
        session = await relay.session()
        await session.until(lambda: len(session.packets) >= 20)
        wanted = (session.packets[3], session.packets[7])
        lost = tuple(p.sequence for p in wanted)
        before = len(session.packets)
        session.send_rtcp(rtcp.ReceiverReport(9), rtcp.Nack(9, wanted[0].ssrc, lost))
        # The relay's own replay protection refuses what it has already got, so the repeats are counted there.
        await session.until(lambda: session.refused("srtp_replay") >= 2)
        assert len(session.packets) >= before
        await running


async def test_a_file_is_sent_to_its_end(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "bulletin.wav", [tone(700, 1.01)], 48000)
    async with LoopbackRelay() as relay:
        log = io.StringIO()
        sender = publisher(relay.url, str(path), log=log)
        await sender.run()
        session = await relay.session()
        await session.until(lambda: len(session.packets) == 52)  # 51 frames, and one to flush the encoder
    assert dominant_frequency(decoded(session)[4800:48000]) == pytest.approx(700, abs=1)
    assert "on air: bulletin.wav" in log.getvalue()
    assert "sent 0:01 of bulletin.wav: 52 packets" in sender.summary
    assert "s3cret" not in log.getvalue()


async def test_silence_costs_next_to_nothing_with_dtx(tmp_path: Path) -> None:
    sound = np.concatenate([tone(440, 0.5), np.zeros(96000, np.float32), tone(440, 0.5)])
    path = write_wav(tmp_path / "a.wav", [sound], 48000)
    async with LoopbackRelay() as relay:
        await publisher(relay.url, str(path), encoding=Encoding(bitrate=16000, dtx=True)).run()
        session = await relay.session()
        await session.until(lambda: any(isinstance(p, rtcp.Goodbye) for p in session.reports))
    assert 50 < len(session.packets) < 110, "of 151 frames those of the silence were left out"
    span = rtp.timestamp_delta(session.packets[-1].timestamp, session.packets[0].timestamp)
    assert span == pytest.approx(3 * 48000, abs=1920), "and the time stays as it was"
    assert session.packets[-1].marker or any(p.marker for p in session.packets[1:])


async def test_a_lost_session_is_made_again_and_the_programme_goes_on() -> None:
    async with LoopbackRelay() as relay:
        log = io.StringIO()
        sender = publisher(relay.url, log=log, replace=True)
        running = asyncio.create_task(sender.run())
        first = await relay.session(0)
        await first.until(lambda: len(first.packets) >= 10)
        first.close()
        second = await relay.session(1)
        await second.until(lambda: len(second.packets) >= 10)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    posts = [r for r in relay.requests if r.method == "POST"]
    assert [r.headers.get("x-loa-replace") for r in posts] == ["1", None], "we take over once, not in a fight"
    assert "the session was lost: the relay ended it; trying again in" in log.getvalue()
    assert sender.sessions == 2


async def test_told_once_it_does_not_try_again() -> None:
    async with LoopbackRelay() as relay:
        running = asyncio.create_task(publisher(relay.url, once=True).run())
        session = await relay.session()
        await session.until(lambda: len(session.packets) >= 5)
        session.close()
        with pytest.raises(SessionLost, match="the relay ended it"):
            await running


async def test_stopping_says_goodbye() -> None:
    stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    async with LoopbackRelay() as relay:
        sender = publisher(relay.url, stop=stop)
        running = asyncio.create_task(sender.run())
        session = await relay.session()
        await session.until(lambda: len(session.packets) >= 5)
        stop.set_result(None)
        await running
        await asyncio.wait_for(session.closed.wait(), 5)
        assert isinstance(session.reports[-1], rtcp.Goodbye)
        assert relay.requests[-1].method == "DELETE"


async def test_a_busy_channel_is_no_reason_to_wait() -> None:
    async with LoopbackRelay(refuse=lambda _: Reply(409)) as relay:
        with pytest.raises(SignallingError, match="--replace takes over"):
            await publisher(relay.url).run()
        assert len(relay.requests) == 1


async def test_a_relay_that_drains_is_asked_again_when_it_says() -> None:
    answers = [Reply(503, [("Retry-After", "0")])]

    def refuse(request: Request) -> Reply | None:
        return answers.pop() if answers else None

    async with LoopbackRelay(refuse=refuse) as relay:
        log = io.StringIO()
        await publisher(relay.url, duration_s=0.1, log=log).run()
        assert "takes no sessions just now; it asks to come back in 0 s; trying again in" in log.getvalue()


async def test_waiting_for_the_relay_ends_when_told() -> None:
    stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def refuse(_request: Request) -> Reply:
        asyncio.get_running_loop().call_later(0.1, stop.set_result, None)
        return Reply(503, [("Retry-After", "600")])

    async with LoopbackRelay(refuse=refuse) as relay:
        sender = publisher(relay.url, stop=stop)
        await asyncio.wait_for(sender.run(), 5)
        assert sender.packets == 0


async def test_packets_too_large_to_send_are_refused_beforehand() -> None:
    with pytest.raises(ConfigurationError, match="choose a shorter --frame"):
        publisher("http://127.0.0.1:1/a", encoding=Encoding(bitrate=510_000, frame_ms=60))
