"""The compiled fan-out against its plain twin, byte for byte, and what it does when the kernel refuses."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loacodecs import rtcp, srtp
from relay.net import kernel, sockaddr
from relay.net.fanout import FanoutEngine, FanoutTable, Group, Packet, Row, row_secrets
from relay.net.kernel import MAX_PAYLOAD
from relay.net.templates import BYE, SDES
from tests.support import kernel_twin

PROFILES = list(srtp.Profile)


def keys_of(profile: srtp.Profile, seed: int = 1) -> srtp.Keys:
    size = profile.key_length + profile.salt_length
    return srtp.Keys(profile, bytes((seed + i) % 256 for i in range(size)), bytes(size))


class Receivers:
    """Sockets that play listeners, one sending socket, a table and an engine."""

    def __init__(self, count: int, threads: int, family: int = socket.AF_INET, row_us: int = 4) -> None:
        host = "127.0.0.1" if family == socket.AF_INET else "::1"
        self.sender = socket.socket(family, socket.SOCK_DGRAM)
        self.sender.setblocking(False)
        self.sockets = [socket.socket(family, socket.SOCK_DGRAM) for _ in range(count)]
        for sock in self.sockets:
            sock.bind((host, 0))
            sock.settimeout(2.0)
        self.table = FanoutTable(max(count, 4))
        self.engine = FanoutEngine(self.table, threads, row_ps=row_us * 1_000_000)
        self.engine.warm_up()
        self.family = family

    def address(self, index: int) -> bytes:
        return sockaddr.pack(self.sockets[index].getsockname()[:2], self.family)

    def row(self, index: int, keys: srtp.Keys, **fields: int) -> Row:
        values = {
            "ssrc": 7 + index,
            "payload_type": 111,
            "sequence_offset": 0,
            "timestamp_offset": 0,
        } | fields
        secrets = row_secrets(keys, values["ssrc"])
        return Row(secrets, srtp.Sender(keys), self.sender.fileno(), self.address(index), **values)

    def close(self) -> None:
        self.engine.close()
        for sock in (self.sender, *self.sockets):
            sock.close()


@pytest.fixture(scope="module")
def few() -> Iterator[Receivers]:
    receivers = Receivers(4, threads=1)
    yield receivers
    receivers.close()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    profile=st.sampled_from(PROFILES),
    payload=st.binary(min_size=1, max_size=MAX_PAYLOAD),
    marker=st.booleans(),
    sequence=st.integers(0, 0xFFFF),
    timestamp=st.integers(0, 0xFFFF_FFFF),
    capture=st.integers(0, 2**64 - 1),
    ssrc=st.integers(1, 0xFFFF_FFFF),
    payload_type=st.integers(96, 127),
    sequence_offset=st.integers(-0xFFFF, 0xFFFF),
    timestamp_offset=st.integers(0, 0xFFFF_FFFF),
    extension_id=st.integers(0, 14),
)
def test_a_sealed_packet_is_the_twins_byte_for_byte(
    few: Receivers, profile: srtp.Profile, payload: bytes, marker: bool, sequence: int, timestamp: int,
    capture: int, ssrc: int, payload_type: int, sequence_offset: int, timestamp_offset: int, extension_id: int,
) -> None:  # fmt: skip
    keys = keys_of(profile)
    # A fresh libsrtp session takes the first packet's roll-over counter to be 0; wraps have a test of their own.
    sequence_offset = min(max(sequence_offset, -sequence), 0xFFFF - sequence)
    packet = Packet(sequence, timestamp, payload, marker, capture)
    fields = {
        "ssrc": ssrc,
        "payload_type": payload_type,
        "sequence_offset": sequence_offset,
        "timestamp_offset": timestamp_offset,
    }
    index = few.table.add(few.row(0, keys, **fields, capture_extension=extension_id))
    try:
        assert few.engine.send_row(index, packet).sent == 1
        assert few.engine.send_row(index, packet).sent == 1
    finally:
        few.table.remove(index)
    expected = kernel_twin.sealed(srtp.Sender(keys), packet, extension_id=extension_id, **fields)
    assert few.sockets[0].recv(2048) == expected
    # A retransmission must repeat the very bytes: other bytes under the same nonce would break AES-GCM.
    assert few.sockets[0].recv(2048) == expected


@pytest.mark.parametrize("profile", PROFILES)
def test_the_roll_over_counter_goes_on_where_the_sequence_wraps(
    few: Receivers, profile: srtp.Profile
) -> None:
    keys = keys_of(profile)
    fields = {"ssrc": 5, "payload_type": 111, "sequence_offset": -7, "timestamp_offset": 0}
    index = few.table.add(few.row(0, keys, **fields))
    twin = srtp.Sender(keys)
    opener = srtp.Receiver(srtp.Keys(profile, keys.remote, keys.local))
    try:
        for start in (20_000, 40_000, 65_500, 90_000, 120_000, 131_050):
            sealed = []
            for sequence in range(start, start + 60):
                packet = Packet(sequence, 960 * sequence & 0xFFFF_FFFF, b"wrap")
                few.engine.send_row(index, packet)
                sealed.append(few.sockets[0].recv(2048))
                assert sealed[-1] == kernel_twin.sealed(twin, packet, extension_id=0, **fields)
                assert opener.unprotect(sealed[-1])[12:] == b"wrap"
            # Asked for again from the other side of the wrap, the bytes are the same.
            early = Packet(start + 3, 960 * (start + 3) & 0xFFFF_FFFF, b"wrap")
            few.engine.send_row(index, early)
            assert few.sockets[0].recv(2048) == sealed[3]
    finally:
        few.table.remove(index)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_report_says_what_the_row_sent_and_opens_as_srtcp(few: Receivers, profile: srtp.Profile) -> None:
    keys = keys_of(profile)
    index = few.table.add(few.row(1, keys, ssrc=0x01020304, timestamp_offset=1000))
    opener = srtp.Receiver(srtp.Keys(profile, keys.remote, keys.local))
    try:
        for number in range(3):
            few.engine.send_row(index, Packet(number, 960 * number, b"opus"))
            few.sockets[1].recv(2048)
        few.engine.report(few.table.columns["fd"][:0], 0, 0, SDES, 0)
        few.engine.report(_rows(index), 0xE0000000_80000000, 0xFFFF_FF00, SDES + BYE, len(SDES) + 4)
    finally:
        few.table.remove(index)
    plain = opener.unprotect_rtcp(few.sockets[1].recv(2048))
    timestamp = (0xFFFF_FF00 + 1000) & 0xFFFF_FFFF
    assert plain == kernel_twin.report(
        0x01020304, 0xE0000000_80000000, timestamp, 3, 12, SDES + BYE, bye=True
    )
    sender, description, goodbye = rtcp.parse(plain)
    assert isinstance(sender, rtcp.SenderReport)
    assert (sender.packet_count, sender.octet_count) == (3, 12)
    assert description == rtcp.SourceDescription(0x01020304, "loa")
    assert goodbye == rtcp.Goodbye((0x01020304,))


def _rows(*indices: int) -> npt.NDArray[np.int32]:
    return np.array(indices, np.int32)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
@pytest.mark.parametrize("threads", [1, 3])
def test_every_row_of_a_group_hears_each_packet_once(threads: int, family: int) -> None:
    receivers = Receivers(600, threads, family, row_us=20)  # 12 ms of work: there are threads for it
    try:
        group = Group(receivers.table.capacity)
        keys = keys_of(srtp.Profile.AEAD_AES_128_GCM)
        opener = srtp.Receiver(srtp.Keys(keys.profile, keys.remote, keys.local), max_sources=1000)
        for i in range(600):
            group.add(receivers.table.add(receivers.row(i, keys, sequence_offset=i)))
        for number in range(3):
            outcome = receivers.engine.send(group, Packet(number, 960 * number, b"sound"))
            assert (outcome.sent, outcome.dropped, outcome.failed) == (600, 0, 0)
        for i, sock in enumerate(receivers.sockets):
            heard = [opener.unprotect(sock.recv(2048)) for _ in range(3)]
            assert [int.from_bytes(packet[2:4], "big") for packet in heard] == [i, i + 1, i + 2]
            assert all(packet[12:] == b"sound" for packet in heard)
            sock.setblocking(False)
            with pytest.raises(BlockingIOError):
                sock.recv(2048)
    finally:
        receivers.close()


@pytest.mark.parametrize(
    ("rows", "row_us", "threads", "shards"),
    [
        (0, 4, 8, 1),
        (200, 4, 8, 1),
        (1999, 4, 8, 1),
        (2000, 4, 8, 2),
        (10_000, 4, 8, 8),
        (10_000, 4, 2, 2),
        (3000, 1.8, 2, 1),
    ],
)
def test_a_batch_is_shared_out_by_the_time_it_takes(
    rows: int, row_us: float, threads: int, shards: int
) -> None:
    assert kernel.shards_for(rows, np.array([threads, int(row_us * 1e6)])) == shards


def test_what_a_row_costs_is_learned_and_an_interruption_changes_it_little() -> None:
    pool = np.array([2, kernel.FIRST_ROW_PS])
    for _ in range(500):
        kernel.learn(1000, 1, 0.0015, pool)
    assert pool[kernel.ROW_PS] == pytest.approx(1_500_000, rel=0.02)
    kernel.learn(1000, 2, 1.0, pool)
    assert pool[kernel.ROW_PS] == pytest.approx(1_500_000, rel=0.05)
    for _ in range(500):
        kernel.learn(1000, 2, 0.003, pool)
    assert pool[kernel.ROW_PS] == pytest.approx(6_000_000, rel=0.02)
    kernel.learn(3, 1, 0.001, pool)
    kernel.learn(0, 1, 0.001, pool)
    assert pool[kernel.ROW_PS] == pytest.approx(6_000_000, rel=0.02)


@pytest.mark.parametrize("threads", [1, 3])
def test_an_engine_learns_from_what_it_sends(threads: int) -> None:
    """Also from what came through no session, such as a mix: such relays forward nothing."""
    receivers = Receivers(200, threads, row_us=100)
    try:
        group = Group(receivers.table.capacity)
        keys = keys_of(srtp.Profile.AEAD_AES_128_GCM)
        for i in range(200):
            group.add(receivers.table.add(receivers.row(i, keys)))
        for number in range(150):
            receivers.engine.send(group, Packet(number, 960 * number, b"sound"))
        assert 0 < receivers.engine.row_s < 60e-6
    finally:
        receivers.close()


def test_rows_of_several_sockets_leave_by_their_own(few: Receivers) -> None:
    keys = keys_of(PROFILES[0])
    other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    other.bind(("127.0.0.1", 0))
    few.sender.sendto(b"bind me", few.sockets[3].getsockname())
    few.sockets[3].recv(2048)
    group = Group(4)
    indices = [few.table.add(few.row(i, keys)) for i in range(3)]
    few.table.set_address(indices[1], other.fileno(), few.address(1))
    for index in indices:
        group.add(index)
    try:
        assert few.engine.send(group, Packet(1, 1, b"x")).sent == 3
        ports = [few.sockets[i].recvfrom(2048)[1][1] for i in range(3)]
        first, second = few.sender.getsockname()[1], other.getsockname()[1]
        assert ports == [first, second, first]
    finally:
        for index in indices:
            few.table.remove(index)
        other.close()


def test_a_row_the_kernel_refuses_is_counted_and_the_others_are_served(few: Receivers) -> None:
    keys = keys_of(PROFILES[0])
    group = Group(4)
    good, bad, last = (few.table.add(few.row(i, keys)) for i in range(3))
    few.table.set_address(bad, few.sender.fileno(), sockaddr.pack(("255.255.255.255", 9), socket.AF_INET))
    for index in (good, bad, last):
        group.add(index)
    try:
        outcome = few.engine.send(group, Packet(5, 5, b"x"))
        assert (outcome.sent, outcome.dropped) == (2, 1)
        assert few.table.errors(bad) == 1
        assert few.table.errors(good) == few.table.errors(last) == 0
        few.sockets[0].recv(2048)
        few.sockets[2].recv(2048)
    finally:
        for index in (good, bad, last):
            few.table.remove(index)


def test_rows_are_used_again_and_a_full_table_says_so() -> None:
    table = FanoutTable(2)
    keys = keys_of(PROFILES[0])

    def row() -> Row:
        address = sockaddr.pack(("127.0.0.1", 9), socket.AF_INET)
        return Row(srtp.Sender(keys), srtp.Sender(keys), 1, address, 1, 111, 0, 0)

    first, second = table.add(row()), table.add(row())
    assert table.full
    with pytest.raises(IndexError):
        table.add(row())
    table.remove(first)
    assert not table.full
    assert table.add(row()) == first
    assert {first, second} == {0, 1}
    assert len(table) == 2


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 15)), max_size=60))
def test_a_group_holds_just_the_rows_added_and_not_discarded(operations: list[tuple[bool, int]]) -> None:
    group, model = Group(16), set()
    for add, row in operations:
        if add and row not in group:
            group.add(row)
            model.add(row)
        elif not add:
            group.discard(row)
            model.discard(row)
    assert sorted(group.rows[: group.count]) == sorted(model)


def _threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def test_engine_closes_its_threads() -> None:
    before = _threads()
    engine = FanoutEngine(FanoutTable(4), threads=3)
    engine.warm_up()
    assert _threads() == before + 2
    engine.close()
    assert _threads() == before
