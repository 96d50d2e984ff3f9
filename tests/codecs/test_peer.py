from __future__ import annotations

import random
import struct

import pytest

from loacodecs import sdp, stun
from loacodecs.certificate import Certificate
from loacodecs.events import Closed, Connected, RemoteChanged, Rtcp, Rtp, Transmit
from loacodecs.peer import MAX_QUEUED, Peer, generate_credentials
from tests.support.wire import CLIENT, CLIENT_CERTIFICATE, SERVER, SERVER_CERTIFICATE, Session, randomness

ELSEWHERE = ("203.0.113.66", 6666)
SIX = ("2001:db8::1", 8189)


def rtp(sequence: int, ssrc: int = 7) -> bytes:
    return struct.pack("!BBHII", 0x80, 111, sequence, sequence * 960, ssrc) + b"opus" * 30


def rtcp(ssrc: int = 7) -> bytes:
    return struct.pack("!BBHI", 0x80, 201, 1, ssrc)


def assert_media_passes(session: Session, sequence: int) -> None:
    server, client = session.server, session.client
    assert client.peer.send_rtp(rtp(sequence))
    assert server.peer.send_rtp(rtp(sequence))
    assert client.peer.send_rtcp(rtcp())
    session.wire.run(0.1)
    assert server.of(Rtp)[-1] == Rtp(rtp(sequence))
    assert client.of(Rtp)[-1] == Rtp(rtp(sequence))
    assert server.of(Rtcp)[-1] == Rtcp(rtcp())


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
    assert_media_passes(session, 1)
    assert not server.peer.refused
    assert not client.peer.refused
    assert session.wire.now - 1000.0 < 0.2


def test_ipv6() -> None:
    session = Session(server_address=SIX, client_address=("2001:db8::7", 1))
    session.connect()
    assert_media_passes(session, 1)


def test_a_second_candidate_serves_when_the_first_is_dead() -> None:
    session = Session(addresses=[("192.0.2.200", 1), SERVER])
    session.connect()
    assert session.client.peer.remote == SERVER


@pytest.mark.parametrize("seed", range(10))
def test_a_fifth_of_all_datagrams_lost(seed: int) -> None:
    generator = random.Random(seed)
    session = Session()
    session.wire.drop = lambda _data, _source, _target: generator.random() < 0.2
    session.connect()


@pytest.mark.parametrize("deaf", [CLIENT, SERVER])
def test_a_burst_of_five_losses_at_any_moment_of_the_setup_costs_three_seconds_at_most(
    deaf: tuple[str, int],
) -> None:
    """A mobile link loses several packets in a row; a receiver whose relay died has as long as its buffer lasts."""
    for first in range(6):
        session = Session()
        session.wire.delay = 0.06
        passed = iter(range(1000))
        session.wire.drop = lambda _data, _source, target, passed=passed, first=first: (
            target == deaf and first <= next(passed) < first + 5
        )
        session.start()
        began = session.wire.now
        assert session.wire.run(5.0, lambda session=session: session.client.connected is not None), first
        assert session.wire.now - began < 3.0, first


def test_the_last_flight_of_the_server_lost_is_sent_again() -> None:
    session = Session()
    lost: list[bytes] = []

    def drop(data: bytes, source: object, _target: object) -> bool:
        final = data[0] == 20 and source == SERVER and not lost
        if final:
            lost.append(data)
        return final

    session.wire.drop = drop
    session.connect()
    assert lost
    assert_media_passes(session, 1)


def test_dtls_from_an_unchecked_address_is_refused_and_from_a_checked_one_taken_before_nomination() -> None:
    session = Session()
    session.start()
    hello: list[bytes] = []

    def catch(data: bytes, source: object, _target: object) -> bool:
        if data[0] == 22 and source == CLIENT:
            hello.append(data)
        is_nomination = data[0] == 0 and source == CLIENT and stun.parse(data).nominates
        return is_nomination or data[0] == 22

    session.wire.drop = catch
    session.wire.run(0.3)
    assert hello
    server = session.server.peer
    server.receive(session.wire.now, hello[0], ELSEWHERE)
    assert server.refused == {"unchecked_address": 1}
    assert server.poll() is None
    server.receive(session.wire.now, hello[0], CLIENT)
    answer = server.poll()
    assert isinstance(answer, Transmit)
    assert answer.addr == CLIENT
    assert answer.data[0] == 22


