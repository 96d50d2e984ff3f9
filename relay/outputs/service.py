"""The outputs of all channels: made from the configuration, reached by HTTP, started and stopped by `relay.app`."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import tzinfo
from functools import partial
from typing import Final, Protocol, TypeVar

from loacodecs.errors import reason
from loacodecs.rtp import timestamp_delta
from relay.channels.channel import Channel
from relay.config import Config
from relay.errors import ChannelNotFound, Unavailable
from relay.names import is_channel_name
from relay.output_ports import OutputStats, PageStream, Recording, RecordingStats, RtpStats
from relay.outputs.disk import Disk
from relay.outputs.keeping import Keeper
from relay.outputs.lane import Arrived
from relay.outputs.placing import RATE
from relay.outputs.recorder import Recorder
from relay.outputs.recording import RecordingThread
from relay.outputs.rtp import RtpOutput, describe
from relay.outputs.shelf import Shelf, Stored, duration
from relay.outputs.stream import BURST_S, OggStream
from relay.sessions.hub import Hub

T = TypeVar("T")

DISK_RETRY_S: Final = 10
_MEASURED_MAX: Final = 20_000
_BURST_PACKETS: Final = 100


class Caller(Protocol):
    """The door into the media thread; the reactor is one."""

    def call(self, function: Callable[[], T]) -> Future[T]:
        """Run `function` there."""
        ...


class Outputs:
    """An `OutputDesk`. Made before the reactor runs; `playing` says what a mixed channel plays just now, if it knows.

    Raises ConfigurationError for an RTP output that cannot be.
    """

    def __init__(
        self,
        config: Config,
        hub: Hub,
        reactor: Caller,
        *,
        playing: Callable[[str], str] = lambda _channel: "",
        disk: Disk | None = None,
        zone: tzinfo | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._hub = hub
        self._reactor = reactor
        self._playing = playing
        self._disk = disk or Disk()
        self._zone = zone
        self._clock = clock
        self._keeper = Keeper(self._disk)
        self._recorders: dict[str, Recorder] = {}
        self._rtp: dict[str, list[RtpOutput]] = {}
        self._measured: dict[tuple[str, int], float] = {}
        for name, settings in config.channels.named.items():
            channel = hub.channels[name]
            if settings.recording.enabled:
                self._recorders[name] = self._recorder(channel)
            self._rtp[name] = [
                RtpOutput(channel, each, ssrc=secrets.randbits(32), sequence=secrets.randbits(14), wall=wall)
                for each in settings.rtp
            ]
        self._thread = RecordingThread(list(self._recorders.values()), clock=clock, wall=wall)

    def start(self) -> None:
        """Begin to record and to send; before the reactor runs, or in the media thread."""
        for name, recorder in self._recorders.items():
            self._hub.channels[name].tap(recorder.lane.put, prompt=False)
        for name, outputs in self._rtp.items():
            for output in outputs:
                self._hub.channels[name].tap(output.on_packet)
        if self._recorders:
            self._thread.start()

    def stop(self) -> None:
        """Finish the recordings and say goodbye; after the reactor has ended, so that nothing more comes."""
        self._thread.stop()
        for outputs in self._rtp.values():
            for output in outputs:
                output.close()

    # What HTTP asks

    async def open_stream(self, channel: str) -> PageStream:
        """Begin to page a channel for clients; raises ChannelNotFound."""
        settings = self._config.channels.named.get(channel)
        if settings is not None and not settings.stream:
            raise ChannelNotFound(f"channel {channel} has no Ogg stream: channels.{channel}.stream is false")
        known = self._channel(channel)
        stream = OggStream(channel, partial(self._title, known), partial(secrets.randbits, 32), self._clock())
        recent = await asyncio.wrap_future(self._reactor.call(partial(self._listen_in, known, stream)))
        stream.prime(recent, self._clock())
        return stream

    async def close_stream(self, channel: str, stream: PageStream) -> None:
        """Page no more."""
        assert isinstance(stream, OggStream)
        known = self._hub.channels.get(channel)
        if known is not None:
            await asyncio.wrap_future(self._reactor.call(partial(known.untap, stream.lane.put)))

    def recordings(self, channel: str, since: float, until: float, limit: int) -> Sequence[Recording]:
        """Those that began in that time, the newest first; raises ChannelNotFound, Unavailable."""
        shelf = self._shelf(channel)
        try:
            chosen = [stored for stored in shelf.recordings() if since <= stored.started < until]
            described = [self._described(shelf, stored) for stored in reversed(chosen[-limit:])]
            return [recording for recording in described if recording is not None]
        except OSError as error:
            raise _unreadable(channel, error) from None

    def recording(self, channel: str, name: str) -> Recording | None:
        """The recording of that name; raises ChannelNotFound, Unavailable."""
        shelf = self._shelf(channel)
        try:
            stored = shelf.find(name)
            return None if stored is None else self._described(shelf, stored)
        except OSError as error:
            raise _unreadable(channel, error) from None

    def sdp(self, channel: str, number: int, origin: str) -> str | None:
        """The session description of an RTP output, if there is one of that number."""
        outputs = self._rtp.get(channel, [])
        if not 0 <= number < len(outputs):
            return None
        return describe(outputs[number], self._hub.channels[channel].title, origin)

    def stats(self) -> OutputStats:
        """A snapshot of all counters."""
        return OutputStats(
            recordings={name: _stats(recorder) for name, recorder in self._recorders.items()},
            rtp={
                name: [RtpStats(output.target, output.packets, output.errors) for output in outputs]
                for name, outputs in self._rtp.items()
                if outputs
            },
            recordings_deleted=self._keeper.deleted,
        )

    # Parts

    def _recorder(self, channel: Channel) -> Recorder:
        settings = self._config.channels.named[channel.name].recording
        shelf = self._shelf(channel.name)
        self._keeper.add(shelf, settings)
        return Recorder(
            shelf,
            settings,
            self._keeper,
            self._disk,
            title=lambda: channel.title,
            serial=partial(secrets.randbits, 32),
        )

    def _shelf(self, channel: str) -> Shelf:
        """The channel's folder, which may hold recordings though it is recorded no more."""
        self._channel(channel)
        settings = self._config.channels.named.get(channel)
        folder = settings.recording.folder if settings is not None else None
        return Shelf((folder or self._config.state_dir / "recordings") / channel, channel, self._zone)

    def _channel(self, name: str) -> Channel:
        known = self._hub.channels.get(name) if is_channel_name(name) else None  # others are private
        if known is None:
            raise ChannelNotFound(f"channel {name} is not configured on this relay")
        return known

    def _title(self, channel: Channel) -> str:
        playing = self._playing(channel.name)
        return f"{channel.title}: {playing}" if playing else channel.title

    def _listen_in(self, channel: Channel, stream: OggStream) -> list[Arrived]:
        """Tap a channel; what it sent just before, with the times at which that would have come. In the media
        thread."""
        now = self._clock()
        channel.tap(stream.lane.put)
        if not channel.on_air(now):
            return []
        newest = channel.timeline.sequence
        recent: list[Arrived] = []
        for sequence in range(max(0, newest - _BURST_PACKETS), newest + 1):
            packet = channel.history.get(sequence)
            if packet is not None:
                age = timestamp_delta(channel.timeline.timestamp, packet.timestamp) / RATE
                if age <= BURST_S:
                    recent.append((packet, channel.last_packet - age))
        return recent

    def _described(self, shelf: Shelf, stored: Stored) -> Recording | None:
        """None when it has gone since it was listed. Raises OSError."""
        key = stored.name, stored.size
        seconds = self._measured.get(key)
        if seconds is None:
            try:
                seconds = duration(stored)
            except FileNotFoundError:  # who records has finished it, or deleted it, meanwhile
                again = shelf.find(stored.name)
                return None if again is None or again == stored else self._described(shelf, again)
            if len(self._measured) >= _MEASURED_MAX:
                self._measured.clear()
            self._measured[key] = seconds
        return Recording(
            name=stored.name,
            path=stored.path,
            started=stored.started,
            local=shelf.local(stored.started).isoformat(timespec="seconds"),
            seconds=seconds,
            size=stored.size,
            finished=not stored.partial,
        )


def _stats(recorder: Recorder) -> RecordingStats:
    tally = recorder.tally
    return RecordingStats(
        activity=recorder.activity,
        fault=recorder.fault,
        octets=tally.octets,
        seconds=tally.samples / RATE,
        missing_seconds=tally.missing / RATE,
        segments=tally.segments,
        errors=tally.errors,
        dropped=dict(recorder.dropped),
    )


def _unreadable(channel: str, error: OSError) -> Unavailable:
    return Unavailable(f"the recordings of channel {channel} cannot be read: {reason(error)}", DISK_RETRY_S)
