"""Copies that are what they were, or are found out."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from loaedge.local.cache import MANIFEST, Cache, CacheError, Stored, verify
from tests.support.full_disk import SmallDisk

DATA = bytes(range(256)) * 40


def promise(data: bytes = DATA) -> Stored:
    return Stored(len(data), hashlib.sha256(data).hexdigest())


def blocks(data: bytes = DATA) -> list[bytes]:
    return [data[at : at + 1000] for at in range(0, len(data), 1000)]


def fault(cache: Cache, path: Path) -> str:
    try:
        cache.verify(path)
    except CacheError as error:
        return error.fault
    return ""


def test_what_is_stored_is_there_after_a_restart(tmp_path: Path) -> None:
    path = Cache(tmp_path).store("news.opus", blocks(), promise())
    assert path.read_bytes() == DATA
    assert fault(Cache(tmp_path), path) == ""
    assert fault(Cache(tmp_path), tmp_path) == ""


def test_a_cut_a_changed_and_a_missing_file_are_found_out(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    path = cache.store("news.opus", blocks(), promise())
    assert fault(cache, path) == ""
    path.write_bytes(DATA[:-1])
    assert fault(cache, path) == "truncated"
    path.write_bytes(b"x" + DATA[1:])
    os.utime(path, ns=(1, 1))
    assert fault(cache, path) == "changed"
    assert fault(cache, tmp_path) == "changed"
    path.unlink()
    assert fault(cache, path) == "missing"
    assert cache.faults() == {"news.opus": "news.opus: missing"}


def test_what_promised_nothing_passes(tmp_path: Path) -> None:
    (tmp_path / "by hand.wav").write_bytes(b"x")
    assert fault(Cache(tmp_path), tmp_path / "by hand.wav") == ""
    assert fault(Cache(tmp_path), tmp_path / "elsewhere" / "a.wav") == ""


def test_a_file_may_be_adopted(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    (tmp_path / "by hand.wav").write_bytes(DATA)
    assert cache.adopt("by hand.wav") == promise()
    (tmp_path / "by hand.wav").write_bytes(DATA[:100])
    assert fault(cache, tmp_path / "by hand.wav") == "truncated"


@pytest.mark.parametrize(
    ("sent", "why"), [(DATA[:5000], "truncated"), (DATA + b"x", "truncated"), (b"x" + DATA[1:], "changed")]
)
def test_what_is_not_as_promised_leaves_the_old_copy(tmp_path: Path, sent: bytes, why: str) -> None:
    cache = Cache(tmp_path)
    path = cache.store("news.opus", blocks(), promise())
    with pytest.raises(CacheError) as caught:
        cache.store("news.opus", blocks(sent), promise())
    assert caught.value.fault == why
    assert path.read_bytes() == DATA
    assert sorted(file.name for file in tmp_path.iterdir()) == [MANIFEST, "news.opus"]


def test_a_full_disk_leaves_the_old_copy(tmp_path: Path) -> None:
    disk = SmallDisk(room=len(DATA) + 2000)
    cache = Cache(tmp_path, disk)
    path = cache.store("news.opus", blocks(), promise())
    with pytest.raises(CacheError) as caught:
        cache.store("news.opus", blocks(DATA[::-1]), promise(DATA[::-1]))
    assert caught.value.fault == "full"
    assert path.read_bytes() == DATA
    assert fault(cache, path) == ""


def test_the_room_is_bounded(tmp_path: Path) -> None:
    cache = Cache(tmp_path, room=len(DATA) + 10)
    cache.store("a.opus", blocks(), promise())
    with pytest.raises(CacheError, match="full"):
        cache.store("b.opus", blocks(), promise())
    cache.remove("a.opus")
    assert cache.store("b.opus", blocks(), promise()).exists()


@pytest.mark.parametrize("name", ["../evil", "/etc/x", ".hidden", "", "a/b", MANIFEST, "n\0ul", "x" * 300])
def test_names_stay_in_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(CacheError) as caught:
        Cache(tmp_path).store(name, blocks(), promise())
    assert caught.value.fault == "name"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"files": 3}', '{"files": {"a": {"size": -1, "sha256": ""}}}', "[" * 100_000, "\xff"],
)
def test_a_broken_manifest_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST).write_bytes(text.encode("latin-1"))
    assert fault(Cache(tmp_path), tmp_path) == "manifest"
    assert list(Cache(tmp_path).faults()) == [MANIFEST]


def test_a_file_is_looked_at_by_the_manifest_beside_it(tmp_path: Path) -> None:
    path = Cache(tmp_path).store("news.opus", blocks(), promise())
    verify(path)
    verify(tmp_path)
    verify(tmp_path / "nowhere" / "a.opus")
    path.write_bytes(DATA[:-1])
    for damaged in (path, tmp_path):
        with pytest.raises(CacheError, match="truncated"):
            verify(damaged)


def test_a_file_that_the_system_does_not_let_us_look_at_is_named() -> None:
    """As one in a folder that the service's user may not enter; a name too long is refused to root as well."""
    with pytest.raises(CacheError, match="unreadable: file name too long"):
        verify(Path("/srv") / ("a" * 300))
