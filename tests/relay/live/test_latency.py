"""How long sound is on its way through the mixer, by the sound: a click in a packet that comes in is looked for in
those that go out. Compute time is not in it, since the clock is driven by hand; `loa bench live` has it."""

from __future__ import annotations

import numpy as np
import pytest

from loacodecs.opus import OpusDecoder
from tests.support.mixing import FRAME, TICK_S, Ear, MixWorld, packets_of

REACH_S = 0.045


def click(packets: list[bytes]) -> tuple[int, float]:
    """The packet with the loudest sample, and the seconds from its beginning."""
    decoder = OpusDecoder(1)
    sound = np.abs(np.concatenate([decoder.decode(packet) for packet in packets])[:, 0])
    place = int(np.argmax(sound))
    return place // FRAME, place % FRAME / 48_000


@pytest.mark.parametrize("early", [0.0021, 0.0075, 0.0145, 0.0199])
async def test_a_click_is_out_within_the_reach(early: float) -> None:
    pcm = np.zeros((60 * FRAME, 1), np.float32)
    pcm[30 * FRAME + 400 : 30 * FRAME + 405] = 0.5
    pcm += np.random.default_rng(1).normal(0, 1e-3, pcm.shape).astype(np.float32)
    packets = packets_of(pcm)
    with MixWorld(application="audio", bitrate=64_000) as world:
        ear = Ear(world.hub.channels["xa"])
        client = await world.publisher()
        sent = []
        for number, packet in enumerate(packets):
            world.now += TICK_S - early
            client.say(number, packet)
            sent.append(world.now)
            world.settle()
            world.now += early
            world.ticks(1)
            world.now -= TICK_S
        number, offset = click(packets)
        came = sent[number] + offset
        number, offset = click([packet.payload for packet in ear.packets])
        latency = ear.times[number] + offset - came
        assert latency == pytest.approx(early + (128 + 312) / 48_000, abs=0.0005)
        assert latency <= REACH_S
