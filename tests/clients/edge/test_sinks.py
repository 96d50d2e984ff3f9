"""Files that stay playable, and what is said when they cannot be written."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from loacodecs.opus import OpusEncoder
from loaedge.decoding import Piece
from loaedge.sinks import SinkError, WavSink, open_sink
from tests.support.tones import tone


def piece(samples: int, value: float = 0.5, channels: int = 1) -> Piece:
    return Piece(np.full((samples, channels), value, np.float32), b"\xfc\xff\xfe")


def frames(path: Path) -> int:
    with wave.open(str(path), "rb") as file:
        return len(file.readframes(file.getnframes())) // 2


def test_the_header_follows_the_data_every_second(tmp_path: Path) -> None:
    path = tmp_path / "a.WAV"
    sink = open_sink(path, serial=1, title="t")
    assert frames(path) == 0
    for _ in range(75):
        sink.write(piece(960))
    assert frames(path) == 48_000
    sink.close()
    assert frames(path) == 72_000
    sink.close()
    assert frames(path) == 72_000


def test_samples_are_mixed_to_mono_and_clipped(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    sink = open_sink(path, serial=1, title="t")
    sink.write(Piece(np.array([[0.5, -0.5], [2.0, 2.0], [-1.0, -1.0]], np.float32), None))
    sink.close()
    with wave.open(str(path), "rb") as file:
        assert np.frombuffer(file.readframes(3), "<i2").tolist() == [0, 32767, -32767]


def test_ogg_pages_are_handed_over_about_once_a_second(tmp_path: Path) -> None:
    path = tmp_path / "a.ogg"
    sink = open_sink(path, serial=1, title="t")
    sink.write(Piece(np.zeros((960, 1), np.float32), None))  # before the first packet nothing is owed
    encoder = OpusEncoder()
    sound = tone(440, 3.0).reshape(150, 960)
    sizes = []
    for frame in sound:
        sink.write(Piece(frame.reshape(-1, 1), encoder.encode(frame)))
        sizes.append(path.stat().st_size)
    assert sizes[0] > 0, "the header is there with the first packet"
    assert sizes[120] > sizes[60] > sizes[0]
    sink.close()
    assert path.stat().st_size > sizes[-1]


def test_what_cannot_be_created_says_why(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="no such file or directory"):
        open_sink(tmp_path / "missing" / "a.wav", serial=1, title="t")
    with pytest.raises(SinkError, match=r"\.wav or an \.ogg"):
        open_sink(tmp_path / "a.mp3", serial=1, title="t")


def test_a_full_disk_is_one_sentence() -> None:
    with pytest.raises(SinkError, match="cannot write /dev/full: no space left on device"):
        WavSink(Path("/dev/full"))


def test_without_a_file_nothing_is_written() -> None:
    sink = open_sink(None, serial=1, title="t")
    sink.write(piece(960))
    sink.close()