def test_stun_that_is_not_signed_for_us_meets_silence() -> None:
    session = Session()
    server = session.server.peer
    values = {"priority": 1, "controlling": True, "tie_breaker": 1}
    for username, password in (("serverU:clientU", "x" * 24), ("serverU:other", session.server_pwd)):
        data = stun.binding_request(bytes(12), username=username, password=password, **values)  # type: ignore[arg-type]  # keywords in a dict
        server.receive(1000.0, data, CLIENT)
    server.receive(1000.0, data[:50], CLIENT)
    assert server.poll() is None
    assert server.refused == {"stun_integrity": 2, "stun_malformed": 1}
    assert server.state == "new"
    assert server.last_received == 0.0


def test_replayed_forged_and_early_srtp_is_counted() -> None:
    session = Session()
    session.start()
    session.wire.run(0.015)
    server = session.server.peer
    assert server.state == "checking"
    server.receive(session.wire.now, rtp(1) + bytes(16), CLIENT)
    assert server.refused == {"not_ready": 1}
    session.wire.run(5.0, lambda: bool(session.server.connected and session.client.connected))
    session.client.peer.send_rtp(rtp(1))
    session.client.peer.send_rtp(rtp(2))
    event, other = session.client.peer.poll(), session.client.peer.poll()
    assert isinstance(event, Transmit)
    assert isinstance(other, Transmit)
    now = session.wire.now
    server.receive(now, event.data, CLIENT)
    server.receive(now, event.data, CLIENT)
    server.receive(now, other.data[:-1] + bytes([other.data[-1] ^ 1]), CLIENT)
    server.receive(now, event.data, ELSEWHERE)
    server.receive(now, rtcp() + bytes(20), CLIENT)
    server.receive(now, bytes(3000), CLIENT)
    server.receive(now, b"\x80\x6f" + bytes(3000), ELSEWHERE)
    server.receive(now, b"", CLIENT)
    assert server.refused == {
        "not_ready": 1,
        "srtp_replay": 1,
        "srtp_authentication": 2,
        "unchecked_address": 1,
        "malformed": 3,
    }
    session.wire.drain(session.server)
    assert session.server.of(Rtp) == [Rtp(rtp(1))]


def test_media_follows_the_last_nominated_address() -> None:
    """A NAT gave the client another port: its next consent check, at most 6 s later, says so."""
    session = Session()
    session.connect()
    session.wire.move(session.client, ELSEWHERE)
    assert session.wire.run(6.5, lambda: bool(session.remote_changes))
    assert session.remote_changes == [RemoteChanged(ELSEWHERE)]
    assert session.server.peer.remote == ELSEWHERE
    assert_media_passes(session, 2)


def test_an_ice_restart_keeps_the_keys() -> None:
    session = Session()
    session.connect()
    keys = session.server.peer.keys
    session.server.peer.restart("newServer", "n" * 24, "newClient", "m" * 24)
    session.client.peer.restart("newClient", "m" * 24, "newServer", "n" * 24)
    assert session.server.peer.local_ufrag == "newServer"
    assert_media_passes(session, 1)
    session.wire.run(1.0)
    assert session.server.peer.keys is keys
    assert len(session.server.of(Connected)) == 1
    session.wire.run(40.0)
    assert_media_passes(session, 2)


@pytest.mark.parametrize("closer", ["server", "client"])
def test_goodbye_reaches_the_other_side(closer: str) -> None:
    session = Session()
    session.connect()
    first, second = session.server, session.client
    if closer == "client":
        first, second = second, first
    first.peer.close(session.wire.now)
    session.wire.run(0.1)
    assert first.events[-1] == Closed("closed")
    assert second.closed is not None
    assert second.closed.reason == "peer_closed"
    for endpoint in (first, second):
        assert endpoint.peer.state == "closed"
        assert endpoint.peer.next_deadline() is None
        assert not endpoint.peer.send_rtp(rtp(1))
        endpoint.peer.receive(session.wire.now, rtp(1) + bytes(16), CLIENT)
        endpoint.peer.on_timeout(session.wire.now + 100)
        assert endpoint.peer.poll() is None
    first.peer.close(session.wire.now)
    assert first.peer.poll() is None


