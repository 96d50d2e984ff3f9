"""What a receiver says about itself always fits the wire."""

from __future__ import annotations

from pathlib import Path

import pytest

from loacodecs.control import Telemetry, decode, encode
from loaedge.control.telemetry import Machine, Place, Report, printable, telemetry

PLACE = Place(7, 3600.0, 0.0012, 0, 51.5, "lte0")
INFINITY = float("inf")


def test_a_report_goes_through_the_wire() -> None:
    report = Report(True, -21.04, 640.0, 20.0, 3, 2, 0.12, "live", ("disk full",))
    message = decode(encode(telemetry(report, PLACE, 12.5)))
    assert message == Telemetry(
        number=7,
        sent=12.5,
        on_air=True,
        level_dbfs=-21.0,
        buffer_ms=640.0,
        concealed_ms=20.0,
        lost=3,
        recovered=2,
        temperature_c=51.5,
        link="lte0",
        clock_error_ms=1.2,
        state="live",
        error_ms=0.12,
        commands_refused=0,
        uptime_s=3600.0,
        faults=("disk full",),
    )


@pytest.mark.parametrize("value", [float("nan"), INFINITY, -INFINITY, 1e300, -1e300])
def test_numbers_no_wire_takes_are_bent(value: float) -> None:
    report = Report(False, value, value, value, -5, 2**80, value, "x" * 500, ("y\n" * 300,) * 30)
    place = Place(0, value, value, 2**70, value, "z\0" * 100)
    message = decode(encode(telemetry(report, place, 1.0)))
    assert isinstance(message, Telemetry)
    assert len(message.faults) == 8
    assert message.lost == 0
    assert message.recovered == 2**53


def test_an_idle_report_is_small() -> None:
    place = Place(99_999, 8_640_000.0, 0.0123, 12, 51.5, "wwan0 -101 dBm")
    message = telemetry(
        Report(state="idle", concealed_ms=123_456.0, lost=9999, recovered=9999), place, 8_640_000.123456
    )
    assert len(encode(message)) <= 200


def test_printable_text_is_cut_with_a_sign() -> None:
    assert printable("a\nb", 5) == "a b"
    assert printable("abcdef", 4) == "abc…"


def put(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


ROUTES = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n"


def test_the_machine_is_read(tmp_path: Path) -> None:
    put(tmp_path, "sys/class/thermal/thermal_zone0/temp", "48000\n")
    put(tmp_path, "sys/class/thermal/thermal_zone1/temp", "51500\n")
    put(tmp_path, "sys/class/thermal/thermal_zone2/temp", "-274000\n")
    put(tmp_path, "sys/class/thermal/thermal_zone3/temp", "hot\n")
    put(
        tmp_path,
        "proc/net/route",
        ROUTES
        + "wlan0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\n"
        + "wlan0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\n",
    )
    put(tmp_path, "proc/net/wireless", "h\nh\n wlan0: 0000   54.  -61.  -256        0\n")
    machine = Machine(tmp_path)
    assert machine.temperature_c() == 51.5
    assert machine.link() == "wlan0 -61 dBm"


def test_an_ipv6_only_modem(tmp_path: Path) -> None:
    zero = "0" * 32
    put(
        tmp_path,
        "proc/net/ipv6_route",
        f"{zero} 00 {zero} 00 fe80 00000400 1 0 3 wwan0\n{zero} 00 {zero} 00 0 0 0 0 0 lo\n",
    )
    assert Machine(tmp_path).link() == "wwan0"


def test_a_machine_that_tells_nothing(tmp_path: Path) -> None:
    assert Machine(tmp_path).temperature_c() is None
    assert Machine(tmp_path).link() == ""
    put(tmp_path, "proc/net/route", "nonsense\nmore")
    put(tmp_path, "proc/net/wireless", "nonsense")
    assert Machine(tmp_path).link() == ""
