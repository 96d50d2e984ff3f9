"""Sound through the relay's core: publishers in, listeners out, under a hand-driven clock."""

from __future__ import annotations

import pytest

from loacodecs import rtcp, rtp
from loacodecs.events import Transmit
from relay.config import Config
from relay.errors import ChannelBusy, ChannelNotFound, Revoked, SessionNotFound, Unavailable
from tests.support.world import UNIX, Client, World


def payloads(client: Client) -> list[bytes]:
    return [packet.payload for packet in client.heard]


async def test_one_voice_reaches_every_listener_unchanged() -> None:
    with World() as world:
        voice = await world.publisher()
        listeners = [await world.listener() for _ in range(5)]
        elsewhere = await world.listener("tinh")
        for n in range(20):
            voice.say(n, b"frame %d" % n)
            world.advance(0.02)
        for listener in listeners:
            assert payloads(listener) == [b"frame %d" % n for n in range(20)]
            numbers = [packet.sequence for packet in listener.heard]
            assert numbers == list(range(numbers[0], numbers[0] + 20))
            # The lower half of the range, so that the roll-over counter is never in doubt (RFC 3711 §3.3.1).
            assert numbers[0] < 0x8000
            assert listener.answer is not None
            assert {packet.ssrc for packet in listener.heard} == {listener.answer.ssrc}
        assert elsewhere.heard == []
        assert len({packet.ssrc for listener in listeners for packet in listener.heard}) == 5


async def test_a_joining_listener_is_heard_within_two_frames() -> None:
    with World() as world:
        voice = await world.publisher()
        for n in range(10):
            voice.say(n)
            world.advance(0.02)
        late = await world.listener()
        connected_at = world.now
        n = 10
        while not late.heard:
            voice.say(n)
            world.advance(0.02)
            n += 1
        assert world.now - connected_at <= 0.04 + 1e-9


async def test_a_change_of_source_needs_no_renegotiation_and_leaves_no_seam() -> None:
    with World() as world:
        first = await world.publisher()
        listener = await world.listener()
        for n in range(5):
            first.say(n, b"one")
            world.advance(0.02)
        first.tell(rtcp.Goodbye((first.ssrc,)))
        world.advance(0.98)
        second = await world.publisher()
        for n in range(5):
            second.say(30_000 + n, b"two", timestamp=77 + 960 * n)
            world.advance(0.02)
        assert payloads(listener) == [b"one"] * 5 + [b"two"] * 5
        numbers = [packet.sequence for packet in listener.heard]
        assert numbers == list(range(numbers[0], numbers[0] + 10))
        gap = rtp.timestamp_delta(listener.heard[5].timestamp, listener.heard[4].timestamp) / 48_000
        assert 0.98 <= gap <= 1.5
        assert listener.heard[5].marker
        assert listener.closed is None


async def test_a_busy_channel_refuses_unless_replaced_and_the_old_plays_until_the_new_sounds() -> None:
    with World() as world:
        old = await world.publisher()
        listener = await world.listener()
        old.say(0, b"old")
        world.advance(0.02)
        with pytest.raises(ChannelBusy):
            await world.publisher()
        new = await world.publisher(replace=True)
        old.say(1, b"old")
        world.advance(0.02)
        new.say(7, b"new")
        world.advance(0.02)
        old.say(2, b"old")
        world.advance(0.02)
        assert payloads(listener) == [b"old", b"old", b"new"]
        assert old.closed is not None


async def test_who_replaces_a_silent_publisher_is_heard_though_the_other_comes_back_first() -> None:
    with World() as world:
        old = await world.publisher()
        listener = await world.listener()
        old.say(0, b"old")
        world.advance(2.5)
        new = await world.publisher(replace=True)
        world.advance(2.1)
        old.say(1, b"old is back")
        world.advance(0.02)
        new.say(7, b"new")
        world.advance(0.02)
        old.say(2, b"old")
        world.advance(0.02)
        assert payloads(listener) == [b"old", b"old is back", b"new"]
        assert old.closed is not None


async def test_a_publisher_that_dies_silently_is_noticed_in_two_seconds_and_can_be_followed() -> None:
    with World() as world:
        dead = await world.publisher()
        dead.say(0)
        world.advance(0.02)
        world.clients.remove(dead)
        state = {channel.name: channel for channel in world.core.channels()}["xa"]
        assert state.on_air
        world.advance(2.02)
        state = {channel.name: channel for channel in world.core.channels()}["xa"]
        assert not state.on_air
        await world.publisher()
        dead.socket.close()


