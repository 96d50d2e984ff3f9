"""The compiled upkeep against what Python makes of the same datagrams."""

from __future__ import annotations

import random
import socket

import numpy as np
import pytest
from aioice import stun as aioice
from hypothesis import given, settings
from hypothesis import strategies as st

from loacodecs import rtcp, srtp, stun_check
from loacodecs.errors import MalformedError
from relay.net import sockaddr
from relay.net.receive import BATCH, DATAGRAM
from relay.net.upkeep import Upkeep, UpkeepTable
from relay.net.upkeep_kernel import DONE, LEFT, OPENED, read_reports, serve

NAME, KEY = "server:client", "a password of 24 letters"


def check(name: str = NAME, key: str = KEY, **attributes: object) -> bytes:
    message = aioice.Message(aioice.Method.BINDING, aioice.Class.REQUEST)
    message.attributes["USERNAME"] = name
    message.attributes["PRIORITY"] = 1
    message.attributes.update(attributes)
    message.add_message_integrity(key.encode())
    return bytes(message)


class Bench:
    """An upkeep table, and sockets to be answered at."""

    def __init__(self, family: int = socket.AF_INET) -> None:
        self.family = family
        host = "127.0.0.1" if family == socket.AF_INET else "::1"
        self.server = socket.socket(family, socket.SOCK_DGRAM)
        self.client = socket.socket(family, socket.SOCK_DGRAM)
        self.client.bind((host, 0))
        self.client.setblocking(False)
        self.upkeep = Upkeep(UpkeepTable(16))
        self.address = sockaddr.pack(self.client.getsockname()[:2], family)

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *exc: object) -> None:
        self.server.close()
        self.client.close()

    def serve(
        self, *datagrams: bytes, source: bytes | None = None, now: float = 1.0
    ) -> tuple[list[int], list[bytes]]:
        """Fates and, as they stand afterwards, the datagrams."""
        data, sizes = np.zeros((BATCH, DATAGRAM), np.uint8), np.zeros(BATCH, np.int32)
        names, lengths = np.zeros((BATCH, 28), np.uint8), np.zeros(BATCH, np.int32)
        address = source or self.address
        for i, datagram in enumerate(datagrams):
            data[i, : len(datagram)] = np.frombuffer(datagram, np.uint8)
            sizes[i] = len(datagram)
            names[i, : len(address)] = np.frombuffer(address, np.uint8)
            lengths[i] = len(address)
        fates = np.zeros(BATCH, np.uint8)
        stores, work, native, counts = self.upkeep.arguments
        counts += serve(
            len(datagrams),
            self.server.fileno(),
            data,
            sizes,
            names,
            lengths,
            fates,
            now,
            stores,
            work,
            native,
        )
        return fates[: len(datagrams)].tolist(), [
            data[i, : sizes[i]].tobytes() for i in range(len(datagrams))
        ]

    def answers(self) -> list[bytes]:
        found = []
        while True:
            try:
                found.append(self.client.recv(2048))
            except BlockingIOError:
                return found


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_checks_are_answered_as_python_answers_them(family: int) -> None:
    with Bench(family) as bench:
        slot = bench.upkeep.table.add(bench.address, NAME, KEY, now=0.0)
        assert slot is not None
        checks = [check(), check(**{"USE-CANDIDATE": None}), check(SOFTWARE="x")]
        fates, _ = bench.serve(*checks, now=7.0)
        assert fates == [DONE] * 3
        expected = [
            stun_check.answer(c, NAME.encode(), KEY.encode(), bench.client.getsockname()[:2]) for c in checks
        ]
        assert bench.answers() == [answer.data for answer in expected if answer]
        assert bench.upkeep.table.heard(slot) == 7.0


def test_an_ipv4_peer_of_a_dual_stack_socket_sees_its_ipv4_address() -> None:
    with Bench(socket.AF_INET6) as bench:
        mapped = sockaddr.pack(("127.0.0.1", 4321), socket.AF_INET6)
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        receiver.bind(("127.0.0.1", 0))
        mapped = sockaddr.pack(receiver.getsockname(), socket.AF_INET6)
        bench.upkeep.table.add(mapped, NAME, KEY, now=0.0)
        request = check()
        assert bench.serve(request, source=mapped)[0] == [DONE]
        receiver.settimeout(2)
        expected = stun_check.answer(request, NAME.encode(), KEY.encode(), receiver.getsockname())
        assert expected is not None
        assert receiver.recv(2048) == expected.data
        receiver.close()


