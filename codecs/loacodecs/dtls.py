"""DTLS 1.2 with use_srtp, both roles, without I/O (RFC 6347, RFC 5764), over pyOpenSSL and memory BIOs.

Retransmission. OpenSSL keeps its timer on the wall clock and pyOpenSSL cannot replace it, so this module
keeps the last flight and sends it again by `now`: after 500 ms, or one and a half round trips where ICE has
measured one, then with waits that grow by half to 2 s; doubled ones (RFC 6347 §4.2.4.1) would keep live sound
away for 8 s after a burst of four losses. Who waits for the next flight and sees the one before once more
repeats its own at once (§4.2.4, WAITING), so that the quicker timer of the two serves both. Records of epoch 0
are stamped from our own counter, as §4.1 wants a new sequence number for each; a record of epoch 1 (the
Finished) is repeated as it was, unless OpenSSL's own timer has run out as well and makes a fresh one. The fresh
one matters only when we are client and the server's last flight was lost: a server counts an identical Finished
as a replay. Whoever sent the last flight has no timer; it answers the handshake records that still come in with
that flight.

Memory. OpenSSL holds 80 KB for a finished session, so it is dropped as soon as the keys are out: the last
flight (100 bytes) answers a peer that missed it, `AlertCipher` understands its close_notify. OpenSSL's session
is made with the first datagram, so that an offer nobody follows up costs nothing either.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from OpenSSL import SSL

from .certificate import Certificate, matches
from .dtls_alert import AlertCipher
from .errors import HandshakeError
from .srtp import Keys, Profile

__all__ = ["MAX_DATAGRAM", "Certificate", "DtlsSession"]

# Largest datagram sent: below every path MTU in use, IPv6 and tunnels included.
MAX_DATAGRAM = 1200
INITIAL_TIMEOUT = 0.5
MIN_TIMEOUT = 0.1
MAX_TIMEOUT = 2.0
_ROUND_TRIPS = 1.5
_GROWTH = 1.5
# The last flight is repeated at most this often, whatever comes in.
REPEAT_INTERVAL = 0.05

_RECORD_HEADER = 13
_CHANGE_CIPHER_SPEC, _ALERT, _HANDSHAKE, _APPLICATION_DATA = 20, 21, 22, 23
_FLIGHT = (_CHANGE_CIPHER_SPEC, _HANDSHAKE)
_EXPORTER = b"EXTRACTOR-dtls_srtp"
# A datagram of more records than this after the handshake is not read (we expect alerts only): what OpenSSL was given
# and not asked for it keeps.
_MAX_READS = 8
# What OpenSSL says too briefly for the person who has to mend it.
_HINTS = {
    "wrong curve": "the peer's certificate uses an elliptic curve that is no longer accepted"
    " (FFmpeg built with GnuTLS: give it a P-256 key with -cert_file and -key_file)"
}
_CLOSED_BY_PEER = "the peer closed the session (DTLS close_notify)"


class DtlsSession:
    """One DTLS association; feed datagrams, drain `take`, call `on_timeout` at `next_deadline`.

    `state` goes "new", "handshaking", "connected", "closed". After a failure or a close it is "closed" and
    `reason` says why in one sentence. `keys` are there from "connected" on.
    """

    __slots__ = (
        "_alerts",
        "_answered",
        "_certificate",
        "_deadline",
        "_epoch0_sequence",
        "_fingerprints",
        "_flight",
        "_initial_timeout",
        "_outgoing",
        "_received",
        "_repeat_from",
        "_ssl",
        "_timeout",
        "keys",
        "reason",
        "server",
        "state",
    )

    def __init__(
        self, certificate: Certificate, *, server: bool, fingerprints: Iterable[tuple[str, str]]
    ) -> None:
        """`fingerprints` are the peer's, as (algorithm, "AA:BB:…") from its description."""
        self._certificate = certificate
        #: Whether this side waits for the ClientHello.
        self.server = server
        self._fingerprints = tuple(fingerprints)
        self._ssl: SSL.Connection | None = None
        self._alerts: AlertCipher | None = None
        self._outgoing: list[bytes] = []
        self._flight: list[bytes] = []
        self._epoch0_sequence = 0
        self._answered = self._received = -1
        self._initial_timeout = self._timeout = INITIAL_TIMEOUT
        self._deadline: float | None = None
        self._repeat_from = 0.0
        self.state = "new"
        self.reason = ""
        self.keys: Keys | None = None

    def start(self, now: float, round_trip: float | None = None) -> None:
        """As client, send the ClientHello; as server, become ready for one. `round_trip` in seconds, if known."""
        if self.state != "new":
            return
        if round_trip is not None:
            self._initial_timeout = min(max(_ROUND_TRIPS * round_trip, MIN_TIMEOUT), INITIAL_TIMEOUT)
        self.state = "handshaking"
        self._ssl = SSL.Connection(self._certificate.context(server=self.server))
        self._ssl.set_ciphertext_mtu(MAX_DATAGRAM)
        if self.server:
            self._ssl.set_accept_state()
        else:
            self._ssl.set_connect_state()
            self._step(now)

    def receive(self, now: float, datagram: bytes) -> bool:
        """Take in one datagram; false when it is no sequence of DTLS records. Never raises."""
        records = list(_records(datagram))
        if not records or self.state == "closed":
            return False
        self.start(now)
        messages = [_message_sequence(record) for record in records]
        repeated = self.state == "handshaking" and any(0 <= number <= self._answered for number in messages)
        self._received = max(self._received, *messages)
        sent = False
        if self.state == "connected" and len(records) > _MAX_READS:
            return True
        if self._ssl is not None:
            self._ssl.bio_write(datagram)
            sent = self._step(now)
        elif self._alerts is not None and any(self._alerts.closes(record) for record in records):
            self._finish(_CLOSED_BY_PEER)
        if self.state == "connected":
            repeated = any(record[0] in _FLIGHT for record in records)
        if repeated and not sent and self.state != "closed":
            self._repeat(now)
        return True

    def on_timeout(self, now: float) -> None:
        """Send the last flight again if its answer is overdue."""
        if self._deadline is None or now < self._deadline or self._ssl is None:
            return
        with contextlib.suppress(SSL.Error):  # it gives up after a dozen; the caller's limit comes first
            self._ssl.DTLSv1_handle_timeout()
        self._flight = self._drain() or self._flight
        self._send(self._flight)
        self._timeout = min(self._timeout * _GROWTH, MAX_TIMEOUT)
        self._deadline = now + self._timeout

    def next_deadline(self) -> float | None:
        """When `on_timeout` has something to do, or None."""
        return self._deadline

    def take(self) -> list[bytes]:
        """Return and forget the datagrams to send, in order, each at most MAX_DATAGRAM bytes."""
        outgoing, self._outgoing = self._outgoing, []
        return outgoing

    def close(self, reason: str = "closed") -> None:
        """Send close_notify if connected, and be closed."""
        if self.state == "closed":
            return
        if self.state == "connected" and self._alerts is not None:
            self._send([self._alerts.close_notify()])
        elif self.state == "connected" and self._ssl is not None:
            with contextlib.suppress(SSL.Error):  # nothing left to say goodbye with
                self._ssl.shutdown()
            self._send(self._drain())
        self._finish(reason)

    def _step(self, now: float) -> bool:
        """Let OpenSSL read what it was given; tell whether it wanted something sent."""
        assert self._ssl is not None
        reason = ""
        try:
            if self.state == "handshaking":
                self._ssl.do_handshake()
                self._connect()
            else:
                for _ in range(_MAX_READS):
                    self._ssl.recv(2048)  # application data has no meaning in DTLS-SRTP
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            reason = _CLOSED_BY_PEER
        except HandshakeError as error:
            reason = str(error)
        except SSL.Error as error:
            reason = f"DTLS failed: {_describe(error)}"
        records = self._drain()
        self._send(records)
        if any(record[0] in _FLIGHT for record in records):
            self._flight = records
            self._answered = self._received
            self._repeat_from = now + REPEAT_INTERVAL
            self._timeout = self._initial_timeout
            self._deadline = now + self._timeout
        if reason:
            self._finish(reason)
        elif self.state == "connected":
            self._deadline = None
            self._release()
        return bool(records)

    def _connect(self) -> None:
        """Check who the peer is and derive the SRTP keys (RFC 5764 §4.2); raises HandshakeError."""
        assert self._ssl is not None
        certificate = self._ssl.get_peer_certificate()
        if certificate is None or not matches(certificate, self._fingerprints):
            raise HandshakeError("the peer's certificate is not the one its description announced")
        selected = self._ssl.get_selected_srtp_profile()
        profile = next((p for p in Profile if p.openssl_name == selected), None)
        if profile is None:
            raise HandshakeError("the peer agreed to no SRTP protection profile")
        key, salt = profile.key_length, profile.salt_length
        material = self._ssl.export_keying_material(_EXPORTER, 2 * (key + salt))
        client = material[:key] + material[2 * key : 2 * key + salt]
        server = material[key : 2 * key] + material[2 * key + salt :]
        self.keys = Keys(profile, server, client) if self.server else Keys(profile, client, server)
        self.state = "connected"

    def _release(self) -> None:
        """Drop OpenSSL's session if its alerts can be understood without it."""
        if self._ssl is not None and self._alerts is None and self._flight:
            self._alerts = AlertCipher.of(self._ssl, server=self.server, last_record=self._flight[-1])
            if self._alerts is not None:
                self._ssl = None
        if not self.server:
            self._flight = []  # the last flight of a full handshake is the server's; ours has arrived

    def _finish(self, reason: str) -> None:
        self.state = "closed"
        self.reason = reason
        self._deadline = None
        self._flight = []
        self._ssl = self._alerts = None

    def _repeat(self, now: float) -> None:
        """Answer a peer that still waits for our last flight."""
        if now >= self._repeat_from:
            self._repeat_from = now + REPEAT_INTERVAL
            self._send(self._flight)

    def _drain(self) -> list[bytes]:
        """Take what OpenSSL wants sent, record by record."""
        assert self._ssl is not None
        pieces = []
        while True:
            try:
                pieces.append(self._ssl.bio_read(4096))
            except SSL.WantReadError:
                return list(_records(b"".join(pieces)))

    def _send(self, records: Iterable[bytes]) -> None:
        """Pack records into as few datagrams as possible, stamping those of epoch 0 anew."""
        datagram = b""
        for record in records:
            if record[3:5] == b"\0\0":
                record = record[:5] + self._epoch0_sequence.to_bytes(6, "big") + record[11:]
                self._epoch0_sequence += 1
            if datagram and len(datagram) + len(record) > MAX_DATAGRAM:
                self._outgoing.append(datagram)
                datagram = b""
            datagram += record
        if datagram:
            self._outgoing.append(datagram)


def _records(data: bytes) -> Iterator[bytes]:
    """Split a datagram at record boundaries (RFC 6347 §4.1); stops at the first thing that is no record."""
    position = 0
    while position + _RECORD_HEADER <= len(data):
        end = position + _RECORD_HEADER + int.from_bytes(data[position + 11 : position + 13], "big")
        if end > len(data) or not _CHANGE_CIPHER_SPEC <= data[position] <= _APPLICATION_DATA:
            return
        yield data[position:end]
        position = end


def _message_sequence(record: bytes) -> int:
    """The number of the handshake message in a record that is not encrypted (RFC 6347 §4.2.2), -1 without one."""
    if record[0] != _HANDSHAKE or record[3:5] != b"\0\0" or len(record) < _RECORD_HEADER + 6:
        return -1
    return int.from_bytes(record[_RECORD_HEADER + 4 : _RECORD_HEADER + 6], "big")


def _describe(error: SSL.Error) -> str:
    """OpenSSL's own words, from the first entry of its error queue, with a hint where we have one."""
    queue = error.args[0] if error.args else ()
    if isinstance(queue, list) and queue and isinstance(queue[0], tuple):
        words = str(queue[0][-1])
        return _HINTS.get(words, words)
    return type(error).__name__
