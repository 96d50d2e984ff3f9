"""Batches of datagrams with the kernel's arrival times."""

from __future__ import annotations

import socket
import time

import pytest

from relay.net import sockaddr
from relay.net.port import open_port, open_ports
from relay.net.receive import BATCH, BatchReceiver


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::"])
def test_datagrams_come_whole_with_source_and_arrival(host: str) -> None:
    port = open_port(host, 0, receive_buffer=1 << 20, send_buffer=1 << 20)
    number = port.address[1]
    target = ("::1", number) if host == "::1" else ("127.0.0.1", number)
    receiver = BatchReceiver()
    sender = socket.socket(socket.AF_INET6 if host == "::1" else socket.AF_INET, socket.SOCK_DGRAM)
    sender.bind((target[0], 0))
    before = time.time()
    for n in range(BATCH + 6):
        sender.sendto(bytes([n]) * (n + 1), target)
    after = time.time()
    try:
        first = list(receiver.drain(port.fd))
        second = list(receiver.drain(port.fd))
        assert list(receiver.drain(port.fd)) == []
        assert [data for data, _, _ in first + second] == [bytes([n]) * (n + 1) for n in range(BATCH + 6)]
        assert {sockaddr.unpack(source) for _, source, _ in first} == {sender.getsockname()[:2]}
        arrivals = [arrival for _, _, arrival in first + second]
        assert arrivals == sorted(arrivals)
        assert before - 0.001 <= arrivals[0] <= arrivals[-1] <= after + 0.001
        # What was received can be answered: the packed source is a valid destination.
        assert port.send(b"back", sockaddr.unpack(first[0][1]))
        sender.settimeout(2)
        assert sender.recv(100) == b"back"
    finally:
        sender.close()
        port.close()


def test_an_overflowing_buffer_is_told() -> None:
    port = open_port("127.0.0.1", 0, receive_buffer=1, send_buffer=1 << 20)
    receiver = BatchReceiver()
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        for _ in range(200):
            sender.sendto(bytes(1200), port.address)
        while list(receiver.drain(port.fd)):
            pass
        sender.sendto(b"x", port.address)
        assert [data for data, _, _ in receiver.drain(port.fd)] == [b"x"]
        assert receiver.overflows > 100
    finally:
        sender.close()
        port.close()


def test_a_datagram_longer_than_any_of_ours_is_cut_not_split() -> None:
    port = open_port("127.0.0.1", 0, receive_buffer=1 << 20, send_buffer=1 << 20)
    receiver = BatchReceiver()
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sender.sendto(bytes(9000), port.address)
        sender.sendto(b"next", port.address)
        assert [len(data) for data, _, _ in receiver.drain(port.fd)] == [2048, 4]
    finally:
        sender.close()
        port.close()


def test_every_address_means_one_port_of_each_family_with_one_number() -> None:
    receiver = BatchReceiver()
    ports = open_ports("::", 0, receive_buffer=1 << 20, send_buffer=1 << 20)
    try:
        families = [socket.AF_INET, socket.AF_INET, socket.AF_INET6, socket.AF_INET6]
        assert [port.family for port in ports] == families
        assert [port.carries for port in ports] == ["media", "control"] * 2
        assert len({port.address[1] for port in ports}) == 1
        for (media, control), host in zip((ports[:2], ports[2:]), ("127.0.0.1", "::1"), strict=True):
            rtp = [bytes((0x80, 111)) + bytes(20), bytes((0x90, 0x80 | 111)) + bytes(20), bytes((0xBF, 0))]
            rest = [
                *(bytes((0x80, kind)) + bytes(20) for kind in (192, 200, 201, 205, 223)),
                *(bytes((first, 1)) + bytes(20) for first in (0, 1, 20, 22, 63, 127, 192, 255)),
            ]
            with socket.socket(media.family, socket.SOCK_DGRAM) as sender:
                for data in (*rtp, *rest, b"", b"\x80"):
                    sender.sendto(data, (host, media.address[1]))
            # What is too short to tell counts as media; it is refused there.
            assert [data for data, _, _ in receiver.drain(media.fd)] == [*rtp, b"", b"\x80"]
            assert [data for data, _, _ in receiver.drain(control.fd)] == rest
    finally:
        for port in ports:
            port.close()