def test_a_server_hears_nothing_for_thirty_seconds_and_closes() -> None:
    session = Session()
    session.connect()
    session.wire.run(60.0)
    assert session.server.closed is None
    session.wire.drop = lambda _data, source, _target: source == CLIENT
    before = session.server.peer.last_received
    assert session.wire.run(40.0, lambda: session.server.closed is not None)
    assert session.wire.now == pytest.approx(before + 30.0)
    assert session.server.closed is not None
    assert session.server.closed.reason == "consent_lost"
    session.wire.run(31.0)
    assert session.client.closed is not None


def test_a_publisher_that_only_sends_media_stays() -> None:
    """FFmpeg checks once and never again: authentic SRTP shows that it is there."""
    session = Session(client_consent_timeout=1000.0)
    session.connect()
    session.wire.drop = lambda data, source, _target: source == CLIENT and data[0] < 4
    for sequence in range(40):
        session.client.peer.send_rtp(rtp(sequence))
        session.wire.run(1.0)
    assert session.server.closed is None


def test_a_listener_that_hears_media_stays_though_no_answer_to_a_check_arrives() -> None:
    """Losses of a mobile link come in bursts, and one burst may take the few answers of half a minute."""
    session = Session()
    session.connect()
    session.wire.drop = lambda data, source, _target: source == SERVER and data[0] < 4
    for sequence in range(90):
        session.server.peer.send_rtp(rtp(sequence))
        session.wire.run(1.0)
    assert session.client.closed is None
    assert session.wire.run(31.0, lambda: session.client.closed is not None)
    assert session.client.closed is not None
    assert session.client.closed.reason == "consent_lost"


def test_who_never_connects_is_closed() -> None:
    session = Session()
    session.wire.drop = lambda _data, _source, _target: True
    session.start()
    session.wire.run(31.0)
    for endpoint in (session.server, session.client):
        assert endpoint.closed is not None
        assert endpoint.closed.reason == "setup_timeout"


def test_a_certificate_that_was_not_announced_fails_the_handshake() -> None:
    session = Session(announced_fingerprint=Certificate.generate().fingerprint)
    session.start()
    session.wire.run(2.0, lambda: session.server.closed is not None)
    assert session.server.closed is not None
    assert session.server.closed.reason == "handshake_failed"
    assert session.server.peer.keys is None
    assert "certificate" in session.server.closed.detail


def test_a_deferred_handshake_waits_for_the_shell_and_is_bounded() -> None:
    session = Session(defer_handshake=True)
    session.start()
    session.wire.run(0.2)
    server = session.server.peer
    assert server.handshake_pending
    hello = next(data for _, data, source, _ in session.wire.sent if data[0] == 22 and source == CLIENT)
    for _ in range(50):
        server.receive(session.wire.now, hello, CLIENT)
    assert server.refused["queue_full"] >= 42
    for _ in range(20):
        server.handshake(session.wire.now)
        assert not server.handshake_pending
        session.wire.run(0.1)
    assert session.server.connected is not None
    assert session.client.connected is not None


def test_a_shell_that_does_not_drain_loses_packets_never_events() -> None:
    session = Session()
    session.connect()
    client = session.client.peer
    for sequence in range(3 * MAX_QUEUED):
        client.send_rtp(rtp(sequence))
    client.close(session.wire.now)
    drained = []
    while (event := client.poll()) is not None:
        drained.append(event)
    assert len(drained) <= MAX_QUEUED
    assert drained[-1] == Closed("closed")
    assert client.refused["queue_full"] > 2 * MAX_QUEUED - 10


def test_what_cannot_be_sealed_is_not_sent() -> None:
    session = Session()
    assert not session.client.peer.send_rtp(rtp(1))
    session.connect()
    assert not session.client.peer.send_rtp(rtp(1) + bytes(1400))
    assert not session.client.peer.send_rtp(b"")
    assert session.client.peer.poll() is None


def test_set_remote_is_for_a_client_once() -> None:
    session = Session()
    session.start()
    with pytest.raises(ValueError):
        session.client.peer.set_remote(session.answer, 0.0)
    with pytest.raises(ValueError):
        session.server.peer.set_remote(session.answer, 0.0)


