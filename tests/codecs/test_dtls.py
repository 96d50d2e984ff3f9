from __future__ import annotations

import datetime
import random
import select
import time
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

from loacodecs.certificate import Certificate
from loacodecs.dtls import MAX_DATAGRAM, DtlsSession
from loacodecs.srtp import Profile
from tests.support.wire import CLIENT_CERTIFICATE, SERVER_CERTIFICATE

DAY = datetime.timedelta(days=1)


def announced(certificate: Certificate) -> list[tuple[str, str]]:
    algorithm, value = certificate.fingerprint.split(" ")
    return [(algorithm, value)]


def pair(
    client: Certificate = CLIENT_CERTIFICATE, server: Certificate = SERVER_CERTIFICATE
) -> tuple[DtlsSession, DtlsSession]:
    return (
        DtlsSession(client, server=False, fingerprints=announced(server)),
        DtlsSession(server, server=True, fingerprints=announced(client)),
    )


Lose = Callable[[int, bytes], bool]


def shake(client: DtlsSession, server: DtlsSession, lose: Lose = lambda _number, _data: False) -> float:
    """Drive both by hand until both are connected or closed; give back when, in seconds."""
    now, number = 0.0, 0
    client.start(now)
    for _ in range(500):
        moved = False
        for source, target in ((client, server), (server, client)):
            for data in source.take():
                moved = True
                number += 1
                if not lose(number, data):
                    target.receive(now, data)
        if client.state == server.state == "connected" or "closed" in (client.state, server.state):
            return now
        if not moved:
            deadlines = [d for d in (client.next_deadline(), server.next_deadline()) if d is not None]
            assert deadlines, "both wait for ever"
            now = max(now, *deadlines) if len(deadlines) == 1 else max(now, min(deadlines))
            client.on_timeout(now)
            server.on_timeout(now)
    raise AssertionError("no end of the handshake")


class Foreign:
    """The other side as plain pyOpenSSL, the way other stacks use it."""

    def __init__(
        self,
        *,
        server: bool,
        profiles: bytes = b"SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_128_GCM",
        ciphers: bytes = b"ECDHE-ECDSA-AES128-GCM-SHA256",
        certified: bool = True,
        issuers: int = 0,
    ) -> None:
        self.certificate = Certificate.generate("foreign")
        context = SSL.Context(SSL.DTLS_METHOD)
        context.set_max_proto_version(0xFEFD)
        context.set_verify(SSL.VERIFY_PEER, lambda *_: True)
        context.set_cipher_list(ciphers)
        if profiles:
            context.set_tlsext_use_srtp(profiles)
        if certified:
            pem = self.certificate.to_pem()
            context.use_certificate(x509.load_pem_x509_certificate(pem))
            context.use_privatekey(serialization.load_pem_private_key(pem, None))
        for _ in range(issuers):
            context.add_extra_chain_cert(x509.load_pem_x509_certificate(Certificate.generate().to_pem()))
        self.connection = SSL.Connection(context)
        self.connection.set_ciphertext_mtu(1200)
        (self.connection.set_accept_state if server else self.connection.set_connect_state)()
        self.error: SSL.Error | None = None

    def step(self, *datagrams: bytes) -> list[bytes]:
        outgoing: list[bytes] = []
        for data in datagrams or (b"",):
            if data:
                self.connection.bio_write(data)
            try:
                self.connection.do_handshake()
                self.connection.recv(2048)
            except SSL.WantReadError:
                pass
            except SSL.Error as error:
                self.error = error
            outgoing += self.drain()
        return outgoing

    def drain(self) -> list[bytes]:
        try:
            return [self.connection.bio_read(65536)]
        except SSL.WantReadError:
            return []


def meet(ours: DtlsSession, foreign: Foreign) -> None:
    ours.start(0.0)
    flight = foreign.step()
    for _ in range(10):
        for data in flight:
            ours.receive(0.0, data)
        flight = foreign.step(*ours.take())


def records(data: bytes) -> list[bytes]:
    found = []
    while data:
        end = 13 + int.from_bytes(data[11:13], "big")
        assert len(data) >= end
        found.append(data[:end])
        data = data[end:]
    return found


def test_both_sides_derive_the_same_keys() -> None:
    client, server = pair()
    assert shake(client, server) == 0.0
    assert client.keys is not None
    assert server.keys is not None
    assert client.keys.profile is Profile.AEAD_AES_128_GCM
    assert (client.keys.local, client.keys.remote) == (server.keys.remote, server.keys.local)
    assert client.keys.local != client.keys.remote
    assert client.next_deadline() is None
    assert server.next_deadline() is None


