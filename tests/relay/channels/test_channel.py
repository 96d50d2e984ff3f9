"""What a channel forwards, and as which packet."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial

from loacodecs import rtcp, rtp
from relay.channels.channel import Channel, Received
from relay.channels.history import PacketHistory
from relay.channels.ingest import Ingest
from relay.net.fanout import Packet
from relay.net.kernel import MAX_PAYLOAD
from tests.support.interleaving import at_every_turn

UNIX = 1_700_000_000.0


def media(
    sequence: int, *, ssrc: int = 9, payload: bytes = b"opus", timestamp: int | None = None
) -> rtp.RtpPacket:
    stamp = 960 * sequence if timestamp is None else timestamp
    return rtp.RtpPacket(111, False, sequence & 0xFFFF, stamp & 0xFFFF_FFFF, ssrc, payload)


def feed(
    channel: Channel, source: str, ingest: Ingest, sequence: int, now: float, **fields: int
) -> Packet | None:
    return channel.on_packet(source, ingest, media(sequence, **fields), now, UNIX + now)  # type: ignore[arg-type]


def test_a_channel_lives_on_and_the_next_publisher_is_seamless() -> None:
    channel = Channel("xa")
    first, second = Ingest(nack=False), Ingest(nack=False)
    a = [feed(channel, "a", first, n, 0.02 * n) for n in range(3)]
    channel.release("a", first)
    b = [feed(channel, "b", second, 5000 + n, 10 + 0.02 * n, ssrc=77) for n in range(2)]
    packets = [p for p in a + b if p]
    assert [p.sequence for p in packets] == [0, 1, 2, 3, 4]
    assert [p.timestamp for p in packets] == [
        0,
        960,
        1920,
        1920 + 48_000 * 10 - 1920,
        1920 + 48_000 * 10 - 960,
    ]
    assert [p.marker for p in packets] == [True, False, False, True, False]


def test_a_second_source_is_not_heard_while_the_first_is_on_air() -> None:
    channel = Channel("xa")
    a, b = Ingest(nack=False), Ingest(nack=False)
    assert feed(channel, "a", a, 1, 0.0)
    assert feed(channel, "b", b, 1, 0.5) is None
    assert not channel.free_for("b", 1.9)
    assert channel.free_for("b", 2.5)
    assert feed(channel, "b", b, 2, 2.5)
    assert feed(channel, "a", a, 2, 2.6) is None


def test_a_publisher_that_died_is_noticed_in_two_seconds() -> None:
    channel = Channel("xa", media_timeout=2.0)
    feed(channel, "a", Ingest(nack=False), 1, 100.0)
    assert channel.on_air(101.9)
    assert not channel.on_air(102.1)


def test_duplicates_and_oversized_payloads_go_nowhere() -> None:
    channel = Channel("xa")
    ingest = Ingest(nack=False)
    assert feed(channel, "a", ingest, 1, 0.0)
    assert feed(channel, "a", ingest, 1, 0.0) is None
    assert ingest.duplicates == 1
    assert channel.on_packet("a", ingest, media(2, payload=bytes(MAX_PAYLOAD + 1)), 0.1, UNIX) is None
    assert channel.on_packet("a", ingest, media(2, payload=b""), 0.1, UNIX) is None
    assert channel.oversized == 2


def reported_lost(ingest: Ingest, now: float) -> int:
    report = next(
        packet for packet in rtcp.parse(ingest.due(now) or b"") if isinstance(packet, rtcp.ReceiverReport)
    )
    return report.reports[0].packets_lost


def test_loss_is_reported_and_a_late_arrival_mends_it() -> None:
    ingest = Ingest(nack=True)
    channel = Channel("xa")
    for n in (0, 1, 3, 4):
        feed(channel, "a", ingest, n, 0.02 * n)
    assert reported_lost(ingest, 0.09) == 1
    late = feed(channel, "a", ingest, 2, 0.1)
    assert late is not None
    assert late.sequence == 2
    assert reported_lost(ingest, 1.1) == 0


def test_the_count_of_lost_packets_never_falls() -> None:
    """A counter that falls has begun anew to Prometheus, which adds all of it: each mended gap was an alarm."""
    channel, ingest, counts = Channel("xa"), Ingest(nack=True), [0]
    channel.admit(ingest)

    def take(*numbers: int, ssrc: int = 9) -> int:
        for number in numbers:
            feed(channel, "a", ingest, number, 0.02 * number, ssrc=ssrc)
            counts.append(channel.received.lost)
        return counts[-1]

    assert take(*(n for n in range(100) if n != 30)) == 1
    assert take(101, 102, 100) == 1, "what comes after all is not lost"
    assert take(*range(103, 200)) == 1
    assert take(260) == 1 + 11, "60 are missing, and 49 of them may still come"
    assert take(20_000) == 1 + 60, "a jump is no loss"
    assert take(20_002) == 61
    assert take(7, ssrc=10) == 62, "of the stream before nothing more comes"
    assert take(9, ssrc=10) == 62
    channel.release("a", ingest)
    counts.append(channel.received.lost)
    assert counts[-1] == 63
    assert counts == sorted(counts)


def test_a_missing_packet_is_asked_for_once_it_is_not_merely_late() -> None:
    ingest = Ingest(nack=True, report_ssrc=42)
    channel = Channel("xa")
    for n in (0, 1, 3):
        feed(channel, "a", ingest, n, 0.02 * n)
    feed(channel, "a", ingest, 4, 0.1)
    due = ingest.due(0.2)
    assert due is not None
    nacks = [packet for packet in rtcp.parse(due) if isinstance(packet, rtcp.Nack)]
    assert nacks == [rtcp.Nack(42, 9, (2,))]
    reports = [packet for packet in rtcp.parse(due) if isinstance(packet, rtcp.ReceiverReport)]
    assert reports[0].reports[0].packets_lost == 1


def test_no_nack_to_a_source_that_did_not_offer_it() -> None:
    ingest = Ingest(nack=False)
    channel = Channel("xa")
    for n in (0, 1, 9):
        feed(channel, "a", ingest, n, 0.02 * n)
    due = ingest.due(1.0)
    assert due is not None
    assert not any(isinstance(packet, rtcp.Nack) for packet in rtcp.parse(due))
    assert ingest.due(1.001) is None


def test_capture_time_rides_on_the_first_packet_and_then_once_a_second() -> None:
    channel = Channel("xa")
    ingest = Ingest(nack=False)
    stamped = [n for n in range(300) if (p := feed(channel, "a", ingest, n, n / 64)) and p.capture]
    # Sixty-four packets a second: more often in the first second, while the clock settles.
    assert stamped == [0, 16, 32, 48, 64, 128, 192, 256]


def test_capture_time_of_an_upstream_relay_is_carried_not_replaced() -> None:
    channel = Channel("xa")
    ingest = Ingest(nack=False, capture_id=3)
    packet = media(0)
    ntp = rtp.ntp_from_unix(UNIX - 0.75)
    packet.extension_profile, packet.extension = rtp.pack_extension([(3, rtp.pack_capture_time(ntp))])
    out = channel.on_packet("up", ingest, packet, 0.0, UNIX)
    assert out is not None
    assert abs(rtp.unix_from_ntp(out.capture) - (UNIX - 0.75)) < 1e-6


def test_an_upstreams_sender_report_moves_capture_time() -> None:
    channel = Channel("xa", first_timestamp=10_000)
    ingest = Ingest(nack=False)
    feed(channel, "up", ingest, 5, 0.0, timestamp=777)
    channel.on_sender_report("up", 9, 777 + 48_000, UNIX - 3.0)
    assert channel.capture.capture(10_000) == UNIX - 4.0
    channel.on_sender_report("somebody else", 9, 0, 0.0)
    assert channel.capture.capture(10_000) == UNIX - 4.0


def test_an_upstreams_first_report_tells_the_capture_time_of_its_first_packet() -> None:
    """It comes at once on joining; the next statement, up to a second later, would move every receiver's sound."""
    channel, ingest = Channel("xa"), Ingest(nack=False)
    channel.take("up", 0.0)
    channel.on_sender_report("up", 9, 48_000, UNIX - 3.0)
    out = feed(channel, "up", ingest, 5, 0.0, timestamp=48_960)
    assert out is not None
    assert abs(rtp.unix_from_ntp(out.capture) - (UNIX - 2.98)) < 1e-6
    restarted = feed(channel, "up", ingest, 30_000, 0.02, timestamp=5)
    assert restarted is not None
    assert abs(rtp.unix_from_ntp(restarted.capture) - (UNIX + 0.02)) < 1e-6, "what was said holds no longer"


