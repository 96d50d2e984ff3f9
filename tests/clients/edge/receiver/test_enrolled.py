"""A receiver that is enrolled and obeys: channel, delay, volume and mute, live; receipts; a fresh start."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.support.edge_process import RATE, EdgeProcess, levels
from tests.support.publishing import publishing
from tests.support.relay_process import RelayProcess
from tests.support.tones import dominant_frequency

BASE = "/api/v1/devices"


class Desk:
    """The relay's administration of one device, as `loa device` uses it."""

    def __init__(self, relay: RelayProcess) -> None:
        self.id = ""
        self._client = httpx.Client(
            base_url=relay.base,
            headers={"Authorization": f"Bearer {relay.token('admin')}"},
            timeout=10,
        )

    def code(self, channel: str) -> str:
        return str(self._said(self._client.post(f"{BASE}/codes", json={"channel": channel}))["code"])

    def device(self) -> dict[str, Any]:
        return self._said(self._client.get(f"{BASE}/{self.id}"))

    def set(self, **changes: object) -> None:
        self._said(self._client.patch(f"{BASE}/{self.id}", json=changes))

    def declare(self, channel: str, kind: str) -> None:
        self._said(self._client.put(f"/api/v1/channels/{channel}/class", json={"class": kind}))

    def revoke(self) -> None:
        self._said(self._client.delete(f"{BASE}/{self.id}"))

    def restart(self) -> None:
        assert self._client.post(f"{BASE}/{self.id}/restart").is_success

    def receipts(self) -> list[dict[str, Any]]:
        return list(self._said(self._client.get(f"{BASE}/{self.id}/receipts"))["receipts"])

    def close(self) -> None:
        self._client.close()

    @staticmethod
    def _said(response: httpx.Response) -> dict[str, Any]:
        assert response.is_success, response.text
        return dict(response.json())


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    folder = tmp_path_factory.mktemp("relay")
    with RelayProcess(folder, {"xa": [], "tinh": []}) as process:
        yield process


@pytest.fixture
def desk(relay: RelayProcess) -> Iterator[Desk]:
    made = Desk(relay)
    yield made
    made.close()


def enrol(edge: EdgeProcess, code: str) -> str:
    """What `loa edge enrol` says."""
    command = [sys.executable, "-m", "loaedge", "edge", "--config", str(edge.config), "enrol", code]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert said.returncode == 0, said.stderr
    return said.stdout


@pytest.fixture
def edge(relay: RelayProcess, desk: Desk, tmp_path: Path) -> Iterator[EdgeProcess]:
    """Enrolled for the channel xa, and not yet started."""
    made = EdgeProcess(tmp_path / "edge", [relay.base], "control = true")
    said = enrol(made, desk.code("xa"))
    match = re.fullmatch(r"enrolled as (\S+), channel xa; .*\n", said)
    assert match, said
    desk.id = match[1]
    try:
        yield made
    finally:
        made.kill()