async def test_a_lost_packet_comes_again_byte_for_byte_and_only_what_was_sent() -> None:
    with World() as world:
        voice = await world.publisher()
        voice.say(0)
        world.advance(0.02)
        listener = await world.listener()
        for n in range(1, 11):
            voice.say(n, b"frame %d" % n)
            world.advance(0.02)
        sealed = list(listener.sealed)
        wanted = listener.heard[4].sequence
        listener.tell(rtcp.Nack(1, listener.heard[0].ssrc, (wanted,)))
        world.advance(0.02)
        assert listener.sealed[len(sealed) :] == [sealed[4]]
        before_join = (listener.heard[0].sequence - 1) & 0xFFFF
        never_sent = (listener.heard[-1].sequence + 3) & 0xFFFF
        listener.tell(rtcp.Nack(1, listener.heard[0].ssrc, (before_join, never_sent)))
        world.advance(0.02)
        assert len(listener.sealed) == len(sealed) + 1
        stats = world.core.stats().channels["xa"]
        assert (stats.nacks_received, stats.retransmitted, stats.nacks_refused) == (3, 1, 2)


async def test_retransmission_is_bounded_for_a_listener_that_asks_without_end() -> None:
    with World() as world:
        voice = await world.publisher()
        listener = await world.listener()
        for n in range(20):
            voice.say(n)
            world.advance(0.02)
        numbers = tuple(packet.sequence for packet in listener.heard)
        for _ in range(50):
            listener.tell(rtcp.Nack(1, listener.heard[0].ssrc, numbers))
        world.advance(1.0)
        assert world.core.stats().channels["xa"].retransmitted <= 210


async def test_reports_name_the_wall_clock_and_the_sound() -> None:
    with World() as world:
        voice = await world.publisher()
        listener = await world.listener()
        for n in range(300):
            voice.say(n)
            world.advance(0.02)
        reports = [report for report in listener.reports if isinstance(report, rtcp.SenderReport)]
        assert len(reports) >= 1
        last = reports[-1]
        assert last.ssrc == listener.heard[0].ssrc
        assert abs(rtp.unix_from_ntp(last.ntp) - UNIX - world.now) < 5.2
        # The report pairs the same instant with the media's own clock: extrapolating gives the packets' times.
        first = listener.heard[0]
        said_at = (
            rtp.unix_from_ntp(last.ntp) + rtp.timestamp_delta(first.timestamp, last.rtp_timestamp) / 48_000
        )
        captures = [packet for packet in listener.heard if packet.extension]
        stated = rtp.capture_time(captures[0].extension_value(1) or b"")
        assert stated is not None
        offset = rtp.timestamp_delta(captures[0].timestamp, first.timestamp) / 48_000
        assert abs(rtp.unix_from_ntp(stated) - (said_at + offset)) < 0.002
        assert any(isinstance(packet, rtcp.SourceDescription) for packet in listener.reports)


async def test_receiver_reports_of_listeners_are_counted() -> None:
    with World() as world:
        voice = await world.publisher()
        listener = await world.listener()
        voice.say(0)
        world.advance(0.02)
        report = rtcp.ReceptionReport(listener.heard[0].ssrc, 64, 5, 100, 480, 0, 0)
        listener.tell(rtcp.ReceiverReport(1, (report,)))
        world.advance(0.02)
        stats = world.core.stats().channels["xa"]
        assert (stats.listener_fraction_lost, stats.listener_jitter_s) == (0.25, 0.01)


async def test_a_report_that_comes_twice_is_no_forgery() -> None:
    """Mobile networks double a datagram now and then, and the metric spoke of somebody with another key."""
    with World() as world:
        listener = await world.listener()
        for _ in range(3):
            listener.tell(rtcp.ReceiverReport(1))
            output = listener.peer.poll()
            assert isinstance(output, Transmit)
            for _ in range(2):
                listener.socket.sendto(output.data, output.addr)
            world.advance(0.1)
        assert world.core.stats().refused == {"srtp_replay": 3}


async def test_the_publisher_is_told_what_arrived_and_asked_for_what_did_not() -> None:
    with World() as world:
        voice = await world.publisher()
        for n in (0, 1, 2, 4, 5):
            voice.say(n)
            world.advance(0.02)
        world.advance(1.2)
        reports = [packet for packet in voice.reports if isinstance(packet, rtcp.ReceiverReport)]
        assert reports[-1].reports[0].ssrc == voice.ssrc
        assert reports[-1].reports[0].packets_lost == 1
        assert any(isinstance(packet, rtcp.Nack) and packet.lost == (3,) for packet in voice.reports)


