"""Certificates for 127.0.0.1 that nobody vouches for, valid when the test wants."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


def server_tls(folder: Path, *, begins: timedelta = timedelta(hours=-1)) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS settings, and the file with the certificate; valid from `begins` from now, for ten days."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "relay")])
    start = datetime.now(UTC) + begins
    alternative = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=10))
        .add_extension(alternative, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    path = folder / "relay.pem"
    path.write_bytes(certificate.public_bytes(encoding))
    private = serialization.PrivateFormat.PKCS8
    (folder / "relay.key").write_bytes(key.private_bytes(encoding, private, serialization.NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, folder / "relay.key")
    return context, path
