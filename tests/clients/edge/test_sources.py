"""Sources give exact, continuous sound; the sample clock neither drifts nor bunches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from loacodecs.errors import ConfigurationError
from loaedge.sources import SampleClock, Source, SourceError, open_source
from tests.support.tones import dominant_frequency, level_dbfs, tone, write_wav


def everything(source: Source, block: int = 960) -> NDArray[np.float32]:
    blocks = []
    while (samples := source.read(block)).size:
        blocks.append(samples)
        assert samples.dtype == np.float32
        assert samples.ndim == 1
    assert all(b.size == block for b in blocks[:-1])
    return np.concatenate(blocks)


def test_a_tone_is_continuous_and_of_its_pitch() -> None:
    source = open_source("tone:440")
    pcm = np.concatenate([source.read(960) for _ in range(100)])
    assert dominant_frequency(pcm) == pytest.approx(440, abs=0.1)
    assert level_dbfs(pcm) == pytest.approx(-15.05, abs=0.05)
    assert np.abs(np.diff(pcm)).max() < 0.25 * 2 * np.pi * 440 / 48000 * 1.01
    assert source.title == "tone 440 Hz"
    assert dominant_frequency(open_source("tone").read(48000)) == pytest.approx(440, abs=0.1)


@pytest.mark.parametrize("text", ["tone:loud", "tone:5", "tone:nan", "tone:96000"])
def test_an_impossible_tone_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="tone:440"):
        open_source(text)


def test_a_stream_that_cannot_be_opened_is_not_said_to_be_tried_again() -> None:
    with pytest.raises(SourceError, match="connection refused") as caught:
        open_source("http://127.0.0.1:9/live.mp3")
    assert "again" not in str(caught.value)


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
def test_a_file_of_any_rate_becomes_48_khz_mono(tmp_path: Path, rate: int) -> None:
    sine = tone(440, 1.0, rate=rate)
    source = open_source(str(write_wav(tmp_path / "a.wav", [sine, sine], rate)))
    pcm = everything(source)
    assert pcm.size == pytest.approx(48000, abs=100)
    assert dominant_frequency(pcm) == pytest.approx(440, abs=1)
    assert level_dbfs(pcm[4800:-4800]) == pytest.approx(-15.05, abs=0.2)
    assert source.read(960).size == 0
    source.close()


def test_a_looped_file_has_no_gap_between_its_rounds(tmp_path: Path) -> None:
    sine = tone(500, 0.25)  # 125 whole periods: its end fits its beginning
    source = open_source(str(write_wav(tmp_path / "a.wav", [sine], 48000)), loop=True)
    pcm = np.concatenate([source.read(960) for _ in range(100)])
    assert pcm.size == 96000
    assert dominant_frequency(pcm) == pytest.approx(500, abs=0.1)
    assert np.abs(np.diff(pcm)).max() < 0.25 * 2 * np.pi * 500 / 48000 * 1.02
    source.close()


def test_a_file_called_like_a_kind_is_reached_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_wav(tmp_path / "tone", [tone(700, 0.5)], 48000)
    monkeypatch.chdir(tmp_path)
    source = open_source("./tone")
    assert dominant_frequency(everything(source)) == pytest.approx(700, abs=1)
    source.close()


def test_damage_in_the_middle_is_survived(tmp_path: Path) -> None:
    import av

    path = tmp_path / "a.mp3"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mp3", rate=48000)
        frame = av.AudioFrame.from_ndarray(tone(440, 2.0).reshape(1, -1), format="fltp", layout="mono")
        frame.sample_rate = 48000
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 500] = bytes(500)
    path.write_bytes(data)
    source = open_source(str(path))
    pcm = everything(source)
    assert pcm.size > 1.5 * 48000
    assert dominant_frequency(pcm) == pytest.approx(440, abs=2)
    source.close()


def test_what_cannot_be_opened_says_why(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"missing\.wav: no such file"):
        open_source(str(tmp_path / "missing.wav"))
    (tmp_path / "text.wav").write_text("not sound at all")
    with pytest.raises(SourceError, match=r"cannot open .*text\.wav"):
        open_source(str(tmp_path / "text.wav"))


@pytest.mark.parametrize("loop", [False, True])
def test_a_file_without_samples_is_an_error_and_no_endless_loop(tmp_path: Path, loop: bool) -> None:
    path = write_wav(tmp_path / "empty.wav", [tone(440, 0.0)], 48000)
    with pytest.raises(SourceError, match=r"empty\.wav has not a single sample"):
        open_source(str(path), loop=loop)


def test_the_sample_clock_does_not_drift() -> None:
    clock = SampleClock(100.0)
    for _ in range(50 * 3600):  # an hour of 20 ms frames
        clock.advance(960)
    assert clock.due(960) == pytest.approx(3700.02, abs=1e-6)
    assert clock.sample_at(3700.0) == clock.position
    assert clock.time_of(48000) == 101.0


def test_a_late_sender_catches_up_a_little_and_skips_a_lot() -> None:
    clock = SampleClock(0.0, max_lag_s=0.1)
    assert clock.due(960) == pytest.approx(0.02)
    clock.advance(960)
    assert clock.catch_up(0.13, 960) == 0, "90 ms late: the frames due are sent at once"
    assert clock.catch_up(5.05, 960) == 250 * 960, "5.01 s late: the frames due meanwhile are never sent"
    assert clock.due(960) == pytest.approx(5.04)
    assert (clock.position, clock.skipped) == (251 * 960, 250 * 960)
