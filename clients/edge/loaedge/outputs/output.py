"""What every output is: something that asks for sound and says when it will be heard.

LoaError
└── OutputError      the device is not there, was lost, or hangs; one sentence with the mend where it is known
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from loacodecs.errors import LoaError
from loacodecs.opus import SAMPLE_RATE

Pcm = NDArray[np.float32]
"""float32 (samples, channels), full scale ±1, 48 kHz."""

Render = Callable[[int, float], Pcm]
"""`render(frames, heard_at)` gives (frames, channels), one or two channels: what leaves the loudspeaker from the
local time `heard_at` (`time.monotonic()`) on."""

Ready = Callable[[int, float], int]
"""`ready(frames, heard_at)`: how many of the frames that `render` would give would not become better by waiting."""

SampleFormat = Literal["float32", "s16"]

DEFAULT_LATENCY_S: Final = 0.3
"""Enough for large blocks, and that a pause of the interpreter (garbage, another thread's long call) does not empty the
device meanwhile."""
LARGEST_BLOCK_S: Final = 0.2
_KEPT_S: Final = 0.1
"""What the device still holds when it wants a block, if it is large enough for that."""


class OutputError(LoaError):
    """The sound device cannot be opened, was lost or hangs."""


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """How a device is driven: what is kept in its buffer, and what its samples look like."""

    latency_s: float = DEFAULT_LATENCY_S
    channels: int = 1
    sample_format: SampleFormat = "float32"

    @property
    def block(self) -> int:
        """Frames asked for at once, see `largest_block`."""
        return largest_block(round(self.latency_s * SAMPLE_RATE))


def largest_block(buffer: int) -> int:
    """Frames to ask for at once by a device that holds `buffer` frames: half of them, or all but 100 ms, to 200 ms.

    A wake-up costs as much as what is done in it, since it finds the caches cold; fewer of them cost less.
    """
    kept = min(buffer // 2, round(_KEPT_S * SAMPLE_RATE))
    return min(max(buffer - kept, SAMPLE_RATE // 100), round(LARGEST_BLOCK_S * SAMPLE_RATE))


def all_ready(frames: int, _heard_at: float) -> int:
    """The `Ready` of sound that is always there."""
    return frames


class Output(Protocol):
    """A sound device. It is opened by `play` and closed when that ends; to try again take a new one."""

    @property
    def name(self) -> str:
        """As `open_output` takes it."""

    @property
    def latency_s(self) -> float:
        """From `render` to the loudspeaker, as last measured; 0.0 before it is known."""

    @property
    def underruns(self) -> int:
        """Times the device had nothing left to play."""

    @property
    def commit_s(self) -> float:
        """So long before it is heard sound is rendered at the latest: what comes later is not heard."""

    def play(self, render: Render, stop: threading.Event, ready: Ready = all_ready) -> None:
        """Play, in a thread of its own, until `stop` is set. Raises OutputError when the device is lost.

        Sound that is not `ready` is rendered at the last moment.
        """
