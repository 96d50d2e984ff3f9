from __future__ import annotations

import math

import pytest
from aiortc.rtp import HeaderExtensionsMap, pack_header_extensions, unpack_header_extensions
from aiortc.rtp import RtpPacket as AiortcPacket
from hypothesis import given
from hypothesis import strategies as st

from loacodecs import rtp
from loacodecs.errors import MalformedError
from loacodecs.rtp import RtpPacket, SequenceUnwrapper

one_byte_items = st.lists(
    st.tuples(st.integers(1, 14), st.binary(min_size=1, max_size=16)),
    max_size=5,
    unique_by=lambda item: item[0],
)
two_byte_items = st.lists(
    st.tuples(st.integers(1, 255), st.binary(max_size=255)), max_size=5, unique_by=lambda item: item[0]
)


@st.composite
def packets(draw: st.DrawFn) -> RtpPacket:
    profile, extension = rtp.pack_extension(draw(st.one_of(one_byte_items, two_byte_items)))
    return RtpPacket(
        payload_type=draw(st.integers(0, 127)),
        marker=draw(st.booleans()),
        sequence=draw(st.integers(0, 0xFFFF)),
        timestamp=draw(st.integers(0, 0xFFFFFFFF)),
        ssrc=draw(st.integers(0, 0xFFFFFFFF)),
        payload=draw(st.binary(max_size=300)),
        extension_profile=profile,
        extension=extension,
        csrcs=tuple(draw(st.lists(st.integers(0, 0xFFFFFFFF), max_size=15))),
    )


@given(packets())
def test_a_packet_survives_the_wire(packet: RtpPacket) -> None:
    assert rtp.parse(packet.to_bytes()) == packet


@given(packets())
def test_aiortc_reads_what_we_write(packet: RtpPacket) -> None:
    theirs = AiortcPacket.parse(packet.to_bytes())
    assert theirs.payload_type == packet.payload_type
    assert bool(theirs.marker) is packet.marker
    assert theirs.sequence_number == packet.sequence
    assert theirs.timestamp == packet.timestamp
    assert theirs.ssrc == packet.ssrc
    assert theirs.payload == packet.payload
    assert tuple(theirs.csrc) == packet.csrcs


@given(packets(), st.integers(1, 255))
def test_padding_is_taken_off(packet: RtpPacket, padding: int) -> None:
    data = bytearray(packet.to_bytes() + bytes(padding - 1) + bytes([padding]))
    data[0] |= 0x20
    assert rtp.parse(bytes(data)) == packet


def test_we_read_what_aiortc_writes() -> None:
    theirs = AiortcPacket(
        payload_type=111, marker=1, sequence_number=7, timestamp=960, ssrc=99, payload=b"payload"
    )
    theirs.csrc = [1, 2]
    theirs.padding_size = 5
    packet = rtp.parse(theirs.serialize(HeaderExtensionsMap()))
    assert packet == RtpPacket(111, True, 7, 960, 99, b"payload", csrcs=(1, 2))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes([0x80]) + bytes(10),
        bytes([0x40]) + bytes(11),
        bytes([0x00]) + bytes(11),
        bytes([0x81]) + bytes(14),
        bytes([0x90]) + bytes(14),
        bytes([0x90]) + bytes(11) + b"\xbe\xde\x00\x01abc",
        bytes([0xA0]) + bytes(11) + b"ab\x00",
        bytes([0xA0]) + bytes(11) + b"ab\x04",
        bytes([0xA0]) + bytes(11),
    ],
    ids=[
        "empty",
        "short",
        "version 1",
        "version 0",
        "csrc",
        "extension head",
        "extension body",
        "padding 0",
        "padding beyond payload",
        "padding of an empty payload",
    ],
)
def test_broken_packets_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        rtp.parse(data)


@given(st.binary(max_size=120), st.integers(0, 255))
def test_random_bytes_raise_only_malformed(data: bytes, element: int) -> None:
    try:
        packet = rtp.parse(data)
    except MalformedError:
        return
    packet.extension_value(element)
    assert rtp.parse(packet.to_bytes()) == packet


