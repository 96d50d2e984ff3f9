"""What the configuration says of mixed channels, and what is a mistake in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.config import load
from relay.mistakes import InvalidConfiguration

MIX = '[channels.xa]\nmode = "mix"\n'


def read(tmp_path: Path, text: str) -> object:
    file = tmp_path / "loa.toml"
    file.write_text(text)
    return load(file, {}).channels.named["xa"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[channels.xa]\nbitrate = 64000\n", 'write mode = "mix"'),
        (MIX + 'source = "whep+https://loa.vn/tinh/whep"\n', "pull that into a channel of its own"),
        (MIX + 'inputs = [{name = "a", source = "gopher://x"}]\n', "no kind of source"),
        (
            MIX + 'inputs = [{name = "a", source = "tone"}, {name = "a", source = "tone:500"}]\n',
            "a name of its own",
        ),
        (
            MIX + 'inputs_max = 1\ninputs = [{name = "a", source = "x"}, {name = "b", source = "y"}]\n',
            "inputs_max is 1",
        ),
        (MIX + 'inputs = [{name = "a", source = "channel:nowhere"}]\n', "there is no channel nowhere"),
        (MIX + 'inputs = [{name = "a", source = "channel:xa"}]\n', "would hear itself"),
        (
            MIX
            + 'inputs = [{name = "a", source = "channel:b"}]\n'
            + '[channels.b]\nmode = "mix"\ninputs = [{name = "a", source = "channel:xa"}]\n',
            "would hear itself",
        ),
        (MIX + "bitrate = 1000\n", "6000"),
        (MIX + "ceiling = 0\n", "-0.1"),
        (MIX + "ceiling = -12.5\n", "-12"),
        (MIX + "ceiling = nan\n", "ceiling"),
        ("[channels.xa]\nceiling = -2.0\n", 'write mode = "mix"'),
        (MIX + 'inputs = [{name = "Loa 1", source = "tone"}]\n', "name"),
    ],
)
def test_mistakes_are_told_with_their_mend(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(InvalidConfiguration, match=sentence):
        read(tmp_path, text)


def test_files_are_relative_to_the_configuration(tmp_path: Path) -> None:
    channel = read(
        tmp_path, MIX + 'inputs = [{name = "a", source = "jingles/a.mp3"}, {name = "b", source = "tone"}]\n'
    )
    assert [each.source for each in channel.inputs] == [str(tmp_path / "jingles/a.mp3"), "tone"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "dbtp"),
    [
        ("", -4.0),
        ("bitrate = 24000\n", -4.0),
        ('bitrate = 24000\nframe = "60ms"\n', -4.0),
        ('bitrate = 24000\nframe = "60ms"\napplication = "voip"\n', -4.25),
        ('bitrate = 128000\napplication = "voip"\n', -3.5),
        ("bitrate = 48000\n", -3.0),
        ("bitrate = 48000\nchannels = 2\n", -4.0),
        ("bitrate = 64000\n", -2.5),
        ('bitrate = 128000\nframe = "40ms"\n', -2.5),
        ('bitrate = 16000\napplication = "lowdelay"\nframe = "40ms"\n', -4.5),
        ('bitrate = 64000\napplication = "lowdelay"\n', -3.0),
        ("ceiling = -1\n", -1.0),
        ("bitrate = 128000\nceiling = -12.0\n", -12.0),
    ],
)
def test_the_ceiling_leaves_room_for_what_opus_adds_unless_one_is_written(
    tmp_path: Path, text: str, dbtp: float
) -> None:
    assert read(tmp_path, MIX + text).ceiling_dbtp == dbtp  # type: ignore[attr-defined]


def test_the_ceiling_can_be_set_by_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "loa.toml"
    file.write_text(MIX)
    assert load(file, {"LOA_CHANNELS__XA__CEILING": "-6.5"}).channels.named["xa"].ceiling_dbtp == -6.5
    with pytest.raises(InvalidConfiguration, match="LOA_CHANNELS__XA__CEILING"):
        load(file, {"LOA_CHANNELS__XA__CEILING": "loud"})
