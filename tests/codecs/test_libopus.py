from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from loacodecs import libopus
from loacodecs.errors import CodecError


def test_the_wheel_brings_libopus() -> None:
    paths = list(libopus.in_wheel())
    assert paths
    assert libopus.find(libopus.in_wheel).version.startswith("libopus 1.")


def test_a_missing_libopus_is_one_line_with_the_mend() -> None:
    with pytest.raises(CodecError) as caught:
        libopus.find(list)
    assert str(caught.value) == "no libopus was found: run `pip install av` or `apt install libopus0`"


def test_a_file_that_cannot_be_loaded_is_named_in_one_line() -> None:
    with pytest.raises(CodecError, match="pip install av") as caught:
        libopus.find(lambda: ["/nonexistent/libopus.so.0"])
    assert "/nonexistent/libopus.so.0" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_library_is_not_taken_for_libopus() -> None:
    with pytest.raises(CodecError, match="opus_get_version_string"):
        libopus.find(lambda: ["libc.so.6"])


def test_the_next_candidate_is_tried() -> None:
    def search() -> Iterator[str]:
        yield "/nonexistent/libopus.so.0"
        yield "libc.so.6"
        yield from libopus.in_wheel()

    assert libopus.find(search).path == next(libopus.in_wheel())


def test_the_wheel_comes_before_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.util.find_library", lambda name: f"lib{name}.so.0")
    assert list(libopus.in_wheel_or_system()) == [*libopus.in_wheel(), "libopus.so.0"]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert list(libopus.in_wheel_or_system()) == ["libopus.so.0"]
    monkeypatch.setattr("ctypes.util.find_library", lambda name: None)
    assert list(libopus.in_wheel_or_system()) == []


def test_the_codec_does_not_import_pyav() -> None:
    code = "import sys, loacodecs.opus as o; o.OpusEncoder(); sys.exit('av' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