def test_what_is_not_this_sessions_check_is_left_to_python() -> None:
    with Bench() as bench:
        bench.upkeep.table.add(bench.address, NAME, KEY, now=0.0)
        strangers = [
            check("other:client"),
            check(key="another"),
            b"\0\1" + bytes(40),
            b"",
            bytes(12),
            b"\x16" * 60,
        ]
        assert bench.serve(*strangers)[0] == [LEFT] * len(strangers)
        elsewhere = sockaddr.pack(("127.0.0.1", 9), socket.AF_INET)
        assert bench.serve(check(), source=elsewhere)[0] == [LEFT]
        assert bench.answers() == []


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_check_changed_or_cut_anywhere_is_not_answered(data: st.DataObject) -> None:
    with Bench() as bench:
        bench.upkeep.table.add(bench.address, NAME, KEY, now=0.0)
        request = bytearray(check())
        at = data.draw(st.integers(0, len(request) - 1))
        request[at] ^= data.draw(st.integers(1, 255))
        assert DONE not in bench.serve(bytes(request), bytes(request[:at]))[0]
        assert bench.answers() == []


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["add", "move", "remove"]), st.integers(1, 40)), max_size=80),
)
def test_a_session_is_found_where_it_is_and_nowhere_else(operations: list[tuple[str, int]]) -> None:
    table = UpkeepTable(8)
    upkeep = Upkeep(table)
    where: dict[int, int] = {}

    def address(port: int) -> bytes:
        return sockaddr.pack(("127.0.0.1", port), socket.AF_INET)

    for what, port in operations:
        if what == "add" and port not in where.values():
            slot = table.add(address(port), f"s:{port}", KEY, now=0.0)
            assert (slot is None) == (len(where) == 8)
            if slot is not None:
                where[slot] = port
        elif what == "move" and where and port not in where.values():
            slot = min(where)
            table.move(slot, address(port))
            where[slot] = port
        elif what == "remove" and where:
            slot = max(where)
            table.remove(slot)
            del where[slot]
    names = {port: slot for slot, port in where.items()}
    for port in range(1, 41):
        assert table.find(address(port)) == names.get(port)
    assert upkeep.checks == 0


def receiver_report(ssrc: int, about: int, lost: int = -3) -> bytes:
    block = rtcp.ReceptionReport(about, 25, lost, 1000, 480, 0x11223344, 0x55667788)
    return rtcp.serialize([rtcp.ReceiverReport(ssrc, (block,)), rtcp.SourceDescription(ssrc, "x")])


@pytest.mark.parametrize("profile", list(srtp.Profile))
def test_reports_of_a_trusted_sender_are_read_and_others_are_left(profile: srtp.Profile) -> None:
    size = profile.key_length + profile.salt_length
    keys = srtp.Keys(profile, bytes(range(size)), bytes(range(1, size + 1)))
    sender = srtp.Sender(srtp.Keys(profile, keys.remote, keys.local))
    opener = srtp.Receiver(keys)
    with Bench() as bench:
        table = bench.upkeep.table
        slot = table.add(bench.address, NAME, KEY, ssrc=77, opener=opener.handle, now=0.0)
        assert slot is not None
        sealed = sender.protect_rtcp(receiver_report(5, 77))
        assert bench.serve(sealed) == ([LEFT], [sealed])
        table.trust(slot, 5)
        assert bench.serve(sealed, now=3.0)[0] == [DONE]
        report = table.report(slot)
        assert report is not None
        assert (report.fraction_lost, report.packets_lost, report.jitter) == (25, -3, 480)
        assert (report.lsr, report.dlsr) == (0x11223344, 0x55667788)
        assert table.report(slot) is None
        assert table.heard(slot) == 3.0
        # A replay is counted as one and goes nowhere, nor does what was tampered with.
        assert bench.serve(sealed)[0] == [DONE]
        assert (bench.upkeep.failed, bench.upkeep.replayed) == (0, 1)
        tampered = bytearray(sender.protect_rtcp(receiver_report(5, 77)))
        tampered[10] ^= 1
        assert bench.serve(bytes(tampered))[0] == [DONE]
        assert (bench.upkeep.failed, bench.upkeep.replayed) == (1, 1)
        assert table.report(slot) is None
        # What asks for something is opened once and handed on in the clear.
        nack = receiver_report(5, 77) + rtcp.serialize([rtcp.Nack(5, 77, (9,))])
        fates, [plain] = bench.serve(sender.protect_rtcp(nack))
        assert (fates, plain) == ([OPENED], nack)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_compound_rtcp_is_walked_as_the_codec_walks_it(seed: int, cut: bool) -> None:
    rng = random.Random(seed)
    packets: list[rtcp.Packet] = []
    for _ in range(rng.randrange(1, 5)):
        blocks = tuple(
            rtcp.ReceptionReport(rng.choice([7, 8]), rng.randrange(256), rng.randrange(-100, 100), 1, 2, 3, 4)
            for _ in range(rng.randrange(3))
        )
        packets.append(
            rng.choice(
                [
                    rtcp.ReceiverReport(1, blocks),
                    rtcp.SenderReport(1, 2, 3, 4, 5, blocks),
                    rtcp.SourceDescription(1, "name"),
                    rtcp.Goodbye((1,)),
                    rtcp.Nack(1, 7, (4,)),
                ]
            )
        )
    data = rtcp.serialize(packets)
    data = data[: rng.randrange(len(data))] if cut else data
    report = np.zeros(5, np.int64)
    fate = read_reports(np.frombuffer(data, np.uint8), len(data), 7, report)
    try:
        parsed = rtcp.parse(data)
    except MalformedError:
        assert fate == OPENED
        return
    plain = all(
        isinstance(p, rtcp.ReceiverReport | rtcp.SenderReport | rtcp.SourceDescription) for p in parsed
    )
    assert fate == (DONE if plain else OPENED)
    if plain:
        about = [
            block
            for packet in parsed
            if isinstance(packet, rtcp.ReceiverReport | rtcp.SenderReport)
            for block in packet.reports
            if block.ssrc == 7
        ]
        if about:
            assert report[:3].tolist() == [about[-1].fraction_lost, about[-1].packets_lost, about[-1].jitter]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_noise_is_left(noise: bytes) -> None:
    with Bench() as bench:
        bench.upkeep.table.add(bench.address, NAME, KEY, now=0.0)
        assert bench.serve(noise)[0] == [LEFT]
    read_reports(np.frombuffer(noise, np.uint8), len(noise), 7, np.zeros(5, np.int64))
