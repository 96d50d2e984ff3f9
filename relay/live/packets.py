"""Opus packets as an input of the mixer: ordered, decoded at the tick, and whatever is missing concealed.

The media thread calls `push`, the mixer's thread `read`; between them is a bounded queue and no lock. A packet is
played at the first tick after it came, and later only as far as the source has shown to be uneven (`earliness`); the
delay is taken back by leaving out periods of the sound (`stretching`) as soon as it is not needed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from loacodecs.errors import LoaError
from loacodecs.opus import SAMPLE_RATE, OpusDecoder, is_dtx
from loacodecs.rtp import sequence_delta
from relay.live import stretching
from relay.live.earliness import FIRST_S, LEAST_S, STEP_S, Earliness
from relay.live.holding import Arrival, Held, Holding
from relay.live.moment import Moment

FRAME: Final = 960
MAILBOX: Final = 256
"""Packets on their way from the media thread to the mixer's; a tick takes them all."""
STARVED: Final = FRAME * 5
"""So long a source that has fallen silent is waited for, as if its packets were late; by then the sound has faded."""
PAUSED: Final = SAMPLE_RATE
"""And so long one that has said it will send nothing for a while (DTX): the ear hears its comfort noise."""
DELAY_MAX: Final = SAMPLE_RATE * 2 // 5
"""More than this in hand is let go of at once."""
PACE_S: Final = 0.08
"""Two changes of length are this far apart at the least."""
SPARE: Final = 240
"""Decoded samples (5 ms) that wait for the tick after this one and need not."""
COMFORT_S: Final = 0.004
"""They may go if every packet came earlier than this."""
REPAIR_S: Final = 0.12
"""The delay grows up to this for packets that are overtaken, or had to be asked for again."""
RAMP: Final = 240
"""5 ms, in which a sound that had faded is back."""
_STEP: Final = 120
_QUIET: Final = 0.003
"""RMS (-50 dBFS) below which a source that sends nothing more is taken to pause: a browser with DTX does not say so."""


@dataclass(slots=True)
class PacketCounters:
    """What became of a source so far, in packets where nothing else is said.

    concealed_s  seconds invented for what was lost or late
    dropped      let go of because too many came, or too late to be worth their delay
    """

    received: int = 0
    unusable: int = 0
    lost: int = 0
    dropped: int = 0
    concealed_s: float = 0.0
    shortened_s: float = 0.0
    lengthened_s: float = 0.0


