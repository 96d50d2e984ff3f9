"""From the encoders into the media thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import cast

import pytest

from relay.channels.channel import Channel
from relay.live.air import OUTBOX, Air
from relay.live.encoding import Encoded
from relay.live.programme import Programme
from relay.net.fanout import Packet
from relay.sessions.hub import Hub


class Stuck:
    """A media thread that does nothing yet, and what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[Callable[[], None]] = []

    def call(self, function: Callable[[], None]) -> Future[None]:
        self.asked.append(function)
        return Future()


class Ears:
    """Hears what is sent."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    def send(self, channel: Channel, packet: Packet, now: float) -> None:
        self.heard.append(packet.payload)


def test_packets_for_a_media_thread_that_stands_still_do_not_pile_up() -> None:
    ears, media, channel = Ears(), Stuck(), Channel("xa")
    air = Air(cast(Hub, ears), media, Channel, lambda: 100.0)
    programme = Programme(channel, 7)
    for number in range(OUTBOX + 500):
        air.put(programme, Encoded(number, 50.0 + number * 0.02, number.to_bytes(4), False))
    (send,) = media.asked
    send()
    assert ears.heard == [number.to_bytes(4) for number in range(500, OUTBOX + 500)]
    air.put(programme, Encoded(OUTBOX + 500, 90.0, b"next", False))
    media.asked[-1]()
    assert ears.heard[-1] == b"next"


def test_a_mistake_with_one_packet_is_told_and_the_next_one_goes_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Clumsy(Ears):
        def send(self, channel: Channel, packet: Packet, now: float) -> None:
            if not packet.sequence:
                raise ZeroDivisionError
            super().send(channel, packet, now)

    ears, media, channel = Clumsy(), Stuck(), Channel("xa")
    air = Air(cast(Hub, ears), media, Channel, lambda: 100.0)
    programme = Programme(channel, 7)
    for number in range(3):
        air.put(programme, Encoded(number, 50.0 + number * 0.02, number.to_bytes(4), False))
    (send,) = media.asked
    send()
    assert ears.heard == [number.to_bytes(4) for number in (1, 2)]
    assert "ZeroDivisionError" in caplog.text


def test_a_mistake_in_what_nobody_waits_for_is_told(caplog: pytest.LogCaptureFixture) -> None:
    class Gone:
        @property
        def sessions(self) -> dict[str, object]:
            raise ZeroDivisionError

    media = Stuck()
    Air(cast(Hub, Gone()), media, Channel, lambda: 100.0).close_session("x", "ended")
    media.asked[0]()
    assert "ZeroDivisionError" in caplog.text