def test_what_another_source_said_of_its_clock_is_forgotten() -> None:
    channel, ingest = Channel("xa"), Ingest(nack=False)
    channel.take("up", 0.0)
    channel.on_sender_report("up", 9, 48_000, UNIX - 3.0)
    channel.take("again", 1.0)
    out = feed(channel, "again", ingest, 5, 1.0, timestamp=48_960)
    assert out is not None
    assert abs(rtp.unix_from_ntp(out.capture) - (UNIX + 1.0)) < 1e-6


def test_level_is_what_the_source_announces() -> None:
    channel = Channel("xa")
    ingest = Ingest(nack=False, level_id=1)
    packet = media(0)
    packet.extension_profile, packet.extension = rtp.pack_extension([(1, bytes([0x80 | 23]))])
    channel.on_packet("a", ingest, packet, 0.0, UNIX)
    assert channel.level_dbov == -23


def test_history_remembers_the_newest_and_forgets_the_rest() -> None:
    history = PacketHistory(4)
    packets = {n: Packet(n, n, b"x") for n in range(10)}
    for n, packet in packets.items():
        history.add(n, packet)
    assert [history.get(n) for n in range(10)] == [None] * 6 + [packets[n] for n in range(6, 10)]
    assert history.get(10) is None
    assert history.get(-1) is None


