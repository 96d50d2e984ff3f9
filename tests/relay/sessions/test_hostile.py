"""What strangers and broken peers send: counted, dropped, and without effect on the channel on air."""

from __future__ import annotations

import random
import socket

import pytest

from loacodecs import rtcp, rtp
from loacodecs.errors import MalformedError
from relay.channels.history import PacketHistory
from relay.errors import PreconditionFailed, PreconditionRequired
from relay.net.fanout import Packet
from tests.support.world import UNIX, World

DATAGRAMS = 100_000


async def test_random_and_mutated_datagrams_disturb_nothing() -> None:
    """100,000 of them, from strangers and from the session's own addresses, between the packets of a live channel."""
    rng = random.Random(20261123)
    with World() as world:
        voice = await world.publisher()
        listener = await world.listener()
        captured: list[bytes] = []
        keep = voice.socket.sendto

        class Tap:
            """The publisher's socket, with an ear on it."""

            def __getattr__(self, name: str) -> object:
                return getattr(sock, name)

            def sendto(self, data: bytes, address: tuple[str, int]) -> int:
                captured.append(data)
                return keep(data, address)

        sock = voice.socket
        voice.socket = Tap()  # type: ignore[assignment]
        stranger = world.port.pack(("127.0.0.1", 9))
        own = [world.port.pack(client.getsockname()) for client in (sock, listener.socket)]
        said = 0
        for n in range(DATAGRAMS):
            if n % 500 == 0:
                voice.say(said, b"still on air %d" % said)
                said += 1
                world.advance(0.02)
            data = _hostile(rng, captured)
            source = own[n % 2] if n % 3 == 0 else stranger
            world.hub.on_datagram(world.port, data, source, world.now, 0.0)
            while world.hub.work(world.now):
                pass
        world.advance(0.1)
        assert [packet.payload for packet in listener.heard] == [b"still on air %d" % n for n in range(said)]
        refused = world.core.stats().refused
        assert sum(refused.values()) > 0.9 * DATAGRAMS
        assert {"unchecked_address", "srtp_authentication", "srtp_replay"} <= set(refused)
        assert len(world.core.stats().sessions) == 2


class Keeping:
    """A socket that keeps the checks it sends."""

    def __init__(self, sock: socket.socket, checks: list[bytes]) -> None:
        self._socket = sock
        self._checks = checks

    def __getattr__(self, name: str) -> object:
        return getattr(self._socket, name)

    def sendto(self, data: bytes, address: tuple[str, int]) -> int:
        if data[0] < 4:
            self._checks.append(data)
        return self._socket.sendto(data, address)


def _hostile(rng: random.Random, captured: list[bytes]) -> bytes:
    kind = rng.randrange(4)
    if kind == 0 or not captured:
        return rng.randbytes(rng.choice([0, 1, 2, 7, 12, 13, 20, 40, 200, 1400]))
    data = bytearray(rng.choice(captured[-50:]))
    if kind == 1:
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == 2:
        del data[rng.randrange(len(data)) :]
    return bytes(data)


async def test_media_from_an_address_that_passed_no_check_is_refused() -> None:
    with World() as world:
        voice = await world.publisher()
        listener = await world.listener()
        other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        other.bind(("127.0.0.1", 0))
        sent: list[bytes] = []
        voice.say(0, b"stolen")
        while (output := voice.peer.poll()) is not None:
            sent.append(output.data)  # type: ignore[union-attr]  # say() queues transmits only
        for data in sent:
            other.sendto(data, world.port.address)
        world.settle()
        assert listener.heard == []
        assert world.core.stats().refused["unchecked_address"] == 1
        for data in sent:
            voice.socket.sendto(data, world.port.address)
        world.settle()
        assert [packet.payload for packet in listener.heard] == [b"stolen"]
        other.close()