def test_as_server_we_choose_gcm_whatever_the_order_of_the_offer() -> None:
    foreign = Foreign(server=False)
    server = DtlsSession(SERVER_CERTIFICATE, server=True, fingerprints=announced(foreign.certificate))
    meet(server, foreign)
    assert server.keys is not None
    assert server.keys.profile is Profile.AEAD_AES_128_GCM
    exported = foreign.connection.export_keying_material(b"EXTRACTOR-dtls_srtp", 56)
    assert server.keys.remote == exported[:16] + exported[32:44]
    assert server.keys.local == exported[16:32] + exported[44:56]


@pytest.mark.parametrize("we_serve", [True, False])
def test_sha1_80_where_the_peer_knows_nothing_better(we_serve: bool) -> None:
    foreign = Foreign(server=not we_serve, profiles=b"SRTP_AES128_CM_SHA1_80")
    ours = DtlsSession(SERVER_CERTIFICATE, server=we_serve, fingerprints=announced(foreign.certificate))
    meet(ours, foreign)
    assert ours.keys is not None
    assert ours.keys.profile is Profile.AES128_CM_SHA1_80
    exported = foreign.connection.export_keying_material(b"EXTRACTOR-dtls_srtp", 60)
    client, server = exported[:16] + exported[32:46], exported[16:32] + exported[46:60]
    assert (ours.keys.remote, ours.keys.local) == ((client, server) if we_serve else (server, client))


@pytest.mark.parametrize("guarded", ["client", "server"])
def test_a_certificate_that_was_not_announced_ends_it(guarded: str) -> None:
    other = announced(Certificate.generate())
    client, server = pair()
    if guarded == "client":
        client = DtlsSession(CLIENT_CERTIFICATE, server=False, fingerprints=other)
    else:
        server = DtlsSession(SERVER_CERTIFICATE, server=True, fingerprints=other)
    shake(client, server)
    victim = client if guarded == "client" else server
    assert victim.state == "closed"
    assert "certificate" in victim.reason
    assert victim.keys is None


def test_a_peer_without_certificate_or_srtp_is_refused() -> None:
    for foreign in (Foreign(server=False, certified=False), Foreign(server=False, profiles=b"")):
        server = DtlsSession(SERVER_CERTIFICATE, server=True, fingerprints=announced(foreign.certificate))
        meet(server, foreign)
        assert server.state == "closed"
        assert server.reason
        assert server.keys is None


def test_a_chain_of_certificates_counts_for_nothing_and_costs_nothing() -> None:
    """To verify sixty RSA keys a stranger chose took 20 ms, twelve of them at a stretch, in the thread of the sound."""
    foreign = Foreign(server=False, issuers=3)
    server = DtlsSession(SERVER_CERTIFICATE, server=True, fingerprints=announced(foreign.certificate))
    meet(server, foreign)
    assert server.state == "connected"
    for serves in (True, False):
        assert SERVER_CERTIFICATE.context(server=serves).get_verify_depth() == 0


@pytest.mark.parametrize("lost", range(1, 5))
def test_any_one_lost_datagram_is_made_good(lost: int) -> None:
    client, server = pair()
    finished = shake(client, server, lambda number, _: number == lost)
    assert client.keys is not None
    assert finished == pytest.approx(0.5)


@pytest.mark.parametrize("lost", range(1, 4))
def test_the_round_trip_that_ice_measured_says_how_soon_a_lost_datagram_is_repeated(lost: int) -> None:
    client, server = pair()
    client.start(0.0, 0.1)
    finished = shake(client, server, lambda number, _: number == lost)
    assert finished == pytest.approx(0.15)


def test_a_server_repeats_its_flight_for_a_client_that_says_hello_again_but_not_in_a_storm() -> None:
    client, server = pair()
    client.start(0.0, 0.1)
    hello = client.take()
    server.receive(0.0, hello[0])
    lost = server.take()
    assert lost
    server.receive(0.15, hello[0])
    again = server.take()
    assert [len(data) for data in again] == [len(data) for data in lost]
    for _ in range(100):
        server.receive(0.151, hello[0])
    assert server.take() == []
    for data in again:
        client.receive(0.2, data)
    for data in client.take():
        server.receive(0.2, data)
    assert server.state == "connected"


