"""The HTTP half of a session against a server that answers anything."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import tracemalloc
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from loacodecs.errors import ConfigurationError
from loaedge.control.tls import forgiving
from loaedge.urls import Token, endpoint
from loaedge.whip import ANSWER_LIMIT, IceServer, Signalling, SignallingError, Trust, parse_ice_servers
from tests.support.whip_server import Reply, Request, WhipServer, created

SECRET = "s3cret.token"


async def refusal(reply: Reply, *, token: Token | None = None, protocol: str = "whip") -> SignallingError:
    async with WhipServer(lambda _: reply) as server:
        signalling = Signalling(endpoint(f"{server.url}/tien-giang", protocol), token)
        try:
            with pytest.raises(SignallingError) as caught:
                await signalling.offer("v=0\r\n")
        finally:
            await signalling.close()
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert "\x1b" not in sentence
    assert len(sentence) < 400
    return caught.value


async def test_a_session_from_offer_to_goodbye() -> None:
    def respond(request: Request) -> Reply:
        if request.method == "POST":
            link = '<stun:stun.example:3478>; rel="ice-server"'
            return created("v=0\r\nanswer", "/tien-giang/whip/abc", ("ETag", '"one"'), ("Link", link))
        return Reply(204 if request.method == "PATCH" else 200)

    async with WhipServer(respond) as server:
        signalling = Signalling(endpoint(f"{server.url}/tien-giang", "whip"), Token(SECRET), replace=True)
        answer = await signalling.offer("v=0\r\noffer")
        assert answer.sdp == "v=0\r\nanswer"
        assert answer.location == f"{server.url}/tien-giang/whip/abc"
        assert answer.etag == '"one"'
        assert answer.ice_servers == (IceServer("stun:stun.example:3478"),)
        assert await signalling.patch("a=end-of-candidates\r\n") is None
        await signalling.delete()
        await signalling.delete()
        await signalling.close()
        post, patch, delete = server.requests
    assert (post.method, post.path, post.body) == ("POST", "/tien-giang/whip", "v=0\r\noffer")
    assert post.headers["content-type"] == "application/sdp"
    assert post.headers["x-loa-replace"] == "1"
    assert (patch.method, patch.path, patch.headers["if-match"]) == ("PATCH", "/tien-giang/whip/abc", '"one"')
    assert patch.headers["content-type"] == "application/trickle-ice-sdpfrag"
    assert (delete.method, delete.path) == ("DELETE", "/tien-giang/whip/abc")
    assert {r.headers["authorization"] for r in server.requests} == {f"Bearer {SECRET}"}


async def test_an_ice_restart_gives_the_new_fragment_and_etag() -> None:
    def respond(request: Request) -> Reply:
        if request.method == "POST":
            return created("v=0", "/s", ("ETag", '"one"'))
        return Reply(
            200, [("Content-Type", "application/trickle-ice-sdpfrag"), ("ETag", '"two"')], "a=ice-ufrag:x"
        )

    async with WhipServer(respond) as server:
        signalling = Signalling(endpoint(f"{server.url}/a", "whip"), None)
        await signalling.offer("v=0")
        assert await signalling.patch("a=ice-ufrag:y", restart=True) == "a=ice-ufrag:x"
        await signalling.patch("a=candidate")
        await signalling.close()
        assert [r.headers.get("if-match") for r in server.requests] == [None, "*", '"two"']
        assert all("authorization" not in r.headers for r in server.requests)


@pytest.mark.parametrize(
    ("status", "words", "permanent"),
    [
        (400, "400: bad m-line", True),
        (401, "wants a token: give --token-file", True),
        (403, "does not allow publishing to tien-giang", True),
        (404, "no channel tien-giang at 127.0.0.1", True),
        (406, "406: bad m-line", True),
        (409, "another publisher is on air on tien-giang; --replace takes over", True),
        (500, "500: bad m-line", False),
        (503, "takes no sessions just now", False),
    ],
)
async def test_a_refusal_is_one_sentence(status: int, words: str, permanent: bool) -> None:
    error = await refusal(Reply(status, [("Content-Type", "text/plain; charset=utf-8")], "bad\x1b\n m-line"))
    assert words in str(error)
    assert (error.status, error.permanent, error.retry_after) == (status, permanent, None)


async def test_a_conflict_that_taking_over_would_not_mend_is_told_as_the_relay_says_it() -> None:
    problem = [("Content-Type", "application/problem+json")]
    full = await refusal(
        Reply(409, problem, '{"detail": "channel xa has the 3 inputs that inputs_max allows"}')
    )
    assert str(full) == "channel xa has the 3 inputs that inputs_max allows"
    taken = await refusal(Reply(409, problem, '{"detail": "xa has a publisher; send replace to take over"}'))
    assert "--replace takes over" in str(taken)


async def test_a_refused_token_is_told_from_a_missing_one_and_not_repeated() -> None:
    error = await refusal(Reply(401), token=Token(SECRET))
    assert "wrong, altered or expired" in str(error)
    assert SECRET not in f"{error} {error!r} {error.__cause__!r}"


async def test_listening_is_called_listening() -> None:
    assert "listening to tien-giang" in str(await refusal(Reply(403), protocol="whep"))


@pytest.mark.parametrize("status", [403, 404, 409])
async def test_what_another_server_refuses_is_told_without_a_channel(status: int) -> None:
    """Its path names none, and it knows no --replace."""
    async with WhipServer(lambda _request: Reply(status)) as server:
        signalling = Signalling(endpoint(f"whip+{server.url}/webRTC/publish?key=1", "whip"), None)
        with pytest.raises(SignallingError) as caught:
            await signalling.offer("v=0")
        await signalling.close()
    assert str(caught.value) == f"127.0.0.1 refused the session with {status}: Said So"


@pytest.mark.parametrize("kind", ["application/json", "application/problem+json"])
async def test_the_detail_of_a_json_error_is_told(kind: str) -> None:
    error = await refusal(Reply(406, [("Content-Type", kind)], '{"detail": "the offer has no Opus"}'))
    assert "the offer has no Opus" in str(error)


async def test_retry_after_in_seconds_and_as_a_date() -> None:
    error = await refusal(Reply(503, [("Retry-After", "7")]))
    assert error.retry_after == 7
    assert "come back in 7 s" in str(error)
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    dated = (await refusal(Reply(503, [("Retry-After", date)]))).retry_after
    assert dated == pytest.approx(60, abs=5)
    assert (await refusal(Reply(503, [("Retry-After", "soon")]))).retry_after is None
    assert (await refusal(Reply(503, [("Retry-After", "9" * 400)]))).retry_after == 300


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(201, [("Content-Type", "text/html"), ("Location", "/s")], "<html>"), "not SDP"),
        (Reply(201, [("Content-Type", "application/sdp")], "v=0"), "no address"),
        (created("v=0", "file:///etc/passwd"), "not https"),
        (created("v" * (ANSWER_LIMIT + 1)), "more than 65536 bytes"),
        (Reply(raw=b"HTTP/1.1 201 OK\r\nContent-Length: 10\r\n\r\nv=0"), "cannot reach"),
        (Reply(raw=b"\x00\x01\x02 nonsense\r\n\r\n"), "cannot reach"),
        (Reply(raw=b""), "cannot reach"),
        (Reply(307, [("Location", "/again")]), "round in circles"),
        (Reply(200, [("Content-Type", "application/sdp")], "v=0"), "200"),
    ],
)
async def test_a_broken_answer_is_one_sentence(reply: Reply, words: str) -> None:
    assert words in str(await refusal(reply))


async def test_a_redirect_is_followed_with_the_offer() -> None:
    def respond(request: Request) -> Reply:
        if request.path == "/a/whip":
            return Reply(307, [("Location", "/b/whip")])
        return created("v=0", "session")

    async with WhipServer(respond) as server:
        signalling = Signalling(endpoint(f"{server.url}/a", "whip"), Token(SECRET))
        answer = await signalling.offer("v=0 offer")
        await signalling.close()
        assert answer.location == f"{server.url}/b/session"
        assert server.requests[1].body == "v=0 offer"
        assert server.requests[1].headers["authorization"] == f"Bearer {SECRET}"


async def test_nobody_there_is_one_sentence_and_worth_another_try() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        signalling = Signalling(endpoint(f"http://127.0.0.1:{port}/a", "whip"), None)
        with pytest.raises(SignallingError, match=f"cannot reach 127.0.0.1:{port}") as caught:
            await signalling.offer("v=0")
        await signalling.close()
    assert not caught.value.permanent


async def test_goodbye_to_a_relay_that_has_gone_is_silent() -> None:
    async with WhipServer(lambda _: created("v=0")) as server:
        signalling = Signalling(endpoint(f"{server.url}/a", "whip"), None)
        await signalling.offer("v=0")
    await signalling.delete()
    await signalling.close()


def test_ice_servers_of_link_headers() -> None:
    servers = parse_ice_servers(
        [
            '<stun:a.example>; rel="ice-server", <turn:b.example?transport=udp>; rel="ice-server"; '
            'username="u,ser"; credential="p;ass"; credential-type="password"',
            '<https://a.example/next>; rel="next"',
            "<turns:c.example>;rel=ice-server",
            "<javascript:alert(1)>; rel=ice-server",
            "<<<;;;,,",
            "<" * 100_000,
        ]
    )
    assert [server.url for server in servers] == [
        "stun:a.example",
        "turn:b.example?transport=udp",
        "turns:c.example",
    ]
    assert (servers[1].username, servers[1].credential) == ("u,ser", "p;ass")
    assert "p;ass" not in repr(servers)
    assert len(parse_ice_servers(["<stun:a>; rel=ice-server, "] * 100)) == 16


def test_trust_says_what_is_wrong_with_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--cacert"):
        Trust(ca_file=str(tmp_path / "missing.pem")).context()
    (tmp_path / "bad.pem").write_text("no certificate")
    with pytest.raises(ConfigurationError, match="--cacert"):
        Trust(ca_file=str(tmp_path / "bad.pem")).context()
    assert Trust(insecure=True).context().verify_mode == ssl.CERT_NONE
    assert Trust().context().verify_mode == ssl.CERT_REQUIRED


def self_signed(folder: Path, begins: timedelta = timedelta(hours=-1)) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS settings with a certificate for 127.0.0.1, and the file that certificate is in.

    It holds for two hours from now + `begins` on.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "relay")])
    now = datetime.now(UTC)
    alternative = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now + begins)
        .not_valid_after(now + begins + timedelta(hours=2))
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


async def test_a_certificate_nobody_vouches_for_needs_to_be_named_or_waived(tmp_path: Path) -> None:
    context, path = self_signed(tmp_path)
    async with WhipServer(lambda _: created("v=0"), context) as server:

        async def offer(trust: Trust) -> str:
            signalling = Signalling(endpoint(f"{server.url}/a", "whip"), None, tls=trust.context())
            try:
                return (await signalling.offer("v=0")).location
            finally:
                await signalling.close()

        with pytest.raises(SignallingError, match="not trusted: give --cacert FILE, or --insecure"):
            await offer(Trust())
        assert server.requests == []
        assert await offer(Trust(ca_file=str(path))) == f"{server.url}/session/1"
        assert await offer(Trust(insecure=True)) == f"{server.url}/session/1"


@pytest.mark.parametrize("begins", [timedelta(days=1), timedelta(days=-9)])
async def test_a_certificate_of_another_time_points_at_the_clock(tmp_path: Path, begins: timedelta) -> None:
    context, path = self_signed(tmp_path, begins)
    async with WhipServer(lambda _: created("v=0"), context) as server:
        trust = Trust(ca_file=str(path)).context()
        signalling = Signalling(endpoint(f"{server.url}/a", "whep"), None, tls=trust)
        with pytest.raises(
            SignallingError, match=r"does not hold at 20.* UTC: is the clock .* right\?"
        ) as caught:
            await signalling.offer("v=0")
        assert not caught.value.permanent
        await signalling.close()
        # A board that wakes in 1970 does not look at dates; the name and the authority still count.
        signalling = Signalling(endpoint(f"{server.url}/a", "whep"), None, tls=forgiving(trust, 0.0))
        assert (await signalling.offer("v=0")).sdp == "v=0"
        await signalling.close()


async def test_from_https_no_way_leads_back_to_http(tmp_path: Path) -> None:
    context, path = self_signed(tmp_path)
    async with WhipServer(lambda _: created("v=0", "http://127.0.0.1/s"), context) as server:
        trust = Trust(ca_file=str(path)).context()
        signalling = Signalling(endpoint(f"{server.url}/a", "whip"), Token(SECRET), tls=trust)
        with pytest.raises(SignallingError, match="not https"):
            await signalling.offer("v=0")
        await signalling.close()


async def test_a_redirect_to_a_port_that_is_none_is_a_refusal() -> None:
    error = await refusal(Reply(302, [("Location", "http://127.0.0.1:99999/a/whip")]))
    assert "cannot use the address" in str(error)
    assert error.permanent


async def test_a_packed_answer_is_not_unpacked() -> None:
    packed = gzip.compress(bytes(32 << 20), 9)
    head = (
        "HTTP/1.1 201 Created\r\nContent-Type: application/sdp\r\nLocation: /a\r\nContent-Encoding: gzip\r\n"
        f"Content-Length: {len(packed)}\r\n\r\n"
    )
    async with WhipServer(lambda _: Reply(raw=head.encode() + packed)) as server:
        signalling = Signalling(endpoint(f"{server.url}/a", "whep"), None)
        tracemalloc.start()
        try:
            answer = await signalling.offer("v=0\r\n")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            await signalling.close()
        assert server.requests[0].headers["accept-encoding"] == "identity"
    assert not answer.sdp.startswith("v=0")
    assert peak < 4 << 20


async def test_a_goodbye_does_not_listen_to_what_is_said_to_it() -> None:
    said = 0
    over = asyncio.Event()

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal said
        try:
            if (await reader.readuntil(b"\r\n\r\n")).startswith(b"POST"):
                await reader.readexactly(5)
                writer.write(created("v=0\r\n").to_bytes())
                await writer.drain()
                return
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
            while True:
                writer.write(bytes(1 << 16))
                await writer.drain()
                said += 1 << 16
        except ConnectionError:
            over.set()
        finally:
            writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    async with server, asyncio.timeout(5):
        port = server.sockets[0].getsockname()[1]
        signalling = Signalling(endpoint(f"http://127.0.0.1:{port}/a", "whep"), None)
        await signalling.offer("v=0\r\n")
        await signalling.delete()
        await signalling.close()
        await over.wait()
    assert said < 16 << 20
