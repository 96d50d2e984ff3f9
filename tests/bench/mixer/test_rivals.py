"""Other mixers beside the engine: they sum what it sums, their CPU is counted, their failures are told."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest

from bench.errors import BenchError
from bench.mixer import amix, audiomixer
from bench.mixer.compare import compare
from bench.mixer.rival import Noise, noise
from bench.mixer.scenario import table
from bench.present.headlines import headlines

NO_FFMPEG = pytest.mark.skipif(not amix.installed(), reason="FFmpeg is not installed")
NO_GSTREAMER = pytest.mark.skipif(not audiomixer.installed(), reason="GStreamer is not installed")

WORKS = """
printf '%s\\n' "$*" >> "${0%/*}/said"
case "$*" in *short*) exit;; esac
i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"""
FAILS = """
echo 'ERROR: from element /GstPipeline:pipeline0: Resource not found.' >&2
echo 'Additional debug info:' >&2
echo 'No such file "noise.f32"' >&2
echo "ERROR: pipeline doesn't want to preroll." >&2
exit 255"""

STAYS = """
echo $$ > "${0%/*}/process"
exec 2>&-
while :; do :; done"""


@pytest.fixture
def sound(tmp_path: Path) -> Noise:
    return noise(tmp_path, 2.0)


def programs(folder: Path, monkeypatch: pytest.MonkeyPatch, **scripts: str) -> None:
    """Nothing is installed but these."""
    for name, script in scripts.items():
        file = folder / f"gst-{name}-1.0"
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_the_short_sound_is_where_the_long_one_begins(sound: Noise) -> None:
    short, long = (np.fromfile(file, np.float32) for file in (sound.short, sound.long))
    assert (len(short), len(long)) == (48_000, 96_000)
    assert (short == long[:48_000]).all()
    assert short.any()


@NO_FFMPEG
def test_amix_is_measured_and_its_failure_told(tmp_path: Path) -> None:
    # Enough for their mixing to cost more than one start of FFmpeg differs from the next
    sound = noise(tmp_path, 60.0)
    theirs = amix.Amix(sound, 8)
    costs = theirs.costs()
    assert costs["amix"] > costs["amix_filter"]
    sound.short.unlink()
    with pytest.raises(BenchError, match=r"^ffmpeg failed: .*noise-short\.f32"):
        theirs.costs()


@NO_GSTREAMER
def test_audiomixer_sums_what_the_engine_sums_however_it_is_fed(sound: Noise, tmp_path: Path) -> None:
    theirs = audiomixer.Audiomixer(sound, 3)
    expected = 3 * np.fromfile(sound.long, np.float32)
    for command in (theirs.of_files, theirs.of_blocks, theirs.of_one_file):
        subprocess.run(command(sound.long, tmp_path / "mix.f32"), check=True)
        mixed = np.fromfile(tmp_path / "mix.f32", np.float32)
        assert len(mixed) == len(expected)
        assert np.abs(mixed - expected).max() < 1e-6


@NO_GSTREAMER
def test_audiomixer_is_measured_and_its_failure_told(tmp_path: Path) -> None:
    sound = noise(tmp_path, 60.0)
    theirs = audiomixer.Audiomixer(sound, 8)
    assert theirs.costs()["audiomixer_blocks"] > 0
    sound.short.unlink()
    with pytest.raises(
        BenchError, match=r"^gst-launch-1\.0 failed: ERROR: .*No such file .*noise-short\.f32"
    ):
        theirs.costs()


def test_a_report_has_the_ratios_of_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs(tmp_path, monkeypatch, launch=WORKS, inspect="exit 0")
    found = compare(3, 2.0)
    assert found["missing"] == {"amix": amix.MISSING}
    assert found["amix_ratio_sum"] is None
    costs = found["audiomixer_us_per_block"]
    assert {"audiomixer", "audiomixer_blocks", "audiomixer_filter", "sum", "matrix"} <= set(costs)
    assert found["audiomixer_ratio_sum"] > found["audiomixer_ratio_full"] > 0
    assert found["audiomixer_blocks_ratio_sum"] > 0
    assert found["audiomixer_filter_ratio_matrix"] > 0
    said = (tmp_path / "said").read_text().splitlines()
    assert len(said) == 3 * 3 * 2
    assert {each.count("filesrc") for each in said} == {1, 3}
    assert all("audiomixer" in each and "sync=false" in each for each in said)
    report = {
        "scenario": "mixer", "valid": True, "inputs": 3, "buses": 1,
        "us_per_block": {"total": 1.0}, "realtime_factor": 2.0, "allocations_per_tick": 0.0,
        "idle_us_per_tick": 1.0, "tick_jitter_ms": {"p50": 0.0, "p99": 0.0, "max": 0.0}, **found,
    }  # fmt: skip
    assert "GStreamer with audiomixer of 3 inputs" in table(report)
    assert "FFmpeg with" not in table(report)
    (headline,) = (each for each in headlines(report) if each.label == "GStreamer audiomixer over our sum")
    assert headline.value.endswith(" times")
    assert headline.met is None


def test_a_gstreamer_that_fails_is_told_in_one_line(
    sound: Noise, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs(tmp_path, monkeypatch, launch=FAILS)
    with pytest.raises(BenchError) as failure:
        audiomixer.Audiomixer(sound, 2).costs()
    assert str(failure.value) == (
        "gst-launch-1.0 failed: ERROR: from element /GstPipeline:pipeline0: Resource not found."
        ' No such file "noise.f32"'
    )


def test_a_gstreamer_without_the_element_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs(tmp_path, monkeypatch, launch=WORKS, inspect='[ "$1" != audiomixer ]')
    assert not audiomixer.installed()
    programs(tmp_path, monkeypatch, inspect="exit 0")
    assert audiomixer.installed()


def test_a_program_does_not_outlive_a_measurement_that_is_interrupted(
    sound: Noise, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs(tmp_path, monkeypatch, launch=STAYS)

    def interrupted(process: int, options: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "wait4", interrupted)
    with pytest.raises(KeyboardInterrupt):
        audiomixer.Audiomixer(sound, 2).costs()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "process").read_text()), 0)
    assert not [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