def test_extend_finds_the_number_near_the_newest() -> None:
    channel = Channel("xa")
    ingest = Ingest(nack=False)
    for n in range(65_530, 65_530 + 20):
        feed(channel, "a", ingest, n, 0.02 * n)
    newest = channel.timeline.sequence
    assert channel.renditions.plain.stream.extend(newest & 0xFFFF) == newest
    assert channel.renditions.plain.stream.extend((newest - 5) & 0xFFFF) == newest - 5


def test_what_is_expected_is_what_the_channel_then_gives() -> None:
    channel, ingest = Channel("xa", first_timestamp=5_000), Ingest(nack=True)
    assert channel.expect("a", ingest) is None
    feed(channel, "a", ingest, 65_534, 0.0)
    for n, sequence in enumerate((65_535, 65_536, 65_537)):
        expected = channel.expect("a", ingest)
        assert expected is not None
        packet = feed(channel, "a", ingest, sequence, 0.02 * n + 0.02)
        assert packet is not None
        assert expected.sequence == sequence & 0xFFFF
        assert expected.position == packet.sequence
        assert (960 * sequence + expected.timestamp_base) & 0xFFFF_FFFF == packet.timestamp


def test_nothing_is_expected_while_packets_are_missing_or_the_channel_is_anothers() -> None:
    channel, ingest = Channel("xa"), Ingest(nack=True)
    feed(channel, "a", ingest, 1, 0.0)
    feed(channel, "a", ingest, 3, 0.04)
    assert channel.expect("a", ingest) is None
    feed(channel, "a", ingest, 2, 0.05)
    assert channel.expect("a", ingest) is not None
    channel.take("b", 0.06)
    assert channel.expect("a", ingest) is None


def test_numbers_that_were_sent_are_never_given_again() -> None:
    channel, ingest = Channel("xa"), Ingest(nack=False)
    for n in range(5):
        feed(channel, "a", ingest, n, 0.02 * n)
    booked = feed(channel, "a", ingest, 5, 0.1)
    sent = Packet(8, 960 * 8, b"sent")
    channel.on_divergence(sent, booked)
    assert channel.history.get(8) == sent
    assert channel.history.get(5) is None
    assert channel.expect("a", ingest) is None
    after = feed(channel, "a", ingest, 6, 0.12)
    assert after is not None
    assert (after.sequence, after.marker) == (9, True)


def test_whoever_looks_finds_what_came_from_a_source_counted_once() -> None:
    """Another thread looks while the source leaves, and while another one comes: in the middle of either."""
    met: list[Received] = []

    def make(leaves: bool, looked_at: bool) -> tuple[Callable[[], object], Callable[[], None]]:
        channel, ingest = Channel("xa"), Ingest(nack=False)
        channel.admit(ingest)
        for n in (0, 1, 1, *range(3, 60)):
            feed(channel, "a", ingest, n, 0.02 * n)
        change = (
            partial(channel.release, "a", ingest) if leaves else partial(channel.admit, Ingest(nack=False))
        )

        def look() -> None:
            met.append(channel.received)

        return (change, look) if looked_at else (look, change)

    for leaves, looked_at in itertools.product((True, False), repeat=2):
        for _ in at_every_turn(partial(make, leaves, looked_at)):
            pass
    assert set(met) == {Received(lost=1, duplicates=1)}


def test_what_came_is_counted_when_its_source_has_left() -> None:
    channel = Channel("xa")
    for duplicates in (1, 3):
        ingest = Ingest(nack=False)
        channel.admit(ingest)
        for n in (0, *[1] * (duplicates + 1)):
            feed(channel, "a", ingest, n, 0.02 * n)
        assert channel.sources == 1
        channel.release("a", ingest)
    assert channel.received.duplicates == 4
    assert channel.sources == 0
