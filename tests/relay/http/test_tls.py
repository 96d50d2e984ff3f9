"""Certificates: from files, followed when they change, and self-signed."""

from __future__ import annotations

import contextlib
import datetime
import errno
import ipaddress
import logging
import os
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from loacodecs.errors import ConfigurationError
from relay.config import Config, HttpConfig, MediaConfig
from relay.http.tls import Tls, local_addresses, local_names, prepare, self_signed

NOW = datetime.datetime.now(datetime.UTC)  # clients compare with the real clock


def make(folder: Path, *names: str) -> tuple[Path, Path]:
    return self_signed(folder, names or ("localhost",), ["127.0.0.1"], NOW)


def read(certificate: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(certificate.read_bytes())


def presented(tls: Tls, trusted: Path) -> int:
    """The serial number of the certificate that a client is shown now; it trusts `trusted` alone."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context(cafile=str(trusted)).wrap_bio(
        to_client, to_server, server_hostname="localhost"
    )
    server = tls.context.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server, client, server):
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    shown = client.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown).serial_number


def copy(source: Path, target: Path, stamp: int) -> None:
    target.write_bytes(source.read_bytes())
    os.utime(target, ns=(stamp, stamp))


def test_a_self_signed_certificate_names_this_machine(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path / "https", local_names(), local_addresses(), NOW)
    names = read(certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "localhost" in names.get_values_for_type(x509.DNSName)
    assert ipaddress.ip_address("127.0.0.1") in names.get_values_for_type(x509.IPAddress)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert (read(certificate).not_valid_after_utc - read(certificate).not_valid_before_utc).days <= 398
    Tls(certificate, key)


def test_a_self_signed_certificate_is_kept_while_it_serves(tmp_path: Path) -> None:
    first = read(make(tmp_path)[0]).serial_number
    assert read(make(tmp_path)[0]).serial_number == first
    assert read(make(tmp_path, "localhost", "new.local")[0]).serial_number != first


def test_a_self_signed_certificate_is_renewed_before_its_end(tmp_path: Path) -> None:
    first = read(make(tmp_path)[0]).serial_number
    later = NOW + datetime.timedelta(days=370)
    certificate, _ = self_signed(tmp_path, ["localhost"], ["127.0.0.1"], later)
    assert read(certificate).serial_number != first
    assert read(certificate).not_valid_after_utc > later


@pytest.mark.parametrize("damage", ["", "not a certificate"])
def test_a_damaged_certificate_is_made_anew(tmp_path: Path, damage: str) -> None:
    certificate, _ = make(tmp_path)
    certificate.write_text(damage)
    Tls(*make(tmp_path))


@pytest.mark.parametrize("damage", ["", "not a key", "another"])
def test_a_key_that_does_not_fit_its_certificate_is_made_anew(tmp_path: Path, damage: str) -> None:
    """As when the power failed while both were written."""
    _, key = make(tmp_path / "https")
    key.write_text(make(tmp_path / "other")[1].read_text() if damage == "another" else damage)
    Tls(*make(tmp_path / "https"))


def test_advertised_addresses_are_in_the_certificate(tmp_path: Path) -> None:
    config = Config(
        http=HttpConfig(tls="self-signed"),
        media=MediaConfig(advertise=("203.0.113.7:9000", "2001:db8::7")),
        state_dir=tmp_path,
    )
    tls = prepare(config, NOW)
    assert tls is not None
    names = read(tls.certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"203.0.113.7", "2001:db8::7"} <= {str(ip) for ip in names.get_values_for_type(x509.IPAddress)}


def test_off_is_none() -> None:
    assert prepare(Config(), NOW) is None


def test_files_are_taken_up_again_when_they_change(tmp_path: Path) -> None:
    old, new = make(tmp_path / "old"), make(tmp_path / "new")
    served = (tmp_path / "certificate.pem", tmp_path / "key.pem")
    for source, target in zip(old, served, strict=True):
        copy(source, target, 1)
    tls = prepare(Config(http=HttpConfig(tls="files", certificate=served[0], key=served[1])), NOW)
    assert tls is not None
    assert not tls.reload_if_changed()
    copy(new[0], served[0], 2)
    assert not tls.reload_if_changed(), "half a renewal is no renewal"
    assert presented(tls, old[0]) == read(old[0]).serial_number
    copy(new[1], served[1], 2)
    assert tls.reload_if_changed()
    assert presented(tls, new[0]) == read(new[0]).serial_number
    assert not tls.reload_if_changed()


def test_a_key_that_could_not_be_read_is_taken_up_once_it_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a renewal by root, until somebody gives the key to the relay's user."""
    old, new = make(tmp_path / "old"), make(tmp_path / "new")
    tls = Tls(*old)
    read_bytes = Path.read_bytes

    def unless_forbidden(path: Path) -> bytes:
        if not path.stat().st_mode & stat.S_IRUSR:  # root, who runs tests in containers, may read everything
            raise PermissionError(errno.EACCES, "Permission denied")
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", unless_forbidden)
    for source, target in zip(new, old, strict=True):
        source.replace(target)
    tls.key.chmod(0o000)
    assert not tls.reload_if_changed()
    tls.key.chmod(0o600)
    assert tls.reload_if_changed()
    assert presented(tls, tls.certificate) == read(tls.certificate).serial_number


def test_files_that_vanish_leave_the_certificate_in_use(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tls = Tls(*make(tmp_path))
    tls.key.unlink()
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert not tls.reload_if_changed()
        assert not tls.reload_if_changed()
    assert len(caplog.records) == 1, "said once, not at every look"


def test_files_that_cannot_serve_are_one_sentence(tmp_path: Path) -> None:
    certificate, key = make(tmp_path / "a")
    _, other = make(tmp_path / "b")
    with pytest.raises(ConfigurationError, match="do not belong together"):
        Tls(certificate, other)
    with pytest.raises(ConfigurationError, match="No such file"):
        Tls(certificate, tmp_path / "none.pem")
    with pytest.raises(ConfigurationError, match="PEM"):
        Tls(key, key)


def test_an_encrypted_key_does_not_ask_for_a_password(tmp_path: Path) -> None:
    certificate, key = make(tmp_path)
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"x"),
        )
    )
    with pytest.raises(ConfigurationError, match="encrypted"):
        Tls(certificate, key)


def test_a_state_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot hold"):
        make(tmp_path / "file" / "https")
