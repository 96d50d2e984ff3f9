"""FFmpeg's own WHIP muxer publishes to a real relay.

PyAV's FFmpeg is built with GnuTLS, whose WHIP muxer makes a P-224 certificate that today's OpenSSL refuses (RFC 8422
dropped the curve): it needs `cert_file` and `key_file`, as the README says.
"""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import av
import numpy as np

from loacodecs.certificate import Certificate
from tests.support.aiortc_peers import Ear
from tests.support.relay_process import RelayProcess
from tests.support.tones import dominant_frequency, level_dbfs

FRAME = 960


def publish(url: str, options: dict[str, str], hz: float, stop: threading.Event) -> None:
    """Publish a tone at the pace of the clock until `stop`."""
    with av.open(url, "w", format="whip", options=options) as container:
        stream = container.add_stream("libopus", rate=48_000, layout="stereo")
        start = time.monotonic()
        for n in range(3000):
            if stop.wait(max(0.0, start + n * 0.02 - time.monotonic())):
                break
            t = (n * FRAME + np.arange(FRAME)) / 48_000
            sound = (0.3 * 32767 * np.sin(2 * np.pi * hz * t)).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(np.repeat(sound, 2)[None, :], format="s16", layout="stereo")
            frame.sample_rate = 48_000
            frame.pts = n * FRAME
            for packet in stream.encode(frame):
                container.mux(packet)


async def test_what_ffmpeg_publishes_is_heard(relay: RelayProcess, tmp_path: Path) -> None:
    certificate = tmp_path / "certificate.pem"
    certificate.write_bytes(Certificate.generate("ffmpeg").to_pem())
    token = relay.token("publish", "listen", channels=["xa"])
    options = {"authorization": token, "cert_file": str(certificate), "key_file": str(certificate)}
    stop = threading.Event()
    ear = Ear()
    await ear.connect(f"{relay.base}/xa/whep", token)
    publishing = asyncio.create_task(
        asyncio.to_thread(publish, f"{relay.base}/xa/whip", options, 660.0, stop)
    )
    try:
        await ear.hear(1.0)
        sound = (await ear.hear(1.0))[-40_000:]
        assert abs(dominant_frequency(sound) - 660) < 3
        assert level_dbfs(sound) > -20
    finally:
        stop.set()
        await publishing
        await ear.close()
