"""Our peer with aiortc's RTCPeerConnection, over loopback UDP, both ways round."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamTrack

from loacodecs import rtp, sdp
from loacodecs.certificate import Certificate
from loacodecs.peer import Peer, generate_credentials
from tests.support.udp_peer import UdpPeer

CERTIFICATE = Certificate.generate()
SSRC = 0x10A
# One 20 ms frame of Opus silence (RFC 6716, CELT fullband mono).
SILENCE = b"\xf8\xff\xfe"

Connections = Callable[[], RTCPeerConnection]


@pytest.fixture
async def connections() -> AsyncIterator[Connections]:
    made: list[RTCPeerConnection] = []

    def make() -> RTCPeerConnection:
        made.append(RTCPeerConnection())
        return made[-1]

    yield make
    for connection in made:
        await connection.close()


@pytest.fixture
async def shells() -> AsyncIterator[Callable[[], Awaitable[UdpPeer]]]:
    made: list[UdpPeer] = []

    async def make() -> UdpPeer:
        made.append(UdpPeer())
        return made[-1]

    yield make
    for shell in made:
        await shell.close()


def packet(payload_type: int, sequence: int) -> bytes:
    return rtp.RtpPacket(payload_type, False, sequence, sequence * 960, SSRC, SILENCE).to_bytes()


def received_by(connection: RTCPeerConnection) -> asyncio.Future[MediaStreamTrack]:
    found: asyncio.Future[MediaStreamTrack] = asyncio.get_running_loop().create_future()
    connection.on("track", lambda track: found.done() or found.set_result(track))
    return found


async def send_until_heard(shell: UdpPeer, peer: Peer, payload_type: int, track: MediaStreamTrack) -> None:
    """Send a packet every 20 ms until aiortc has decoded one."""
    heard = asyncio.ensure_future(track.recv())
    for sequence in range(500):
        shell.touch(lambda _now, sequence=sequence: peer.send_rtp(packet(payload_type, sequence)))
        done, _ = await asyncio.wait([heard], timeout=0.02)
        if done:
            break
    frame = await asyncio.wait_for(heard, 5)
    assert frame.sample_rate == 48000


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_aiortc_offers_to_our_server(
    connections: Connections, shells: Callable[[], Awaitable[UdpPeer]], host: str
) -> None:
    connection, shell = connections(), await shells()
    connection.addTrack(AudioStreamTrack())
    track = received_by(connection)
    await connection.setLocalDescription(await connection.createOffer())
    offer = sdp.parse_offer(connection.localDescription.sdp)
    address = await shell.open(host)
    ufrag, pwd = generate_credentials(os.urandom)
    peer = Peer.server(certificate=CERTIFICATE, ufrag=ufrag, pwd=pwd, offer=offer, random=os.urandom)
    shell.run(peer)
    answer = sdp.make_answer(
        offer,
        direction="sendrecv",
        ice_ufrag=ufrag,
        ice_pwd=pwd,
        fingerprint=CERTIFICATE.fingerprint,
        candidates=[address],
        ssrc=SSRC,
        cname="loa",
        session_id=1,
    )
    await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    await shell.until(lambda: len(shell.rtp) >= 3)
    assert peer.keys is not None
    assert peer.keys.profile.name == "AEAD_AES_128_GCM"
    packets = [rtp.parse(data) for data in shell.rtp]
    assert {p.payload_type for p in packets} == {offer.opus_payload_type}
    assert {p.ssrc for p in packets} == {offer.ssrc}
    await send_until_heard(shell, peer, offer.opus_payload_type, await asyncio.wait_for(track, 5))
    await shell.until(lambda: bool(shell.rtcp))
    assert not set(peer.refused) - {"not_ready"}
    await connection.close()
    await shell.until(lambda: shell.closed is not None)
    assert shell.closed is not None
    assert shell.closed.reason == "peer_closed"


@pytest.mark.parametrize("setup", ["active", "passive"])
async def test_our_client_offers_to_aiortc(
    connections: Connections, shells: Callable[[], Awaitable[UdpPeer]], setup: str
) -> None:
    """aiortc answers "active"; offering "active" ourselves makes it passive."""
    connection, shell = connections(), await shells()
    connection.addTrack(AudioStreamTrack())
    track = received_by(connection)
    address = await shell.open()
    ufrag, pwd = generate_credentials(os.urandom)
    peer = Peer.client(certificate=CERTIFICATE, ufrag=ufrag, pwd=pwd, random=os.urandom)
    shell.run(peer)
    offer = sdp.make_offer(
        direction="sendrecv",
        ice_ufrag=ufrag,
        ice_pwd=pwd,
        fingerprint=CERTIFICATE.fingerprint,
        candidates=[address],
        ssrc=SSRC,
        cname="loa",
        session_id=1,
    )
    if setup == "passive":
        offer = offer.replace("a=setup:actpass", "a=setup:active")
    await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
    await connection.setLocalDescription(await connection.createAnswer())
    answer = sdp.parse_answer(connection.localDescription.sdp)
    assert answer.setup == setup
    assert not answer.ice_lite
    shell.touch(lambda now: peer.set_remote(answer, now))
    await shell.until(lambda: len(shell.rtp) >= 3)
    await send_until_heard(shell, peer, answer.opus_payload_type, await asyncio.wait_for(track, 5))
    assert {rtp.parse(data).ssrc for data in shell.rtp} == {answer.ssrc}
    shell.touch(peer.close)
    closed = asyncio.Event()
    connection.on("connectionstatechange", lambda: connection.connectionState == "closed" and closed.set())
    await asyncio.wait_for(closed.wait(), 5)
