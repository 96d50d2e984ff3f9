"""From a recording and the programme: when each moment was heard, and which frames were not what was sent.

The delay is that of cross-correlation in windows. Then each frame of 20 ms of the programme, decoded from the clean
stream, is laid over what was played at its time; where the two differ by more than a quarter of the frame's energy the
frame was not heard as it should have been, whatever the receiver's counters say.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from bench.edge.programme import FRAME, Mono
from bench.edge.recording import Recording
from bench.edge.skew import SILENCE_RMS, delay_samples
from loacodecs.opus import SAMPLE_RATE

HOP_S: Final = 0.1
WINDOW_S: Final = 0.2
MOST_S: Final = 0.1
"""A delay that is further off is not found; what is so far off is no sound of this moment."""
DEVIATING: Final = 0.25
"""Energy of the difference over the frame's own from which on a frame counts as concealed: -6 dB."""
AUDIBLE: Final = 1e-6
"""Mean square of a frame that is judged at all: -60 dBFS."""
_BAND_HZ: Final = 4000.0
_NEAR_S: Final = 0.5
_CHUNK: Final = 512
_FADE: Final = 960
_ENDS: Final = 48
"""Samples at the ends of what is looked for, where the pieces' own ends meet."""

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Programme:
    """What was sent: `sound` as decoded from the clean stream, its first sample captured at `captured`."""

    sound: Mono
    captured: float
    target_s: float
    """Delay with which it is to be heard."""

    def due(self, sample: float) -> float:
        """When a sample is to be heard."""
        return self.captured + self.target_s + sample / SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Heard:
    """One receiver between two moments. All times are monotonic seconds.

    times, delays  middle of each window, and mouth-to-horn delay there (s); NaN where no clear peak was found
    due, wrong     when each judged frame was to be heard, and whether something else was heard instead
    """

    times: Floats
    delays: Floats
    due: Floats
    wrong: Flags

    @property
    def clear(self) -> Floats:
        """Delays that were found."""
        return self.delays[~np.isnan(self.delays)]

    def wrong_between(self, begin: float, end: float) -> int:
        """Frames due in a stretch that were not heard."""
        return int(np.count_nonzero(self.wrong & (self.due >= begin) & (self.due < end)))

    def wrong_runs(self, since: float) -> list[tuple[float, int]]:
        """Runs of wrong frames: when each was due, in seconds after a moment, and how many there are in it."""
        found = np.flatnonzero(self.wrong)
        runs = np.split(found, np.flatnonzero(np.diff(found) > 1) + 1) if found.size else []
        return [(round(float(self.due[run[0]] - since), 2), int(run.size)) for run in runs]

    def sound_back(self, after: float, frames: int = 10) -> float | None:
        """Seconds after a moment until `frames` frames in a row are right again; None when that never comes."""
        begin = int(np.searchsorted(self.due, after))
        right = ~self.wrong[begin:]
        run = (
            np.convolve(right, np.ones(frames), "valid") > frames - 0.5 if right.size >= frames else right[:0]
        )
        found = np.flatnonzero(run)
        return float(self.due[begin + found[0]] - after) if found.size else None

    def longest_gap(self, begin: float, end: float) -> float:
        """Seconds of the longest run of wrong frames that were due in a stretch."""
        longest = run = 0
        for wrong in self.wrong[(self.due >= begin) & (self.due < end)]:
            run = run + 1 if wrong else 0
            longest = max(longest, run)
        return longest * FRAME / SAMPLE_RATE