async def test_a_check_with_a_forged_source_takes_nobodys_address() -> None:
    """One silenced a publisher that never checks again, as FFmpeg, until its session ended 30 s later."""
    with World() as world:
        voice = await world.publisher()
        listener = await world.listener()
        thief = await world.listener(connect=False)
        checks: list[bytes] = []
        thief.socket = Keeping(thief.socket, checks)  # type: ignore[assignment]
        world.advance(1.0)
        voice.say(0, b"before")
        world.advance(0.02)
        victim = world.port.pack(voice.socket.getsockname())
        for check in checks:
            world.hub.on_datagram(world.port, check, victim, world.now, 0.0)
        while world.hub.work(world.now):
            pass
        with pytest.raises(BlockingIOError):
            voice.socket.recv(2048)  # nothing is reflected, either
        voice.say(1, b"after")
        world.advance(0.02)
        assert [packet.payload for packet in listener.heard] == [b"before", b"after"]
        assert world.core.stats().refused["address_in_use"] == len(checks)


async def test_nor_does_it_take_that_of_a_listener_whom_compiled_code_keeps_up() -> None:
    with World() as world:
        voice = await world.publisher()
        listener = await world.listener()
        world.advance(20.0, step=0.1)
        thief = await world.listener(connect=False)
        checks: list[bytes] = []
        thief.socket = Keeping(thief.socket, checks)  # type: ignore[assignment]
        world.advance(1.0)
        voice.say(0, b"sound")
        world.advance(0.02)
        world.hub.on_datagram(
            world.port, checks[0], world.port.pack(listener.socket.getsockname()), world.now, 0.0
        )
        world.settle()
        listener.tell(rtcp.Nack(1, listener.heard[0].ssrc, (listener.heard[0].sequence,)))
        world.advance(0.1)
        assert world.core.stats().channels["xa"].retransmitted == 1


async def test_an_address_that_fell_silent_can_be_somebody_elses() -> None:
    with World() as world:
        gone = await world.publisher()
        host, port = gone.socket.getsockname()
        world.clients.remove(gone)
        gone.socket.close()
        world.advance(8.1, step=0.1)
        voice = await world.publisher(connect=False)
        voice.socket.close()
        voice.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        voice.socket.bind((host, port))
        voice.socket.setblocking(False)
        listener = await world.listener()
        world.advance(1.0)
        voice.say(0, b"from there")
        world.advance(0.02)
        assert [packet.payload for packet in listener.heard] == [b"from there"]


async def test_a_listener_cannot_speak() -> None:
    with World() as world:
        listener = await world.listener()
        other = await world.listener()
        listener.say(0, b"I am not a publisher")
        world.advance(0.02)
        assert other.heard == []
        assert world.core.stats().refused["unexpected_media"] == 1


async def test_another_payload_type_is_not_forwarded() -> None:
    with World() as world:
        voice = await world.publisher()
        listener = await world.listener()
        packet = rtp.RtpPacket(0, False, 1, 960, voice.ssrc, b"G.711")
        voice.peer.send_rtp(packet.to_bytes())
        world.advance(0.02)
        assert listener.heard == []
        assert world.core.stats().refused["payload_type"] == 1


async def test_a_check_without_integrity_is_answered_with_silence() -> None:
    with World() as world:
        await world.listener()
        ufrag = world.clients[0].answer.ice_ufrag if world.clients[0].answer else ""
        other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        other.bind(("127.0.0.1", 0))
        other.setblocking(False)
        username = f"{ufrag}:clnt".encode()
        attribute = b"\x00\x06" + len(username).to_bytes(2, "big") + username + bytes(-len(username) % 4)
        request = (
            b"\x00\x01" + len(attribute).to_bytes(2, "big") + b"\x21\x12\xa4\x42" + bytes(12) + attribute
        )
        other.sendto(request, world.port.address)
        world.settle()
        with pytest.raises(BlockingIOError):
            other.recv(2048)
        assert world.core.stats().refused["stun_integrity"] == 1
        other.close()


async def test_trickle_wants_the_current_entity_tag() -> None:
    with World() as world:
        listener = await world.listener()
        session = listener.created
        fragment = "a=mid:0\r\na=candidate:1 1 udp 2130706431 127.0.0.1 9 typ host\r\n"
        with pytest.raises(PreconditionRequired):
            await world.core.trickle("xa", "listen", session.id, fragment, None)
        with pytest.raises(PreconditionFailed):
            await world.core.trickle("xa", "listen", session.id, fragment, '"old"')
        with pytest.raises(MalformedError):
            await world.core.trickle("xa", "listen", session.id, "nonsense", f'"{session.etag}"')
        result = await world.core.trickle("xa", "listen", session.id, fragment, f'"{session.etag}"')
        assert (result.etag, result.fragment) == (session.etag, None)