def heard_within(edge: EdgeProcess, since: float, seconds: float, frequency: float, level: float) -> float:
    """Seconds from `since` until half a second was heard at `frequency` and `level` (RMS); AssertionError if never."""

    def found() -> int | None:
        after = edge.heard().since(since)
        for begin in range(0, len(after) - RATE // 2, RATE // 20):
            window = after[begin : begin + RATE // 2]
            loud = levels(window)
            even = loud.min() > level * 0.9 and loud.max() < level * 1.1
            if even and abs(dominant_frequency(window) - frequency) < 3:
                return begin
        return None

    edge.wait_for(lambda: found() is not None, seconds + 5)
    begin = found()
    assert begin is not None
    return begin / RATE


@pytest.mark.alone
def test_settings_are_heard_within_two_seconds_and_last(
    relay: RelayProcess, desk: Desk, edge: EdgeProcess
) -> None:
    with publishing(relay, "xa", "tone:440"), publishing(relay, "tinh", "tone:880"):
        edge.start()
        edge.wait_for_sound()
        full = float(np.median(levels(edge.heard().pcm[-RATE:])))

        changed = time.monotonic()
        desk.set(volume_db=-6)
        assert heard_within(edge, changed, 2.0, 440, full / 2) < 2.0

        changed = time.monotonic()
        desk.set(channel="tinh", delay_ms=300)
        assert heard_within(edge, changed, 3.0, 880, full / 2) < 2.0 + 0.3

        changed = time.monotonic()
        desk.set(muted=True)
        edge.wait_for(lambda: len(edge.heard().since(changed)) > 3 * RATE)
        assert np.abs(edge.heard().since(changed + 2.0)).max() < 1e-3
        assert desk.device()["settings_state"] == "applied"

        # What was commanded outlives the process, and the relay.
        assert edge.stop() == 0
        desk.set(muted=False)
        edge.start()
        edge.wait_for_sound()
        assert abs(dominant_frequency(edge.heard().pcm[-RATE // 2 :]) - 880) < 3
        played = [receipt for receipt in desk.receipts() if receipt["programme"] == "xa"]
        assert played
        assert played[0]["channel"] == "xa"
        assert played[0]["played_ratio"] > 0.9
        assert played[0]["level_dbfs"] is not None


def test_telemetry_and_a_fresh_start(relay: RelayProcess, desk: Desk, edge: EdgeProcess) -> None:
    with publishing(relay, "xa", "tone:440"):
        edge.start()
        edge.wait_for_sound()
        edge.wait_for(lambda: (desk.device()["telemetry"] or {}).get("state") == "live")
        told = desk.device()["telemetry"]
        assert told["on_air"]
        assert told["faults"] == []
        assert told["clock_error_ms"] < 50
        assert edge.memory_mb() < 80
        desk.restart()
        assert edge.process is not None
        assert edge.process.wait(20) == 0


@pytest.mark.alone
def test_an_emergency_and_nothing_else_is_heard_in_quiet_hours(
    relay: RelayProcess, desk: Desk, edge: EdgeProcess
) -> None:
    now = datetime.now(UTC)
    night = [f"{now + timedelta(hours=hours):%H:%M}" for hours in (-2, 2)]
    text = edge.config.read_text().replace('"never"', f'"{night[0]}-{night[1]}"')
    edge.config.write_text(text + 'zone = "UTC"\n')
    with publishing(relay, "xa", "tone:440"):
        edge.start()
        edge.wait_for(lambda: (desk.device()["telemetry"] or {}).get("state") == "quiet hours")
        edge.wait_for(lambda: len(edge.heard().pcm) > 2 * RATE)
        assert np.abs(edge.heard().pcm).max() < 1e-3

        declared = time.monotonic()
        desk.declare("xa", "emergency")
        edge.wait_for(lambda: len(edge.heard().since(declared)) > 3 * RATE)
        loud = levels(edge.heard().since(declared))
        assert np.argmax(loud > 0.05) * 0.01 < 1.0, "an emergency is audible within a second"
        assert np.mean(loud[100:300] > 0.05) > 0.9, "and stays; a packet that came late may be concealed"

        ended = time.monotonic()
        desk.declare("xa", "normal")
        edge.wait_for(lambda: len(edge.heard().since(ended)) > 3 * RATE)
        assert np.abs(edge.heard().since(ended + 1.0)).max() < 1e-3


def test_a_revoked_receiver_falls_silent_at_once_and_plays_again_when_it_is_enrolled_anew(
    relay: RelayProcess, desk: Desk, edge: EdgeProcess
) -> None:
    with publishing(relay, "xa", "tone:440"):
        edge.start()
        edge.wait_for_sound()
        revoked = time.monotonic()
        desk.revoke()
        edge.wait_for(lambda: len(edge.heard().since(revoked)) > 4 * RATE)
        assert np.abs(edge.heard().since(revoked + 2.0)).max() < 1e-3
        edge.wait_for(lambda: "this receiver has been revoked" in edge.log.read_text())

        said = enrol(edge, desk.code("xa")).splitlines()
        assert said[0].endswith("has revoked this receiver's key: it gets a new one")
        assert said[1] == f"the old key is kept as {edge.folder / 'state' / 'device.key.old'}"
        enrolled = re.fullmatch(r"enrolled as (\S+), channel xa; .*", said[2])
        assert enrolled
        assert enrolled[1] != desk.id
        desk.id = enrolled[1]
        edge.wait_for_sound()
        assert desk.device()["connected"]
