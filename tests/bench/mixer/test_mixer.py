"""`loa bench mixer`, short: the report is complete, and the figures are of what they say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bench.mixer import amix, audiomixer, timing
from bench.mixer.codec import CodecConsole
from bench.mixer.command import mixer
from bench.mixer.console import Mapped, full, loops, plain
from bench.mixer.scenario import table
from bench.present import schema
from bench.present.headlines import headlines
from relay.mixer.engine import STAGES
from tests.support.waiting import until


class Allocating:
    """A console that makes three rows of samples a tick and keeps none."""

    def tick(self) -> None:
        np.zeros((3, 960), np.float32)


class Idle:
    def tick(self) -> None:
        pass


def test_all_operators_are_at_work() -> None:
    engine, buses = full(loops(3), 2)
    for _ in range(timing.WARM_UP):
        engine.tick()
    assert all(bus.sounding and bus.samples.any() for bus in buses)
    assert all(bus.loudness().momentary > -60 for bus in buses)
    _, summed = plain(loops(3), 2)
    assert len(summed) == 2


def test_codecs_carry_the_sound_through() -> None:
    console = CodecConsole(3, 2)
    for _ in range(10):
        console.tick()
    assert all(bus.samples.any() for bus in console.engine.buses)


def test_allocations_are_seen_even_when_nothing_is_kept() -> None:
    assert timing.allocations(Allocating(), 5) == 3
    assert timing.allocations(Idle(), 5) == 0


def test_the_engine_allocates_nothing() -> None:
    engine, _ = full(loops(4), 2)
    for _ in range(5):
        engine.tick()
    assert timing.allocations(engine, 5) == 0


def test_a_mapped_file_is_mixed_block_after_block_and_from_the_beginning_again(tmp_path: Path) -> None:
    samples = np.random.default_rng(1).uniform(-0.1, 0.1, 3 * 960 + 10).astype(np.float32)
    (tmp_path / "noise.f32").write_bytes(samples.tobytes())
    engine, (bus,) = plain([Mapped(tmp_path / "noise.f32", number) for number in range(2)], 1)
    engine.tick()
    blocks = samples[: 3 * 960].reshape(3, 960)
    for number in range(5):
        engine.tick()
        expected = (blocks[(number + 2) % 3] + blocks[number % 3]) * 10 ** (-3.0103 / 20)
        assert np.abs(bus.samples[0] - expected).max() < 1e-6


def test_a_report_without_others_names_what_installs_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    file = tmp_path / "mixer.json"
    words = ["--inputs", "3", "--buses", "2", "--seconds", "0.2", "--codec", "--json", str(file)]
    result = CliRunner().invoke(mixer, [*words, "--html", str(tmp_path / "mixer.html")])
    assert result.exit_code == 0, result.output
    report = schema.read(file)
    assert set(report["us_per_block"]) == {"total", *STAGES}
    assert report["us_per_block"]["total"] == pytest.approx(
        sum(cost for stage, cost in report["us_per_block"].items() if stage != "total")
    )
    assert report["missing"] == {"amix": amix.MISSING, "audiomixer": audiomixer.MISSING}
    assert report["amix_ratio_sum"] is report["amix_ratio_full"] is report["audiomixer_ratio_sum"] is None
    assert report["idle_us_per_tick"] > 0
    assert set(report["codec"]["us_per_block"]) == {"total", "decode", "mix", "encode"}
    assert amix.MISSING in table(report)
    assert audiomixer.MISSING in table(report)
    judged = {each.label: each.met for each in headlines(report) if each.value == "not installed"}
    assert len(judged) == 3
    assert not any(judged.values())
    assert json.dumps(report)


BUSY = """
import multiprocessing, sys
from bench.mixer import timing
if __name__ == "__main__":
    with timing.busy(1):
        print(multiprocessing.active_children()[0].pid, flush=True)
        sys.stdin.read()
"""


def test_the_load_does_not_outlive_a_measurement_that_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as bench:
        assert bench.stdout is not None
        other = int(bench.stdout.readline())
        assert running(other)
        bench.kill()
    until(lambda: not running(other))


def running(process: int) -> bool:
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
