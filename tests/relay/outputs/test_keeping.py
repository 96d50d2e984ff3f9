"""What is on the shelf already: one file with which nothing can be done keeps nobody from the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from loacodecs.ogg import OggOpusReader
from tests.support.hand_recorder import SEVEN, Studio

DAY = 86_400.0


def stuck(folder: Path, name: str) -> Path:
    """What cannot be opened or deleted as a file, whoever tries: a folder."""
    path = folder / name
    path.mkdir()
    return path


@pytest.mark.parametrize("asked", [{"keep": "10d", "keep_at_least": "1d"}, {"size_max": "1KB"}])
def test_a_recording_that_cannot_be_deleted_keeps_nothing_from_the_disk(
    tmp_path: Path, asked: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    earlier = Studio(tmp_path, SEVEN - 20 * DAY)
    earlier.play(1)
    earlier.close()
    (old,) = earlier.names()
    left = stuck(tmp_path, "tan-phu_2026-01-01_00-00-00+0700.opus")
    studio = Studio(tmp_path, **asked)
    studio.play(30)
    assert (studio.recorder.activity, studio.recorder.tally.errors) == ("recording", 0)
    assert old not in studio.names()
    assert left.name in studio.names()
    assert caplog.text.count("cannot be deleted") == 1
    studio.play(700)
    assert caplog.text.count("cannot be deleted") == 1, "told once"


def test_on_a_full_disk_the_next_oldest_goes_when_the_oldest_cannot(tmp_path: Path) -> None:
    stuck(tmp_path, "tan-phu_2026-01-01_00-00-00+0700.opus")
    earlier = Studio(tmp_path, SEVEN - 20 * DAY)
    earlier.play(1)
    earlier.close()
    old = tmp_path / earlier.names()[-1]
    studio = Studio(tmp_path, reserve="1GB")
    free = studio.disk.free
    studio.disk.free = lambda folder: 10**8 if old.exists() else free(folder)  # type: ignore[method-assign]
    studio.play(30)
    assert studio.recorder.activity == "recording"
    assert not old.exists()


def test_what_a_crash_left_is_finished_though_one_file_cannot_be_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    killed = Studio(tmp_path / "killed", SEVEN - DAY)
    killed.play(5)
    torn = killed.only()
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    (shelf / torn.path.name).write_bytes(torn.path.read_bytes())
    killed.close()
    stuck(shelf, "tan-phu_2026-11-01_00-00-00+0700.opus.part")
    studio = Studio(shelf)
    studio.play(3, step=0.5)
    assert (studio.recorder.activity, studio.recorder.tally.errors) == ("recording", 0)
    assert "tan-phu_2026-11-01_00-00-00+0700.opus cannot be finished: is a directory" in caplog.text
    with (shelf / torn.name).open("rb") as file:
        reader = OggOpusReader(file)
        assert list(reader)
        assert reader.complete
