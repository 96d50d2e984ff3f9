"""Files from a flash card: whole, short, damaged, and not files at all."""

from __future__ import annotations

import random
import struct
import wave
from pathlib import Path

import numpy as np
import pytest

from loacodecs.opus import Pcm
from loaedge.local.audiofile import ProgrammeError, open_audio, to_channels
from tests.support.hand_receiver import RATE, write_opus, write_wav


def read(path: Path) -> tuple[Pcm, str]:
    """All the sound, and the fault at the end."""
    blocks: list[Pcm] = []
    try:
        file = open_audio(path)
        try:
            blocks.extend(file.blocks())
        finally:
            file.close()
    except ProgrammeError as error:
        return np.concatenate(
            [np.zeros((0, 1), np.float32), *(to_channels(b, 1) for b in blocks)]
        ), error.fault
    return np.concatenate(blocks), ""


@pytest.mark.parametrize("channels", [1, 2])
def test_opus_is_as_long_as_it_was_and_in_its_place(tmp_path: Path, channels: int) -> None:
    pcm, fault = read(write_opus(tmp_path / "a.opus", 1.2345, hz=440.0, channels=channels))
    assert fault == ""
    assert pcm.shape == (round(1.2345 * RATE), channels)
    moment = np.arange(len(pcm)) / RATE
    want = 0.5 * np.sin(2 * np.pi * 440.0 * moment)
    inner = slice(4800, -4800)
    correlation = np.corrcoef(pcm[inner, 0], want[inner])[0, 1]
    assert correlation > 0.99, "pre-skip was not dropped to the sample"


@pytest.mark.parametrize(("width", "peak"), [(1, 127 / 128), (2, 32767 / 32768), (3, 1.0), (4, 1.0)])
def test_wav_of_all_widths(tmp_path: Path, width: int, peak: float) -> None:
    path = tmp_path / "a.wav"
    top = 255 if width == 1 else 2 ** (8 * width - 1) - 1
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(width)
        file.setframerate(RATE)
        file.writeframes(top.to_bytes(width, "little") * 4800)
    pcm, fault = read(path)
    assert fault == ""
    assert pcm.shape == (4800, 1)
    assert np.allclose(pcm, peak, atol=1e-6)


def wav_of(form: int, bits: int, sound: bytes, *, extensible: bool = False, size: int | None = None) -> bytes:
    """A mono WAV file with a chunk of an editor's before the sound."""
    fmt = struct.pack("<HHIIHH", 0xFFFE if extensible else form, 1, RATE, RATE * bits // 8, bits // 8, bits)
    if extensible:
        guid = struct.pack("<H", form) + bytes.fromhex("000000001000800000aa00389b71")
        fmt += struct.pack("<HHI", 22, bits, 4) + guid
    chunks = b"fmt " + struct.pack("<I", len(fmt)) + fmt + b"LIST" + struct.pack("<I", 3) + b"abc\0"
    chunks += b"data" + struct.pack("<I", len(sound) if size is None else size) + sound
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WAVE" + chunks


@pytest.mark.parametrize("extensible", [False, True])
@pytest.mark.parametrize(("form", "bits"), [(1, 16), (1, 24), (1, 32), (3, 32), (3, 64)])
def test_wav_as_editors_and_sox_write_it(tmp_path: Path, form: int, bits: int, extensible: bool) -> None:
    half = (
        struct.pack("<f" if bits == 32 else "<d", 0.5)
        if form == 3
        else (1 << bits - 2).to_bytes(bits // 8, "little")
    )
    path = tmp_path / "a.wav"
    path.write_bytes(wav_of(form, bits, half * 4800, extensible=extensible))
    pcm, fault = read(path)
    assert fault == ""
    assert pcm.shape == (4800, 1)
    assert np.allclose(pcm, 0.5, atol=1e-6)


def test_wav_of_a_pipe_has_no_length_and_ends_where_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav_of(1, 16, b"\0\x40" * 4800, size=0xFFFFFFFF))
    pcm, fault = read(path)
    assert (len(pcm), fault) == (4800, "")


def test_wav_floats_that_are_no_sound_are_not_heard(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    sound = struct.pack("<4f", float("nan"), float("inf"), 1e30, -1e30)
    path.write_bytes(wav_of(3, 32, sound * 1200))
    pcm, fault = read(path)
    assert fault == ""
    assert np.isfinite(pcm).all()
    assert np.abs(pcm).max() <= 8.0


@pytest.mark.parametrize(("form", "bits"), [(2, 4), (6, 8), (0x55, 16), (1, 0), (1, 64), (3, 16)])
def test_wav_with_another_codec_is_named(tmp_path: Path, form: int, bits: int) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav_of(form, bits, bytes(4800)))
    assert read(path)[1] == "unsupported"


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 96_000])
def test_wav_of_other_rates_keeps_its_length_and_level(tmp_path: Path, rate: int) -> None:
    pcm, fault = read(write_wav(tmp_path / "a.wav", 2.0, 0.25, rate=rate, channels=2))
    assert fault == ""
    assert abs(len(pcm) - 2 * RATE) <= 2
    assert np.allclose(pcm[4800:-4800], 0.25, atol=0.001)


