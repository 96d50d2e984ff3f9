"""A line input: a microphone of a PulseAudio server's, by ALSA's plug-in; the server is killed and comes back."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.edge.pulse import PulseServer
from loamedia.player import Player
from tests.support.playing import playing, pulled
from tests.support.tones import dominant_frequency
from tests.support.waiting import until

if shutil.which("pulseaudio") is None:
    pytest.skip("pulseaudio is not installed", allow_module_level=True)


def hertz(player: Player) -> float:
    """What is heard when the first burst, of which the oldest is passed over, has gone by."""
    pulled(player, 24_000)
    return dominant_frequency(pulled(player, 9600)[0])


def test_a_line_input_is_heard_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    microphone = "module-sine-source source_name=microphone rate=48000 frequency=750"
    with PulseServer([microphone]) as server:
        for name in ("PULSE_SERVER", "XDG_RUNTIME_DIR", "HOME"):
            monkeypatch.setenv(name, server.environment[name])
        configuration = Path(server.environment["HOME"]) / ".asoundrc"
        configuration.write_text("pcm.microphone { type pulse device microphone }\n")
        with playing("alsa:microphone") as player:
            assert hertz(player) == pytest.approx(750, abs=2)
            assert player.live
            server.kill()
            until(lambda: player.stats.failures > 0 and "trying again" in player.reason)
            assert player.reason.startswith(("line input microphone", "cannot read line input microphone"))
            server.start()
            until(lambda: player.reason == "" and player.stats.connections > 1)
            assert hertz(player) == pytest.approx(750, abs=2)
