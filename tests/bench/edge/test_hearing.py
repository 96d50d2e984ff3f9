"""What is done to a recording is found in it, and nothing else."""

from __future__ import annotations

import functools
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.edge import hearing, recording
from bench.edge.hearing import Heard, Programme, listen, skews
from bench.edge.monitor import placed
from bench.edge.programme import FRAME, Encoding, Mono, decode, encode, mixture
from bench.edge.recording import Recording
from bench.errors import BenchError
from loacodecs.opus import SAMPLE_RATE, OpusDecoder
from loaedge.wav import WavWriter

SECONDS = 6.0
CAPTURED, TARGET = 1000.0, 0.7
BEGIN, END = CAPTURED + TARGET + 0.5, CAPTURED + TARGET + 5.0


@functools.cache
def packets() -> tuple[bytes, ...]:
    return tuple(encode(mixture(SECONDS, seed=5), Encoding()))


@functools.cache
def programme() -> Programme:
    return Programme(decode(packets()), CAPTURED, TARGET)


def played(sound: Mono, *, late_s: float = 0.0, ppm: float = 0.0) -> Recording:
    """The programme's sound as a receiver plays it that began before, is late, and has a crystal of its own."""
    rate = SAMPLE_RATE * (1 + ppm * 1e-6)
    began = CAPTURED + 0.1234567
    times = began + np.arange(round(SECONDS * rate)) / rate
    places = (times - CAPTURED - TARGET - late_s) * SAMPLE_RATE
    whole = np.interp(places, np.arange(sound.size), sound, left=0, right=0)
    return Recording(whole.astype(np.float32), began, rate)


@pytest.mark.parametrize("late_ms", [0.0, 1.5, -0.13, 40.0, -90.0])
@pytest.mark.parametrize("ppm", [0.0, 60.0])
def test_a_delay_is_found_and_no_frame_is_wrong_for_it(late_ms: float, ppm: float) -> None:
    heard = listen(played(programme().sound, late_s=late_ms / 1000, ppm=ppm), programme(), BEGIN, END)
    assert heard.clear.size == heard.delays.size == 43
    assert np.abs(heard.clear * 1000 - TARGET * 1000 - late_ms).max() < 0.03
    assert heard.due.size == 225
    assert not heard.wrong.any()


@pytest.mark.parametrize("ppm", [-600.0, 600.0])
def test_a_delay_that_wanders_is_followed_to_both_ends(ppm: float) -> None:
    """As fast as a playout walks off an error of its clock: what is 0.1 ms beside is no longer the same frame."""
    heard = listen(replace(played(programme().sound, ppm=ppm), rate=SAMPLE_RATE), programme(), BEGIN, END)
    assert np.ptp(heard.clear) > 0.002
    assert not heard.wrong.any()


def test_frames_that_were_never_played_are_the_wrong_ones() -> None:
    sound = programme().sound.copy()
    missing = [40, 41, 77, 130, 131, 132, 133, 200]
    for frame in missing:
        sound[frame * FRAME : (frame + 1) * FRAME] = 0
    heard = listen(played(sound), programme(), BEGIN, END)
    assert numbers(heard) == missing
    assert heard.longest_gap(BEGIN, END) == pytest.approx(0.08)
    assert heard.wrong_between(due(77), due(131)) == 2


def test_what_the_decoder_invents_for_lost_packets_is_found_wrong() -> None:
    lost = {45, 90, 91, 150, 211}
    decoder = OpusDecoder(1)
    sound = np.concatenate(
        [
            (decoder.conceal(FRAME) if index in lost else decoder.decode(packet))[:, 0]
            for index, packet in enumerate(packets())
        ]
    )
    found = numbers(listen(played(sound), programme(), BEGIN, END))
    assert lost <= set(found)
    # The decoder needs a frame or so to find its way back.
    assert len(found) <= len(lost) + 3
    assert all(number in lost or number - 1 in lost for number in found)


def test_other_sound_of_the_same_loudness_is_not_taken_for_the_programme() -> None:
    heard = listen(played(mixture(SECONDS, seed=6)), programme(), BEGIN, END)
    assert np.isnan(heard.delays).mean() > 0.9
    assert heard.wrong.all()


