"""What Opus adds to true peaks, and how much room for it the limiter in front of the encoder leaves.

A decoder gives back another waveform than was encoded, with higher peaks the fewer bits there are. The figures are from
speech, music and bursts, limited hard, through libopus; docs/mixing.md has them, and what is beyond them.
AES TD1008 §7 and EBU Tech 3344 ask for the same: the limiter before a codec goes lower as the bit rate does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, Literal

Application = Literal["voip", "audio", "lowdelay"]

DECODED_DBTP: Final = -1.0
"""What listeners decode is to stay below."""

_FEW_BITS: Final = 40_000
_HEADROOM_DB: Final[Mapping[Application, tuple[tuple[float, float], ...]]] = {
    "voip": ((_FEW_BITS, 3.25), (math.inf, 2.5)),
    "audio": ((_FEW_BITS, 3.0), (56_000, 2.0), (math.inf, 1.5)),
    "lowdelay": ((_FEW_BITS, 3.0), (80_000, 2.0), (math.inf, 1.5)),
}
"""Below so many bit/s for each channel, so many dB. "voip" filters what it encodes, which more bits do not undo, and
with few bits a frame in thousands of speech that is limited hard has 3 dB more."""
_LONG_FRAMES_DB: Final = 0.5
"""With "lowdelay" packets of 40 and 60 ms overshoot more, when bits are few."""


def ceiling_for(application: Application, bitrate: int, channels: int, frame_ms: int) -> float:
    """The ceiling, dBTP, for what is encoded so; `bitrate` is of all channels, bit/s."""
    each = bitrate / channels
    headroom = next(db for below, db in _HEADROOM_DB[application] if each < below)
    if frame_ms > 20 and each < _FEW_BITS and application == "lowdelay":
        headroom += _LONG_FRAMES_DB
    return DECODED_DBTP - headroom