def listen(recording: Recording, programme: Programme, begin: float, end: float) -> Heard:
    """Compare a recording with the programme between two moments (monotonic seconds of hearing)."""
    times = np.arange(begin, end - WINDOW_S, HOP_S) + WINDOW_S / 2
    # The delay wanders by half a millisecond a second: before the first window and after the last it is another one
    around = HOP_S * np.arange(1, round(1.5 * WINDOW_S / HOP_S))
    wide = np.concatenate((times[:1] - around[::-1], times, times[-1:] + around))
    found = np.array([_error(recording, programme, moment - WINDOW_S / 2) for moment in wide])
    errors = found[around.size :][: times.size]
    first, last = (int(np.ceil((moment - programme.due(0)) * SAMPLE_RATE / FRAME)) for moment in (begin, end))
    frames = np.arange(max(0, first), min(last, len(programme.sound) // FRAME))
    judged, wrong = _judge(recording, programme, frames, wide, found)
    due = programme.due(0) + frames[judged] * FRAME / SAMPLE_RATE
    return Heard(times, programme.target_s + errors, due, wrong[judged])


def skews(heard: list[Heard]) -> Floats:
    """|delay difference| (s) of every two receivers in every window in which both were heard clearly."""
    delays = np.stack([one.delays for one in heard])
    apart = [
        np.abs(delays[one] - delays[other])
        for one in range(len(delays))
        for other in range(one + 1, len(delays))
    ]
    found = np.concatenate(apart) if apart else np.empty(0)
    return found[~np.isnan(found)]


def _error(recording: Recording, programme: Programme, begin: float) -> float:
    """By how many seconds what is heard from `begin` on is later than it should be; NaN when it cannot be told.

    It is looked for in a longer piece of the programme, and both pieces are faded at their ends: to the phase transform
    two cuts are alike.
    """
    size, most = round(WINDOW_S * SAMPLE_RATE), round(MOST_S * SAMPLE_RATE)
    at = recording.index(begin)
    expected = (begin - programme.due(0)) * SAMPLE_RATE
    place, start = round(at), round(expected) - most
    if place < 0 or start < 0:
        return math.nan
    played, wanted = recording.sound[place : place + size], programme.sound[start : start + size + 2 * most]
    if len(played) < size or len(wanted) < size + 2 * most:
        return math.nan
    if min(float(np.mean(np.square(part, dtype=np.float64))) for part in (played, wanted)) < SILENCE_RMS**2:
        return math.nan
    later = delay_samples(_faded(wanted), _faded(played), 2 * most)
    if later is None or abs(later + most) > most - _ENDS:
        return math.nan
    # Both were cut at whole samples: what was cut off too much of either moves the peak.
    return (later + most + (place - at) - (start + most - expected)) / SAMPLE_RATE


def _faded(sound: Mono) -> Mono:
    faded = sound.copy()
    ramp = np.sin(np.linspace(0, np.pi / 2, _FADE, dtype=np.float32)) ** 2
    faded[:_FADE] *= ramp
    faded[-_FADE:] *= ramp[::-1]
    return faded


def _judge(
    recording: Recording, programme: Programme, frames: NDArray[np.int64], times: Floats, errors: Floats
) -> tuple[Flags, Flags]:
    """Which frames can be judged (something sounds in them), and which were not heard."""
    band = butter(4, _BAND_HZ, fs=SAMPLE_RATE, output="sos")
    low = max(0, int(frames[0]) * FRAME - SAMPLE_RATE) if frames.size else 0
    high = (int(frames[-1]) + 1) * FRAME if frames.size else 0
    wanted = sosfilt(band, programme.sound[low:high]).astype(np.float32)
    played = sosfilt(band, recording.sound).astype(np.float32)
    clear = ~np.isnan(errors)
    judged, wrong = np.zeros(frames.size, bool), np.ones(frames.size, bool)
    known_times, known = times[clear], errors[clear]
    offsets = np.arange(FRAME)
    for begin in range(0, frames.size, _CHUNK):
        part = frames[begin : begin + _CHUNK]
        reference = wanted[part[:, None] * FRAME - low + offsets].astype(np.float64)
        energy = np.mean(reference**2, axis=1)
        judged[begin : begin + _CHUNK] = energy > AUDIBLE
        if not known.size:
            continue
        due = programme.due(0) + part * FRAME / SAMPLE_RATE
        error = np.interp(due, known_times, known)
        nearest = np.min(np.abs(due[:, None] - known_times[None, :]), axis=1)
        places = recording.index(due + error)[:, None] + offsets * (recording.rate / SAMPLE_RATE)
        difference = np.mean((_at(played, places) - reference) ** 2, axis=1)
        wrong[begin : begin + _CHUNK] = (difference > DEVIATING * energy) | (nearest > _NEAR_S)
    return judged, wrong


def _at(sound: Mono, places: Floats) -> Floats:
    """The sound between its samples (Catmull-Rom: enough below 4 kHz); silence beyond its ends."""
    whole = np.floor(places).astype(np.int64)
    t = places - whole
    inside = (whole >= 1) & (whole < len(sound) - 2)
    whole = np.clip(whole, 1, max(1, len(sound) - 3))
    a, b, c, d = (sound[whole + step].astype(np.float64) for step in (-1, 0, 1, 2))
    value: Floats = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    return np.where(inside, value, 0.0)
