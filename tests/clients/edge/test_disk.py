"""Durable files, and a disk that is full: by RLIMIT_FSIZE for real, by a small disk in the same process."""

from __future__ import annotations

import contextlib
import resource
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from loaedge.disk import Disk, DiskError
from tests.support.full_disk import SmallDisk


@contextlib.contextmanager
def files_of_100_bytes() -> Iterator[None]:
    """No file of this process may grow beyond 100 bytes; pytest's own report may be one, so only for a moment."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


def test_a_file_is_replaced_whole_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "key"
    disk = Disk()
    assert disk.read(path) is None
    disk.replace(path, b"one")
    disk.replace(path, b"two")
    assert disk.read(path) == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["key"]


def test_a_mode_is_kept_whatever_was_there(tmp_path: Path) -> None:
    path = tmp_path / "key"
    (tmp_path / "key.part").write_bytes(b"left by a power cut")
    (tmp_path / "key.part").chmod(0o644)
    Disk().replace(path, b"secret")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_on_a_full_disk_the_old_file_stays_whole(tmp_path: Path) -> None:
    path = tmp_path / "settings"
    disk = Disk()
    disk.replace(path, b"old" * 10)
    with files_of_100_bytes(), pytest.raises(DiskError) as caught:
        disk.replace(path, b"new" * 100)
    assert caught.value.full
    assert disk.read(path) == b"old" * 10
    assert [file.name for file in tmp_path.iterdir()] == ["settings"]


def test_a_failed_append_is_cut_off_again(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    disk = Disk()
    disk.append(path, b"a" * 60)
    with files_of_100_bytes(), pytest.raises(DiskError) as caught:
        disk.append(path, b"b" * 60)
    assert caught.value.full
    assert disk.read(path) == b"a" * 60
    with files_of_100_bytes():
        disk.append(path, b"c" * 40)
    assert disk.read(path) == b"a" * 60 + b"c" * 40


def test_writing_in_place_needs_no_room(tmp_path: Path) -> None:
    path = tmp_path / "slots"
    disk = Disk()
    disk.replace(path, bytes(100))
    with files_of_100_bytes():
        disk.overwrite(path, 90, b"x" * 10)
    assert disk.read(path) == bytes(90) + b"x" * 10


def test_the_small_disk_of_the_tests_is_like_a_full_one(tmp_path: Path) -> None:
    disk = SmallDisk(room=50)
    disk.replace(tmp_path / "a", bytes(40))
    with pytest.raises(DiskError) as caught:
        disk.append(tmp_path / "a", bytes(20))
    assert caught.value.full
    assert disk.read(tmp_path / "a") == bytes(40)


def test_what_is_no_file_is_an_error_with_a_reason(tmp_path: Path) -> None:
    disk = Disk()
    with pytest.raises(DiskError, match="is a directory") as caught:
        disk.read(tmp_path)
    assert not caught.value.full
    with pytest.raises(DiskError):
        disk.overwrite(tmp_path / "none", 0, b"x")
    disk.remove(tmp_path / "none")