def test_waits_grow_by_half() -> None:
    client, _ = pair()
    client.start(0.0)
    times, now = [], 0.0
    for _ in range(7):
        deadline = client.next_deadline()
        assert deadline is not None
        now = deadline
        client.on_timeout(now)
        times.append(now)
    assert times == pytest.approx([0.5, 1.25, 2.375, 4.0625, 6.0625, 8.0625, 10.0625])
    stamps = [data[5:11] for data in client.take()]
    assert stamps == [number.to_bytes(6, "big") for number in range(8)]


@pytest.mark.parametrize("seed", range(12))
def test_a_third_of_all_datagrams_lost(seed: int) -> None:
    generator = random.Random(seed)
    client, server = pair()
    shake(client, server, lambda _number, _data: generator.random() < 0.33)
    assert client.keys is not None
    assert server.keys is not None
    assert client.keys.local == server.keys.remote


def test_a_client_that_lost_the_last_flight_gets_it_again_but_not_in_a_storm() -> None:
    client, server = pair()
    client.start(0.0)
    for data in client.take():
        server.receive(0.0, data)
    for data in server.take():
        client.receive(0.0, data)
    last = client.take()
    for data in last:
        server.receive(0.0, data)
    assert server.state == "connected"
    lost = server.take()
    assert lost
    server.receive(1.0, last[0])
    again = server.take()
    assert [len(data) for data in again] == [len(data) for data in lost]
    for _ in range(100):
        server.receive(1.001, last[0])
    assert server.take() == []
    for data in again:
        client.receive(1.1, data)
    assert client.state == "connected"
    client.receive(1.2, lost[0])
    assert client.take() == []  # no echo: the two would answer each other for ever


def test_a_foreign_client_that_lost_the_last_flight_gets_it_again() -> None:
    foreign = Foreign(server=False)
    server = DtlsSession(SERVER_CERTIFICATE, server=True, fingerprints=announced(foreign.certificate))
    flight = foreign.step()
    server.receive(0.0, flight[0])
    last = foreign.step(*server.take())
    server.receive(0.0, last[0])
    assert server.state == "connected"
    server.take()
    server.receive(0.5, last[0])
    foreign.step(*server.take())
    assert foreign.connection.export_keying_material(b"EXTRACTOR-dtls_srtp", 56)
    assert foreign.error is None


def test_a_foreign_server_whose_last_flight_was_lost_sees_a_fresh_finished() -> None:
    """It takes an identical Finished for a replay, so this waits for OpenSSL's own timer of one second."""
    foreign = Foreign(server=True)
    client = DtlsSession(CLIENT_CERTIFICATE, server=False, fingerprints=announced(foreign.certificate))
    client.start(time.monotonic())
    for data in foreign.step(*client.take()):
        client.receive(time.monotonic(), data)
    foreign.step(*client.take())  # its CCS and Finished are lost here
    limit = time.monotonic() + 10
    while client.state != "connected" and time.monotonic() < limit:
        deadline = client.next_deadline()
        assert deadline is not None
        select.select([], [], [], max(0.0, deadline - time.monotonic()))
        client.on_timeout(time.monotonic())
        for data in foreign.step(*client.take()):
            client.receive(time.monotonic(), data)
    assert client.state == "connected"


def large_certificate() -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "large")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now - DAY).not_valid_after(now + DAY)
    names = [x509.DNSName(f"commune-{number}.example") for number in range(150)]
    return Certificate(
        key, builder.add_extension(x509.SubjectAlternativeName(names), False).sign(key, hashes.SHA256())
    )


def test_large_flights_are_cut_at_record_boundaries() -> None:
    sizes = []

    def look(_number: int, data: bytes) -> bool:
        assert records(data)
        sizes.append(len(data))
        return False

    client, server = pair(large_certificate(), large_certificate())
    shake(client, server, look)
    assert client.keys is not None
    assert len(sizes) > 8
    assert max(sizes) <= MAX_DATAGRAM
    assert max(sizes) > MAX_DATAGRAM - 200


@pytest.mark.parametrize("seed", range(6))
def test_large_flights_survive_loss(seed: int) -> None:
    generator = random.Random(seed)
    client, server = pair(large_certificate(), large_certificate())
    shake(client, server, lambda _number, _data: generator.random() < 0.25)
    assert client.keys is not None
    assert server.keys is not None


