"""From the name of a device to its output."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

from loacodecs.errors import ConfigurationError

from .alsa import AlsaOutput
from .devices import automatic
from .output import DEFAULT_LATENCY_S, DeviceSettings, Output, SampleFormat
from .paced import null_output, wav_output
from .pulse import PulseOutput

SHORTEST_LATENCY_S: Final = 0.03
LONGEST_LATENCY_S: Final = 2.0
KINDS: Final = "auto, pulse, pulse:SINK, alsa, alsa:PCM, wav:FILE or null"
MOST_PPM: Final = 1000.0
_PPM: Final = "?ppm="


def open_output(
    spec: str,
    *,
    latency_s: float | None = None,
    channels: int = 1,
    sample_format: SampleFormat = "float32",
) -> Output:
    """The output that `spec` names: "auto", "pulse[:SINK]", "alsa[:PCM]", "wav:FILE" or "null".

    "wav:FILE?ppm=50" plays as a card whose crystal is 50 ppm fast would, for `loa bench edge`.
    The device itself is opened by `Output.play`; only "auto" looks for one at once. `latency_s` is what its buffer
    holds. Raises ConfigurationError for a name or value that cannot be, OutputError when "auto" finds nothing or a
    library is not installed.
    """
    latency = DEFAULT_LATENCY_S if latency_s is None else latency_s
    if not (math.isfinite(latency) and SHORTEST_LATENCY_S <= latency <= LONGEST_LATENCY_S):
        raise ConfigurationError(
            f"a device latency of {latency:g} s is out of range: "
            f"{SHORTEST_LATENCY_S:g} to {LONGEST_LATENCY_S:g} s"
        )
    if channels not in (1, 2):
        raise ConfigurationError(f"{channels} channels are not possible: 1 (mono) or 2 (stereo)")
    settings = DeviceSettings(latency, channels, sample_format)
    if spec.strip() == "auto":
        spec = automatic()
    kind, _, name = spec.strip().partition(":")
    if kind == "null" and not name:
        return null_output(settings)
    if kind == "alsa":
        return AlsaOutput(name or "default", settings)
    if kind == "pulse":
        return PulseOutput(name, settings)
    if kind == "wav" and name:
        path, ppm = _crystal(name)
        return wav_output(Path(path), settings, rate_ppm=ppm)
    raise _unknown(spec)


def check_spec(spec: str) -> None:
    """Raises ConfigurationError when `spec` names no output; whether there is such a device is not looked at."""
    kind, colon, name = spec.strip().partition(":")
    if kind == "wav" and name:
        _crystal(name)
    elif not (kind in ("alsa", "pulse") or (kind in ("auto", "null") and not colon)):
        raise _unknown(spec)


def _unknown(spec: str) -> ConfigurationError:
    return ConfigurationError(f"{spec!r} names no sound output; write {KINDS}")


def _crystal(name: str) -> tuple[str, float]:
    """File and deviation of the clock in "FILE?ppm=50". Raises ConfigurationError."""
    path, mark, text = name.rpartition(_PPM)
    if not mark or not path:
        return name, 0.0
    try:
        ppm = float(text)
    except ValueError:
        raise ConfigurationError(f"{text!r} is no number of ppm") from None
    if not abs(ppm) <= MOST_PPM:
        raise ConfigurationError(f"a deviation of {text} ppm is out of range: at most {MOST_PPM:g}")
    return path, ppm
