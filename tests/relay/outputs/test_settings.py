"""What the configuration of outputs may say, and the sentence for what it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.config import Config, load
from relay.mistakes import InvalidConfiguration


def loaded(folder: Path, text: str) -> Config:
    path = folder / "loa.toml"
    path.write_text(text, encoding="utf-8")
    return load(path, {})


def test_sizes_times_and_folders(tmp_path: Path) -> None:
    text = '[channels.xa.recording]\nenabled = true\nfolder = "rec"\nsize_max = "1.5GB"\nsegment = "30m"\nreserve = 5\n'
    settings = loaded(tmp_path, text).channels.named["xa"].recording
    assert settings.folder == tmp_path / "rec"
    assert (settings.size_max, settings.segment, settings.reserve) == (1_500_000_000, 1800.0, 5)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('[channels.xa.recording]\nsize_max = "20"', "channels.xa.recording.size_max: '20' is not a size"),
        ('[channels.xa.recording]\nsegment = "7m"', "channels.xa.recording: segment must be whole minutes"),
        ('[channels.xa.recording]\nkeep = "1d"', "keep must not be less than keep_at_least"),
        ('[channels.xa.recording]\nwhen_ful = "stop"', "did you mean when_full?"),
        ('[[channels.xa.rtp]]\naddress = "radio.vn"\nport = 5004', "is no IP address"),
        ('[[channels.xa.rtp]]\naddress = "0.0.0.0"\nport = 5004', "stands for every address"),
        ('[[channels.xa.rtp]]\naddress = "239.1.1.1"\nport = 5005', "port must be even"),
        (
            '[[channels.xa.rtp]]\naddress = "192.0.2.1"\nport = 5004\ninterface = "eth0"',
            "interface is for multicast",
        ),
        ('[channels."xa.opus"]\n', "ends as the address of a channel's stream does"),
    ],
)
def test_mistakes_are_told_with_their_place(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        loaded(tmp_path, text + "\n")
    assert sentence in str(caught.value)
