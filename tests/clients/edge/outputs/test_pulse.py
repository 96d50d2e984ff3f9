"""A real PulseAudio server plays what it is given, in time, and comes back when it was gone."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from bench.edge.pulse import MONITOR, PulseServer
from bench.edge.skew import skew_of
from bench.errors import BenchError
from loacodecs.backoff import Backoff
from loaedge.outputs.opening import open_output
from loaedge.outputs.output import DeviceSettings, Output, OutputError, Pcm
from loaedge.outputs.player import Player
from loaedge.outputs.pulse import PulseOutput
from loaedge.outputs.pulse_link import sinks
from tests.support.tones import dominant_frequency, level_dbfs
from tests.support.waiting import until

NOISE = np.random.default_rng(11).standard_normal(1 << 20).astype(np.float32) * 0.1


def noise_at(frames: int, heard_at: float) -> Pcm:
    """The same noise for everybody at the same time, to the nearest sample."""
    first = round(heard_at * 48000)
    return np.take(NOISE, np.arange(first, first + frames), mode="wrap").reshape(-1, 1)


def tone_at(frames: int, heard_at: float) -> Pcm:
    times = heard_at % 1.0 + np.arange(frames) / 48000
    return (0.25 * np.sin(2 * np.pi * 440 * times)).astype(np.float32).reshape(-1, 1)


class Hiccup:
    """Renders noise, and once holds everything up."""

    def __init__(self) -> None:
        self.due = threading.Event()

    def __call__(self, frames: int, heard_at: float) -> Pcm:
        if self.due.is_set():
            self.due.clear()
            assert not threading.Event().wait(0.5)
        return noise_at(frames, heard_at)


@contextlib.contextmanager
def player(device: Callable[[], Output], render: Callable[[int, float], Pcm]) -> Iterator[Player]:
    playing = Player(
        device,
        render,
        hang_s=1.0,
        backoff=Backoff(lambda count: bytes(count), first_s=0.05, limit_s=0.2),
    )
    playing.start()
    try:
        yield playing
    finally:
        playing.stop()


def front(sample_format: str = "float32", channels: int = 2) -> Output:
    assert sample_format in ("float32", "s16")
    return open_output(
        "pulse:front",
        channels=channels,
        sample_format="s16" if sample_format == "s16" else "float32",
    )


@pytest.mark.parametrize(("sample_format", "channels"), [("float32", 2), ("s16", 1)])
def test_a_tone_is_heard_on_its_sink_only(pulse: PulseServer, sample_format: str, channels: int) -> None:
    with player(lambda: front(sample_format, channels), tone_at) as playing:
        until(lambda: playing.state.running)
        with pulse.recording(MONITOR, 4) as recording:
            until(lambda: recording.seconds > 1.0)
            heard = recording.samples()[-24000:]
        state = playing.state
    for channel in (0, 1):
        assert dominant_frequency(heard[:, channel]) == pytest.approx(440, abs=0.5)
        assert level_dbfs(heard[:, channel]) == pytest.approx(-15.05, abs=0.2)
    assert not heard[:, 2:].any()
    assert state.underruns == 0
    assert 20 < state.latency_ms < 300


@pytest.mark.alone
def test_two_players_are_in_step_and_again_after_an_underrun(pulse: PulseServer) -> None:
    hiccup = Hiccup()
    with (
        player(front, noise_at) as one,
        player(lambda: open_output("pulse:rear", latency_s=0.25), hiccup) as other,
    ):
        until(lambda: one.state.running and other.state.running)
        with pulse.recording(MONITOR, 4) as recording:
            until(lambda: recording.seconds > 2.0)
            before = recording.samples()
            hiccup.due.set()
            until(lambda: other.state.underruns == 1)
            begin = recording.seconds
            until(lambda: recording.seconds > begin + 2.5)
            after = recording.samples()[-48000:]
    for heard in (before[-48000:], after):
        skew = skew_of(heard[:, 0], heard[:, 2])
        assert skew.unclear == 0
        assert skew.ms.size == 2
        assert np.abs(skew.ms).max() < 0.5


@pytest.mark.alone
def test_a_stream_that_was_moved_keeps_time_on_the_other_sink(pulse: PulseServer) -> None:
    pulse.control("set-default-sink", "front")
    with (
        player(lambda: open_output("pulse"), noise_at) as moved,
        player(front, noise_at) as one,
    ):
        until(lambda: one.state.running and moved.state.running)
        inputs = pulse.control("list", "short", "sink-inputs").splitlines()
        for line in (line for line in inputs if "protocol-native" in line):
            # Only the one without a sink of its own may be moved; the other refuses.
            with contextlib.suppress(BenchError):
                pulse.control("move-sink-input", line.split()[0], "rear")
        with pulse.recording(MONITOR, 4) as recording:
            until(lambda: recording.seconds > 3.0)
            heard = recording.samples()[-48000:]
        assert one.state.lost == moved.state.lost == 0
    skew = skew_of(heard[:, 0], heard[:, 2])
    assert skew.unclear == 0
    assert skew.ms.size == 2
    assert np.abs(skew.ms).max() < 0.5


def test_a_server_that_was_killed_is_found_again(pulse: PulseServer) -> None:
    with player(front, tone_at) as playing:
        until(lambda: playing.state.running)
        pulse.kill()
        until(lambda: playing.state.lost == 1 and "server" in playing.state.problem)
        pulse.start()
        until(lambda: playing.state.running and not playing.state.problem, timeout=10)
        with pulse.recording(MONITOR, 4) as recording:
            until(lambda: recording.seconds > 1.0)
            heard = recording.samples()[-24000:, 0]
    assert dominant_frequency(heard) == pytest.approx(440, abs=0.5)


def test_a_server_that_hangs_is_given_up_and_taken_again(pulse: PulseServer) -> None:
    with player(front, tone_at) as playing:
        until(lambda: playing.state.running)
        pulse.pause()
        until(lambda: "hangs" in playing.state.problem)
        pulse.resume()
        until(lambda: playing.state.running and not playing.state.problem, timeout=15)


def test_a_suspended_sink_is_waited_for(pulse: PulseServer) -> None:
    with player(front, tone_at) as playing:
        until(lambda: playing.state.running)
        pulse.control("suspend-sink", "front", "1")
        until(lambda: "suspended" in playing.state.problem)
        pulse.control("suspend-sink", "front", "0")
        until(lambda: playing.state.running and not playing.state.problem, timeout=10)


def test_a_sink_that_is_not_there_is_one_sentence(pulse: PulseServer) -> None:
    with pytest.raises(OutputError, match=r"no sink nowhere \(no such entity\)"):
        PulseOutput("nowhere", DeviceSettings()).play(tone_at, threading.Event())


def test_no_server_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path}/nobody")
    with pytest.raises(OutputError, match=r"no PulseAudio server answers \(connection refused\)"):
        PulseOutput("", DeviceSettings()).play(tone_at, threading.Event())


def test_sinks_are_listed_by_the_names_that_open_them(pulse: PulseServer) -> None:
    assert {"both", "front", "rear"} <= {name for name, _ in sinks()}
