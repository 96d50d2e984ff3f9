"""The outputs besides WebRTC as a user meets them: a relay process, a publisher, FFmpeg; and SIGKILL."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import av
import httpx
import pytest

from relay.outputs.shelf import Shelf, duration
from tests.support.on_air import hear
from tests.support.publishing import publishing
from tests.support.relay_process import RelayProcess, free_port
from tests.support.tones import dominant_frequency
from tests.support.waiting import until


def even_port() -> int:
    while (port := free_port(socket.SOCK_DGRAM)) % 2:
        pass
    return port


@contextlib.contextmanager
def relay_on_air(folder: Path, *, hertz: int = 1000) -> Iterator[RelayProcess]:
    channels = {
        "xa": ['title = "Xã Tân Phú"', "public = true"],
        "xa.recording": ["enabled = true", 'reserve = "1MB"'],
    }
    port = even_port()
    rtp = f'[[channels.xa.rtp]]\naddress = "127.0.0.1"\nport = {port}\n'
    with (
        RelayProcess(folder, channels, extra=rtp.replace("[[", "\n[[")) as relay,
        publishing(relay, "xa", f"tone:{hertz}"),
    ):
        until(lambda: on_air(relay), 30)
        yield relay


def on_air(relay: RelayProcess) -> bool:
    (state,) = httpx.get(f"{relay.base}/api/v1/channels").json()["channels"]
    return bool(state["on_air"])


def test_a_channel_is_recorded_streamed_and_sent_as_rtp(tmp_path: Path) -> None:
    with relay_on_air(tmp_path) as relay:
        sound = hear(f"{relay.base}/xa.opus", seconds=3)
        assert dominant_frequency(sound[48_000:]) == pytest.approx(1000, abs=1)

        described = httpx.get(f"{relay.base}/xa.sdp").text
        (tmp_path / "xa.sdp").write_text(described)
        whitelist = {"protocol_whitelist": "file,udp,rtp"}
        sound = hear(str(tmp_path / "xa.sdp"), options=whitelist, seconds=2)
        assert dominant_frequency(sound[24_000:]) == pytest.approx(1000, abs=1)

        bearer = {"Authorization": f"Bearer {relay.token('recordings')}"}
        path = "/api/v1/channels/xa/recordings"
        (item,) = httpx.get(relay.base + path, headers=bearer).json()["recordings"]
        assert item["seconds"] > 3
        assert not item["finished"]
        fetched = httpx.get(relay.base + item["url"], params={"token": relay.token("recordings")})
        (tmp_path / "fetched.opus").write_bytes(fetched.content)
        assert dominant_frequency(hear(str(tmp_path / "fetched.opus"))[48_000:96_000]) == pytest.approx(
            1000, abs=1
        )

        outputs = httpx.get(f"{relay.base}/api/v1/channels/xa/outputs", headers=bearer).json()
        assert outputs["recording"]["activity"] == "recording"
        assert outputs["rtp"][0]["packets"] > 100
        assert outputs["rtp"][0]["errors"] == 0
        relay.terminate()
        assert relay.process_wait(15)
    (stored,) = Shelf(tmp_path / "state" / "recordings" / "xa", "xa").recordings()
    assert not stored.partial


def test_a_killed_relay_leaves_a_recording_that_plays_and_the_next_start_finishes_it(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "state" / "recordings" / "xa", "xa")

    def seconds() -> float:
        found = shelf.recordings()
        return duration(found[0]) if found else 0.0

    with relay_on_air(tmp_path, hertz=700) as relay:
        began = time.monotonic()
        until(lambda: seconds() >= 4, 30)
        assert time.monotonic() - began < 8
        relay.kill()
    (torn,) = shelf.recordings()
    assert torn.partial
    with av.open(str(torn.path)) as container:
        assert container.duration >= 4e6
    assert dominant_frequency(hear(str(torn.path))[48_000:]) == pytest.approx(700, abs=1)
    with RelayProcess(tmp_path, {"xa": [], "xa.recording": ["enabled = true", 'reserve = "1MB"']}):
        until(lambda: all(not stored.partial for stored in shelf.recordings()), 10)
    (mended,) = shelf.recordings()
    assert duration(mended) == duration(torn.__class__(mended.name, mended.path, 0, mended.size, False)) >= 4
