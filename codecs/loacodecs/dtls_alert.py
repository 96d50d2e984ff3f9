"""Alerts of a finished DTLS 1.2 session without OpenSSL's state (RFC 5246 §6.3 and §7.2, RFC 5288, RFC 6347).

After a DTLS-SRTP handshake the only record either side still has to understand is the other's farewell. OpenSSL
keeps 80 KB for that; the two keys it needs are 40 bytes. Only the AES-128-GCM suites are served here, which we
prefer and every WebRTC stack has; with another suite OpenSSL's session is kept.
"""

from __future__ import annotations

import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from OpenSSL import SSL

_KEY, _SALT, _EXPLICIT, _TAG = 16, 4, 8, 16
_HEADER = 13
_ALERT = 21
_WARNING, _FATAL = 1, 2
_CLOSE_NOTIFY = 0


class AlertCipher:
    """Opens the peer's alerts and seals our close_notify in epoch 1 of one session."""

    __slots__ = ("_local_key", "_local_salt", "_next_nonce", "_next_sequence", "_remote_key", "_remote_salt")

    def __init__(self, key_block: bytes, *, server: bool, last_record: bytes) -> None:
        """`last_record` is the last epoch 1 record we sent (our Finished): its numbers must not come again."""
        client_key, server_key = key_block[:_KEY], key_block[_KEY : 2 * _KEY]
        client_salt, server_salt = key_block[2 * _KEY :][:_SALT], key_block[2 * _KEY + _SALT :][:_SALT]
        ours, theirs = (server_key, server_salt), (client_key, client_salt)
        if not server:
            ours, theirs = theirs, ours
        self._local_key, self._local_salt = ours
        self._remote_key, self._remote_salt = theirs
        self._next_sequence = int.from_bytes(last_record[3:11], "big") + 1
        self._next_nonce = int.from_bytes(last_record[_HEADER : _HEADER + _EXPLICIT], "big") + 1

    @classmethod
    def of(cls, session: SSL.Connection, *, server: bool, last_record: bytes) -> AlertCipher | None:
        """Derive the keys of a finished OpenSSL session; None when its cipher suite is not served here."""
        suite = session.get_cipher_name() or ""
        master, client, their = session.master_key(), session.client_random(), session.server_random()
        if not suite.endswith("-AES128-GCM-SHA256") or not master or client is None or their is None:
            return None
        if last_record[3:5] != b"\0\1" or len(last_record) < _HEADER + _EXPLICIT:
            return None
        block = _prf(master, b"key expansion" + their + client, 2 * (_KEY + _SALT))
        return cls(block, server=server, last_record=last_record)

    def closes(self, record: bytes) -> bool:
        """Tell whether `record` is an authentic close_notify or fatal alert of the peer."""
        sealed = record[_HEADER + _EXPLICIT :]
        if record[0] != _ALERT or record[3:5] != b"\0\1" or len(sealed) != 2 + _TAG:
            return False
        nonce = self._remote_salt + record[_HEADER : _HEADER + _EXPLICIT]
        try:
            level, description = AESGCM(self._remote_key).decrypt(nonce, sealed, _associated(record, 2))
        except InvalidTag:
            return False
        return level == _FATAL or description == _CLOSE_NOTIFY

    def close_notify(self) -> bytes:
        """Return our farewell as one DTLS record."""
        header = bytes([_ALERT, 0xFE, 0xFD]) + self._next_sequence.to_bytes(8, "big")
        explicit = (self._next_nonce % 2**64).to_bytes(_EXPLICIT, "big")
        self._next_sequence += 1
        self._next_nonce += 1
        sealed = AESGCM(self._local_key).encrypt(
            self._local_salt + explicit, bytes([_WARNING, _CLOSE_NOTIFY]), _associated(header, 2)
        )
        return header + (_EXPLICIT + len(sealed)).to_bytes(2, "big") + explicit + sealed


def _associated(record: bytes, length: int) -> bytes:
    """Epoch and sequence, type, version, length of the plaintext (RFC 5246 §6.2.3.3, RFC 6347 §4.1.2.1)."""
    return record[3:11] + record[:3] + length.to_bytes(2, "big")


def _prf(secret: bytes, seed: bytes, length: int) -> bytes:
    """TLS 1.2's pseudo-random function with SHA-256 (RFC 5246 §5)."""
    output, block = b"", seed
    while len(output) < length:
        block = hmac.digest(secret, block, "sha256")
        output += hmac.digest(secret, block + seed, "sha256")
    return output[:length]