def test_after_silence_the_moment_is_found_at_which_sound_is_back() -> None:
    sound = programme().sound.copy()
    sound[60 * FRAME : 160 * FRAME] = 0
    heard = listen(played(sound), programme(), BEGIN, END)
    assert heard.sound_back(due(100)) == pytest.approx(60 * 0.02)
    assert heard.sound_back(due(220)) == pytest.approx(0.0)
    assert heard.sound_back(END - 0.1) is None
    assert heard.longest_gap(BEGIN, END) == pytest.approx(2.0)


def test_two_receivers_are_as_far_apart_as_their_delays() -> None:
    pair = [
        listen(played(programme().sound, late_s=late), programme(), BEGIN, END) for late in (0.001, -0.0015)
    ]
    assert skews(pair) * 1000 == pytest.approx(2.5, abs=0.03)
    assert skews(pair[:1]).size == 0


def test_a_recording_of_unknown_time_is_placed_by_its_sound() -> None:
    known = played(programme().sound)
    lost = Recording(known.sound, known.began - 1.7, known.rate)
    found = placed(lost, programme(), BEGIN)
    assert found.began == pytest.approx(known.began, abs=1.5 / SAMPLE_RATE)
    with pytest.raises(BenchError, match="not to be heard"):
        placed(Recording(mixture(SECONDS, seed=7), known.began, SAMPLE_RATE), programme(), BEGIN)


def test_of_a_programme_that_repeats_itself_the_right_turn_is_taken() -> None:
    turns = Programme(np.tile(programme().sound, 2), CAPTURED, TARGET)
    known = Recording(turns.sound, turns.due(0), SAMPLE_RATE)
    for moment in (BEGIN, BEGIN + SECONDS):
        found = placed(Recording(known.sound, known.began + 0.9, SAMPLE_RATE), turns, moment)
        assert found.began == pytest.approx(known.began, abs=1.5 / SAMPLE_RATE)


def test_a_file_says_when_it_was_heard_even_unfinished(tmp_path: Path) -> None:
    pcm = np.arange(-500, 500, dtype="<i2")
    buffer = io.BytesIO()
    writer = WavWriter(buffer, 2, comment="heard_at=1234.567891")
    writer.write(np.repeat(pcm, 2).tobytes())
    path = tmp_path / "played.wav"
    path.write_bytes(buffer.getvalue())
    found = recording.read(path, ppm=50)
    assert found.began == 1234.567891
    assert found.rate == pytest.approx(48_002.4)
    assert found.sound * 32768 == pytest.approx(pcm.astype(float))
    assert found.index(1235.567891) == pytest.approx(48_002.4)


def test_what_was_sent_is_kept_as_a_recording(tmp_path: Path) -> None:
    sent = Recording(programme().sound[:5000], 123.456789, SAMPLE_RATE)
    recording.write(tmp_path / "sent.wav", sent)
    found = recording.read(tmp_path / "sent.wav")
    assert found.began == sent.began
    assert np.abs(found.sound - sent.sound).max() < 2 / 32768
    with pytest.raises(BenchError, match="No such file"):
        recording.write(tmp_path / "nowhere" / "sent.wav", sent)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"RIFF0000WAVEfmt heard_at=1.0", b"x" * 200])
def test_what_is_no_recording_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "played.wav"
    path.write_bytes(content)
    with pytest.raises(BenchError, match=r"played\.wav is no recording"):
        recording.read(path)
    with pytest.raises(BenchError, match="has played nothing"):
        recording.read(tmp_path / "other.wav")


def test_a_quarter_of_the_energy_is_the_line() -> None:
    rng = np.random.default_rng(1)
    sound = programme().sound
    noise = rng.standard_normal(sound.size).astype(np.float32) * np.abs(sound).mean()
    little = listen(played(sound + noise * 0.1), programme(), BEGIN, END)
    much = listen(played(sound + noise * 5), programme(), BEGIN, END)
    assert not little.wrong.any()
    assert much.wrong.mean() > 0.9
    assert hearing.DEVIATING == 0.25


def due(frame: int) -> float:
    return programme().due(frame * FRAME)


def numbers(heard: Heard) -> list[int]:
    """The frames that were wrong."""
    return [round((moment - programme().due(0)) * SAMPLE_RATE / FRAME) for moment in heard.due[heard.wrong]]
