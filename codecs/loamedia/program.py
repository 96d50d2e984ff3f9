"""Sound by the `ffmpeg` of the system, for what the FFmpeg inside PyAV's wheel cannot do: SRT, and line inputs.

The wheel was built without SRT, and its libasound looks for its configuration where the wheel was built, below /tmp:
it finds no device, unless somebody else puts a configuration there. The program only unpacks or records; its packets
come through a pipe and are decoded here like any others.
"""

from __future__ import annotations

import io
import re
import select
import shutil
import subprocess
from typing import Final

from .errors import SourceError
from .icy import decoded, plain
from .web import Transfer

PROGRAM: Final = "ffmpeg"
_LONGEST_COMPLAINT: Final = 4096
_NO_DEVICE: Final = re.compile(r"cannot open audio device .* \((.+)\)")
"""What is wrong with a line input; the last line calls all of it an input/output error."""
_NO_CONNECTION: Final = re.compile(r"Connection to .* failed: Input/output error")
"""All that SRT's library says of a server that is not there, or refuses."""
_LOOK_US: Final = "500000"
"""How much of a stream is looked at before it is sent on, microseconds."""


def of_srt(address: str) -> list[str]:
    """Arguments of the program for the first sound of an SRT address, as an MPEG transport stream."""
    reading = ["-analyzeduration", _LOOK_US, "-protocol_whitelist", "srt,udp", "-i", address]
    return [*reading, "-map", "0:a:0", "-c", "copy", "-muxdelay", "0", "-f", "mpegts"]


def of_line(device: str, channels: int) -> list[str]:
    """Arguments of the program for an ALSA device, as AU at the rate nearest to 48 kHz that the device has."""
    reading = ["-f", "alsa", "-sample_rate", "48000", "-channels", str(channels), "-i", device]
    return [*reading, "-c", "pcm_s16be", "-f", "au"]


class ProgramFile(io.RawIOBase):
    """What the program writes for some arguments, as a file for reading.

    name  what to call it in sentences
    """

    def __init__(self, arguments: list[str], name: str, transfer: Transfer) -> None:
        """Start the program. Raises SourceError when it is not installed."""
        super().__init__()
        self.name = name
        self._transfer = transfer
        program = shutil.which(PROGRAM)
        if program is None:
            raise SourceError(f"cannot open {name}: it needs the program ffmpeg, apt-get install ffmpeg")
        command = [program, "-nostdin", "-loglevel", "error", *arguments, "-flush_packets", "1", "pipe:1"]
        self._broken = False
        self._said = b""
        self._process = subprocess.Popen(  # noqa: S603 - no shell, and the address is an argument of its own
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )
        transfer.on_cut(self._process.kill)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, b"" at the end. Raises SourceError when nothing comes, or it never came to anything."""
        if self._broken:  # FFmpeg asks again after an error; it was told once
            return b""
        try:
            return self._read(size)
        except SourceError:
            self._broken = True
            raise

    def _read(self, size: int) -> bytes:
        pipe, complaints = self._process.stdout, self._process.stderr
        assert pipe is not None
        assert complaints is not None
        watched = [pipe, complaints]
        while True:
            self._transfer.check(self.name)
            ready, _, _ = select.select(watched, [], [], self._transfer.timeout_s)
            self._transfer.check(self.name)
            if not ready:
                raise SourceError(
                    f"{self.name} sent nothing for {self._transfer.timeout_s:g} s", passing=True
                )
            if complaints in ready and not self._listen():
                watched = [pipe]
            if pipe in ready:
                break
        data = pipe.read(32768 if size is None or size < 0 else size)
        self._transfer.check(self.name)
        if not data and self._process.wait() != 0:
            while self._listen():
                pass
            raise SourceError(f"cannot read {self.name}: {self._complaint()}", passing=True)
        return data or b""

    def close(self) -> None:
        if not self.closed:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdout, self._process.stderr):
                if pipe is not None:
                    pipe.close()
        super().close()

    def _listen(self) -> bool:
        """Take what it complains of, lest the pipe fills up and it waits for us for ever; False at the end."""
        assert self._process.stderr is not None
        said = self._process.stderr.read(_LONGEST_COMPLAINT) or b""
        self._said = (self._said + said)[-_LONGEST_COMPLAINT:]
        return bool(said)

    def _complaint(self) -> str:
        said = decoded(self._said).strip()
        if device := _NO_DEVICE.search(said):
            return plain(device[1]).lower()
        if _NO_CONNECTION.search(said):
            return "nobody answers there, or who answers refuses (streamid, passphrase)"
        lines = said.splitlines()
        # The line begins with the address, which may hold a passphrase.
        return plain(lines[-1].rpartition(": ")[2]).lower() if lines else "it has ended"
