"""Files one after the other, ahead of the sound but never far."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from loacodecs.opus import Pcm
from loaedge.local.audiofile import ProgrammeError
from loaedge.local.cache import Cache, verify
from loaedge.local.programme import AHEAD_S, FADE_OUT_S, Programme, Spec, files_of
from tests.support.hand_receiver import RATE, write_opus, write_wav


def play(programme: Programme, most_s: float = 60.0) -> Pcm:
    """All of it, as the sound thread would take it."""
    taken = []
    while not programme.ended and len(taken) < most_s * 50:
        programme.fill()
        taken.append(programme.take(960))
    return np.concatenate(taken)[:, 0]


def test_the_files_of_a_folder_follow_without_a_gap(tmp_path: Path) -> None:
    write_wav(tmp_path / "2.wav", 0.5, 0.5)
    write_wav(tmp_path / "1.wav", 0.25, 0.25)
    (tmp_path / "notes.txt").write_text("no sound")
    pcm = play(Programme(Spec("a", tmp_path), 1))
    assert np.flatnonzero(pcm != 0.25)[0] == RATE // 4
    assert np.all(pcm[RATE // 4 : RATE * 3 // 4] == 0.5)


def test_a_playlist_is_relative_to_itself(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    write_wav(tmp_path / "sub" / "x.wav", 0.1)
    listing = tmp_path / "a.m3u"
    listing.write_text("#EXTM3U\n\nsub/x.wav\nnul\0.wav\n")
    assert files_of(listing) == (tmp_path / "sub" / "x.wav",)


def test_no_more_is_decoded_than_is_needed_soon(tmp_path: Path) -> None:
    programme = Programme(Spec("a", write_wav(tmp_path / "a.wav", 60.0)), 1)
    for _ in range(5):
        programme.fill()
        assert AHEAD_S * RATE <= programme.buffered <= (AHEAD_S + 0.3) * RATE


def test_the_limit_is_kept_to_the_sample_and_faded(tmp_path: Path) -> None:
    programme = Programme(Spec("a", write_wav(tmp_path / "a.wav", 5.0, 0.5), limit_s=1.5), 1)
    pcm = play(programme)
    fade = round(FADE_OUT_S * RATE)
    end = round(1.5 * RATE)
    assert np.all(pcm[: end - fade - 1] == 0.5)
    assert np.all(np.diff(pcm[end - fade : end]) <= 0)
    assert abs(pcm[end - fade // 2] - 0.25) < 0.001
    assert np.all(pcm[end:] == 0)


def test_volume_and_channels(tmp_path: Path) -> None:
    programme = Programme(Spec("a", write_opus(tmp_path / "a.opus", 0.5), volume_db=-6.0206), 2)
    programme.fill()
    pcm = programme.take(9600)
    assert pcm.shape == (9600, 2)
    assert np.array_equal(pcm[:, 0], pcm[:, 1])
    assert abs(np.abs(pcm[4800:]).max() - 0.25) < 0.02


def test_broken_files_are_skipped_by_name(tmp_path: Path) -> None:
    (tmp_path / "1.opus").write_bytes(b"nothing")
    whole = write_opus(tmp_path / "2.opus", 2.0).read_bytes()
    (tmp_path / "2.opus").write_bytes(whole[: len(whole) // 2])
    write_wav(tmp_path / "3.wav", 0.2, 0.5)
    faults: list[str] = []
    pcm = play(Programme(Spec("a", tmp_path), 1, lambda fault: faults.append(str(fault))))
    assert [fault.split(":")[0:2] for fault in faults] == [["1.opus", " corrupt"], ["2.opus", " truncated"]]
    assert np.sum(pcm == 0.5) == RATE // 5


def test_a_file_that_is_not_what_was_promised_is_skipped_and_the_others_play(tmp_path: Path) -> None:
    for name in ("1.wav", "2.wav", "3.wav"):
        write_wav(tmp_path / name, 0.2, 0.5)
        Cache(tmp_path).adopt(name)
    write_wav(tmp_path / "2.wav", 0.2, 0.25)
    faults: list[str] = []
    pcm = play(Programme(Spec("a", tmp_path), 1, lambda fault: faults.append(str(fault)), verify))
    assert faults == ["2.wav: changed: its sum is another one"]
    assert np.sum(pcm == 0.5) == 2 * RATE // 5
    assert not np.any(pcm == 0.25)


@pytest.mark.parametrize("make", ["missing", "empty folder", "only broken", "empty list"])
def test_what_has_nothing_to_play_is_an_error(tmp_path: Path, make: str) -> None:
    path = tmp_path / {"missing": "a.opus", "empty list": "a.m3u"}.get(make, "folder")
    if make == "empty list":
        path.write_text("# nothing\n")
    elif make != "missing":
        path.mkdir()
    if make == "only broken":
        (path / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(ProgrammeError):
        Programme(Spec("a", path, repeat=True), 1)


def test_repeating_goes_on_and_ends_when_the_files_are_gone(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", 0.1, 0.5)
    programme = Programme(Spec("a", path, repeat=True), 1)
    for _ in range(30):
        programme.fill()
        assert np.all(programme.take(RATE) == 0.5)
    path.unlink()
    pcm = play(programme)
    assert programme.ended
    assert len(pcm) < 7 * RATE


def test_a_disk_that_is_too_slow_is_silence_and_counted(tmp_path: Path) -> None:
    programme = Programme(Spec("a", write_wav(tmp_path / "a.wav", 30.0, 0.5)), 1)
    first = programme.take(RATE)
    assert 0 < np.count_nonzero(first) < RATE
    assert programme.starved == RATE - np.count_nonzero(first)
    assert not programme.ended
    programme.fill()
    assert np.all(programme.take(RATE) == 0.5)
