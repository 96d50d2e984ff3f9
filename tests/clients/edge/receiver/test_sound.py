"""The playout that sessions and the sound thread share."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

from loacodecs.clocksync import ClockSync
from loaedge.playout import Playout, PlayoutSettings
from loaedge.receiver.sound import SharedPlayout

ANSWER: Any = SimpleNamespace(opus_payload_type=111, red_payload_type=None, nack=True, extensions={})
CLIENT: Any = SimpleNamespace(ssrc=1, cname="c")


def test_counters_go_up_from_the_start_whatever_channel_is_played() -> None:
    """As docs/protocol.md tells them to relays."""
    playout = SharedPlayout(lambda settings: Playout(ClockSync(), settings), PlayoutSettings(), os.urandom)
    for refused in (3, 4, 5):
        source = playout.open("0.1", ANSWER, CLIENT)
        for _ in range(refused):
            source.on_rtp(b"no packet", 1.0)
        playout.begin_anew()
    assert playout.stats.refused == 12
    assert not playout.stats.tied
