"""The compiled loop against a sender whose every datagram is known."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from bench.drain import RING_SLOTS
from bench.errors import BenchError
from bench.floor import FIRST_BYTE
from bench.histogram import percentile
from bench.receivers import RECEIVE_BUFFER_BYTES, Receivers
from bench.sendlog import DEPTH, NEVER, SendLog
from tests.support.waiting import until

MILLISECOND = 1_000_000
STEP = 960


class World:
    """One publisher, some receivers, and a socket that plays the relay."""

    def __init__(self) -> None:
        self.log = SendLog.for_publishers(2)
        self.receivers = Receivers(4, self.log, STEP)
        self.receivers.start()
        self.sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sender.bind(("127.0.0.1", 0))

    def publish(self, counter: int, *, ago_ns: int = 0, channel: int = 0) -> None:
        now = time.time_ns() - ago_ns
        self.log.sent_at[channel, counter] = now
        self.log.published[channel] = max(int(self.log.published[channel]), counter + 1)
        if self.log.windows[0, 0] <= now < self.log.windows[0, 1]:
            self.log.expected[0, channel] += 1

    def deliver(self, row: int, counter: int, *, sequence: int | None = None, base: int = 5000) -> None:
        timestamp = (base + counter * STEP) & 0xFFFFFFFF
        number = (100 + counter if sequence is None else sequence) & 0xFFFF
        header = bytes([0x80, 111]) + number.to_bytes(2, "big") + timestamp.to_bytes(4, "big") + bytes(4)
        self.send(row, header + bytes(50))

    def send(self, row: int, data: bytes) -> None:
        self.sender.sendto(data, ("127.0.0.1", self.receivers.port(row)))

    def listen(self, row: int, *, channel: int = 0, sample: bool = False, base: int = 5000) -> None:
        self.receivers.join(row, channel, 0)
        self.receivers.measure(row, timestamp=base & 0xFFFFFFFF, counter=0, sample=sample)

    def arrived(self, row: int, packets: int) -> None:
        until(lambda: int(self.receivers.table.packets[row]) >= packets)

    def close(self) -> None:
        self.sender.close()
        self.receivers.close()


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.close()


def test_every_packet_is_counted_once_in_its_window(world: World) -> None:
    world.log.open_window(0, time.time_ns(), NEVER)
    world.listen(0)
    for counter in range(10):
        world.publish(counter)
        if counter not in (3, 4):
            world.deliver(0, counter)
    world.arrived(0, 8)
    assert int(world.log.expected[0, 0]) == 10
    assert int(world.receivers.table.got[0, 0]) == 8


def test_duplicates_are_told_from_late_packets(world: World) -> None:
    world.log.open_window(0, 0, NEVER)
    world.listen(0)
    for counter in range(4):
        world.publish(counter)
    for counter in (0, 2, 1, 1, 2, 3, 0):
        world.deliver(0, counter)
    world.arrived(0, 7)
    assert int(world.receivers.table.got[0, 0]) == 4
    assert int(world.receivers.table.duplicates[0]) == 3


def test_latency_is_from_the_publishers_send_to_the_kernels_receive(world: World) -> None:
    world.log.open_window(0, 0, NEVER)
    world.listen(0)
    for counter in range(20):
        world.publish(counter, ago_ns=7 * MILLISECOND)
        world.deliver(0, counter)
    world.arrived(0, 20)
    median = percentile(world.receivers.found.latency[0, 0], 0.5)
    assert median is not None
    assert 7 * MILLISECOND <= median < 8 * MILLISECOND
    assert int(world.receivers.found.latency_max[0, 0]) >= 7 * MILLISECOND


def test_a_late_drain_changes_no_latency(world: World) -> None:
    # the socket is visited every 40 ms; the kernel's time stamp must not show it
    world.log.open_window(0, 0, NEVER)
    world.listen(1)
    for counter in range(200):
        world.publish(counter)
        world.deliver(1, counter)
    world.arrived(1, 200)
    p90 = percentile(world.receivers.found.latency[0, 0], 0.9)
    assert p90 is not None
    assert p90 < 5 * MILLISECOND


def test_jitter_is_what_the_way_added_between_two_packets(world: World) -> None:
    world.log.open_window(0, 0, NEVER)
    world.listen(0)
    # each packet claims to have left 10 ms later than the one before, and all arrive together
    now = time.time_ns()
    for counter in range(10):
        world.publish(counter)
        world.log.sent_at[0, counter] = now - (10 - counter) * 10 * MILLISECOND
        world.deliver(0, counter)
    world.arrived(0, 10)
    median = percentile(world.receivers.found.jitter[0, 0], 0.5)
    assert median is not None
    assert 9 * MILLISECOND < median < 11 * MILLISECOND
    assert int(world.receivers.found.jitter[0, 0].sum()) == 9


def test_the_mapping_survives_the_wrap_of_timestamp_and_sequence(world: World) -> None:
    world.log.open_window(0, 0, NEVER)
    base = 2**32 - 3 * STEP
    world.listen(0, base=base)
    for counter in range(8):
        world.publish(counter)
        world.deliver(0, counter, base=base, sequence=65_533 + counter)
    world.arrived(0, 8)
    assert int(world.receivers.table.got[0, 0]) == 8
    table = world.receivers.table
    assert int(table.highest_sequence[0]) - int(table.first_sequence[0]) == 7


def test_the_mapping_lasts_longer_than_two_timestamps_can_be_apart(world: World) -> None:
    world.log.open_window(0, 0, NEVER)
    world.listen(0)
    # a quarter of the timestamps' range at a time, six times
    counters = [step * (2**30 // STEP) for step in range(7)]
    for number, counter in enumerate(counters, 1):
        world.log.sent_at[0, counter % DEPTH] = time.time_ns()
        world.log.published[0] = counter + 1
        world.deliver(0, counter)
        world.arrived(0, number)
    assert int(world.receivers.table.got[0, 0]) == 7
    assert world.receivers.unmapped == 0


def test_a_receiver_serves_one_session_after_another(world: World) -> None:
    world.log.open_window(0, 0, NEVER)
    world.listen(0)
    world.publish(0)
    world.deliver(0, 0)
    world.arrived(0, 1)
    first = int(world.receivers.table.first_arrival[0])
    old = world.receivers.address(0)
    world.receivers.retire(0)
    world.receivers.renew(0)
    assert world.receivers.packets == 1
    assert world.receivers.address(0) != old
    world.sender.sendto(b"\x80" * 60, old)  # a server that goes on sending reaches nobody
    world.listen(0, base=77_000)
    world.publish(1)
    world.deliver(0, 1, base=77_000, sequence=9)
    world.arrived(0, 1)
    assert world.receivers.packets == 2
    assert int(world.receivers.table.got[0, 0]) == 2
    assert int(world.receivers.table.first_arrival[0]) > first
    assert int(world.receivers.table.first_sequence[0]) == 9


def test_over_ipv6_the_sender_is_known_by_its_address() -> None:
    receivers = Receivers(1, SendLog.for_publishers(1), STEP, "::1")
    receivers.start()
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
        sender.bind(("::1", 0))
        receivers.join(0, 0, 0)
        sender.sendto(b"\x14" * 30, receivers.address(0))
        until(lambda: receivers.handed_over == 1)
        (arrival,) = receivers.take()
        assert arrival.address == sender.getsockname()[:2]
    receivers.close()


def test_a_packet_nobody_sent_is_not_accounted(world: World) -> None:
    world.log.open_window(0, 0, NEVER)
    world.listen(0)
    world.publish(0)
    world.deliver(0, 0)
    world.deliver(0, 5)
    world.arrived(0, 2)
    assert int(world.receivers.table.got[0, 0]) == 1
    assert world.receivers.unmapped == 1


def test_joining_sessions_hand_everything_over_at_once_and_in_order(world: World) -> None:
    world.receivers.join(2, 0, 0)
    sent = [bytes([20, index]) * 20 for index in range(5)]
    for data in sent:
        world.send(2, data)
    world.deliver(2, 1)
    found: list[bytes] = []

    def taken() -> bool:
        for arrival in world.receivers.take():
            assert arrival.row == 2
            assert arrival.address == world.sender.getsockname()
            assert abs(time.time_ns() - arrival.arrival_ns) < 5_000 * MILLISECOND
            found.append(arrival.data)
        return len(found) >= 6

    until(taken)
    assert found[:5] == sent
    assert found[5][0] == 0x80


def test_rtp_of_a_session_that_joins_slowly_does_not_crowd_the_ring(world: World) -> None:
    world.receivers.join(0, 0, 0)
    for counter in range(100):
        world.deliver(0, counter)
    world.send(0, b"\x14" * 30)
    world.arrived(0, 100)
    until(lambda: world.receivers.handed_over >= 9)
    kinds = [arrival.data[0] for arrival in world.receivers.take()]
    assert kinds[-1] == 0x14
    assert kinds[:8] == [0x80] * 8
    assert 8 < len(kinds) < 30


def test_playing_sessions_hand_over_all_but_rtp(world: World) -> None:
    world.listen(0)
    world.listen(1, sample=True)
    world.publish(0)
    receiver_report = bytes([0x80, 201, 0, 1]) + bytes(40)
    stun = bytes([0, 1]) + bytes(40)
    for row in (0, 1):
        world.deliver(row, 0)
        world.send(row, receiver_report)
        world.send(row, stun)
    found: list[tuple[int, bytes]] = []

    def taken() -> bool:
        found.extend((arrival.row, arrival.data) for arrival in world.receivers.take())
        return len(found) >= 5

    until(taken)
    assert [data for row, data in found if row == 0] == [receiver_report, stun]
    assert [data[1] for row, data in found if row == 1] == [111, 201, 1]


def test_a_full_ring_drops_and_counts(world: World) -> None:
    world.receivers.join(0, 0, 0)
    receivers = world.receivers
    for sent in range(0, RING_SLOTS + 100, 50):
        for _ in range(50):
            world.send(0, b"\x14" * 30)
        until(lambda sent=sent: receivers.handed_over + receivers.not_handed_over == sent + 50)
    assert receivers.not_handed_over == sent + 50 - RING_SLOTS
    assert len(list(world.receivers.take())) == RING_SLOTS


def test_the_floors_datagrams_are_counted_apart(world: World) -> None:
    world.listen(0)
    for _ in range(7):
        world.send(0, bytes([FIRST_BYTE]) * 148)
    until(lambda: int(world.receivers.table.counted[0]) == 7)
    assert int(world.receivers.table.packets[0]) == 0
    assert not list(world.receivers.take())


def test_an_overflowing_socket_is_told_by_the_kernel(world: World) -> None:
    world.log.open_window(0, 0, NEVER)
    world.listen(3)
    world.publish(0)
    # far more than the buffer holds, faster than the loop visits the socket
    datagrams = RECEIVE_BUFFER_BYTES // 256
    data = bytes([FIRST_BYTE]) * 1200
    for _ in range(datagrams):
        world.send(3, data)
    until(lambda: int(world.receivers.table.counted[3]) > 0)
    world.send(3, data)  # the count of drops travels with the next datagram
    until(lambda: world.receivers.overflowed > 0)


def test_an_address_that_is_not_here_is_no_lack_of_ports() -> None:
    with pytest.raises(BenchError, match="this machine has no such address") as caught:
        Receivers(1, SendLog.for_publishers(1), STEP, "192.0.2.1")
    assert "ulimit" not in str(caught.value)
