"""The receiver's file: what it may say, and what is said about its mistakes."""

from __future__ import annotations

import re
from datetime import time
from pathlib import Path

import pytest

from loacodecs.errors import ConfigurationError
from loaedge.client import Wishes
from loaedge.outputs.opening import KINDS
from loaedge.receiver.checking import InvalidConfiguration
from loaedge.receiver.config import Config, load

GOOD = """
relays = ["https://a.example.vn", "https://b.example.vn:8889/"]
mode = "both"
channel = "xa-tan-thanh"
token_file = "token"
delay = "1.5s"
trim = "12ms"
volume_db = -6
output = "alsa:hw:1"
channels = "stereo"
chime = true
quiet_hours = "22:00-04:30"
rendition = "red-2"
idle = "1m"
state_dir = "state"
[amplifier]
gpio = "gpiochip0:17:low"
lead = "800ms"
tail = "10s"
[fallback]
play = "music"
after = "30s"
repeat = true
[[timetable]]
name = "morning"
days = ["mon-fri"]
at = "05:30"
play = "morning.opus"
limit = "15m"
class = "priority"
"""


def read(folder: Path, text: str) -> Config:
    path = folder / "edge.toml"
    path.write_text(text)
    return load(path)


def mistakes(folder: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(InvalidConfiguration) as caught:
        read(folder, text)
    return caught.value.lines


def test_everything_that_can_be_said(tmp_path: Path) -> None:
    config = read(tmp_path, GOOD)
    assert config.relays == ("https://a.example.vn", "https://b.example.vn:8889")
    assert (config.mode, config.channel, config.token_file) == ("both", "xa-tan-thanh", tmp_path / "token")
    assert (config.delay_s, config.trim_s, config.volume_db) == (1.5, pytest.approx(0.012), -6)
    assert (config.output, config.channels, config.chime) == ("alsa:hw:1", 2, True)
    assert (config.quiet.start, config.quiet.end) == (time(22), time(4, 30))
    assert config.wishes == Wishes(red=2, idle_s=60, recent_ms=600, clock=True)
    assert config.amplifier.switch == "gpio:gpiochip0:17:low"
    assert (config.amplifier.lead_s, config.amplifier.tail_s) == (0.8, 10)
    assert config.fallback is not None
    assert (config.fallback.play, config.fallback.after_s, config.fallback.repeat) == (
        tmp_path / "music",
        30,
        True,
    )
    (entry,) = config.timetable
    assert (entry.name, entry.days, entry.at) == ("morning", frozenset(range(5)), time(5, 30))
    assert (entry.play, entry.limit_s, entry.kind) == (tmp_path / "morning.opus", 900, "priority")
    assert config.state_dir == tmp_path / "state"


def test_a_file_to_play_into_is_beside_the_others(tmp_path: Path) -> None:
    config = read(tmp_path, 'relays = "https://a.example.vn"\noutput = "wav:played.wav?ppm=50"\n')
    assert config.output == f"wav:{tmp_path / 'played.wav'}?ppm=50"
    config = read(tmp_path, 'relays = "https://a.example.vn"\noutput = "wav:/srv/played.wav"\n')
    assert config.output == "wav:/srv/played.wav"


@pytest.mark.parametrize("channel", ["tan-phu.hop", "xa_tan_phu", "7", "a-", "a" * 63])
def test_every_channel_of_a_relay_can_be_played(tmp_path: Path, channel: str) -> None:
    """As docs/configuration.md lets channels be named."""
    assert read(tmp_path, f'relays = "https://a.example.vn"\nchannel = "{channel}"\n').channel == channel


def test_little_need_be_said(tmp_path: Path) -> None:
    config = read(tmp_path, 'relays = "https://a.example.vn"\n')
    assert config.control
    assert (config.mode, config.delay_s, config.wishes.idle_s) == ("first", 0.7, 50)
    assert (config.wishes.ptime, config.wishes.red, config.wishes.adaptive) == (60, 0, True)
    assert not config.quiet.never


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('output = "gramophone"', f"output cannot be: 'gramophone' names no sound output; write {KINDS}"),
        ('output = "wav:"', f"output cannot be: 'wav:' names no sound output; write {KINDS}"),
        ('output = "null:x"', f"output cannot be: 'null:x' names no sound output; write {KINDS}"),
        ('output = "wav:x?ppm=fast"', "output cannot be: 'fast' is no number of ppm"),
        ('token_file = "~nobody-here/token"', "token_file cannot be: nobody knows the home of ~nobody-here"),
        ('ca_file = "a\\u0000b"', "ca_file cannot be: no path has a NUL in it"),
        ('mode = "third"', "mode must be one of first, both"),
        ("delay = 700", "delay must be a text in quotes"),
        ('delay = "700"', "delay cannot be: '700' is not a duration; write 700ms, 10s, 5m or 1h"),
        ('delay = "10s"', "delay cannot be: it must lie between 150ms and 3s"),
        ('trim = "-1ms"', "trim cannot be: '-1ms' is not a duration; write 700ms, 10s, 5m or 1h"),
        ("volume_db = true", "volume_db must be a number from -60 to 20"),
        ("volume_db = nan", "volume_db must be a number from -60 to 20"),
        ('chanel = "a"', "chanel is not known; is channel meant?"),
        ('channel = "Xã"', "channel must be 1 to 63 of a-z 0-9 . _ - and begin with a letter or digit"),
        ('quiet_hours = "22"', "quiet_hours cannot be: quiet hours are written as 21:00-05:00, not '22'"),
        ('zone = "Mars"', "zone cannot be: 'Mars' is no time zone this machine knows"),
        ("[amplifier]\ngpio = \"17\"", "amplifier.gpio cannot be: 'gpio:17' names no amplifier switch; write none, "
         "gpio:CHIP:LINE, gpio:CHIP:LINE:low or command:PROGRAM WORDS"),
        ("[amplifier]\nled = 1", "amplifier.led is not known; is lead meant?"),
        ("[fallback]\nafter = \"10s\"", "fallback.play is required: a file, a folder or a playlist"),
        ("[[timetable]]\nat = \"05:30\"\nplay = \"a\"", "timetable[0].name is required"),
        ("[[timetable]]\nname = \"a\"\nat = \"25:00\"\nplay = \"a\"", "timetable[0].at cannot be: a time of day "
         "is written as 05:30, not '25:00'"),
        ("[[timetable]]\nname = \"a\"\nat = \"05:30\"\nplay = \"a\"\n" * 2, "timetable has two programmes that "
         "are called a"),
        ("timetable = 1", "timetable must be written as [[timetable]]"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_with_its_key(tmp_path: Path, text: str, line: str) -> None:
    assert mistakes(tmp_path, f'relays = ["https://a.example.vn"]\n{text}\n') == (line,)


@pytest.mark.parametrize(
    "relay", ["a.example.vn", "ftp://a", "https://a/b", "https://user:word@a", "https://a:99999"]
)
def test_a_relay_is_an_address_without_a_channel(tmp_path: Path, relay: str) -> None:
    (line,) = mistakes(tmp_path, f'relays = ["{relay}"]\n')
    assert line.startswith("relays ")


@pytest.mark.parametrize("relay", ["HTTPS://a.example.vn", "Https://a.example.vn/", " https://a.example.vn "])
def test_a_relay_may_be_written_as_phones_write_it(tmp_path: Path, relay: str) -> None:
    """Certificates are looked for where the address says https."""
    assert read(tmp_path, f'relays = ["{relay}"]\n').relays == ("https://a.example.vn",)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    assert len(mistakes(tmp_path, "control = false\nmode = 1\nfoo = 1\n")) >= 3


def test_without_a_control_link_the_channel_must_be_told(tmp_path: Path) -> None:
    (line,) = mistakes(tmp_path, 'relays = "https://a.example.vn"\ncontrol = false\n')
    assert line == "channel is required unless control = true: the relay then says which"


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: no such file"):
        load(tmp_path / "none.toml")
    with pytest.raises(ConfigurationError, match="is not TOML"):
        read(tmp_path, "relays = [")
    (tmp_path / "edge.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="is not TOML"):
        load(tmp_path / "edge.toml")


def test_every_key_is_described() -> None:
    root = Path(__file__).resolve().parents[4]
    source = (root / "clients" / "edge" / "loaedge" / "receiver" / "config.py").read_text()
    keys = set(re.findall(r"\btable\.(?!mistake)\w+\(\s*\"(\w+)\"", source))
    assert {"relays", "gpio", "without_time", "late", "timetable"} <= keys
    text = (root / "docs" / "edge.md").read_text()
    assert [
        key
        for key in sorted(keys)
        if f"`{key}`" not in text and f"`[{key}]`" not in text and f"`[[{key}]]`" not in text
    ] == []


def test_the_example_of_the_document_is_right(tmp_path: Path) -> None:
    text = (Path(__file__).resolve().parents[4] / "docs" / "edge.md").read_text()
    examples = re.findall(r"^```toml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(examples) == 2
    assert [len(read(tmp_path, example).relays) for example in examples] == [1, 2]