async def test_an_ice_restart_keeps_the_sound() -> None:
    with World() as world:
        voice = await world.publisher()
        listener = await world.listener()
        fragment = "a=ice-ufrag:newu\r\na=ice-pwd:another-password-of-22-chars\r\na=mid:0\r\n"
        result = await world.core.trickle("xa", "listen", listener.created.id, fragment, "*")
        assert result.etag != listener.created.etag
        assert result.fragment is not None
        voice.say(0, b"during")
        world.advance(0.02)
        lines = dict(line[2:].partition(":")[::2] for line in result.fragment.splitlines())
        listener.peer.restart("newu", "another-password-of-22-chars", lines["ice-ufrag"], lines["ice-pwd"])
        world.advance(12.0, step=0.05)
        voice.say(1, b"after")
        world.advance(0.02)
        assert [packet.payload for packet in listener.heard] == [b"during", b"after"]
        world.advance(60.0, step=0.1)
        assert listener.closed is None
        assert world.core.stats().channels["xa"].listeners == 1


class LookedAt(PacketHistory):
    """A history that counts how often it is looked into."""

    def __init__(self) -> None:
        super().__init__(256)
        self.looks = 0

    def get(self, sequence: int) -> Packet | None:
        self.looks += 1
        return super().get(sequence)


async def test_one_that_asks_without_end_keeps_nobody_from_joining() -> None:
    """16,384 of its datagrams may wait, and each took 1.5 ms: who came after them was not let in for 20 s."""
    with World() as world:
        voice = await world.publisher()
        listener = await world.listener()
        voice.say(0)
        world.advance(0.02)
        ssrc = listener.heard[0].ssrc
        for second in range(3):
            for _ in range(40):
                for _ in range(50):
                    listener.tell(rtcp.Nack(1, ssrc, (1, 2, 3)))
                world.settle()
            stats = world.core.stats()
            read = 100 + 50 * second
            assert stats.channels["xa"].nacks_received == 3 * read
            assert stats.refused["rtcp_flood"] == 2_000 * (second + 1) - read
            world.advance(1.0, step=0.1)
        listener.tell(rtcp.Nack(1, ssrc, (listener.heard[0].sequence,)))
        world.advance(0.1)
        assert world.core.stats().channels["xa"].retransmitted == 1


async def test_a_flood_of_requests_waits_its_turn_and_costs_little() -> None:
    """64 datagrams of 5,120 requests each kept the media thread for 190 ms, and so all sound of the relay."""
    with World() as world:
        voice = await world.publisher()
        listener = await world.listener()
        voice.say(0)
        world.advance(0.02)
        listener.tell(rtcp.ReceiverReport(1))  # from now on compiled code opens what this sender sends
        world.advance(0.02)
        history = world.hub.channels["xa"].renditions.plain.history = LookedAt()
        ssrc, numbers = listener.heard[0].ssrc, tuple(range(rtcp.NACK_MAX))
        for _ in range(64):
            listener.tell(rtcp.ReceiverReport(1), *[rtcp.Nack(1, ssrc, numbers)] * 5)
        listener.turn(world.now)
        world.watch.set_clock(world.now, UNIX + world.now)
        batch = world.watch.wait(0.0)
        assert batch is not None
        assert len(batch.fates) == 64
        world.hub.on_batch(batch)
        channel = world.core.stats().channels["xa"]
        assert (channel.nacks_received, history.looks) == (0, 0), "media goes first"
        assert world.hub.work(world.now)
        channel = world.core.stats().channels["xa"]
        assert (channel.nacks_received, channel.nacks_refused) == (5_120, 5_120)
        assert history.looks <= rtcp.NACK_MAX
        while world.hub.work(world.now):
            pass
        assert world.core.stats().channels["xa"].nacks_received == 64 * 5_120
