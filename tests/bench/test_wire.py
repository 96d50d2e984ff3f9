from __future__ import annotations

from dataclasses import replace

import pytest

from bench import wire
from bench.errors import BenchError
from bench.wire import Rendition, control_bytes_per_s, controls, month
from loacodecs import ice_client, rtcp, stun
from loacodecs.control import ClockAnswer, Telemetry, Token, encode
from loacodecs.credentials import generate_credentials
from loaedge.playout.source import REPORT_INTERVAL_S
from loaedge.receiver.config import IDLE_S
from relay.channels.channel import CAPTURE_INTERVAL_S
from relay.devices.service import TOKEN_TTL_S
from relay.devices.serving import LinkSettings
from relay.net.seal import CAPTURE_EXTENSION
from relay.net.templates import SDES
from relay.sessions import reports
from relay.tokens import Secret, Tokens

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
    assert Rendition.parse("24k/20ms/red2").payload_bytes == 3 * 60 + 2 * 4 + 1
    assert Rendition.parse("24k/60ms/red").payload_bytes == 2 * 180 + 4 + 1


def test_control_traffic_by_hand() -> None:
    # IPv4: checks of 128 and answers of 92 every 50 s; every 60 s telemetry of 200 + 8 + 22 + 32 + 20, its answer of
    # 96 + 4 + 22 + 32 + 20 and an acknowledgement of 52; every hour a token of 320 + 78 and an acknowledgement
    idle = (128 + 92) / 50 + (282 + 174 + 52) / 60 + (398 + 52) / 3600
    assert control_bytes_per_s(4, on_air=False) == pytest.approx(idle) == pytest.approx(12.99, abs=0.01)
    on_air = (128 + 92) / 5 + (60 + 20 + 28) / 4 + (44 + 20 + 28) / 5 + (282 + 174 + 52) / 10 + 450 / 3600
    assert control_bytes_per_s(4, on_air=True) == pytest.approx(on_air)
    down = (76 + 48) / 5 + (64 + 48) / 5 + (96 + 58 + 40) / 10 + (320 + 58 + 40) / 3600
    assert control_bytes_per_s(6, on_air=True, down_only=True) == pytest.approx(down)


@pytest.mark.parametrize("ip", [4, 6])
def test_an_idle_receiver_keeps_to_its_allowance(ip: int) -> None:
    assert control_bytes_per_s(ip, on_air=False) * 8 <= 150
    assert month(Rendition.parse("24k/60ms"), ip, 60).idle <= 50e6
    assert month(Rendition.parse("24k/60ms"), ip, 60).total <= 1e9


def test_a_month_by_hand() -> None:
    found = month(Rendition.parse("24k/20ms"), 4, 60)
    assert found.sound == pytest.approx(5816 * 216_000)
    assert found.control == pytest.approx(control_bytes_per_s(4, on_air=True) * 216_000)
    assert found.idle == pytest.approx(control_bytes_per_s(4, on_air=False) * 670 * 3600)
    assert found.with_sound / 1e9 == pytest.approx(1.2866, abs=1e-3)
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
        "24k/20ms/red3",
        "-24k/20ms",
        "1e9k/20ms",
    ],
)
def test_what_is_no_rendition_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(BenchError) as caught:
        Rendition.parse(text)
    assert "\n" not in str(caught.value)


def test_a_rendition_is_written_as_it_is_read() -> None:
    for text in ("24k/20ms", "12.5k/60ms", "32k/20ms/red", "24k/20ms/red2"):
        assert str(Rendition.parse(text)) == text


@pytest.mark.parametrize("ip", [4, 6])
def test_the_control_datagrams_are_those_of_the_code(ip: int) -> None:
    """When this fails, receiver or relay sends something else now: follow it in bench/wire.py and docs/bench.md."""
    check, answer, receiver_report, sender_report, *_ = controls(ip)
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
    udp = wire.UDP_BYTES
    assert check.bytes == udp + len(request)
    assert answer.bytes == udp + len(stun.binding_response(bytes(12), mapped, credentials.pwd))
    assert receiver_report.bytes == udp + len(report) + wire.SRTCP_BYTES
    assert sender_report.bytes == udp + SENDER_REPORT_BYTES + len(SDES) + wire.SRTCP_BYTES
    assert check.on_air_s == answer.on_air_s == ice_client.CONSENT_INTERVAL
    assert check.idle_s == answer.idle_s == IDLE_S
    assert receiver_report.on_air_s == REPORT_INTERVAL_S
    assert sender_report.on_air_s == reports.INTERVAL_S
    assert (wire.CAPTURE_BYTES, wire.CAPTURE_INTERVAL_S) == (CAPTURE_EXTENSION, CAPTURE_INTERVAL_S)


def test_the_texts_of_the_control_link_are_those_of_the_code() -> None:
    idle = Telemetry(
        number=12_345,
        sent=123_456.789012,
        on_air=False,
        temperature_c=41.5,
        link="wlan0 -61 dBm",
        clock_error_ms=1.23,
        state="idle",
        uptime_s=741_000,
    )
    live = replace(
        idle,
        on_air=True,
        level_dbfs=-18.3,
        buffer_ms=640,
        concealed_ms=1240,
        lost=230,
        recovered=220,
        error_ms=0.02,
        state="live",
    )
    assert len(encode(idle)) < len(encode(live)) <= wire.TELEMETRY_BYTES < 1.2 * len(encode(live))
    answer = encode(ClockAnswer(123_456.789012, 1.8e9 + 0.123456, 1.8e9 + 0.223456))
    assert len(answer) <= wire.TIME_BYTES < 1.1 * len(answer)
    grant = Tokens(Secret(b"s" * 32)).mint(
        subject="device:rx-5f2c9a10b3d4", scopes=["listen"], channels=["xa-tan-phu"], ttl=7200
    )
    assert len(encode(Token(grant, 1.8e9))) <= wire.TOKEN_BYTES < 1.1 * len(encode(Token(grant, 1.8e9)))
    settings = LinkSettings()
    _, _, _, _, telemetry, _, _, token, _ = controls(4)
    assert (telemetry.on_air_s, telemetry.idle_s) == (settings.telemetry_on_air_s, settings.telemetry_idle_s)
    assert token.idle_s == TOKEN_TTL_S / 2
