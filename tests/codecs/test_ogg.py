from __future__ import annotations

import contextlib
import io
from pathlib import Path

import av
import numpy as np
import pytest
from av.container import InputContainer
from hypothesis import given, settings
from hypothesis import strategies as st

from loacodecs.errors import CodecError, MalformedError
from loacodecs.ogg import OggOpusReader, OggOpusWriter, OpusHead, OpusTags
from loacodecs.ogg_page import BEGINS_STREAM, CONTINUED, ENDS_STREAM, Page, PageReader, lacing
from loacodecs.opus import OpusDecoder, OpusEncoder, Pcm, packet_samples
from tests.support.tones import dominant_frequency, level_dbfs, tone

RATE = 48000
# Configurations of 2.5, 5, 10 and 20 ms CELT and 20, 40 and 60 ms SILK, one frame each; contents do not matter.
opus_packets = st.builds(
    lambda config, size: bytes([config << 3]) + bytes([size & 0xFF]) * size,
    st.sampled_from([31, 30, 29, 28, 1, 2, 3]),
    st.integers(0, 600),
)


def record(sound: Pcm) -> bytes:
    """An Ogg Opus file of mono `sound`, trimmed to its length."""
    file, encoder = io.BytesIO(), OpusEncoder(bitrate=64000)
    padded = np.concatenate([sound, np.zeros(encoder.lookahead + 960, np.float32)])
    writer = OggOpusWriter(file.write, pre_skip=encoder.lookahead, serial=7, tags={"TITLE": "Bản tin sáng"})
    left = len(sound) + encoder.lookahead
    for start in range(0, left, 960):
        packet = encoder.encode(padded[start : start + 960])
        writer.write_packet(packet, min(960, left - start))
    writer.close()
    return file.getvalue()


def heard_by_pyav(data: bytes) -> Pcm:
    with av.open(io.BytesIO(data)) as container:
        assert isinstance(container, InputContainer)
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
    return np.concatenate(frames, axis=1)


def file_of(packets: list[bytes], *, serial: int = 7, page_samples: int = 48000) -> bytes:
    file = io.BytesIO()
    with OggOpusWriter(file.write, serial=serial, page_samples=page_samples) as writer:
        for packet in packets:
            writer.write_packet(packet)
    return file.getvalue()


def pages_of(data: bytes) -> list[Page]:
    reader, pages = PageReader(io.BytesIO(data)), []
    while (page := reader.read()) is not None:
        pages.append(page)
    return pages


def read(data: bytes) -> list[tuple[int, bytes]]:
    return list(OggOpusReader(io.BytesIO(data)))


@pytest.mark.parametrize("seconds", [1.0, 2.5, 3.33])
def test_ffmpeg_hears_the_tone_in_its_length(seconds: float) -> None:
    sound = tone(440, seconds)
    data = record(sound)
    heard = heard_by_pyav(data)[0]
    assert len(heard) == len(sound)
    assert dominant_frequency(heard) == pytest.approx(440, abs=1)
    assert level_dbfs(heard) == pytest.approx(level_dbfs(sound), abs=0.5)
    # The pre-skip puts the first sample where it was.
    assert np.abs(heard[4800:-960] - sound[4800:-960]).max() < 0.05
    with av.open(io.BytesIO(data)) as container:
        assert isinstance(container, InputContainer)
        assert container.streams.audio[0].metadata["TITLE"] == "Bản tin sáng"
        assert container.duration == pytest.approx(seconds * 1e6, abs=7000), "with the pre-skip"


