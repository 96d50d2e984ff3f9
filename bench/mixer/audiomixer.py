"""The same sum by GStreamer's `audiomixer`."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from bench.mixer.rival import Noise, us_per_block
from relay.mixer.block import FRAME, SAMPLE_RATE

MISSING = "apt-get install gstreamer1.0-tools gstreamer1.0-plugins-base"
_LAUNCH = "gst-launch-1.0"
_PARSE = f"rawaudioparse format=pcm pcm-format=f32le sample-rate={SAMPLE_RATE} num-channels=1"
_BLOCK_BYTES = 4 * FRAME
_BLOCK_NS = FRAME * 1_000_000_000 // SAMPLE_RATE


class Audiomixer:
    """`audiomixer` of `inputs` raw mono files into blocks of 20 ms, as fast as it can: no clock.

    GStreamer gives every file a thread, and nothing makes it share one; their CPU is counted together.
    """

    def __init__(self, sound: Noise, inputs: int) -> None:
        self._sound = sound
        self._inputs = inputs

    def costs(self) -> dict[str, float]:
        """CPU microseconds for 20 ms of every input. Raises BenchError.

        audiomixer         of reading as many files and mixing them; their parsers read 64 KB, 341 ms, at a time
        audiomixer_blocks  of the same in buffers of 20 ms, as live sound comes
        audiomixer_filter  of the element alone: one file is read, and every input gets the same buffers by reference
        """
        ways = {
            "audiomixer": self.of_files,
            "audiomixer_blocks": self.of_blocks,
            "audiomixer_filter": self.of_one_file,
        }
        return {way: us_per_block(self._sound, command, _reason) for way, command in ways.items()}

    def of_files(self, file: Path, to: Path = Path(os.devnull)) -> list[str]:
        """The command that reads `file` for every input, and writes the mix."""
        branch = ["filesrc", f"location={file}", "!", *_PARSE.split(), "!", "mix."]
        return self._command(to, branch * self._inputs)

    def of_blocks(self, file: Path, to: Path = Path(os.devnull)) -> list[str]:
        """The same by 20 ms: a parser behind a `tee` may not read for itself, and takes what `filesrc` reads."""
        source = ["filesrc", f"location={file}", f"blocksize={_BLOCK_BYTES}", "!", "tee"]
        return self._command(to, [*source, "!", *_PARSE.split(), "!", "mix."] * self._inputs)

    def of_one_file(self, file: Path, to: Path = Path(os.devnull)) -> list[str]:
        """The command that reads `file` once."""
        source = ["filesrc", f"location={file}", "!", *_PARSE.split(), "!", "tee", "name=all"]
        # gst-launch does not link request pads of both by itself
        links = [f"all.src_{number} ! mix.sink_{number}".split() for number in range(self._inputs)]
        return self._command(to, source + [word for link in links for word in link])

    def _command(self, to: Path, sources: list[str]) -> list[str]:
        mix = ["audiomixer", "name=mix", f"output-buffer-duration={_BLOCK_NS}"]
        caps = f"audio/x-raw,format=F32LE,rate={SAMPLE_RATE},channels=1"
        sink = ["filesink", f"location={to}", "sync=false"]
        return [_LAUNCH, "-q", *mix, "!", caps, "!", *sink, *sources]


def installed() -> bool:
    """Whether GStreamer is, with the elements that are needed."""
    inspect = shutil.which("gst-inspect-1.0")
    if inspect is None or shutil.which(_LAUNCH) is None:
        return False
    return all(
        subprocess.run([inspect, element], capture_output=True).returncode == 0  # noqa: S603
        for element in ("audiomixer", "rawaudioparse")
    )


def _reason(said: str) -> str:
    """What the first error of several says, and the last line of its details."""
    first = said[max(said.find("ERROR:"), 0) :].split("\nERROR:")[0].splitlines()
    return " ".join(first[:: max(len(first) - 1, 1)])
