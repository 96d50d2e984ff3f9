"""`loa device` where there is no relay to speak to: each failure is one line, with the mend."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

import relay.asking
from relay.device_cli import device
from tests.support.self_signed import server_tls


def said(url: str, *more: str) -> str:
    """What `loa device list` complains of."""
    result = CliRunner().invoke(device, ["list", "--url", url, "--token", "x", *more])
    assert result.exit_code == 1, result.output
    assert result.output.count("\n") == 1
    return result.output.removeprefix("Error: ").rstrip("\n")


@contextmanager
def listening(answer: bytes | None = None, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """The host and port of a server that gives everybody `answer` and hangs up; None: it says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = threading.Event()

        def serve() -> None:
            with contextlib.suppress(OSError):
                client, _ = server.accept()
                with client, contextlib.ExitStack() as stack:
                    spoken = (
                        client
                        if context is None
                        else stack.enter_context(context.wrap_socket(client, server_side=True))
                    )
                    spoken.recv(10_000)
                    if answer is None:
                        done.wait(10)
                    else:
                        spoken.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            done.set()
            server.close()
            thread.join(10)


def test_nothing_runs_there() -> None:
    assert said("http://127.0.0.1:1") == (
        "no relay runs at http://127.0.0.1:1; start it (loa serve), or say where it is by --url"
    )


@pytest.mark.parametrize("host", ["nowhere.invalid", "a b"])
def test_there_is_no_such_host(host: str) -> None:
    assert said(f"http://{host}").startswith(f"there is no host {host}; check --url")


@pytest.mark.parametrize("url", ["http://xn--a", "http://.."])
def test_what_is_no_name_of_a_host(url: str) -> None:
    assert said(url) == f"{url} is not the address of a relay, as https://host is"


@pytest.mark.parametrize(
    "url", ["ftp://host", "http://[::1", "http://host:x", "http://host:99999", "", "http://"]
)
def test_what_is_no_address_is_wrong_usage(url: str) -> None:
    result = CliRunner().invoke(device, ["list", "--url", url])
    assert result.exit_code == 2
    assert "is not the address of a relay" in result.output


def test_plain_http_where_tls_is_spoken_and_the_other_way_round() -> None:
    with listening(b"") as place:
        assert said(f"http://{place}") == (
            f"http://{place} hangs up without an answer; if the relay has TLS, say --url https://{place}"
        )
    with listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as place:
        assert said(f"https://{place}") == (
            f"https://{place} does not speak TLS as it should; if the relay is without it, say --url http://{place}"
        )


@pytest.mark.parametrize(
    ("host", "days", "trusted", "sentence"),
    [
        ("127.0.0.1", -1, False, "is not known here; if it is the relay's own, give it with --cacert FILE"),
        ("127.0.0.1", -20, True, "has expired; renew it there"),
        ("127.0.0.1", 1, True, "is not valid yet"),
        ("localhost", -1, True, "is for another name; use in --url a name that stands in it"),
        ("127.0.0.1", -1, True, "is no Loa relay, it answers 404"),
    ],
)
def test_certificates(tmp_path: Path, host: str, days: int, trusted: bool, sentence: str) -> None:
    context, certificate = server_tls(tmp_path, begins=timedelta(days=days))
    with listening(answer_of("404 Not Found"), context) as place:
        url = f"https://{host}:{place.rpartition(':')[2]}"
        assert sentence in said(url, *(["--cacert", str(certificate)] if trusted else []))


def test_whoever_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay.asking, "_SECONDS", 0.2)
    with listening(None) as place:
        assert "took the request and says nothing for 0.2 s" in said(f"http://{place}")


def answer_of(status: str, body: bytes = b"", *fields: str) -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields])
    return f"{head}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (answer_of("404 Not Found", b"<html>"), "is no Loa relay, it answers 404; check --url"),
        (answer_of("200 OK", b"<html>"), "is no Loa relay, it answers 200; check --url"),
        (answer_of("200 OK", b"[]"), "is no Loa relay, it answers 200; check --url"),
        (answer_of("200 OK", b"{}"), "is no Loa relay, or not of this version: its answer lacks devices"),
        (answer_of("403 Forbidden", b'{"detail": 7}'), "is no Loa relay, it answers 403; check --url"),
        (answer_of("502 Bad Gateway", b"nginx"), "answers 502: the relay behind it does not run"),
        (
            answer_of("301 Moved", b"", "Location: https://loa.tinh.example/api/v1/devices"),
            "sends elsewhere; say --url https://loa.tinh.example",
        ),
        (answer_of("301 Moved", b"", "Location: /elsewhere"), "sends elsewhere; say --url http://127.0.0.1:"),
        (b"SSH-2.0-OpenSSH\r\n", "hangs up without an answer"),
    ],
)
def test_answers_that_are_no_relays(answer: bytes, sentence: str) -> None:
    with listening(answer) as place:
        assert sentence in said(f"http://{place}")