def test_we_hear_what_ffmpeg_made() -> None:
    file = io.BytesIO()
    sound = tone(1000, 2.0)
    with av.open(file, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=RATE, layout="mono")
        container.metadata["title"] = "News"
        frame = av.AudioFrame.from_ndarray(sound.reshape(1, -1), format="flt", layout="mono")
        frame.sample_rate = RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    reader = OggOpusReader(io.BytesIO(file.getvalue()))
    assert reader.header.channels == 1
    assert reader.header.pre_skip == 312
    assert reader.tags.get("Title") == "News"
    decoder = OpusDecoder(1)
    packets = list(reader)
    heard = np.concatenate([decoder.decode(packet) for _, packet in packets])[:, 0]
    # This muxer counts granules from 312, as if the stream were cut out of a longer one.
    began = packets[0][0] - packet_samples(packets[0][1])
    heard = heard[reader.header.pre_skip : packets[-1][0] - began]
    assert reader.complete
    assert reader.damaged == 0
    assert len(heard) == len(sound)
    assert dominant_frequency(heard) == pytest.approx(1000, abs=1)


def test_stereo_keeps_its_sides() -> None:
    file, encoder = io.BytesIO(), OpusEncoder(2, bitrate=128000)
    sound = np.stack([tone(440, 1.0), tone(880, 1.0)], axis=1)
    with OggOpusWriter(file.write, channels=2, pre_skip=encoder.lookahead, serial=1) as writer:
        for start in range(0, RATE, 960):
            writer.write_packet(encoder.encode(sound[start : start + 960]))
    assert OggOpusReader(io.BytesIO(file.getvalue())).header.channels == 2
    heard = heard_by_pyav(file.getvalue())
    assert [round(dominant_frequency(side)) for side in heard] == [440, 880]


@settings(max_examples=50)
@given(st.lists(opus_packets, max_size=120), st.integers(0, 96000))
def test_packets_and_granules_come_back(packets: list[bytes], page_samples: int) -> None:
    reader = OggOpusReader(io.BytesIO(file_of(packets, page_samples=page_samples)))
    durations = {31: 960, 30: 480, 29: 240, 28: 120, 1: 960, 2: 1920, 3: 2880}
    expected, granule = [], 0
    for packet in packets:
        granule += durations[packet[0] >> 3]
        expected.append((granule, packet))
    assert list(reader) == expected
    assert reader.complete
    assert reader.damaged == 0
    assert reader.header == OpusHead(1, 312, 48000, 0.0)


def test_a_page_holds_a_second_and_the_last_ends_the_stream() -> None:
    pages = pages_of(file_of([b"\xf8abc"] * 120))
    assert [page.granule for page in pages] == [0, 0, 48000, 96000, 115200]
    assert [page.number for page in pages] == [0, 1, 2, 3, 4]
    assert [page.flags for page in pages] == [BEGINS_STREAM, 0, 0, 0, ENDS_STREAM]
    assert {page.serial for page in pages} == {7}


def test_each_write_is_a_whole_page() -> None:
    written: list[bytes] = []
    writer = OggOpusWriter(written.append, serial=1)
    for _ in range(200):
        writer.write_packet(b"\xf8" + bytes(100))
    writer.close()
    assert len(written) == 6
    assert all(len(pages_of(page)) == 1 for page in written)


def test_flush_hands_over_at_once_and_the_end_still_comes() -> None:
    file = io.BytesIO()
    writer = OggOpusWriter(file.write, serial=1)
    for _ in range(3):
        writer.write_packet(b"\xf8abc")
        writer.flush()
        assert read(file.getvalue())[-1] == (writer.granule, b"\xf8abc")
    writer.close()
    size = len(file.getvalue())
    writer.close()
    assert len(file.getvalue()) == size
    assert pages_of(file.getvalue())[-1].flags == ENDS_STREAM
    assert OggOpusReader(io.BytesIO(file.getvalue())).complete is False, "not known before it is read"
    assert len(read(file.getvalue())) == 3


def test_one_reader_may_be_given_the_end_while_the_stream_goes_on() -> None:
    file = io.BytesIO()
    writer = OggOpusWriter(file.write, serial=1)
    for _ in range(120):
        writer.write_packet(b"\xf8\x01")
    ended = OggOpusReader(io.BytesIO(file.getvalue() + writer.ending()))
    assert len(list(ended)) == 120
    assert ended.complete
    writer.write_packet(b"\xf8\x01")
    writer.close()
    whole = OggOpusReader(io.BytesIO(file.getvalue()))
    assert [granule for granule, _ in whole] == [960 * number for number in range(1, 122)]
    assert (whole.complete, whole.damaged) == (True, 0)