@given(packets(), st.data())
def test_mutated_packets_raise_only_malformed(packet: RtpPacket, data: st.DataObject) -> None:
    raw = bytearray(packet.to_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(raw[: data.draw(st.integers(0, len(raw)))])
    try:
        changed = rtp.parse(cut)
    except MalformedError:
        return
    assert len(changed.payload) + len(changed.extension) <= len(cut)


@given(st.one_of(one_byte_items, two_byte_items))
def test_extension_elements_are_found_again(items: list[tuple[int, bytes]]) -> None:
    profile, body = rtp.pack_extension(items)
    packet = RtpPacket(111, False, 0, 0, 0, b"", profile, body)
    assert len(body) % 4 == 0
    for element, value in items:
        assert packet.extension_value(element) == value
    absent = next(n for n in range(1, 256) if n not in dict(items))
    assert packet.extension_value(absent) is None
    if items:
        assert dict(unpack_header_extensions(profile, body)) == dict(items)


@given(st.one_of(one_byte_items, two_byte_items.filter(lambda items: all(value for _, value in items))))
def test_extension_is_written_as_aiortc_writes_it(items: list[tuple[int, bytes]]) -> None:
    if items:
        assert rtp.pack_extension(items) == pack_header_extensions(items)


def test_extension_is_of_the_short_form_when_it_can_be() -> None:
    assert rtp.pack_extension([]) == (0, b"")
    assert rtp.pack_extension([(1, b"a")]) == (0xBEDE, b"\x10a\x00\x00")
    assert rtp.pack_extension([(15, b"a")]) == (0x1000, b"\x0f\x01a\x00")
    assert rtp.pack_extension([(1, b"")]) == (0x1000, b"\x01\x00\x00\x00")
    for impossible in [(0, b"a"), (256, b"a"), (1, bytes(256))]:
        with pytest.raises(ValueError):
            rtp.pack_extension([impossible])


def test_broken_extensions_are_not_found() -> None:
    def value(profile: int, body: bytes) -> bytes | None:
        return RtpPacket(111, False, 0, 0, 0, b"", profile, body).extension_value(1)

    assert value(0xBEDE, b"\x00\x00\x10a") == b"a"
    assert value(0xBEDE, b"\x00\x10a\x00") == b"a"
    assert value(0xBEDE, b"\xf0\x00\x10a") is None, "15 ends the reading"
    assert value(0xBEDE, b"\x13ab\x00") is None, "cut short"
    assert value(0x1000, b"\x00\x01\x01a") == b"a"
    assert value(0x100F, b"\x00\x01\x01a") == b"a", "application bits"
    assert value(0x1000, b"\x01\x03ab") is None, "cut short"
    assert value(0x1000, b"\x00\x00\x00\x01") is None, "no length"
    assert value(0x1234, b"\x10a\x00\x00") is None, "somebody else's profile"


def test_fields_that_do_not_fit_are_the_callers_mistake() -> None:
    with pytest.raises(ValueError):
        RtpPacket(111, False, 0, 0, 0, b"", 0xBEDE, b"abc").to_bytes()
    with pytest.raises(ValueError):
        RtpPacket(111, False, 0, 0, 0, b"", csrcs=tuple(range(16))).to_bytes()


def test_rtcp_is_told_by_its_second_byte() -> None:
    assert rtp.is_rtcp(b"\x80\xc8")
    assert rtp.is_rtcp(b"\x80\xdf")
    assert not rtp.is_rtcp(b"\x80\xbf")
    assert not rtp.is_rtcp(b"\x80\xe0")
    assert not rtp.is_rtcp(b"\x80")
    assert not rtp.is_rtcp(RtpPacket(111, True, 0, 0, 0, b"").to_bytes())


@given(st.integers(0, 0xFFFF), st.integers(-0x8000, 0x7FFF))
def test_sequence_delta(base: int, step: int) -> None:
    assert rtp.sequence_delta((base + step) & 0xFFFF, base) == step


@given(st.integers(0, 0xFFFFFFFF), st.integers(-(2**31), 2**31 - 1))
def test_timestamp_delta(base: int, step: int) -> None:
    assert rtp.timestamp_delta((base + step) & 0xFFFFFFFF, base) == step


@given(st.integers(0, 0xFFFF), st.lists(st.integers(-300, 3000), max_size=200))
def test_unwrapper_follows_the_cycles(first: int, steps: list[int]) -> None:
    unwrapper = SequenceUnwrapper()
    assert unwrapper.unwrap(first) == first
    highest = first
    for step in steps:
        extended = highest + step
        assert unwrapper.unwrap(extended & 0xFFFF) == extended
        highest = max(highest, extended)


def test_a_very_late_packet_does_not_drag_the_unwrapper_back() -> None:
    unwrapper = SequenceUnwrapper()
    assert [unwrapper.unwrap(sequence) for sequence in (40000, 10000, 45000)] == [40000, 10000, 45000]


@given(st.floats(0, 4.2e9))
def test_ntp_and_back(seconds: float) -> None:
    assert rtp.unix_from_ntp(rtp.ntp_from_unix(seconds)) == pytest.approx(seconds, abs=1e-6)


def test_ntp_known_values() -> None:
    assert rtp.ntp_from_unix(0.0) == 2_208_988_800 << 32
    assert rtp.ntp_from_unix(0.5) == (2_208_988_800 << 32) + 2**31
    assert rtp.ntp_from_unix(math.nextafter(1.0, 0.0)) == 2_208_988_801 << 32, "the fraction carries"
    assert rtp.ntp_from_unix(2_085_978_496.0) == 0, "2036-02-07, the second era"
    assert rtp.unix_from_ntp(1 << 32) == 2_085_978_497.0


def test_abs_capture_time_both_forms() -> None:
    ntp = rtp.ntp_from_unix(1_800_000_000.25)
    assert rtp.capture_time(rtp.pack_capture_time(ntp)) == ntp
    assert rtp.capture_time(rtp.pack_capture_time(ntp) + bytes(8)) == ntp
    assert rtp.capture_time(b"1234567") is None


def test_audio_level() -> None:
    assert rtp.audio_level(b"\x9e") == (True, -30)
    assert rtp.audio_level(b"\x7f") == (False, -127)
    assert rtp.audio_level(b"") is None
