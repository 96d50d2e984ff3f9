"""A studio with all that mixed channels can do, and which compiled code it needed beyond `warm_up`.

A program of its own, since whatever ran before in the same process has loaded code, too.
"""

from __future__ import annotations

import asyncio
import sys

import numpy as np
from numba.core.dispatcher import Dispatcher
from numpy.typing import NDArray

from relay.live.warm import warm_up
from tests.support.mixing import Microphone, MixWorld, packets_of, tone


class Loud:
    """Stereo, beyond full scale, and now and then no number."""

    def __init__(self) -> None:
        self._left = 60

    def read(self, out: NDArray[np.float32]) -> bool:
        self._left -= 1
        out[:] = tone(440, 1, 6).T
        out[1, 5] = np.nan if self._left % 9 == 0 else 0.1
        return self._left > 0


def kernels() -> set[str]:
    """What compiled code of the mixer there is by now: functions with the types they were made for."""
    return {
        f"{each.__module__}.{each.__name__}{signature}"
        for name, module in list(sys.modules.items())
        if name.startswith(("relay.mixer", "relay.live"))
        for each in vars(module).values()
        if isinstance(each, Dispatcher)
        for signature in each.signatures
    }


async def every_feature(channels: int) -> None:
    with MixWorld(
        publishers="announcement", channels=channels, bitrate=64_000, leveller=True, horn_filter=True
    ) as world:
        mixed = world.mixed
        client = await world.publisher(subject="someone")
        microphone = Microphone(client, packets_of(tone(1700, 400)))
        world.ticks(5, microphone)
        mono = mixed.add_input("mono", Loud(), channels=1, role="talk")
        stereo = mixed.add_input("stereo", Loud(), channels=2)
        mixed.mix_minus(next(iter(mixed.inputs)))
        mono.gain(-3, 0.1)
        mono.pan(0.5)
        stereo.pan(-0.5)
        stereo.fade(-20, 0.2)
        world.ticks(10, microphone)
        mono.mute(True)
        mixed.hold_duck(True)
        world.ticks(5, microphone)
        mono.mute(False)
        mixed.hold_duck(False)
        mixed.bus.leveller(False)
        mono.source.filter(False)
        world.ticks(20, microphone)
        world.ticks(20, microphone, skipped=12)
        world.studio.stats()
        mono.block_dbfs()
        for name in list(mixed.inputs):
            mixed.remove_input(name)
        world.ticks(210)
        assert world.studio.idle
        mixed.state()


def main() -> None:
    """Print what was late, a line each; nothing when `warm_up` had it all."""
    warm_up()
    before = kernels()
    for channels in (1, 2):
        asyncio.run(every_feature(channels))
    print("\n".join(sorted(kernels() - before)))


if __name__ == "__main__":
    main()
