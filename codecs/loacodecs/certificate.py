"""The self-signed certificate a DTLS endpoint is known by, and the OpenSSL contexts made from it."""

from __future__ import annotations

import datetime
from collections.abc import Iterable

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from OpenSSL.crypto import X509

from .errors import ConfigurationError
from .srtp import Profile

# What RFC 8122 lets us compare, the strongest first, with OpenSSL's names.
_HASHES = {"sha-512": "sha512", "sha-384": "sha384", "sha-256": "sha256"}
# ECDSA suites serve our own P-256 key; RSA ones a server that shows an RSA certificate to us as client.
_CIPHERS = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:"
    b"ECDHE-RSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    b"ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA"
)
_DTLS_1_2 = 0xFEFD
_LIFETIME = datetime.timedelta(days=365)


def matches(certificate: X509, fingerprints: Iterable[tuple[str, str]]) -> bool:
    """Tell whether the strongest hash announced names this certificate (RFC 8122 §5.1).

    Works on OpenSSL's own certificate: parsing a stranger's is a risk, hashing it is none.
    """
    announced = list(fingerprints)
    for algorithm, name in _HASHES.items():
        values = [value.upper() for offered, value in announced if offered.lower() == algorithm]
        if values:
            return certificate.digest(name).decode() in values
    return False


class Certificate:
    """An ECDSA P-256 key with its self-signed certificate.

    It also keeps one OpenSSL context per DTLS role: making one takes longer than a handshake, so that a
    thousand sessions share it.
    """

    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self._key = key
        self._certificate = certificate
        self._contexts: dict[bool, SSL.Context] = {}
        #: "sha-256 AA:BB:…", what follows `a=fingerprint:`.
        self.fingerprint = f"sha-256 {certificate.fingerprint(hashes.SHA256()).hex(':').upper()}"

    def __repr__(self) -> str:
        return f"Certificate({self.fingerprint!r})"

    @classmethod
    def generate(cls, common_name: str = "loa", now: datetime.datetime | None = None) -> Certificate:
        """Make a new key and certificate, valid for a year around `now` (default: the present).

        The one place in this package that reads the clock and the system's randomness unasked: peers compare
        fingerprints and ignore the dates, and key material must come from the system.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        now = now or datetime.datetime.now(tz=datetime.UTC)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + _LIFETIME)
        return cls(key, builder.sign(key, hashes.SHA256()))

    @classmethod
    def from_pem(cls, text: bytes) -> Certificate:
        """Read what `to_pem` wrote; raises ConfigurationError when it is anything else."""
        try:
            key = serialization.load_pem_private_key(text, None)
            certificate = x509.load_pem_x509_certificate(text)
        except (ValueError, TypeError) as error:
            raise ConfigurationError(
                "the DTLS certificate file holds no readable key and certificate"
            ) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise ConfigurationError(
                "the DTLS certificate file needs an ECDSA key and the certificate made from it"
            )
        return cls(key, certificate)

    def to_pem(self) -> bytes:
        """Return private key and certificate as PEM; keep it secret."""
        key = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return key + self._certificate.public_bytes(serialization.Encoding.PEM)

    def context(self, *, server: bool) -> SSL.Context:
        """Return the OpenSSL context all sessions of that role share."""
        context = self._contexts.get(server)
        if context is None:
            context = self._contexts[server] = self._make_context(server)
        return context

    def _make_context(self, server: bool) -> SSL.Context:
        context = SSL.Context(SSL.DTLS_SERVER_METHOD if server else SSL.DTLS_CLIENT_METHOD)
        context.set_min_proto_version(_DTLS_1_2)
        context.set_max_proto_version(_DTLS_1_2)
        # NO_QUERY_MTU: a memory BIO has no MTU to ask for; ours is set per session. No tickets, cache or
        # renegotiation: every session is one full handshake, so that the peer's certificate is always seen.
        context.set_options(
            SSL.OP_NO_QUERY_MTU | SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE
        )
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        # Any certificate passes here: what counts is its fingerprint, compared after the handshake.
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
        # No chain is looked at, then: to verify sixty RSA keys of a stranger took as long as fifteen handshakes.
        context.set_verify_depth(0)
        context.use_certificate(self._certificate)
        context.use_privatekey(self._key)
        context.set_cipher_list(_CIPHERS)
        context.set_tlsext_use_srtp(b":".join(profile.openssl_name for profile in Profile))
        return context
