from __future__ import annotations

from bench.floor import Floor
from bench.receivers import Receivers
from bench.sendlog import SendLog
from tests.support.waiting import until


def test_every_datagram_of_the_floor_is_sent_at_its_pace_and_arrives() -> None:
    receivers = Receivers(30, SendLog.for_publishers(1), 960)
    try:
        receivers.start()
        groups = [[("127.0.0.1", receivers.port(row)) for row in range(first, 30, 2)] for first in range(2)]
        floor = Floor(groups, size=148, frame_ms=20, phase_ns=[0, 10_000_000])
        found = floor.run(0.2)
        assert found.sent == 30 * 10
        assert found.refused == 0
        assert 0.1 < found.us_per_packet < 200
        until(lambda: int(receivers.table.counted.sum()) == 300)
        assert all(int(count) == 10 for count in receivers.table.counted)
    finally:
        receivers.close()
