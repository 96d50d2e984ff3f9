"""HTTPS: certificate files taken up again when they change, or a self-signed certificate for a trial.

Browsers give the microphone only to HTTPS and localhost, so even a trial on a LAN needs one or the other.
"""

from __future__ import annotations

import datetime
import ipaddress
import logging
import os
import socket
import ssl
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import ifaddr
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from loacodecs.errors import ConfigurationError
from relay.addresses import split_advertised
from relay.config import Config

_log = logging.getLogger(__name__)
_IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

#: Browsers refuse certificates valid for longer than 398 days.
_VALID_DAYS: Final = 397
_RENEW_DAYS: Final = 30


class Tls:
    """An SSLContext that follows its two files."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Raises ConfigurationError when the files cannot be used."""
        self.certificate = certificate
        self.key = key
        self._seen = self._signature()
        self.context = _context(certificate, key)

    def reload_if_changed(self) -> bool:
        """Take changed files up for new connections; whether that was done.

        Files that do not fit together, as between the two steps of a renewal, are left for the next look; the
        certificate in use stays.
        """
        signature = self._signature()
        if signature == self._seen:
            return False
        try:
            # First on the side: a load that fails may leave half a pair in the context that serves.
            _context(self.certificate, self.key)
            self.context.load_cert_chain(self.certificate, self.key, _no_password)
        except (ConfigurationError, OSError) as error:
            _log.warning("the changed certificate is not used: %s", error)
            return False
        finally:
            self._seen = signature
        _log.info("the certificate was read anew", extra={"file": str(self.certificate)})
        return True

    def _signature(self) -> tuple[tuple[int, ...] | None, ...]:
        return tuple(_signature(path) for path in (self.certificate, self.key))


def _signature(path: Path) -> tuple[int, ...] | None:
    """Changes with the file, and with who may read it."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


def _no_password() -> str:
    """Asked for by an encrypted key: without this the library would prompt on the terminal and wait."""
    raise ConfigurationError(
        "the key of http.key is encrypted; a server's key must be readable without password"
    )


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    for path in (certificate, key):
        try:
            path.read_bytes()
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    try:
        context.load_cert_chain(certificate, key, _no_password)
    except ssl.SSLError as error:
        reason = "they do not belong together" if "MISMATCH" in str(error) else "they must be PEM files"
        raise ConfigurationError(f"{certificate} and {key} cannot be used: {reason}") from None
    return context


def prepare(config: Config, now: datetime.datetime) -> Tls | None:
    """What `http.tls` asks for; None when it is off. Raises ConfigurationError."""
    if config.http.tls == "off":
        return None
    if config.http.tls == "files":
        certificate, key = config.http.certificate, config.http.key
        if certificate is None or key is None:
            raise ConfigurationError('http.tls = "files" needs both http.certificate and http.key')
        return Tls(certificate, key)
    advertised = [split_advertised(text)[0] for text in config.media.advertise]
    return Tls(
        *self_signed(config.state_dir / "https", local_names(), [*local_addresses(), *advertised], now)
    )


def local_names() -> list[str]:
    """Names under which machines nearby may know this one."""
    name = socket.gethostname().lower()
    return list(dict.fromkeys(["localhost", name, f"{name.partition('.')[0]}.local"]))


def local_addresses() -> list[str]:
    """IP addresses of this machine, without link-local ones and those an IPv6 host changes by itself."""
    addresses = ["127.0.0.1", "::1"]
    for adapter in ifaddr.get_adapters():
        for entry in adapter.ips:
            parsed = ipaddress.ip_address(entry.ip if isinstance(entry.ip, str) else entry.ip[0])
            if parsed.version == 4 and not parsed.is_link_local:
                addresses.append(str(parsed))
    return list(dict.fromkeys(addresses))


def self_signed(
    folder: Path, names: Sequence[str], addresses: Iterable[str], now: datetime.datetime
) -> tuple[Path, Path]:
    """Paths of a self-signed certificate for `names` and `addresses` and of its key, kept in `folder`.

    The one that is there is kept, so that a browser need accept it only once, until it nears its end or lacks
    a name or address. Raises ConfigurationError when the folder cannot be written.
    """
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    wanted: set[str | _IpAddress] = {*names, *(ipaddress.ip_address(text) for text in addresses)}
    try:
        if not _still_good(certificate, key, wanted, now):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _generate(certificate, key, wanted, now)
        fingerprint = x509.load_pem_x509_certificate(certificate.read_bytes()).fingerprint(hashes.SHA256())
    except OSError as error:
        raise ConfigurationError(
            f"{folder} cannot hold the self-signed certificate: {error.strerror}"
        ) from None
    _log.warning(
        "the HTTPS certificate is self-signed: browsers will warn; it is for trials, not for the public",
        extra={"sha256": fingerprint.hex(":")},
    )
    return certificate, key


def _still_good(certificate: Path, key: Path, wanted: set[str | _IpAddress], now: datetime.datetime) -> bool:
    try:
        held = x509.load_pem_x509_certificate(certificate.read_bytes())
        names = held.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        private = serialization.load_pem_private_key(key.read_bytes(), None)
    except (FileNotFoundError, ValueError, TypeError, x509.ExtensionNotFound):
        return False
    if private.public_key() != held.public_key():  # a power cut came between the two
        return False
    covered = {*names.get_values_for_type(x509.DNSName), *names.get_values_for_type(x509.IPAddress)}
    ends = held.not_valid_after_utc - datetime.timedelta(days=_RENEW_DAYS)
    return held.not_valid_before_utc <= now < ends and wanted <= covered


def _generate(certificate: Path, key: Path, wanted: set[str | _IpAddress], now: datetime.datetime) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Loa (self-signed)")])
    alternatives = [
        x509.DNSName(item) if isinstance(item, str) else x509.IPAddress(item)
        for item in sorted(wanted, key=str)
    ]
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))  # a visitor's clock may be behind
        .not_valid_after(now + datetime.timedelta(days=_VALID_DAYS - 1))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(private, hashes.SHA256())
    )
    _write(
        key,
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )
    _write(certificate, signed.public_bytes(serialization.Encoding.PEM))


def _write(path: Path, content: bytes) -> None:
    draft = path.with_suffix(".new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    draft.replace(path)
