"""Counters are looked at by one thread while another counts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from loacodecs import rtp
from relay.ports import RelayStats
from tests.support.interleaving import at_every_turn
from tests.support.world import World


async def test_a_first_refusal_of_its_kind_does_not_stop_the_metrics() -> None:
    with World() as world:
        await world.publisher()
        await world.listener()
        counting = [session.peer.refused for session in world.hub.sessions.values()]

        def make() -> tuple[Callable[[], RelayStats], Callable[[], None]]:
            for refused in counting:
                refused.pop("dtls", None)
            return world.core.stats, refuse

        def refuse() -> None:
            for refused in counting:
                refused["dtls"] += 1

        for refused in counting:
            refused["malformed"] += 1
        assert all(stats.refused["malformed"] == 2 for stats in at_every_turn(make))


@pytest.mark.parametrize("ended", [False, True])
async def test_what_was_refused_stays_counted_when_its_session_has_ended(ended: bool) -> None:
    with World() as world:
        publisher = await world.publisher()
        packet = rtp.RtpPacket(0, False, 1, 960, publisher.ssrc, b"G.711")
        publisher.peer.send_rtp(packet.to_bytes())
        world.advance(0.02)
        if ended:
            world.hub.close_all("drained", world.now)
        assert world.core.stats().refused["payload_type"] == 1