@pytest.mark.parametrize("closer", ["client", "server"])
def test_goodbye(closer: str) -> None:
    client, server = pair()
    shake(client, server)
    client.take(), server.take()
    first, second = (client, server) if closer == "client" else (server, client)
    first.close()
    (farewell,) = first.take()
    assert first.state == "closed"
    assert second.receive(5.0, farewell)
    assert second.state == "closed"
    assert "close_notify" in second.reason
    assert not second.receive(5.0, farewell)
    second.close()
    assert second.take() == []


@pytest.mark.parametrize(
    "ciphers", [b"ECDHE-ECDSA-AES128-GCM-SHA256", b"ECDHE-ECDSA-AES256-GCM-SHA384", b"ECDHE-ECDSA-AES128-SHA"]
)
@pytest.mark.parametrize("we_serve", [True, False])
def test_goodbye_with_a_foreign_peer_in_each_cipher_suite(ciphers: bytes, we_serve: bool) -> None:
    def connected() -> tuple[DtlsSession, Foreign]:
        foreign = Foreign(server=not we_serve, ciphers=ciphers)
        ours = DtlsSession(SERVER_CERTIFICATE, server=we_serve, fingerprints=announced(foreign.certificate))
        meet(ours, foreign)
        assert ours.state == "connected"
        return ours, foreign

    ours, foreign = connected()
    foreign.connection.shutdown()
    for data in foreign.drain():
        ours.receive(1.0, data)
    assert ours.state == "closed"

    ours, foreign = connected()
    ours.close()
    foreign.step(*ours.take())
    assert isinstance(foreign.error, SSL.ZeroReturnError)


def test_what_a_peer_says_without_end_is_not_kept() -> None:
    """Of fifty records eight were read, and the rest stayed in OpenSSL's memory, before all that came later."""
    foreign = Foreign(server=False, ciphers=b"ECDHE-ECDSA-CHACHA20-POLY1305")
    ours = DtlsSession(SERVER_CERTIFICATE, server=True, fingerprints=announced(foreign.certificate))
    meet(ours, foreign)
    for _ in range(3):
        for _ in range(50):
            foreign.connection.send(b"x")
        (datagram,) = foreign.drain()
        assert len(records(datagram)) == 50
        assert ours.receive(1.0, datagram)
    assert ours.state == "connected"
    foreign.connection.shutdown()
    (farewell,) = foreign.drain()
    assert ours.receive(1.0, farewell)
    assert ours.state == "closed"


def test_a_forged_goodbye_is_not_believed() -> None:
    client, server = pair()
    shake(client, server)
    client.take()
    client.close()
    (farewell,) = client.take()
    for position in range(len(farewell)):
        for bit in (1, 0x80):
            forged = bytearray(farewell)
            forged[position] ^= bit
            server.receive(1.0, bytes(forged))
    server.receive(1.0, b"\x15\xfe\xfd\0\0\0\0\0\0\0\x09\0\2\2\x28")  # plaintext, fatal handshake_failure
    server.receive(1.0, b"\x15\xfe\xfd\0\1\0\0\0\0\0\x09\0\2\1\0")
    assert server.state == "connected"
    server.receive(1.0, farewell)
    assert server.state == "closed"


@pytest.mark.parametrize("seed", range(4))
def test_garbage_raises_nothing_in_any_state(seed: int) -> None:
    generator = random.Random(seed)
    kept: list[bytes] = []
    for stage in range(5):
        client, server = pair()
        client.start(0.0)
        for _ in range(stage):
            for data in client.take():
                kept.append(data)
                server.receive(0.0, data)
            for data in server.take():
                kept.append(data)
                client.receive(0.0, data)
        for _ in range(150):
            data = bytearray(generator.choice(kept) if kept else generator.randbytes(60))
            for _ in range(generator.randint(1, 6)):
                data[generator.randrange(len(data))] = generator.randrange(256)
            if generator.random() < 0.3:
                del data[generator.randrange(len(data)) :]
            target = generator.choice([client, server])
            target.receive(0.0, bytes(data))
            target.receive(0.0, generator.randbytes(generator.randrange(1, 100)))
            target.on_timeout(generator.random() * 10)
            assert len(target.take()) < 20


def test_what_is_no_record_is_told() -> None:
    _, server = pair()
    for data in (b"", b"\x16", bytes(13), b"\x16\xfe\xfd" + bytes(8) + b"\0\x05abc", b"\x80" * 40):
        assert not server.receive(0.0, data)
    assert server.state == "new"
