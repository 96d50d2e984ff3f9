from __future__ import annotations

import datetime
import re

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL.crypto import X509

from loacodecs.certificate import Certificate, matches
from loacodecs.errors import ConfigurationError


def announced(certificate: x509.Certificate, algorithm: hashes.HashAlgorithm) -> str:
    return certificate.fingerprint(algorithm).hex(":").upper()


def test_a_new_certificate_survives_its_pem() -> None:
    certificate = Certificate.generate("station", datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC))
    assert re.fullmatch(r"sha-256 ([0-9A-F]{2}:){31}[0-9A-F]{2}", certificate.fingerprint)
    again = Certificate.from_pem(certificate.to_pem())
    assert again.fingerprint == certificate.fingerprint
    assert again.to_pem() == certificate.to_pem()
    assert "PRIVATE" not in repr(certificate)
    parsed = x509.load_pem_x509_certificate(certificate.to_pem())
    assert parsed.subject.rfc4514_string() == "CN=station"
    assert parsed.not_valid_after_utc > datetime.datetime(2026, 12, 1, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    "text", [b"", b"hello", b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----"]
)
def test_an_unreadable_pem_is_a_configuration_error(text: bytes) -> None:
    with pytest.raises(ConfigurationError):
        Certificate.from_pem(text)


def test_key_and_certificate_must_belong_together() -> None:
    other = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem = Certificate.generate().to_pem()
    with pytest.raises(ConfigurationError):
        Certificate.from_pem(other + pem[pem.index(b"-----BEGIN CERTIFICATE") :])


def test_contexts_are_made_once_for_each_role() -> None:
    certificate = Certificate.generate()
    assert certificate.context(server=True) is certificate.context(server=True)
    assert certificate.context(server=True) is not certificate.context(server=False)


def test_the_strongest_announced_hash_decides() -> None:
    parsed = x509.load_pem_x509_certificate(Certificate.generate().to_pem())
    found = X509.from_cryptography(parsed)
    right256 = announced(parsed, hashes.SHA256())
    right384 = announced(parsed, hashes.SHA384())
    right512 = announced(parsed, hashes.SHA512())
    wrong = ":".join(["00"] * 32)
    for good in (
        [("sha-256", right256)],
        [("SHA-256", right256.lower())],
        [("sha-384", right384)],
        [("sha-512", right512), ("sha-256", wrong)],
        [("sha-256", wrong), ("sha-256", right256)],  # two certificates announced, one of them this
        [("md5", "00"), ("sha-256", right256)],
    ):
        assert matches(found, good)
    for bad in ([], [("sha-256", wrong)], [("sha-512", wrong), ("sha-256", right256)], [("sha-1", right256)]):
        assert not matches(found, bad)
