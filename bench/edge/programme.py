"""What is on air in a test: sound whose every moment is known, as the packets that carry it.

The mixture is noise with the long-term spectrum of speech, swelling and ebbing as syllables do, over a gliding voice:
no two moments are alike, so that correlation finds each one, and no concealment can guess it. Speech, which the
measure of intelligibility needs, is spoken by espeak-ng.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import soxr
from numpy.typing import NDArray

from bench.errors import BenchError
from loacodecs.opus import SAMPLE_RATE, OpusDecoder, OpusEncoder

FRAME: Final = 960
"""Samples of a frame of 20 ms."""
_RMS: Final = 0.1
_PEAK: Final = 0.5
_SPEECH: Final = (
    "Đây là đài truyền thanh xã Tân Phú. Kính chào bà con và các bạn. Sau đây là bản tin thời sự buổi sáng. "
    "Trung tâm dự báo khí tượng thủy văn cho biết, trong hai ngày tới khu vực có mưa to đến rất to, "
    "mực nước trên sông Tiền tiếp tục lên nhanh. Bà con cần chủ động gia cố đê bao, đưa người già và trẻ em "
    "đến nơi an toàn, và nghe thông báo tiếp theo trên loa của xã."
)

Mono = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the programme is encoded, in frames of 20 ms; `expected_loss` in percent counts with `fec`."""

    bitrate: int = 24_000
    fec: bool = False
    expected_loss: int = 0


def mixture(seconds: float, seed: int) -> Mono:
    """Mono sound at 48 kHz, -20 dBFS, never silent."""
    count = round(seconds * SAMPLE_RATE)
    rng = np.random.default_rng(seed)
    times = np.arange(count) / SAMPLE_RATE
    spectrum = np.fft.rfft(rng.standard_normal(count))
    frequencies = np.fft.rfftfreq(count, 1 / SAMPLE_RATE)
    # Flat to 500 Hz, then falling by 6 dB an octave, nothing below 80 Hz: near enough to speech (ITU-T P.50)
    spectrum *= (frequencies > 80) / np.sqrt(1 + (frequencies / 500) ** 2)
    noise = np.fft.irfft(spectrum, count)
    swell = 0.55 + 0.3 * np.sin(2 * np.pi * 3.7 * times) + 0.15 * np.sin(2 * np.pi * 1.3 * times + 1)
    pitch = 140 + 40 * np.sin(2 * np.pi * 0.31 * times) + 15 * np.sin(2 * np.pi * 2.3 * times)
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    voice = sum(np.sin(number * phase) / number for number in range(1, 9))
    sound = swell * (noise / noise.std() + 0.3 * voice)
    sound *= _RMS / np.sqrt(np.mean(sound**2))
    return np.asarray(np.clip(sound, -_PEAK, _PEAK), np.float32)


def speech() -> Mono:
    """A bulletin in Vietnamese, mono at 48 kHz. Raises BenchError when espeak-ng is not installed."""
    command = shutil.which("espeak-ng")
    if command is None:
        raise BenchError("espeak-ng speaks the bulletin and is not installed: sudo apt-get install espeak-ng")
    with tempfile.TemporaryDirectory(prefix="loa-speech-") as folder:
        path = Path(folder) / "speech.wav"
        done = subprocess.run(  # noqa: S603 - words of our own
            [command, "-v", "vi", "-w", str(path), _SPEECH], capture_output=True, check=False
        )
        if done.returncode or not path.exists():
            raise BenchError(f"espeak-ng cannot speak: {done.stderr.decode(errors='replace').strip()}")
        with wave.open(str(path), "rb") as file:
            rate = file.getframerate()
            pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768
    sound = soxr.resample(pcm, rate, SAMPLE_RATE)
    sound *= _PEAK / np.max(np.abs(sound))
    return np.asarray(sound, np.float32)


def encode(sound: Mono, encoding: Encoding) -> list[bytes]:
    """Opus packets of 20 ms; a rest shorter than that is left out."""
    encoder = OpusEncoder(
        application="voip",
        bitrate=encoding.bitrate,
        fec=encoding.fec,
        expected_loss=encoding.expected_loss,
    )
    return [encoder.encode(sound[begin : begin + FRAME]) for begin in range(0, len(sound) - FRAME + 1, FRAME)]


def lookahead() -> int:
    """Samples by which decoded sound comes after what was encoded: the encoder's own delay."""
    return OpusEncoder(application="voip").lookahead


def decode(packets: Sequence[bytes]) -> Mono:
    """What is heard where every packet arrives; sample 0 is that of the first packet's timestamp."""
    decoder = OpusDecoder(1)
    return np.concatenate([decoder.decode(packet)[:, 0] for packet in packets])
