"""What the configuration says of automation, and its mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.config import load
from relay.mistakes import InvalidConfiguration

MIX = '[channels.xa]\nmode = "mix"\ninputs_max = 6\n'


def config(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "loa.toml"
    file.write_text(MIX + text, encoding="utf-8")
    return file


def mistakes(tmp_path: Path, text: str) -> str:
    with pytest.raises(InvalidConfiguration) as raised:
        load(config(tmp_path, text), {})
    return str(raised.value)


def test_addresses_and_tables(tmp_path: Path) -> None:
    text = """
[channels.xa.automation]
sources = ["publishers", {source = "music.flac", name = "music", switch = "3s", warn = "1s"}, "https://tinh.example.vn/live"]
back = "2s"
"""
    automation = load(config(tmp_path, text), {}).channels.named["xa"].automation
    listed = dict(automation.listed)
    assert list(listed) == ["queue", "publishers", "music", "source-3"]
    assert listed["music"].source == str(tmp_path / "music.flac")
    assert automation.watching("music", listed["music"]).switch_s == 3.0
    assert automation.watching("music", listed["music"]).back_s == 2.0
    assert automation.watching("publishers", listed["publishers"]).back_s == 0.0


def test_the_queue_stands_where_it_is_put(tmp_path: Path) -> None:
    text = '[channels.xa.automation]\nsources = ["https://tinh.example.vn/live", "queue"]\n'
    automation = load(config(tmp_path, text), {}).channels.named["xa"].automation
    assert [name for name, _ in automation.listed] == ["source-1", "queue"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('sources = ["gopher://x/"]', "gopher:// is no kind of source"),
        ('sources = ["publishers", "publishers"]', "two sources are called publishers"),
        ('sources = [{source = "a.mp3", name = "queue"}]', "two sources are called queue"),
        ('sources = ["channel:"]', "channel: names no channel"),
        ('warn = "30s"', "warn must be below switch"),
        ('sources = ["1.mp3", "2.mp3", "3.mp3", "4.mp3", "5.mp3", "6.mp3"]', "more room than inputs_max = 6"),
    ],
)
def test_mistakes(tmp_path: Path, text: str, sentence: str) -> None:
    assert sentence in mistakes(tmp_path, f"[channels.xa.automation]\n{text}\n")


def test_names_are_unlike_those_of_inputs(tmp_path: Path) -> None:
    text = """
[[channels.xa.inputs]]
name = "music"
source = "music.flac"
[[channels.xa.automation.sources]]
name = "music"
source = "other.flac"
"""
    assert "both called music" in mistakes(tmp_path, text)


def test_only_a_mixed_channel_has_it(tmp_path: Path) -> None:
    file = tmp_path / "loa.toml"
    file.write_text('[channels.xa.automation]\nfade = "2s"\n')
    with pytest.raises(InvalidConfiguration, match='mode = "mix"'):
        load(file, {})