class PacketFeed:
    """A Feed. `channels` says what is decoded: a mono input needs no stereo."""

    def __init__(self, moment: Moment, channels: int = 1) -> None:
        self.counters = PacketCounters()
        self.last_arrival: float | None = None
        self._moment = moment
        self._mailbox: deque[Arrival] = deque(maxlen=MAILBOX)
        self._holding = Holding()
        self._earliness = Earliness()
        self._decoder = OpusDecoder(channels)
        self._rest: NDArray[np.float32] = np.zeros((0, channels), np.float32)
        self._nothing = self._rest
        self._at = 0
        """Position of the next sample to be decoded."""
        self._run = 0
        self._last: Held | None = None
        self._frame = FRAME
        self._resting = True
        self._paused = False
        """Whether the source is likely to send nothing for a while: it was silent when it did so last."""
        self._waited = 0
        """Samples filled in since the last packet, while there was none."""
        self._invented = 0
        """Samples invented since the last that were decoded."""
        self._gain = 1.0
        """What they were weakened by in the end."""
        self._changed = 0.0
        self._wanted = 0
        """Samples by which the sound is still to be lengthened."""
        self._carried = 0
        """Decoded samples that were in hand, and too few, when the newest packet was taken."""
        self._fetched = False
        """Whether this tick took a packet."""
        self._starved = False

    # The media thread

    def push(self, ssrc: int, sequence: int, timestamp: int, payload: bytes, now: float) -> None:
        """A packet came at `now` (monotonic seconds)."""
        if len(self._mailbox) == MAILBOX:
            self.counters.dropped += 1
        self.last_arrival = now
        self._mailbox.append(Arrival(ssrc, sequence, timestamp, payload, now))

    # The mixer's thread

    def read(self, out: NDArray[np.float32]) -> bool:
        """Fill `out` (2, 960); False while nothing is to be heard."""
        now = self._moment.now
        self._collect()
        if self._resting and not self._begin(now):
            return False
        self._limit()
        if self._moment.skipped:
            self._skip(self._moment.skipped * FRAME)
        self._prepare(now)
        if len(self._rest) < FRAME:
            self._rest = self._nothing
            self._resting = True
            return False
        out[:] = self._rest[:FRAME].T
        self._rest = self._rest[FRAME:]
        return True

    @property
    def buffered_s(self) -> float:
        """How much sound is ready."""
        return (self._holding.samples + len(self._rest)) / SAMPLE_RATE

    @property
    def unusable(self) -> int:
        """Packets that could not be played: no Opus, late, too many."""
        holding = self._holding
        counters = self.counters
        return holding.malformed + holding.late + holding.overflowed + counters.unusable + counters.dropped

    def _collect(self) -> None:
        holding, mailbox = self._holding, self._mailbox
        late = holding.late
        while mailbox:
            self.counters.received += 1
            holding.put(mailbox.popleft())
        if holding.late > late and self._earliness.latest < REPAIR_S and self._wanted <= 0:
            self._wanted = FRAME  # so that what is overtaken, or sent again, comes in time
            self._earliness.ran_dry()
        if holding.run != self._run:
            self._run = holding.run
            self._decoder.reset()
            self._last, self._resting, self._rest = None, True, self._nothing
            self._paused = False

    def _begin(self, now: float) -> bool:
        """Begin to play with the newest packet that has been there long enough."""
        first = self._holding.ready_before(now - FIRST_S)
        if first is None:
            return False
        self.counters.dropped += self._holding.drop_before(first.start)
        self._at = first.start
        self._resting, self._starved, self._waited, self._invented, self._wanted = False, False, 0, 0, 0
        self._earliness.restart()
        return True

    def _limit(self) -> None:
        """Let go of what is more than DELAY_MAX behind: it will not be caught up on by ear."""
        last = self._holding.last
        if last is None or last.end - self._at + len(self._rest) <= DELAY_MAX:
            return
        self.counters.dropped += self._holding.drop_before(last.start)
        self._at, self._waited = last.start, 0
        self._rest = self._nothing
        self._earliness.restart()

    def _skip(self, samples: int) -> None:
        """The mixer has passed over so much: what was to be heard then is past, too."""
        last = self._holding.last
        if last is not None:
            self.counters.dropped += self._holding.drop_before(min(self._at + samples, last.start))
            self._at = max(self._at, self._holding.first.start if self._holding.first else 0)
            self._rest = self._nothing

    def _prepare(self, now: float) -> None:
        """Have a block in hand, if there is anything to be had."""
        self._fetched = False
        if len(self._rest) < FRAME:
            self._carried = len(self._rest)
        while len(self._rest) < FRAME:
            piece = self._next(now)
            if piece is None:
                return
            self._rest = np.concatenate((self._rest, piece)) if len(self._rest) else piece
        if self._fetched and now - self._changed >= PACE_S:
            self._adapt(now)

    def _next(self, now: float) -> NDArray[np.float32] | None:
        """The next piece of sound, None when this is a pause."""
        held = self._holding.first
        if held is None:
            return self._wait()
        gap = held.start - self._at - self._waited
        if gap > 0 and held.start - self._at <= SAMPLE_RATE:
            return self._bridge(held, gap)
        return self._decode(self._holding.take(), now)

    def _wait(self) -> NDArray[np.float32] | None:
        """Nothing has come: it is late, or this is a pause."""
        if self._waited >= (PAUSED if self._paused else STARVED):
            return None
        if not self._paused:
            self._starved = True
            self.counters.concealed_s += FRAME / SAMPLE_RATE
        self._waited += FRAME
        return self._conceal(FRAME)

    def _bridge(self, held: Held, gap: int) -> NDArray[np.float32]:
        """Fill a bit of what lies before `held`: its source left it out, or it was lost."""
        if gap < _STEP:  # no Opus source does that
            self._advance(gap)
            return np.zeros((gap, self._decoder.channels), np.float32)
        size = min(gap // _STEP * _STEP, self._frame)
        self._advance(size)
        if self._last is not None and sequence_delta(held.sequence, self._last.sequence) == 1:
            return self._conceal(size)
        self.counters.lost += 1
        self.counters.concealed_s += size / SAMPLE_RATE
        return self._recover(held.payload, size) if size == gap else self._conceal(size)

    def _advance(self, samples: int) -> None:
        """Of the time before the next packet so much has been filled; what comes for it now is too late."""
        self._at += self._waited + samples
        self._waited = 0
        self._holding.floor = max(self._holding.floor, self._at)

    def _decode(self, held: Held, now: float) -> NDArray[np.float32]:
        if self._starved:
            self._starved = False
            if held.start == self._at:
                self._earliness.ran_dry()
            else:
                self.counters.lost += max(1, (held.start - self._at) // self._frame)
        self._fetched = True
        self._earliness.note(now, now - held.at)
        self._at, self._waited, self._last = held.end, 0, held
        self._frame = held.end - held.start
        try:
            pcm = self._decoder.decode(held.payload)
        except LoaError:
            self.counters.unusable += 1
            self.counters.concealed_s += self._frame / SAMPLE_RATE
            return self._conceal(self._frame)
        if self._gain < 1:
            ramp = np.linspace(self._gain, 1, min(RAMP, len(pcm)), dtype=np.float32)
            pcm[: len(ramp)] *= ramp[:, None]
        self._invented, self._gain = 0, 1.0
        self._paused = is_dtx(held.payload) or float(np.vdot(pcm, pcm)) <= _QUIET**2 * pcm.size
        return pcm

    def _recover(self, following: bytes, samples: int) -> NDArray[np.float32]:
        """What lies before `following`, from its in-band FEC if it has any."""
        try:
            pcm = self._decoder.decode_fec(following, samples)
        except LoaError:
            return self._conceal(samples)
        return self._faded(pcm)

    def _conceal(self, samples: int) -> NDArray[np.float32]:
        if self._gain <= 0:
            return np.zeros((samples, self._decoder.channels), np.float32)
        try:
            return self._faded(self._decoder.conceal(samples))
        except LoaError:
            return np.zeros((samples, self._decoder.channels), np.float32)

    def _faded(self, pcm: NDArray[np.float32]) -> NDArray[np.float32]:
        """Invented sound, weaker the longer there has been nothing else."""
        limit = PAUSED if self._paused else STARVED
        begin, end = self._invented, self._invented + len(pcm)
        self._invented = end
        if end > FRAME:
            ramp = np.clip((limit - np.arange(begin, end, dtype=np.float32)) / (limit - FRAME), 0, 1)
            pcm *= ramp[:, None]
            self._gain = max(0.0, float(ramp[-1]))
        return pcm

    def _adapt(self, now: float) -> None:
        """Lengthen what comes only just in time; shorten what is later than it need be."""
        if self._waited or self._invented or len(self._rest) < FRAME:
            return
        before = len(self._rest)
        if self._earliness.latest < LEAST_S and self._wanted <= 0:
            self._wanted = FRAME
        if self._wanted > 0:
            self._rest = stretching.lengthened(self._rest)
            added = len(self._rest) - before
            self._wanted -= added or FRAME
            self.counters.lengthened_s += added / SAMPLE_RATE
            self._changed = now
        elif self._in_hand(now):
            before = len(self._rest)
            self._rest = stretching.shortened(self._rest, before - FRAME)
            self.counters.shortened_s += (before - len(self._rest)) / SAMPLE_RATE
            self._changed = now

    def _in_hand(self, now: float) -> bool:
        """Whether there is something to leave out; the next packet is decoded a tick early if there has to be."""
        spare = self._earliness.spare
        if self._carried >= SPARE and spare >= COMFORT_S:
            return True
        if spare < STEP_S + LEAST_S:
            return False
        if len(self._rest) >= FRAME + SPARE:
            return True
        held = self._holding.first
        if held is None or held.start != self._at:
            return False
        self._rest = np.concatenate((self._rest, self._decode(self._holding.take(), now)))
        return True