def test_a_cut_file_is_heard_as_far_as_it_goes(tmp_path: Path) -> None:
    for path in (write_opus(tmp_path / "a.opus", 4.0), write_wav(tmp_path / "a.wav", 4.0)):
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) * 6 // 10])
        pcm, fault = read(path)
        assert fault == "truncated"
        assert 1.0 * RATE < len(pcm) < 3.0 * RATE


def test_a_damaged_page_costs_only_itself(tmp_path: Path) -> None:
    path = write_opus(tmp_path / "a.opus", 6.0)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 40] = bytes(40)
    path.write_bytes(data)
    pcm, fault = read(path)
    assert fault == "corrupt"
    assert len(pcm) >= 4 * RATE


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("none.opus", None, "missing"),
        ("empty.opus", b"", "corrupt"),
        ("empty.wav", b"", "corrupt"),
        ("text.ogg", b"hello" * 1000, "corrupt"),
        ("riff.wav", b"RIFF\x00\x00\x00\x00WAVE", "corrupt"),
        ("song.mp3", b"ID3", "unsupported"),
    ],
)
def test_what_is_no_sound_has_a_name(tmp_path: Path, name: str, content: bytes | None, fault: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    pcm, found = read(path)
    assert (len(pcm), found) == (0, fault)


def test_a_folder_with_the_name_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.wav").mkdir()
    assert read(tmp_path / "a.wav")[1] == "unreadable"


@pytest.mark.parametrize("kind", ["a.opus", "a.wav"])
def test_nothing_but_a_programme_error_comes_out_of_hostile_files(tmp_path: Path, kind: str) -> None:
    dice = random.Random(4)
    path = tmp_path / kind
    whole = (write_opus if kind == "a.opus" else write_wav)(path, 0.3).read_bytes()
    for _ in range(300):
        data = bytearray(whole[: dice.randrange(len(whole) + 1)] if dice.random() < 0.3 else whole)
        for _ in range(dice.randrange(1, 12)):
            if data:
                data[min(int(dice.expovariate(1 / 60)), len(data) - 1)] = dice.randrange(256)
        path.write_bytes(data)
        pcm, _ = read(path)
        assert np.all(np.isfinite(pcm))


def test_channels_are_mixed_down_and_spread() -> None:
    stereo = np.array([[1.0, 0.0], [0.5, 0.5]], np.float32)
    assert to_channels(stereo, 1).tolist() == [[0.5], [0.5]]
    assert to_channels(to_channels(stereo, 1), 2).tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert to_channels(stereo, 2) is stereo