def test_nothing_after_the_end_and_nothing_but_opus() -> None:
    writer = OggOpusWriter(io.BytesIO().write, serial=1)
    for broken in (b"", b"\x03", b"\x1b\x03", bytes(70_000)):
        with pytest.raises(MalformedError):
            writer.write_packet(broken)
    with pytest.raises(ValueError):
        writer.write_packet(b"\xf8abc", 961)
    assert writer.granule == 0
    writer.close()
    with pytest.raises(ValueError):
        writer.write_packet(b"\xf8abc")
    for channels, pre_skip in ((0, 0), (3, 0), (1, -1), (1, 70_000)):
        with pytest.raises(CodecError):
            OggOpusWriter(io.BytesIO().write, channels, pre_skip, serial=1)
    for name in ("", "a=b", "tên"):
        with pytest.raises(ValueError):
            OggOpusWriter(io.BytesIO().write, serial=1, tags={name: "x"})


def test_the_error_of_a_full_disk_reaches_the_caller() -> None:
    def write(data: bytes) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        OggOpusWriter(write, serial=1)


@pytest.mark.parametrize(
    ("gap", "covered"), [(960, 960), (48000, 48000), (1080, 1080), (1100, 1080), (60, 0)]
)
def test_a_gap_keeps_the_time(gap: int, covered: int) -> None:
    file, encoder, sound = io.BytesIO(), OpusEncoder(bitrate=64000), tone(440, 1.0)
    packets = [encoder.encode(sound[start : start + 960]) for start in range(0, RATE, 960)]
    with OggOpusWriter(file.write, pre_skip=0, serial=1) as writer:
        for packet in packets:
            writer.write_packet(packet)
        assert writer.write_gap(gap) == covered
        for packet in packets:
            writer.write_packet(packet)
    assert read(file.getvalue())[-1][0] == 2 * RATE + covered
    heard = heard_by_pyav(file.getvalue())[0]
    assert len(heard) == 2 * RATE + covered
    assert dominant_frequency(heard[RATE + covered + 4800 :]) == pytest.approx(440, abs=1)
    if covered == RATE:
        assert level_dbfs(heard[RATE + 24000 : 2 * RATE - 960]) < -40


def test_a_gap_before_the_first_packet_and_after_long_frames() -> None:
    file = io.BytesIO()
    with OggOpusWriter(file.write, channels=2, serial=1) as writer:
        assert writer.write_gap(1920) == 1920
        writer.write_packet(b"\x1cabc")  # SILK, 60 ms, stereo
        assert writer.write_gap(2880 + 960) == 3840
    packets = [packet for _, packet in read(file.getvalue())]
    assert packets == [b"\xfc", b"\xfc", b"\x1cabc", b"\x1c", b"\xfc"]


