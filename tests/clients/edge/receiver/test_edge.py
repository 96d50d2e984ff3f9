"""`loa edge` as a user runs it, with real relays: the right sound at the right time, whatever is killed."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from loacodecs.opus import OpusDecoder
from tests.support.edge_process import RATE, EdgeProcess, levels, quietest, silence_s
from tests.support.listening import Listening
from tests.support.publishing import publishing
from tests.support.relay_process import RelayProcess
from tests.support.tones import dominant_frequency, tone, write_wav

BURST_S, PAUSE_S = 0.5, 1.5


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    folder = tmp_path_factory.mktemp("relay")
    with RelayProcess(folder, {"xa": [], "open": ["public = true"]}) as process:
        yield process


def bursts(folder: Path, seconds: float) -> Path:
    """Half a second of tone in every two seconds, over so little noise that no two packets are alike."""
    pcm = np.concatenate([np.zeros(round(PAUSE_S * RATE), np.float32), tone(1000, BURST_S)])
    programme = np.tile(pcm, round(seconds / (PAUSE_S + BURST_S)))
    noise = np.random.default_rng(1).normal(0, 1e-3, len(programme)).astype(np.float32)
    return write_wav(folder / "bursts.wav", [programme + noise], RATE)


def onsets(pcm: np.ndarray[tuple[int], np.dtype[np.float64]]) -> list[float]:
    """When each burst begins, seconds from the first sample, to 1 ms."""
    loud = levels(pcm, 0.001) > 0.05
    starts = np.flatnonzero(loud[1:] & ~loud[:-1]) + 1
    return [start / 1000 for start in starts if not loud[max(0, start - 500) : start].any()]


@pytest.mark.alone
async def test_a_burst_is_heard_at_its_capture_time_plus_delay_and_trim(
    relay: RelayProcess, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(relay.token("listen", channels=["xa"]))
    lines = ['channel = "xa"', 'token_file = "../token"', 'delay = "900ms"', 'trim = "50ms"']
    with (
        publishing(relay, "xa", str(bursts(tmp_path, 40))),
        EdgeProcess(tmp_path / "edge", [relay.base], *lines) as edge,
    ):
        async with Listening(relay, "xa") as listening:
            await asyncio.to_thread(edge.wait_for, lambda: len(onsets(edge.heard().pcm)) >= 4)
            captured = await listening.capture_times()
        to_unix = time.time() - time.monotonic()
        assert edge.stop() == 0
    spoken = spoken_at(captured)
    heard = edge.heard()
    played = [heard.begins + at + to_unix for at in onsets(heard.pcm)]
    delays = [min((abs(at - began - 0.95), at - began) for began in spoken)[1] for at in played]
    assert len(delays) >= 4
    # 1 ms of the windows, and what a tie by sender reports over a busy loopback is worth; the first burst is played by
    # a clock that has only just been told the time.
    assert abs(float(np.median(delays)) - 0.95) < 0.005, delays
    assert all(abs(delay - 0.95) < 0.02 for delay in delays), delays


def spoken_at(captured: dict[bytes, float]) -> list[float]:
    """When each burst began by the capture times of its packets, unix seconds."""
    first = min(captured.values())
    line = np.zeros(round((max(captured.values()) - first + 1) * RATE))
    decoder = OpusDecoder(1)
    for payload in sorted(captured, key=captured.__getitem__):
        begin = round((captured[payload] - first) * RATE)
        pcm = decoder.decode(payload)[:, 0]
        line[begin : begin + len(pcm)] = pcm
    return [first + at for at in onsets(line)]


@pytest.mark.alone
def test_a_killed_relay_is_not_heard_in_mode_both_and_for_a_moment_in_mode_first(
    relay: RelayProcess, tmp_path: Path
) -> None:
    source = [f'source = "whep+{relay.base}/open"', "public = true"]
    with (
        publishing(relay, "open", "tone:440"),
        RelayProcess(tmp_path / "a", {"open": source}) as a,
        RelayProcess(tmp_path / "b", {"open": source}) as b,
        EdgeProcess(tmp_path / "both", [a.base, b.base], 'channel = "open"', 'mode = "both"') as both,
        EdgeProcess(tmp_path / "first", [a.base, b.base], 'channel = "open"') as first,
    ):
        both.wait_for_sound(2.0)
        first.wait_for_sound(2.0)
        killed = time.monotonic()
        a.kill()
        for edge in (both, first):
            edge.wait_for(lambda edge=edge: len(edge.heard().since(killed)) > 6 * RATE)
            assert edge.stop() == 0
        assert quietest(both.heard().since(killed)) > 0.15
        after = first.heard().since(killed)
        back = len(after) / RATE - np.flatnonzero(levels(after)[::-1] < 0.05).min(initial=10**6) * 0.01
        assert silence_s(after) < 1.9
        assert back < 2.0 + 0.7  # what was buffered is heard first, for the delay of 700 ms
        assert abs(dominant_frequency(after[-RATE:]) - 440) < 2


def test_a_restarted_relay_is_heard_again(tmp_path: Path) -> None:
    folder = tmp_path / "relay"
    relay = RelayProcess(folder, {"open": ["public = true"]})
    with relay, EdgeProcess(tmp_path / "edge", [relay.base], 'channel = "open"') as edge:
        with publishing(relay, "open", "tone:440"):
            edge.wait_for_sound()
            relay.kill()
            again = RelayProcess(folder, {"open": ["public = true"]}, http_port=relay.http_port)
            with again:
                began = time.monotonic()
                edge.wait_for(lambda: len(edge.heard().since(began)) > RATE)
                edge.wait_for_sound(0.5, patience_s=45)
        assert edge.stop() == 0


def test_a_receiver_is_small_tells_its_service_manager_and_ends_in_good_order(
    relay: RelayProcess, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30)
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "600000"}
        lines = ['channel = "open"', 'mode = "both"']
        with (
            publishing(relay, "open", "tone:440"),
            EdgeProcess(tmp_path / "edge", [relay.base], *lines, environment=environment) as edge,
        ):
            edge.wait_for_sound()
            told = [manager.recv(4096).decode()]
            while "STATUS=live" not in told or told.count("WATCHDOG=1") < 3:
                told.append(manager.recv(4096).decode())
            assert told[0] == "READY=1"
            assert edge.memory_mb() < 80
            assert edge.stop() == 0
            manager.settimeout(2)
            while told[-1] != "STOPPING=1":
                told.append(manager.recv(4096).decode())
        assert edge.heard().pcm.size > RATE


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (['channel = "xa"'], "wants a token"),
        (['channel = "xa"', 'token_file = "none"'], "token_file .* cannot be read: no such file"),
        (['channel = "nowhere"', 'token_file = "../token"'], "there is no channel nowhere"),
    ],
)
def test_what_a_relay_refuses_is_said_and_tried_again(
    relay: RelayProcess, tmp_path: Path, lines: list[str], says: str
) -> None:
    (tmp_path / "token").write_text(relay.token("listen"))
    with EdgeProcess(tmp_path / "edge", [relay.base], *lines) as edge:
        edge.wait_for(lambda: re.search(rf"{says}.*; trying again in", edge.log.read_text()) is not None)
        assert edge.stop() == 0


def test_a_token_that_comes_later_is_taken_up(relay: RelayProcess, tmp_path: Path) -> None:
    lines = ['channel = "xa"', 'token_file = "../token"']
    with (
        publishing(relay, "xa", "tone:440"),
        EdgeProcess(tmp_path / "edge", [relay.base], *lines) as edge,
    ):
        edge.wait_for(lambda: "trying again" in edge.log.read_text())
        (tmp_path / "token").write_text(relay.token("listen"))
        edge.wait_for_sound()
        assert edge.stop() == 0


def test_doctor_finds_a_healthy_receiver_and_what_is_wrong_with_another(
    relay: RelayProcess, tmp_path: Path
) -> None:
    healthy = EdgeProcess(tmp_path / "healthy", [relay.base], 'channel = "open"', 'output = "null"')
    ill = EdgeProcess(
        tmp_path / "ill", ["http://127.0.0.1:9"], 'channel = "open"', 'output = "alsa:none"', "control = true"
    )
    (tmp_path / "ill" / "state").write_text("not a directory")

    def doctor(edge: EdgeProcess) -> tuple[int, str]:
        result = subprocess.run(
            [sys.executable, "-m", "loaedge", "edge", "--config", str(edge.config), "doctor"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return result.returncode, result.stdout + result.stderr

    code, said = doctor(healthy)
    assert code == 0, said
    assert "nothing need be mended" in said
    assert "channel open: session after" in said
    code, said = doctor(ill)
    assert code == 1
    for about in ("disk", "sound", "enrolment", "network to 127.0.0.1"):
        assert re.search(rf"FAILURE {about}: .*\n\s+mend: ", said), said
