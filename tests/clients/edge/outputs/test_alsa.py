"""ALSA's own plug-ins as devices: nothing, a file, and a PulseAudio server that can be killed."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from ctypes.util import find_library
from pathlib import Path

import numpy as np
import pytest

from bench.edge.pulse import PulseServer
from loacodecs.backoff import Backoff
from loaedge.outputs.alsa import AlsaOutput
from loaedge.outputs.opening import open_output
from loaedge.outputs.output import DeviceSettings, OutputError, Pcm
from loaedge.outputs.player import Player
from tests.support.tones import dominant_frequency, level_dbfs
from tests.support.waiting import until

SETTINGS = DeviceSettings(latency_s=0.12)

if find_library("asound") is None and not os.environ.get("CI"):
    pytest.skip("libasound2 is not installed", allow_module_level=True)


@pytest.fixture
def asoundrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration of libasound in which there are three devices; gives the file that one writes to."""
    sound, configuration = tmp_path / "sound.raw", tmp_path / "asoundrc"
    configuration.write_text(
        "pcm.nothing { type null }\n"
        f'pcm.paper {{ type file slave.pcm "nothing" file "{sound}" format "raw" }}\n'
        "pcm.card { type pulse device card }\n"
    )
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(configuration))
    return sound


class Listener:
    """Renders a tone and keeps what it was asked: frames, heard at, now. After `frames` it sets `stop`."""

    def __init__(self, frames: int = 1 << 40) -> None:
        self.calls: list[tuple[int, float, float]] = []
        self._phase = 0
        self.stop = threading.Event()
        self._frames = frames

    def __call__(self, frames: int, heard_at: float) -> Pcm:
        self.calls.append((frames, heard_at, time.monotonic()))
        if sum(call[0] for call in self.calls) >= self._frames:
            self.stop.set()
        times = (self._phase + np.arange(frames)) / 48000
        self._phase += frames
        return (0.25 * np.sin(2 * np.pi * 440 * times)).astype(np.float32).reshape(-1, 1)

    def ahead_s(self) -> float:
        """How long before it is heard sound is asked for: the median of the last 20, of which some may be late."""
        return float(np.median([heard_at - now for _, heard_at, now in self.calls[-20:]]))


def test_a_device_that_swallows_everything_is_played_to_by_the_clock(asoundrc: Path) -> None:
    listener = Listener(48_000)
    AlsaOutput("nothing", SETTINGS).play(listener, listener.stop)
    frames, _, moments = np.array(listener.calls).T
    # By how much longer a block took than its sound lasts; a busy machine makes some later, and none earlier.
    pace = np.diff(moments) / (frames[:-1] / 48000)
    assert pace.min() > 0.99
    assert np.median(pace) < 1.1


def test_what_is_rendered_reaches_the_device(asoundrc: Path) -> None:
    listener = Listener(24_000)
    settings = DeviceSettings(0.12, channels=2, sample_format="s16")
    AlsaOutput("paper", settings).play(listener, listener.stop)
    heard = np.fromfile(asoundrc, np.int16).reshape(-1, 2) / 32767
    sound = heard[np.flatnonzero(heard[:, 0])[0] :]
    assert len(sound) >= 23_000
    assert np.array_equal(sound[:, 0], sound[:, 1])
    assert level_dbfs(sound[:4800, 0]) == pytest.approx(-15.05, abs=0.5)


def card(latency_s: float = 0.15) -> Callable[[], AlsaOutput]:
    return lambda: AlsaOutput("card", DeviceSettings(latency_s=latency_s))


def play(device: Callable[[], AlsaOutput], render: Callable[[int, float], Pcm]) -> Player:
    player = Player(
        device,
        render,
        hang_s=3.0,
        backoff=Backoff(lambda count: bytes(count), first_s=0.05, limit_s=0.2),
    )
    player.start()
    return player


def heard(pulse: PulseServer) -> np.ndarray:
    with pulse.recording("card.monitor", 2) as recording:
        until(lambda: recording.seconds > 1.0)
        return recording.samples()[-24000:, 0]


def test_a_real_device_is_heard_and_opened_again_when_it_was_lost(pulse: PulseServer, asoundrc: Path) -> None:
    player = play(card(), Listener())
    try:
        until(lambda: player.state.running)
        assert dominant_frequency(heard(pulse)) == pytest.approx(440, abs=0.5)
        assert 60 < player.state.latency_ms < 220
        pulse.kill()
        until(lambda: player.state.lost == 1)
        pulse.start()
        until(lambda: player.state.running and not player.state.problem, timeout=10)
        # The server that has come back may take a moment until it plays what it is given.
        until(lambda: dominant_frequency(heard(pulse)) == pytest.approx(440, abs=0.5), timeout=10)
    finally:
        player.stop()


def test_after_an_underrun_the_announced_times_are_right_again(pulse: PulseServer, asoundrc: Path) -> None:
    listener = Listener()
    due = threading.Event()

    def render(frames: int, heard_at: float) -> Pcm:
        if due.is_set():
            due.clear()
            assert not threading.Event().wait(0.6)
        return listener(frames, heard_at)

    player = play(card(), render)
    try:
        until(lambda: len(listener.calls) > 100)  # what the server says of its latency has settled
        before = listener.ahead_s()
        due.set()
        until(lambda: player.state.underruns == 1)
        count = len(listener.calls)
        until(lambda: len(listener.calls) > count + 40)
        assert 0.05 < before < 0.15
        until(lambda: listener.ahead_s() == pytest.approx(before, abs=0.01))
        assert player.state.lost == 0
    finally:
        player.stop()


def test_a_device_that_is_not_there_is_one_sentence(asoundrc: Path) -> None:
    with pytest.raises(OutputError, match=r"no ALSA device hw:7 \(.*\); see `loa edge devices`"):
        AlsaOutput("hw:7", SETTINGS).play(Listener(), threading.Event())


def test_a_name_without_a_device_is_the_default(asoundrc: Path) -> None:
    assert open_output("alsa").name == "alsa:default"
