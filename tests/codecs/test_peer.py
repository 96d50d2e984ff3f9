from __future__ import annotations

import struct

import pytest

from loacodecs.events import Rtcp, Rtp
from tests.support.wire import CLIENT, SERVER, Session


def rtp(sequence: int, ssrc: int = 7) -> bytes:
    return struct.pack("!BBHII", 0x80, 111, sequence, sequence * 960, ssrc) + b"opus" * 30


def rtcp(ssrc: int = 7) -> bytes:
    return struct.pack("!BBHI", 0x80, 201, 1, ssrc)


@pytest.mark.parametrize("setup", ["actpass", "active", "passive"])
def test_server_and_client_meet_in_both_dtls_roles(setup: str) -> None:
    session = Session(setup=setup)
    session.connect()
    server, client = session.server, session.client
    assert server.connected is not None
    assert client.connected is not None
    assert (server.connected.remote, client.connected.remote) == (CLIENT, SERVER)
    assert server.connected.keys.local == client.connected.keys.remote
    assert server.peer.state == client.peer.state == "connected"
    client.peer.send_rtp(rtp(1))
    server.peer.send_rtp(rtp(2))
    client.peer.send_rtcp(rtcp())
    session.wire.run(0.1)
    assert server.of(Rtp) == [Rtp(rtp(1))]
    assert client.of(Rtp) == [Rtp(rtp(2))]
    assert server.of(Rtcp) == [Rtcp(rtcp())]
    assert not server.peer.refused
    assert not client.peer.refused
