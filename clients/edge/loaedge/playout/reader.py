"""From frames in their places to sound without holes, decoded just before it is wanted."""

from __future__ import annotations

from typing import Final

import numpy as np

from loacodecs.errors import MalformedError
from loacodecs.opus import SAMPLE_RATE, OpusDecoder, Pcm, has_fec, is_dtx

from .frames import Frame
from .line import Line

STEP: Final = 960
"""At most so much is invented at once."""
CONCEALED: Final = SAMPLE_RATE // 5
"""Longer than this no lost sound is invented: it has faded out."""
HELD: Final = CONCEALED // 4
"""So long before it begins to fade."""
COMFORT: Final = SAMPLE_RATE
"""How long libopus is asked for comfort noise while the sender pauses (DTX)."""
_UNIT: Final = 120
_FADE_IN: Final = 480


class FrameReader:
    """Reads the line sample by sample from `position` on; concealment where nothing has come.

    Where sound is lost: the copy in the following frame (in-band FEC), else what libopus makes up, fading out.
    """

    def __init__(self, line: Line, channels: int) -> None:
        self.position = 0
        """The next sample that `read` gives."""
        self._line = line
        self._channels = channels
        self._decoder = OpusDecoder(channels)
        self._left: Pcm = np.zeros((0, channels), np.float32)
        self._next = 0  # where decoding goes on: position + len(left)
        self._invented = CONCEALED
        self._gap: int | None = None  # where sound broke off
        self._mended = 0  # samples of that gap decoded from FEC
        self._excused = False  # nobody heard that gap, or not all of it
        self._begun = False
        self._pausing = False
        self._played = 0
        self._faded = _FADE_IN  # how far a fade-in has come

    @property
    def silent(self) -> bool:
        """Whether there is nothing to give but silence until frames come that begin later."""
        return self._invented >= CONCEALED + STEP and not self._pausing

    @property
    def needs(self) -> int:
        """Where the next frame to be decoded begins, or what stands for it."""
        return self._next

    def seek(self, position: int) -> None:
        """Read from `position` on; what was read before is not read twice, there is silence instead.

        What the decoder needs to be in the picture is decoded for it.
        """
        self.position = self._next = position
        self._played = self._line.read
        self._left = self._left[:0]
        self._invented, self._pausing = CONCEALED, False
        begin = max(position, self._played)
        first = self._line.buffer.at(begin)
        before = self._line.buffer.at((begin if first is None else first.start) - 1)
        if before is None:
            self._decoder.reset()  # what it remembers may be of yesterday
        else:
            self._decode(before)

    def excuse(self) -> None:
        """Nobody has listened for a while: of a gap that is open nothing counts as concealed."""
        self._excused = self._gap is not None

    def read(self, samples: int) -> Pcm:
        """The next `samples` samples, (samples, channels)."""
        left = self._left
        parts, held = [left], len(left)
        while held < samples:
            part = self._piece(samples - held)
            parts.append(part)
            held += len(part)
        sound = np.concatenate(parts) if len(parts) > 1 else left
        self._left = sound[samples:]
        self.position += samples
        return sound[:samples]

    def _piece(self, wanted: int) -> Pcm:
        buffer = self._line.buffer
        frame = buffer.at(self._next)
        if self._next < self._played:
            sound = self._silence(min(wanted, self._played - self._next))
        elif frame is None:
            sound = self._missing(wanted)
        else:
            sound = self._sound(frame)
        self._next += len(sound)
        if self._next > self._line.read:
            self._line.read = self._next
            buffer.advance(self._next)
        return sound

    def _sound(self, frame: Frame) -> Pcm:
        skip = self._next - frame.start
        decoded = self._decode(frame)
        if decoded is None:
            self._gap = self._next if self._gap is None else self._gap
            return self._made(frame.samples - skip, lost=True)
        if self._gap is not None:
            self._close_gap(frame.start)
        quiet, self._invented, self._begun = self._invented, 0, True
        self._pausing = is_dtx(frame.data)
        sound = decoded[skip:]
        self._line.stats.played_samples += len(sound)
        if quiet >= CONCEALED:
            self._faded = 0
        if self._faded < _FADE_IN:
            points = np.arange(self._faded, min(_FADE_IN, self._faded + len(sound)), dtype=np.float32)
            sound[: len(points)] *= (points / _FADE_IN)[:, None]
            self._faded += len(sound)
        return sound

    def _decode(self, frame: Frame) -> Pcm | None:
        try:
            decoded = self._decoder.decode(frame.data)
        except MalformedError:
            return None
        return decoded if len(decoded) == frame.samples else None

    def _missing(self, wanted: int) -> Pcm:
        """Nothing has come for the next sample."""
        if self._gap is None and self._begun:
            self._gap = self._next
        following = self._line.buffer.after(self._next)
        room = STEP if following is None else following.start - self._next
        if following is None:
            lost = not self._pausing
        else:
            lost = not self._line.buffer.paused(self._next, self._next + 1)
            if lost and room <= following.samples and (copy := self._copy(following, room)) is not None:
                return copy
            if lost and room > following.samples:
                room -= following.samples
        # What comes meanwhile may still be played: no more than is wanted now.
        return self._made(min(STEP, room, -(-wanted // _UNIT) * _UNIT), lost=lost)

    def _copy(self, following: Frame, samples: int) -> Pcm | None:
        """The frame before `following` from the copy that `following` carries (RFC 6716 §4.2.3)."""
        if samples % _UNIT or self._invented >= CONCEALED:
            return None
        try:
            if not has_fec(following.data):
                return None
            sound = self._decoder.decode_fec(following.data, samples)
        except MalformedError:
            return None
        self._line.stats.recovered_fec += 1
        self._mended += samples
        self._invented = 0
        return sound

    def _made(self, samples: int, *, lost: bool) -> Pcm:
        """Sound in place of what did not come: `lost`, or never sent."""
        limit = CONCEALED if lost else COMFORT
        begin, self._invented = self._invented, self._invented + samples
        if begin >= limit:
            self._pausing = False
            return self._silence(samples)
        whole = -(-samples // _UNIT) * _UNIT
        sound = self._decoder.conceal(whole)[:samples]
        held = HELD if lost else limit - STEP
        if self._invented > held:
            points = (np.arange(begin, begin + samples, dtype=np.float32) - held) / (limit - held)
            sound *= np.clip(1 - points, 0, 1)[:, None]
        return sound

    def _silence(self, samples: int) -> Pcm:
        return np.zeros((samples, self._channels), np.float32)

    def _close_gap(self, end: int) -> None:
        """Sound goes on with a frame that begins at `end`: now it is known whether what was missing had been sent."""
        assert self._gap is not None
        stats = self._line.stats
        paused = self._line.buffer.paused(self._gap, end)
        stats.paused_samples += paused
        if not self._excused:
            stats.concealed_samples += max(0, end - self._gap - paused - self._mended)
        self._gap, self._mended, self._excused = None, 0, False
