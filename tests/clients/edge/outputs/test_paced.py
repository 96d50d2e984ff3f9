"""Outputs by the clock: every frame where its time says, even after a pause."""

from __future__ import annotations

import threading
import wave
from pathlib import Path

import numpy as np
import pytest

from loaedge.outputs.output import DeviceSettings, OutputError, Pcm
from loaedge.outputs.paced import null_output, wav_output

SETTINGS = DeviceSettings(latency_s=0.12)


class HandClock:
    """Time that only waiting moves; `pauses` are moments at which the machine sleeps for a while."""

    def __init__(self, end: float, pauses: dict[float, float] | None = None) -> None:
        self.now = 1000.0
        self._end = 1000.0 + end
        self._pauses = {1000.0 + at: length for at, length in (pauses or {}).items()}

    def __call__(self) -> float:
        return self.now

    def wait(self, stop: threading.Event, seconds: float) -> None:
        self.now += seconds
        for at in [at for at in self._pauses if at <= self.now]:
            self.now += self._pauses.pop(at)
        if self.now >= self._end:
            stop.set()


def ramp(frames: int, heard_at: float) -> Pcm:
    """A signal that tells its own time: seconds since 1000, a hundredth of full scale each."""
    times = heard_at - 1000.0 + np.arange(frames) / 48000
    return (times / 100).astype(np.float32).reshape(-1, 1)


def play_to_file(path: Path, clock: HandClock, rate_ppm: float = 0.0) -> tuple[np.ndarray, float, int]:
    """The file's samples, the local time of its first, and the underruns."""
    output = wav_output(path, SETTINGS, rate_ppm=rate_ppm, clock=clock, wait=clock.wait)
    output.play(ramp, threading.Event())
    data = path.read_bytes()
    comment = data[data.index(b"heard_at=") + 9 :].split(b"\0")[0]
    with wave.open(str(path), "rb") as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32767
    return samples, float(comment), output.underruns


def test_a_file_holds_every_frame_at_its_time(tmp_path: Path) -> None:
    samples, start, underruns = play_to_file(tmp_path / "a.wav", HandClock(10))
    assert start == pytest.approx(1000.12)
    assert underruns == 0
    assert samples.size / 48000 == pytest.approx(10, abs=0.15)
    times = start - 1000 + np.arange(samples.size) / 48000
    assert np.abs(samples * 100 - times).max() < 0.003


def test_time_missed_becomes_silence_and_the_rest_is_in_time(tmp_path: Path) -> None:
    samples, start, underruns = play_to_file(tmp_path / "a.wav", HandClock(10, {4.0: 1.5}))
    assert underruns == 1
    times = start - 1000 + np.arange(samples.size) / 48000
    silent = samples == 0
    assert 1.4 < silent.sum() / 48000 < 1.7
    assert np.abs(samples * 100 - times)[~silent].max() < 0.003


def test_a_pause_within_the_buffer_is_not_heard(tmp_path: Path) -> None:
    samples, _, underruns = play_to_file(tmp_path / "a.wav", HandClock(5, {2.0: 0.05}))
    assert underruns == 0
    assert not (samples == 0).any()


def test_a_fast_crystal_plays_more_frames_in_the_same_time(tmp_path: Path) -> None:
    even, *_ = play_to_file(tmp_path / "a.wav", HandClock(100))
    fast, *_ = play_to_file(tmp_path / "b.wav", HandClock(100), rate_ppm=1000)
    assert fast.size - even.size == pytest.approx(100 * 48, abs=1000)


def test_after_a_night_asleep_the_timeline_begins_anew() -> None:
    clock = HandClock(4000, {2.0: 3600})
    heard: list[float] = []

    def render(frames: int, heard_at: float) -> Pcm:
        heard.append(heard_at)
        assert -0.001 < heard_at - clock.now - 0.06 < 0.001 or len(heard) < 200
        return np.zeros((frames, 1), np.float32)

    output = null_output(SETTINGS, clock=clock, wait=clock.wait)
    output.play(render, threading.Event())
    assert output.underruns == 1
    steps = np.diff(heard)
    assert np.count_nonzero(steps > 0.0601) == 1


def test_a_disk_that_is_full_is_one_sentence() -> None:
    clock = HandClock(10)
    output = wav_output(Path("/dev/full"), SETTINGS, clock=clock, wait=clock.wait)
    with pytest.raises(OutputError, match="cannot write /dev/full: no space left on device"):
        output.play(ramp, threading.Event())


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no such file or directory"):
        wav_output(tmp_path / "no" / "a.wav", SETTINGS).play(ramp, threading.Event())
