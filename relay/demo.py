"""`loa serve --demo`: a programme on air and three receivers, so that a newcomer hears it work in a minute.

Both ends are ordinary clients in processes of their own (`loa publish`, `loa listen`), started as a person would.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import shutil
import subprocess
import sys
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from relay.addresses import split_address
from relay.config import ChannelConfig, Config
from relay.net.interfaces import machine_addresses
from relay.tokens import Tokens

CHANNEL = "demo"
TITLE = "Chương trình thử · Demo programme"
RECEIVERS = 3
TOKEN_TTL_S = 24 * 3600.0
RATE = 48_000

SPOKEN = (
    ("vi", "Đây là Loa. Chương trình thử đang phát trên cụm loa của xã."),
    ("en", "This is Loa. A demonstration programme is on air."),
)
CHIME_HZ = (523.25, 659.26, 783.99, 1046.5)


class Demo:
    """The demo programme and its receivers as child processes of the relay."""

    def __init__(self, config: Config, tokens: Tokens) -> None:
        self._config = config
        self._publish = tokens.mint(subject="demo", scopes=["publish"], channels=[CHANNEL], ttl=TOKEN_TTL_S)
        self._listen = tokens.mint(subject="demo", scopes=["listen"], channels=["*"], ttl=TOKEN_TTL_S)

    @staticmethod
    def configure(config: Config) -> Config:
        """`config` with the demo channel added, if it has none of that name."""
        named = {CHANNEL: ChannelConfig(title=TITLE)} | dict(config.channels.named)
        return config.model_copy(update={"channels": config.channels.model_copy(update={"named": named})})

    async def run(self, port: int) -> None:
        """Play until cancelled; children end with it."""
        scheme = "http" if self._config.http.tls == "off" else "https"
        base = f"{scheme}://127.0.0.1:{port}"
        url = f"{base}/{CHANNEL}"
        programme = await asyncio.to_thread(make_programme, self._config.state_dir / "demo.wav")
        trust = [] if scheme == "http" else ["--insecure"]
        commands = [["publish", url, str(programme), "--loop", *trust]]
        commands += [["listen", url, *trust] for _ in range(RECEIVERS)]
        self._print_addresses(base, url)
        async with contextlib.AsyncExitStack() as stack:
            for command in commands:
                token = self._publish if command[0] == "publish" else self._listen
                await stack.enter_async_context(_child(command, token))
            await asyncio.Event().wait()

    def _elsewhere(self, url: str) -> str:
        """Where another machine finds the page, if this one has an address and listens on it."""
        host, _ = split_address(self._config.http.listen)
        if not ipaddress.ip_address(host).is_unspecified:
            return ""
        others = [text for text in machine_addresses() if not ipaddress.ip_address(text).is_loopback]
        if not others:
            return ""
        shown = f"[{others[0]}]" if ":" in others[0] else others[0]
        address = url.replace("127.0.0.1", shown)
        return f"  from another machine · từ máy khác\n                   {address}#token={self._listen}\n\n"

    def _print_addresses(self, base: str, url: str) -> None:
        print(
            f"\n  Loa is on air / Loa đang phát.  {RECEIVERS} simulated receivers are listening.\n\n"
            f"  Listen  · Nghe   {url}#token={self._listen}\n\n"
            f"{self._elsewhere(url)}"
            f"  Publish · Phát   {url}/publish#token={self._publish}\n\n"
            f"  Channels · Kênh  {base}/#token={self._listen}\n"
            f"  Metrics          {base}/metrics\n\n"
            "  Ctrl+C ends it. / Nhấn Ctrl+C để dừng.\n",
            flush=True,
        )


@contextlib.asynccontextmanager
async def _child(arguments: list[str], token: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A `loa` command that runs as long as the block; the token goes by environment, not by the process list."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "loaedge", *arguments,
        env=os.environ | {"LOA_TOKEN": token}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(3.0):
                await process.wait()
        except TimeoutError:
            process.kill()


def make_programme(path: Path) -> Path:
    """A chime, speech if espeak-ng is installed, and quiet music, as a mono WAV file; returns `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = [_chime()]
    for language, text in SPOKEN:
        parts += [_speech(language, text, path.with_suffix(f".{language}.wav")), _silence(0.7)]
    parts += [_music(8.0), _silence(0.5)]
    samples = np.concatenate(parts)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return path


def _chime() -> npt.NDArray[np.float64]:
    return np.concatenate([_note(hz, 0.35) for hz in CHIME_HZ] + [_silence(0.3)])


def _music(seconds: float) -> npt.NDArray[np.float64]:
    melody = [CHIME_HZ[i % 4] / (2 if i % 3 else 1) for i in range(round(seconds / 0.4))]
    return np.concatenate([_note(hz, 0.4) for hz in melody])


def _note(hz: float, seconds: float) -> npt.NDArray[np.float64]:
    t = np.arange(round(seconds * RATE)) / RATE
    return 0.35 * np.sin(2 * np.pi * hz * t) * np.minimum(1, t / 0.01) * np.exp(-3 * t / seconds)


def _silence(seconds: float) -> npt.NDArray[np.float64]:
    return np.zeros(round(seconds * RATE))


def _speech(language: str, text: str, scratch: Path) -> npt.NDArray[np.float64]:
    """`text` spoken by espeak-ng at 48 kHz; a pause where it is not installed."""
    espeak = shutil.which("espeak-ng")
    if espeak is None:
        return _silence(0.5)
    command = [espeak, "-v", language, "-w", str(scratch), text]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - fixed words, no shell
    resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
    with av.open(str(scratch)) as container:
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    scratch.unlink()
    return 0.6 * np.concatenate(
        [frame.to_ndarray()[0] for frame in frames + resampler.resample(None)]
    ).astype(float)
