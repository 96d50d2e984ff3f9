"""A mixed channel in a relay process with every kind of bad input: each is a sentence, and the good one is heard."""

from __future__ import annotations

import asyncio
import struct
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from tests.support.aiortc_peers import Ear
from tests.support.media_files import tone_file
from tests.support.mixing import strength
from tests.support.relay_process import RelayProcess
from tests.support.web_radio import Asked, web_radio

PATIENCE_S = 30.0
SENTENCES = {
    "corrupt": "corrupt.mp3",
    "empty": "empty.mp3: it is empty",
    "nan": "no sound (NaN",
    "missing": "missing.mp3: no such file",
    "deleted": "deleted.wav: no such file",
    "mute": "does not answer within 10 s",
    "trickle": "does not answer within 10 s",
    "absent": "answers 404",
}
"""What the fault of an input says, by its name."""
SOUND = ("truncated", "chained", "tone")


def respond(asked: Asked) -> None:
    if asked.path == "/absent":
        asked.answer("404 Not Found", {"Content-Length": "0"})
    elif asked.path == "/mute":
        asked.wait()
    else:
        asked.answer("200 OK", {"Content-Type": "audio/mpeg"})
        while not asked.closing.wait(1.0):
            asked.send(b"\xff")


def wav_of(samples: NDArray[np.float32]) -> bytes:
    """A WAV file of float samples at 48 kHz, mono."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 3, 1, 48_000, 192_000, 4, 32)
    data = struct.pack("<4sI", b"data", samples.nbytes) + samples.tobytes()
    return struct.pack("<4sI4s", b"RIFF", 4 + len(form) + len(data), b"WAVE") + form + data


def files_in(folder: Path) -> None:
    (folder / "corrupt.mp3").write_bytes(b"no sound at all" * 1000)
    (folder / "empty.mp3").write_bytes(b"")
    no_numbers = np.where(np.arange(96_000) % 3, 0.0, np.nan).astype("<f4")
    (folder / "nan.wav").write_bytes(wav_of(no_numbers))
    whole = tone_file(folder / "truncated.mp3", 2.0, 700.0).read_bytes()
    (folder / "truncated.mp3").write_bytes(whole[: len(whole) * 2 // 3 + 7])
    links = [tone_file(folder / f"{rate}.ogg", 1.0, 1200.0, rate=rate) for rate in (48000, 32000)]
    (folder / "chained.ogg").write_bytes(b"".join(link.read_bytes() for link in links))
    tone_file(folder / "deleted.wav", 1.0, 1500.0)


def channel(base: str) -> list[str]:
    sources = {
        "tone": "tone:3000",
        "chained": "chained.ogg",
        **{name: f"{name}.mp3" for name in ("corrupt", "missing", "truncated", "empty")},
        "nan": "nan.wav",
        "deleted": "deleted.wav",
        **{name: f"{base}/{name}" for name in ("mute", "trickle", "absent")},
    }
    lines = ['mode = "mix"', "leveller = false", "bitrate = 64000"]
    for name, source in sources.items():
        lines += [
            "[[channels.xa.inputs]]",
            f'name = "{name}"',
            f'source = "{source}"',
            "gain = -12",
        ]
    return lines


async def faults_once(
    relay: RelayProcess, client: httpx.AsyncClient, wanted: set[str]
) -> dict[str, dict[str, Any]]:
    """The inputs by name as soon as all `wanted` have a fault."""
    address = f"{relay.base}/api/v1/channels/xa/state"
    deadline = time.monotonic() + PATIENCE_S
    while True:
        answer = await client.get(address)
        inputs = {each["name"]: each for each in answer.json()["inputs"]}
        if all(inputs[name]["fault"] for name in wanted):
            return inputs
        assert time.monotonic() < deadline, inputs
        await asyncio.sleep(0.2)


async def test_each_bad_input_is_a_sentence_and_the_good_ones_are_heard(tmp_path: Path) -> None:
    files_in(tmp_path)
    with web_radio(respond) as radio, RelayProcess(tmp_path, {"xa": channel(radio.url(""))}) as relay:
        (tmp_path / "deleted.wav").unlink()
        headers = {"Authorization": f"Bearer {relay.token('control', 'listen')}"}
        ear = Ear()
        async with httpx.AsyncClient(headers=headers) as client:
            inputs = await faults_once(relay, client, set(SENTENCES))
            metrics = (await client.get(f"{relay.base}/metrics")).text
            await ear.connect(f"{relay.base}/xa/whep", relay.token("listen"))
            try:
                await ear.hear(1.0)
                sound = (await ear.hear(2.0))[-90_000:]
            finally:
                await ear.close()
    for name, sentence in SENTENCES.items():
        assert sentence in inputs[name]["fault"]
    assert [inputs[name]["fault"] for name in SOUND] == [""] * len(SOUND)
    for name in inputs:
        faulty = 1.0 if name in SENTENCES else 0.0
        assert f'loa_source_faulty{{channel="xa",source="{name}"}} {faulty}' in metrics
    # by the best part: where a file begins anew in the middle, its tone does so at another phase
    parts = np.split(sound, 5)
    assert min(max(strength(part, hertz) for part in parts) for hertz in (700, 1200, 3000)) > -50
    assert strength(sound, 1500) < -65