async def test_a_publisher_that_lost_the_channel_is_not_told_that_it_is_heard() -> None:
    """Its page said "on air" for as long as it spoke, and nobody heard it."""
    with World() as world:
        first = await world.publisher()
        for n in range(10):
            first.say(n)
            world.advance(0.02)
        world.advance(2.5)
        second = await world.publisher()
        for n in range(100):
            first.say(10 + n, b"first")
            second.say(n, b"second")
            world.advance(0.02)
            if n == 10:
                first.reports.clear()
        assert not any(isinstance(report, rtcp.ReceiverReport) for report in first.reports)
        assert any(isinstance(report, rtcp.ReceiverReport) for report in second.reports)
        await world.core.close("xa", "publish", second.created.id)
        for n in range(110, 240):
            first.say(n, b"first")
            world.advance(0.02)
        assert any(isinstance(report, rtcp.ReceiverReport) for report in first.reports)


async def test_a_listener_that_vanishes_is_removed_and_its_row_is_used_again() -> None:
    config = Config.model_validate(
        {"media": {"listeners_max": 1, "consent_timeout": "30s"}, "channels": {"named": {"xa": {}}}}
    )
    with World(config) as world:
        voice = await world.publisher()
        gone = await world.listener()
        with pytest.raises(Unavailable):
            await world.listener()
        world.clients.remove(gone)
        gone.socket.close()
        world.advance(31.5, step=0.1)
        again = await world.listener()
        voice.say(0, b"for the second")
        world.advance(0.02)
        assert payloads(again) == [b"for the second"]
        assert world.core.stats().leaves == {"consent_lost": 1}


async def test_a_listener_that_stays_keeps_its_session_by_its_own_checks() -> None:
    with World() as world:
        listener = await world.listener()
        world.advance(120, step=0.1)
        assert listener.closed is None
        assert world.core.stats().channels["xa"].listeners == 1


@pytest.mark.parametrize("how", ["goodbye", "delete", "close_notify"])
async def test_a_listener_that_leaves_is_gone_at_once(how: str) -> None:
    with World() as world:
        listener = await world.listener()
        assert world.core.stats().channels["xa"].listeners == 1
        if how == "goodbye":
            listener.tell(rtcp.Goodbye((1,)))
        elif how == "delete":
            await world.core.close("xa", "listen", listener.created.id)
        else:
            listener.peer.close(world.now)
        world.advance(0.05)
        assert world.core.stats().channels["xa"].listeners == 0
        with pytest.raises(SessionNotFound):
            await world.core.close("xa", "listen", listener.created.id)


async def test_draining_says_goodbye_and_takes_nobody_in() -> None:
    with World() as world:
        voice = await world.publisher()
        listener = await world.listener()
        voice.say(0)
        world.advance(0.02)
        await world.core.drain()
        world.settle()
        goodbyes = [packet for packet in listener.reports if isinstance(packet, rtcp.Goodbye)]
        assert goodbyes == [rtcp.Goodbye((listener.heard[0].ssrc,))]
        assert voice.closed is not None
        with pytest.raises(Unavailable) as refused:
            await world.listener()
        assert refused.value.retry_after
        assert world.core.ready() == (False, "the relay is draining")


async def test_unknown_channels_are_refused_unless_made_on_first_publish() -> None:
    with World() as world, pytest.raises(ChannelNotFound):
        await world.publisher("nowhere")
    auto = Config.model_validate({"channels": {"auto": True}})
    with World(auto) as world:
        with pytest.raises(ChannelNotFound):
            await world.listener("hop-xa")
        with pytest.raises(ChannelNotFound):
            await world.publisher("Not A Name")
        voice = await world.publisher("hop-xa")
        listener = await world.listener("hop-xa")
        voice.say(0, b"made")
        world.advance(0.02)
        assert payloads(listener) == [b"made"]


async def test_a_session_that_never_connects_is_ended() -> None:
    with World() as world:
        await world.listener(connect=False)
        world.clients[0].socket.close()
        world.clients.clear()
        world.advance(16, step=0.1)
        assert world.core.stats().sessions == {}
        assert world.core.stats().leaves == {"setup_timeout": 1}


async def test_who_is_barred_hears_nothing_more_and_others_do() -> None:
    with World() as world:
        voice = await world.publisher()
        stolen = await world.listener(subject="device:stolen")
        other = await world.listener(subject="device:other")
        voice.say(0, b"both")
        world.advance(0.02)
        await world.core.barring.bar("device:stolen")
        world.settle()
        assert stolen.closed is not None
        with pytest.raises(Revoked):
            await world.listener(subject="device:stolen")
        voice.say(1, b"one")
        world.advance(0.02)
        assert payloads(stolen) == [b"both"]
        assert payloads(other) == [b"both", b"one"]
        assert world.core.stats().leaves == {"revoked": 1}
