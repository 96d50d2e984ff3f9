from __future__ import annotations

import pytest

from bench import wire
from bench.errors import BenchError
from bench.wire import Rendition, control_bytes_per_s, controls, month
from loacodecs import ice_client, rtcp, stun
from loacodecs.credentials import generate_credentials
from loaedge import incoming
from relay.channels.channel import CAPTURE_INTERVAL_S
from relay.net.seal import CAPTURE_EXTENSION
from relay.net.templates import SDES
from relay.sessions import reports

SENDER_REPORT_BYTES = 28  # RFC 3550 §6.4.1, without report blocks


def test_a_packet_of_24k_in_20_ms_by_hand() -> None:
    rendition = Rendition.parse("24k/20ms")
    assert rendition.payload_bytes == 60  # 24,000 / 8 x 0.02
    assert rendition.packet_bytes(4) == 60 + 12 + 16 + 8 + 20 == 116
    assert rendition.packet_bytes(6) == 136
    assert rendition.packets_per_s == 50
    # 50 x 116 + 16 for the capture time
    assert rendition.media_bytes_per_s(4) == pytest.approx(5816)


def test_a_long_packet_saves_overhead() -> None:
    rendition = Rendition.parse("24k/60ms")
    assert rendition.payload_bytes == 180
    assert rendition.packet_bytes(4) == 236
    assert rendition.media_bytes_per_s(4) == pytest.approx(236 * 50 / 3 + 16)


def test_red_carries_each_packet_twice() -> None:
    assert Rendition.parse("24k/20ms/red").payload_bytes == 2 * 60 + 4 + 1


def test_control_traffic_by_hand() -> None:
    # IPv4: check 100 + 28 and answer 64 + 28 every 5 s, receiver report 60 + 20 + 28 every 2 s
    silent = 128 / 5 + 92 / 5 + 108 / 2
    assert control_bytes_per_s(4, on_air=False) == pytest.approx(silent) == pytest.approx(98.0)
    # and a sender report 44 + 20 + 28 every 5 s while something plays
    assert control_bytes_per_s(4, on_air=True) == pytest.approx(98.0 + 92 / 5)
    assert control_bytes_per_s(6, on_air=True, down_only=True) == pytest.approx((76 + 48) / 5 + (64 + 48) / 5)


def test_a_month_by_hand() -> None:
    found = month(Rendition.parse("24k/20ms"), 4, 60)
    assert found.sound == pytest.approx(5816 * 216_000)
    assert found.control == pytest.approx(116.4 * 216_000)
    assert found.idle == pytest.approx(98 * 670 * 3600)
    assert found.with_sound / 1e9 == pytest.approx(1.2814, abs=1e-4)
    assert found.total == pytest.approx(found.with_sound + found.idle)
    assert month(Rendition.parse("24k/60ms"), 4, 60).with_sound < 1e9


@pytest.mark.parametrize(
    "text",
    [
        "",
        "24/20",
        "24k",
        "24k/20",
        "24k/25ms",
        "0k/20ms",
        "600k/20ms",
        "24k/20ms/fec",
        "-24k/20ms",
        "1e9k/20ms",
    ],
)
def test_what_is_no_rendition_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(BenchError) as caught:
        Rendition.parse(text)
    assert "\n" not in str(caught.value)


def test_a_rendition_is_written_as_it_is_read() -> None:
    for text in ("24k/20ms", "12.5k/60ms", "32k/20ms/red"):
        assert str(Rendition.parse(text)) == text


@pytest.mark.parametrize("ip", [4, 6])
def test_the_control_datagrams_are_those_of_the_code(ip: int) -> None:
    """When this fails, receiver or relay sends something else now: follow it in bench/wire.py and docs/bench.md."""
    check, answer, receiver_report, sender_report = controls(ip)
    credentials = generate_credentials(lambda count: bytes(count))
    request = stun.binding_request(
        bytes(12),
        username=f"{credentials.ufrag}:{credentials.ufrag}",
        password=credentials.pwd,
        priority=1,
        controlling=True,
        tie_breaker=1,
        nominate=True,
    )
    mapped = ("192.0.2.1" if ip == 4 else "2001:db8::1", 4000)
    reception = rtcp.ReceptionReport(1, 0, 0, 0, 0, 0, 0)
    report = rtcp.serialize([rtcp.ReceiverReport(1, (reception,)), rtcp.SourceDescription(1, bytes(8).hex())])
    assert check.payload_bytes == len(request)
    assert answer.payload_bytes == len(stun.binding_response(bytes(12), mapped, credentials.pwd))
    assert receiver_report.payload_bytes == len(report) + wire.SRTCP_BYTES
    assert sender_report.payload_bytes == SENDER_REPORT_BYTES + len(SDES) + wire.SRTCP_BYTES
    assert check.every_s == answer.every_s == ice_client.CONSENT_INTERVAL
    assert receiver_report.every_s == incoming.REPORT_INTERVAL_S
    assert sender_report.every_s == reports.INTERVAL_S
    assert (wire.CAPTURE_BYTES, wire.CAPTURE_INTERVAL_S) == (CAPTURE_EXTENSION, CAPTURE_INTERVAL_S)