def test_a_file_cut_anywhere_is_read_up_to_its_last_whole_page() -> None:
    data = record(tone(440, 3.0))
    whole = read(data)
    headers = sum(len(page.to_bytes()) for page in pages_of(data)[:2])
    for size in range(0, len(data), 97):
        if size < headers:
            with pytest.raises(MalformedError):
                read(data[:size])
            continue
        reader = OggOpusReader(io.BytesIO(data[:size]))
        packets = list(reader)
        assert packets == whole[: len(packets)]
        assert not reader.complete
        assert len(packets) >= (size - headers) / len(data) * len(whole) - 52, "more than a page is missing"
    assert len(heard_by_pyav(data[: len(data) * 2 // 3])[0]) > RATE


def test_a_damaged_page_costs_its_packets_only() -> None:
    packets = [b"\xf8" + bytes([number]) * 20 for number in range(200)]
    pages = [bytearray(page.to_bytes()) for page in pages_of(file_of(packets))]
    pages[3][40] ^= 1
    reader = OggOpusReader(io.BytesIO(b"".join(pages)))
    expected = [(960 * (n + 1), packet) for n, packet in enumerate(packets) if not 50 <= n < 100]
    assert list(reader) == expected
    assert reader.damaged == 1
    assert reader.complete


def test_the_trimmed_end_is_right_after_damage_too() -> None:
    pages = pages_of(record(tone(440, 2.01)))
    last_granule = pages[-1].granule
    assert last_granule == round(2.01 * RATE) + 312
    del pages[-2]
    packets = read(b"".join(page.to_bytes() for page in pages))
    assert packets[-1][0] == last_granule


def test_a_short_stream_of_one_page_starts_at_zero() -> None:
    file = io.BytesIO()
    with OggOpusWriter(file.write, pre_skip=0, serial=1) as writer:
        writer.write_packet(b"\xf8a")
        writer.write_packet(b"\xf8b", 100)
    assert read(file.getvalue()) == [(960, b"\xf8a"), (1060, b"\xf8b")]


def test_packets_that_cross_pages_are_joined_and_halves_are_dropped() -> None:
    head, tags, *_ = pages_of(file_of([]))
    packet = b"\xf8" + bytes(range(250)) * 3
    sizes = lacing(len(packet))
    first = Page(0, -1, 7, 2, sizes[:2], packet[:510])
    rest = Page(CONTINUED, 1920, 7, 3, sizes[2:] + b"\x02", packet[510:] + b"\xf8z")
    end = Page(ENDS_STREAM, 2880, 7, 4, b"\x02", b"\xf8e")

    def of(*pages: Page) -> OggOpusReader:
        return OggOpusReader(io.BytesIO(b"".join(page.to_bytes() for page in pages)))

    assert list(of(head, tags, first, rest, end)) == [(960, packet), (1920, b"\xf8z"), (2880, b"\xf8e")]
    beheaded = of(head, tags, rest, end)
    assert list(beheaded) == [(1920, b"\xf8z"), (2880, b"\xf8e")]
    assert beheaded.damaged == 1
    for broken in (
        of(head, tags, first, Page(ENDS_STREAM, 2880, 7, 3, b"\x02", b"\xf8e")),  # never finished
        of(
            head, tags, first, Page(CONTINUED, 2880, 7, 4, b"\x09\x02", bytes(9) + b"\xf8e")
        ),  # the middle is lost
    ):
        assert list(broken) == [(2880, b"\xf8e")]
        assert broken.damaged == 1


def test_chained_streams_are_read_one_after_the_other() -> None:
    second = io.BytesIO()
    with OggOpusWriter(second.write, channels=2, pre_skip=3840, serial=8, tags={"TITLE": "two"}) as writer:
        writer.write_packet(b"\xfcb")
    reader = OggOpusReader(io.BytesIO(file_of([b"\xf8a"]) + second.getvalue()))
    seen = [(granule, packet, reader.header.channels, reader.tags.get("title")) for granule, packet in reader]
    assert seen == [(960, b"\xf8a", 1, None), (960, b"\xfcb", 2, "two")]
    assert reader.header.pre_skip == 3840


def test_other_streams_in_the_file_are_passed_over() -> None:
    ours = pages_of(file_of([b"\xf8a"] * 100))
    video = [Page(BEGINS_STREAM, 0, 99, 0, b"\x07", b"\x80theora")]
    video += [Page(0, n, 99, n, b"\x04", b"data") for n in range(1, 5)]
    mixed = [video[0], ours[0], video[1], ours[1], video[2], ours[2], video[3], ours[3], video[4]]
    reader = OggOpusReader(io.BytesIO(b"".join(page.to_bytes() for page in mixed)))
    assert len(list(reader)) == 100
    assert reader.complete
    assert reader.damaged == 0
    with pytest.raises(MalformedError, match="no Ogg Opus"):
        read(b"".join(page.to_bytes() for page in video))


def test_a_file_of_another_kind_is_refused_without_reading_it_all() -> None:
    stream = io.BytesIO(b"RIFF" + bytes(5_000_000))
    with pytest.raises(MalformedError, match="no Ogg Opus"):
        OggOpusReader(stream)
    assert stream.tell() < 100_000
    with pytest.raises(MalformedError):
        read(b"")


def test_packets_that_are_no_opus_are_left_out() -> None:
    head, tags, *_ = pages_of(file_of([]))
    page = Page(ENDS_STREAM, 960, 7, 2, b"\x00\x02\x01", b"\xf8a\x03")
    reader = OggOpusReader(io.BytesIO(head.to_bytes() + tags.to_bytes() + page.to_bytes()))
    assert list(reader) == [(960, b"\xf8a")]
    assert reader.damaged == 2


class Live:
    """A stream that is still being written: reading past what is there is a mistake."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def read(self, size: int, /) -> bytes:
        data = self._data.read(min(size, 100))
        assert data, "this read would have waited for sound that is not there yet"
        return data


def test_a_live_stream_is_heard_without_waiting_for_the_next_page() -> None:
    data = file_of([b"\xf8" + bytes(30)] * 60)
    without_end = b"".join(page.to_bytes() for page in pages_of(data)[:-1])
    packets = iter(OggOpusReader(Live(without_end)))
    assert [granule for granule, _ in (next(packets) for _ in range(50))][-1] == 48000


def test_writing_to_a_file_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "as-aired.ogg"
    with path.open("wb") as file, OggOpusWriter(file.write, serial=1) as writer:
        writer.write_packet(b"\xf8abc")
    with path.open("rb") as stream:
        assert list(OggOpusReader(stream)) == [(960, b"\xf8abc")]


@settings(max_examples=200)
@given(st.binary(max_size=300), st.booleans())
def test_random_bytes_raise_only_errors_of_ours(data: bytes, after_headers: bool) -> None:
    if after_headers:
        data = file_of([b"\xf8a"] * 3) + b"OggS\x00" + data
    with contextlib.suppress(MalformedError, CodecError):
        assert read(data)[:3] == [(960, b"\xf8a"), (1920, b"\xf8a"), (2880, b"\xf8a")]


@st.composite
def hostile_pages(draw: st.DrawFn) -> bytes:
    """Pages with right checksums and contents that fit nothing."""
    body = draw(
        st.one_of(st.binary(max_size=40), st.just(OpusHead().to_bytes()), st.just(OpusTags().to_bytes()))
    )
    segments = draw(st.one_of(st.just(lacing(len(body))), st.just(bytes([1] * len(body)))))
    return Page(
        draw(st.integers(0, 7)),
        draw(st.integers(-(2**63), 2**63 - 1)),
        7,
        draw(st.integers(0, 6)),
        segments,
        body,
    ).to_bytes()


@settings(max_examples=300)
@given(st.lists(hostile_pages(), max_size=8), st.booleans())
def test_hostile_pages_raise_only_errors_of_ours(pages: list[bytes], after_headers: bool) -> None:
    headers = b"".join(page.to_bytes() for page in pages_of(file_of([]))[:2]) if after_headers else b""
    with contextlib.suppress(MalformedError, CodecError):
        read(headers + b"".join(pages))


@settings(max_examples=200)
@given(st.data())
def test_flipped_bits_never_change_a_packet(data: st.DataObject) -> None:
    packets = [b"\xf8" + bytes([number]) * 30 for number in range(150)]
    raw = bytearray(file_of(packets))
    for _ in range(data.draw(st.integers(1, 5))):
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    truth = [(960 * (n + 1), packet) for n, packet in enumerate(packets)]
    with contextlib.suppress(MalformedError):
        heard = read(bytes(raw))
        assert set(heard) <= set(truth)
        assert heard == sorted(heard)
