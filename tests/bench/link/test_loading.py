from __future__ import annotations

from pathlib import Path

import pytest

from bench.link.bottleneck import Bottleneck
from bench.link.delay import Delay
from bench.link.loading import load, parse
from bench.link.loss import Loss
from bench.link.model import LinkConfig, PathConfig
from bench.link.presets import P4, PRESETS, preset
from bench.link.stalls import Stalls
from loacodecs.errors import ConfigurationError

WHOLE = """
name = "hill"
[both]
duplicate = 0.001
loss = { mean = 0.02, burst = 3, burst_density = 0.9, gap_density = 0.001 }
delay = { base = "60ms", jitter = 0.05, distribution = "pareto", correlation = 0.8, reorder = true }
bottleneck = { rate = 256_000, queue = 32_768, overhead = 48 }
stalls = { every = "10m", duration = "3s", first = 5, action = "lose" }
[up]
loss = { mean = 0 }
stalls = { listed = [["1s", "500ms"], [60, 3]] }
"""


def test_every_key_is_read() -> None:
    down = LinkConfig(
        Loss(0.02, 3, 0.9, 0.001),
        Delay(0.06, 0.05, "pareto", 0.8, True),
        0.001,
        Bottleneck(256_000, 32_768, 48),
        Stalls(600, 3, 5, action="lose"),
    )
    up = LinkConfig(Loss(0), down.delay, 0.001, down.bottleneck, Stalls(listed=((1, 0.5), (60, 3))))
    assert parse(WHOLE) == PathConfig(up, down, "hill")


def test_an_empty_file_is_a_path_that_impairs_nothing(tmp_path: Path) -> None:
    file = tmp_path / "clear.toml"
    file.write_text("")
    assert load(file) == PathConfig(LinkConfig(), LinkConfig(), "clear")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[both]\ndelay = { jiter = 1 }", "both.delay.jiter: is not a setting; did you mean jitter?"),
        ("[sideways]", "sideways: is not a setting; there are name, both, up, down"),
        ("[up]\nloss = { mean = 2 }", "up.loss.mean: 2 is not from 0 to 1"),
        ("[down]\nduplicate = -1", "down.duplicate: -1 is not from 0 to 1"),
        ("[both]\nduplicate = 2", "both.duplicate: 2 is not from 0 to 1"),
        ("[both]\nduplicate = true", "both.duplicate: True is not a number"),
        ("[both]\nduplicate = nan", "both.duplicate: nan is not from 0 to 1"),
        ("[both]\nstalls = { every = 3 }", "both.stalls.duration: is missing"),
        ("[both]\nstalls = { listed = [[1]] }", "both.stalls.listed[0]: [1] does not have 2 members"),
        ("[both]\nstalls = { listed = 3 }", "both.stalls.listed: 3 is not a list"),
        ("[both]\ndelay = { base = '6 parsec' }", "both.delay.base: '6 parsec' is not a duration"),
        ("[both]\ndelay = { base = true }", "both.delay.base: True is not a duration"),
        ("[both]\ndelay = { reorder = 1 }", "both.delay.reorder: 1 is not true or false"),
        ("[both]\ndelay = { distribution = 'cauchy' }", "both.delay.distribution: 'cauchy' is not one of"),
        ("[both]\nbottleneck = { queue = 3.5 }", "both.bottleneck.queue: 3.5 is not a whole number"),
        ("both = 3", "both: 3 is not a table"),
        ("name = 3", "name: is not text"),
        ("[both", "is not TOML: "),
    ],
)
def test_mistakes_are_named_by_key(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(text)
    assert str(caught.value).startswith(message)
    file = tmp_path / "link.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load(file)
    assert str(caught.value).startswith(f"{file}: {message}")


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.toml: No such file"):
        load(tmp_path / "nowhere.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match=r"binary\.toml: is not UTF-8"):
        load(tmp_path / "binary.toml")


def test_presets_are_the_requirements() -> None:
    figures = {"P1": (0.050, 0.015, 0.003), "P2": (0.120, 0.050, 0.02), "P3": (0.250, 0.120, 0.05)}
    for name, (round_trip, jitter, loss) in figures.items():
        path = PRESETS[name]
        assert path.up == path.down
        assert path.up.delay.base + path.down.delay.base == pytest.approx(round_trip)
        assert (path.down.delay.jitter, path.down.loss.mean, path.down.stalls) == (jitter, loss, None)
    assert PRESETS["P2"].down.loss.burst == 3
    assert P4.down.stalls == Stalls(every=600, duration=3, action="hold")
    assert P4.down.delay == PRESETS["P2"].down.delay


def test_presets_are_found_by_name_in_any_case_and_listed_when_not() -> None:
    assert preset("p2") is PRESETS["P2"]
    with pytest.raises(ConfigurationError, match="'P9'; there are none, lan, wifi, P1, P2, P3, P4"):
        preset("P9")
