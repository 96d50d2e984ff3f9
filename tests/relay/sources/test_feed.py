"""Sources as the mixer sees them: blocks that never wait, states with reasons, and the policy of the API."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import numpy as np
import pytest

from loacodecs.errors import ConfigurationError
from relay.config import SourcesConfig
from relay.sources.feed import OPERATOR, StreamFeed, api_policy, open_source
from tests.support.media_files import tone_file
from tests.support.relay_process import free_port
from tests.support.tones import dominant_frequency, level_dbfs
from tests.support.waiting import until


@pytest.fixture
def block() -> np.ndarray:
    return np.full((2, 960), 9.0, np.float32)


def heard(feed: StreamFeed, blocks: int) -> np.ndarray:
    """So many blocks that sound, one after the other, as soon as they do."""
    out = np.zeros((2, 960), np.float32)
    sound = []
    while len(sound) < blocks:
        until(lambda: feed.read(out), 15.0)
        sound.append(out.copy())
    return np.concatenate(sound, 1)


def test_a_file_from_ready_to_its_exact_end(tmp_path: Path, block: np.ndarray) -> None:
    path = tone_file(tmp_path / "a.wav", 0.05)
    feed = open_source(str(path), OPERATOR, paused=True)
    until(lambda: feed.ready)
    assert feed.state == "paused"
    assert not feed.read(block)
    assert not block.any()
    feed.play()
    assert [feed.read(block), feed.read(block), feed.read(block)] == [True, True, True]
    assert block[:, :480].any()
    assert not block[:, 480:].any(), "2400 samples are two blocks and a half"
    until(lambda: feed.state == "ended")
    assert not feed.read(block)
    assert (feed.position_s, feed.duration_s, feed.reason) == (0.05, 0.05, "")
    assert feed.counters.dry == 0


def test_the_next_file_can_begin_at_the_very_sample(tmp_path: Path) -> None:
    feeds = [
        open_source(str(tone_file(tmp_path / f"{name}.flac", 0.05)), OPERATOR, paused=True) for name in "ab"
    ]
    until(lambda: all(feed.ready for feed in feeds))
    for feed in feeds:
        feed.play()
    out = np.zeros((2, 4800), np.float32)
    first = feeds[0].take(out)
    assert first == 2400
    assert feeds[1].take(out[:, first:]) == 2400


def test_the_tone(block: np.ndarray) -> None:
    feed = open_source("tone:1000", OPERATOR)
    sound = heard(feed, 50)
    assert dominant_frequency(sound[0]) == pytest.approx(1000, abs=0.5)
    assert level_dbfs(sound[1]) == pytest.approx(-15.05, abs=0.05)
    assert (feed.title, feed.live, feed.state, feed.position_s) == ("tone 1000 Hz", True, "playing", 1.0)
    feed.close()
    assert not feed.read(block)


def test_what_the_api_may_open(tmp_path: Path) -> None:
    path = tone_file(tmp_path / "a.wav", 1.0)
    nothing = api_policy(SourcesConfig())
    for text, reason in (
        (str(path), "files are not allowed"),
        ("http://127.0.0.1:9/a", "internal address"),
        ("http://[::ffff:127.0.0.1]:9/a", "internal address"),
        ("http://169.254.169.254/latest/meta-data", "internal address"),
        ("http://2130706433/a", "internal address"),
        ("srt://127.0.0.1:9", "internal address"),
        ("srt://8.8.8.8:9?mode=listener", "asks for mode"),
        ("rtsp://8.8.8.8/1", "allow_hosts"),
        ("alsa:hw:0", "allow_devices"),
    ):
        feed = open_source(text, nothing)
        until(lambda feed=feed: feed.state == "failed")
        assert reason in feed.reason, text
    feed = open_source(str(path), api_policy(SourcesConfig(allow_files=(tmp_path,))))
    assert heard(feed, 10).any()
    with pytest.raises(ConfigurationError):
        open_source("gopher://x/", nothing)


def test_a_line_input_that_is_not_there_is_tried_again() -> None:
    feed = open_source("alsa:hw:99", OPERATOR)
    until(lambda: feed.counters.failures > 0 and "trying again" in feed.reason)
    assert feed.state == "opening"
    assert "line input hw:99" in feed.reason
    feed.close()


def test_srt_says_that_nobody_answers() -> None:
    feed = open_source(f"srt://127.0.0.1:{free_port(socket.SOCK_DGRAM)}", OPERATOR)
    until(lambda: feed.counters.failures > 0 and "trying again" in feed.reason)
    assert "nobody answers there" in feed.reason
    feed.close()


def test_srt_is_heard(tmp_path: Path) -> None:
    port = free_port(socket.SOCK_DGRAM)
    sound = tone_file(tmp_path / "a.ts", 20.0)
    command = [
        "ffmpeg",
        "-nostdin",
        "-loglevel",
        "error",
        "-re",
        "-i",
        str(sound),
        "-c",
        "copy",
        "-f",
        "mpegts",
    ]
    with subprocess.Popen([*command, f"srt://127.0.0.1:{port}?mode=listener"]) as sender:
        try:
            feed = open_source(f"srt://127.0.0.1:{port}", OPERATOR)
            pcm = heard(feed, 40)
            assert dominant_frequency(pcm[0, :24_000]) == pytest.approx(440, abs=2)
            assert feed.live
            feed.close()
        finally:
            sender.kill()