def test_a_client_may_be_answered_before_it_knows_the_answer() -> None:
    """A full agent's checks and its ClientHello can be faster than HTTP."""
    session = Session()
    server_as_client = Peer.client(
        certificate=SERVER_CERTIFICATE, ufrag="serverU", pwd=session.server_pwd, random=randomness("full")
    )
    full = session.wire.attach(server_as_client, SERVER)
    offer = session.offer
    text = sdp.make_answer(
        offer,
        direction="recvonly",
        ice_ufrag="serverU",
        ice_pwd=session.server_pwd,
        fingerprint=SERVER_CERTIFICATE.fingerprint,
        candidates=[],
        ice_lite=False,
        setup="active",
        session_id=2,
    )
    as_answer = sdp.make_offer(
        direction="sendonly",
        ice_ufrag="clientU",
        ice_pwd=session.client_pwd,
        fingerprint=CLIENT_CERTIFICATE.fingerprint,
        candidates=[CLIENT],
        session_id=1,
    ).replace("actpass", "passive")
    full.peer.set_remote(sdp.parse_answer(as_answer), session.wire.now)
    session.wire.run(1.0)
    assert session.client.connected is None
    session.client.peer.set_remote(sdp.parse_answer(text), session.wire.now)
    assert session.wire.run(5.0, lambda: bool(full.connected and session.client.connected))


def test_credentials_are_long_enough_and_hidden() -> None:
    one, two = generate_credentials(randomness(1)), generate_credentials(randomness(2))
    assert one != two
    assert len(one.ufrag) == 8
    assert len(one.pwd) == 24
    assert one.pwd not in repr(one)
    assert sdp.parse_fragment(sdp.make_fragment(ufrag=one.ufrag, pwd=one.pwd)).pwd == one.pwd


def mutated(generator: random.Random, samples: list[bytes]) -> bytes:
    choice = generator.random()
    if choice < 0.2:
        return generator.randbytes(generator.randrange(0, 200))
    data = bytearray(generator.choice(samples))
    if choice < 0.3 and data[0] > 3:  # ICE has no protection against an intact check sent again
        return bytes(data)
    if choice < 0.5:
        return bytes(data[: generator.randrange(len(data))])
    for _ in range(generator.randint(1, 8)):
        data[generator.randrange(len(data))] = generator.randrange(256)
    if choice < 0.6:
        data += generator.randbytes(generator.randrange(1, 1800))
    return bytes(data)


def test_twenty_thousand_hostile_datagrams_leave_a_live_session_as_it_was() -> None:
    generator = random.Random(11)
    session = Session()
    session.connect()
    assert_media_passes(session, 1)
    for _ in range(12):
        session.client.peer.send_rtp(rtp(2))
        session.client.peer.send_rtcp(rtcp())
        session.wire.run(1.0)
    samples = [data for _, data, *_ in session.wire.sent]
    sources = [CLIENT, SERVER, ELSEWHERE]
    received = len(session.server.of(Rtp)), len(session.client.of(Rtp))
    for count in range(20_000):
        endpoint = generator.choice([session.server, session.client])
        endpoint.peer.receive(session.wire.now, mutated(generator, samples), generator.choice(sources))
        if count % 100 == 0:
            session.wire.drain(session.server)
            session.wire.drain(session.client)
    session.wire.drain(session.server)
    session.wire.drain(session.client)
    assert (len(session.server.of(Rtp)), len(session.client.of(Rtp))) == received
    assert session.server.closed is None
    assert session.client.closed is None
    assert set(session.server.peer.refused) <= {
        "stun_integrity",
        "stun_malformed",
        "unchecked_address",
        "dtls",
        "srtp_authentication",
        "srtp_replay",
        "malformed",
        "queue_full",
    }
    assert_media_passes(session, 9)


def test_malformed_datagrams_before_the_session_stands_do_not_keep_it_from_standing() -> None:
    generator = random.Random(12)
    session = Session()

    def inject(data: bytes, source: object, target: object) -> bool:
        """Before each datagram, broken copies of it: DTLS from elsewhere, the rest from its own address."""
        receiver = session.server if target == SERVER else session.client
        origin = ELSEWHERE if data[0] >= 20 else source
        assert isinstance(origin, tuple)
        for _ in range(20):
            broken = bytearray(data)
            broken[generator.randrange(len(broken))] ^= 1 << generator.randrange(8)
            if bytes(broken[:2]) == data[:2]:
                receiver.peer.receive(session.wire.now, bytes(broken), origin)
            receiver.peer.receive(session.wire.now, data[: generator.randrange(len(data))], ELSEWHERE)
            receiver.peer.receive(session.wire.now, bytes([0x80, 0x6F]) + generator.randbytes(60), CLIENT)
        return False

    session.wire.drop = inject
    session.connect()
    assert_media_passes(session, 3)
