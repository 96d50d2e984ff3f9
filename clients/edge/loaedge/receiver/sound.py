"""The playout shared by two threads: sessions feed it from the event loop, the sound thread renders from it.

One lock, held for one packet or one block of sound.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import fields, replace

from loacodecs.opus import Pcm
from loacodecs.rtp import ABS_CAPTURE_TIME_URI
from loacodecs.sdp import AudioDescription

from ..client import WebRtcClient
from ..playout import Playout, PlayoutSettings, PlayoutStats, Source


class SharedPlayout:
    """A `Playout` and its lock; what it gives to sessions holds the lock as well.

    `make` builds a playout with the settings given, and `random` gives random bytes.
    """

    def __init__(
        self,
        make: Callable[[PlayoutSettings], Playout],
        settings: PlayoutSettings,
        random: Callable[[int], bytes],
    ) -> None:
        self._make = make
        self._playout = make(settings)
        self._before = PlayoutStats()
        """What was counted before `begin_anew`."""
        self._random = random
        self._lock = threading.Lock()

    def open(self, name: str, answer: AudioDescription, client: WebRtcClient) -> SharedSource:
        """A source for the session `client`, by what its relay answered."""
        with self._lock:
            source = self._playout.open(
                name,
                payload_type=answer.opus_payload_type,
                red_payload_type=answer.red_payload_type,
                nack=answer.nack,
                ssrc=client.ssrc,
                cname=client.cname,
                random=self._random,
                capture_extension=answer.extensions.get(ABS_CAPTURE_TIME_URI, 0),
            )
        return SharedSource(source, self._lock)

    def close(self, name: str) -> None:
        """Forget a source."""
        with self._lock:
            self._playout.close(name)

    def render(self, frames: int, heard_at: float) -> Pcm:
        """What is heard from local time `heard_at` on; the sound thread's."""
        with self._lock:
            return self._playout.render(frames, heard_at)

    def ready(self, frames: int, heard_at: float) -> int:
        """How many of so many frames would not become better by waiting; the sound thread's."""
        with self._lock:
            return self._playout.ready(frames, heard_at)

    def commit(self, seconds: float) -> None:
        """From now on sound is rendered `seconds` before it is heard at the latest."""
        with self._lock:
            self._playout.commit_s = seconds

    def sounding_at(self, local: float) -> bool:
        """Whether packets with sound are there for that moment."""
        with self._lock:
            return self._playout.sounding_at(local)

    def choose(self, settings: PlayoutSettings) -> None:
        """Play with another delay from now on."""
        with self._lock:
            self._playout.settings = settings

    def begin_anew(self) -> None:
        """Another channel: what is buffered of the old one is not played any more."""
        with self._lock:
            commit_s = self._playout.commit_s
            self._before = _added(self._before, self._playout.stats)
            self._playout = self._make(self._playout.settings)
            self._playout.commit_s = commit_s

    @property
    def stats(self) -> PlayoutStats:
        """The newest readings, and the counters since the receiver's start: a copy."""
        with self._lock:
            return _added(self._before, self._playout.stats)


class SharedSource:
    """A session's source behind the playout's lock."""

    def __init__(self, source: Source, lock: threading.Lock) -> None:
        self._source = source
        self._lock = lock

    def on_rtp(self, data: bytes, now: float) -> None:
        """Take a packet."""
        with self._lock:
            self._source.on_rtp(data, now)

    def on_rtcp(self, data: bytes, now: float) -> None:
        """Take a compound RTCP packet."""
        with self._lock:
            self._source.on_rtcp(data, now)

    def poll_rtcp(self, now: float) -> bytes | None:
        """RTCP to send now."""
        with self._lock:
            return self._source.poll_rtcp(now)

    def next_deadline(self) -> float | None:
        """When `poll_rtcp` has something."""
        with self._lock:
            return self._source.next_deadline()

    def goodbye(self, now: float) -> bytes:
        """The last compound packet."""
        with self._lock:
            return self._source.goodbye(now)


def _added(before: PlayoutStats, stats: PlayoutStats) -> PlayoutStats:
    """`stats` with the counters of both."""
    counters = [field.name for field in fields(stats) if field.type == "int"]
    return replace(stats, **{name: getattr(before, name) + getattr(stats, name) for name in counters})
