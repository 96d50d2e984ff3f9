"""The same sum by FFmpeg's `amix`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from bench.mixer.rival import Noise, us_per_block
from relay.mixer.block import SAMPLE_RATE

MISSING = "apt-get install ffmpeg"


class Amix:
    """`amix` of `inputs` raw mono files, one thread."""

    def __init__(self, sound: Noise, inputs: int) -> None:
        self._sound = sound
        self._inputs = inputs

    def costs(self) -> dict[str, float]:
        """CPU microseconds for 20 ms of every input. Raises BenchError.

        amix         of reading as many files and mixing them
        amix_filter  of the filter alone: one file is read, and every input gets the same frames by reference
        """
        return {
            "amix": us_per_block(self._sound, self._of_files, _reason),
            "amix_filter": us_per_block(self._sound, self._of_one_file, _reason),
        }

    def _of_files(self, file: Path) -> list[str]:
        pads = "".join(f"[{number}:a]" for number in range(self._inputs))
        return self._command(_source(file) * self._inputs, pads)

    def _of_one_file(self, file: Path) -> list[str]:
        pads = "".join(f"[{number}]" for number in range(self._inputs))
        return self._command(_source(file), f"[0:a]asplit={self._inputs}{pads};{pads}")

    def _command(self, sources: list[str], pads: str) -> list[str]:
        command = ["ffmpeg", "-v", "error", "-nostdin", "-threads", "1", "-filter_complex_threads", "1"]
        command += [*sources, "-filter_complex", f"{pads}amix=inputs={self._inputs}:normalize=0"]
        return [*command, "-f", "f32le", "-y", os.devnull]


def installed() -> bool:
    """Whether there is an `ffmpeg` to run."""
    return shutil.which("ffmpeg") is not None


def _source(file: Path) -> list[str]:
    return ["-f", "f32le", "-ar", str(SAMPLE_RATE), "-ac", "1", "-i", str(file)]


def _reason(said: str) -> str:
    return said.splitlines()[-1]
