"""Enrolment, and everything a relay may answer instead."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from loacodecs.control import ENROL_PATH, KEY_REVOKED
from loacodecs.errors import ConfigurationError
from loacodecs.signing import public_octets
from loacodecs.strict_json import to_base64url
from loaedge.control.enrol import EnrolmentError, KeyRevokedError, enrol, relay_url
from loaedge.control.identity import IdentityStore
from loaedge.control.nonces import NONCE_FILE, NonceMemory
from tests.support.fake_link_relay import RELAY_TIME, RelayKeys


class Answering:
    """A relay's HTTP side: one answer for all requests, which it keeps."""

    def __init__(self, status: int, body: object) -> None:
        self.requests: list[httpx.Request] = []
        self._status = status
        self._body = body if isinstance(body, bytes) else json.dumps(body).encode()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return httpx.Response(self._status, content=self._body)


def answer(keys: RelayKeys) -> dict[str, str]:
    entry = keys.enrolment()
    return {
        "device": entry.device,
        "relay": entry.relay,
        "command_key": entry.command_key,
        "channel": entry.channel,
    }


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def enrol_with(folder: Path, relay: Answering) -> None:
    await enrol(
        "https://relay.example/loa/", " CODE-1 ", "pole 7", folder, transport=httpx.MockTransport(relay)
    )


async def test_the_code_and_the_key_go_out_and_the_identity_is_kept(tmp_path: Path) -> None:
    keys = RelayKeys()
    relay = Answering(201, answer(keys))
    await enrol_with(tmp_path, relay)
    (request,) = relay.requests
    assert str(request.url) == "https://relay.example/loa" + ENROL_PATH
    sent = json.loads(request.content)
    identity = IdentityStore(tmp_path).load()[keys.name]
    public = to_base64url(public_octets(identity.key))
    assert sent == {"code": "CODE-1", "public_key": public, "name": "pole 7"}
    assert (tmp_path / "device.key").read_text().strip() not in request.content.decode()


async def test_commands_are_taken_from_the_first_minute_on(tmp_path: Path) -> None:
    await enrol_with(tmp_path, Answering(201, answer(RelayKeys())))
    assert NonceMemory(tmp_path / NONCE_FILE).remember("n1", RELAY_TIME + 30, RELAY_TIME)


async def test_after_a_failure_the_same_key_is_offered_again(tmp_path: Path) -> None:
    relay = Answering(503, {})
    for _ in range(2):
        with pytest.raises(EnrolmentError, match="try again later"):
            await enrol_with(tmp_path, relay)
    first, second = (json.loads(request.content)["public_key"] for request in relay.requests)
    assert first == second


@pytest.mark.parametrize("status", [200, 301, 400, 401, 403, 404, 409, 410, 418, 429, 500, 503])
async def test_every_refusal_is_one_sentence(tmp_path: Path, status: int) -> None:
    with pytest.raises(EnrolmentError, match=r"^relay\.example: ") as caught:
        await enrol_with(tmp_path, Answering(status, {}))
    assert "\n" not in str(caught.value)


async def test_what_is_wrong_with_the_code_is_told_as_the_relay_says_it(tmp_path: Path) -> None:
    with pytest.raises(EnrolmentError, match=r"^relay\.example: the code has been \? used$"):
        await enrol_with(tmp_path, Answering(403, {"detail": "the code has been \n? used\x1b"}))


async def test_a_revoked_key_is_told_from_one_that_is_enrolled(tmp_path: Path) -> None:
    with pytest.raises(KeyRevokedError, match="has revoked this receiver's key"):
        await enrol_with(tmp_path, Answering(409, {"type": KEY_REVOKED, "detail": "…"}))
    bodies: list[object] = [{}, b"", b"<html>", {"type": "about:blank"}, {"type": 7}]
    for body in bodies:
        with pytest.raises(EnrolmentError, match="is enrolled already") as caught:
            await enrol_with(tmp_path, Answering(409, body))
        assert not isinstance(caught.value, KeyRevokedError)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        {"device": 7},
        {"device": "a b", "relay": "x", "command_key": "x"},
        b"x" * 99_999,
    ],
)
async def test_answers_that_are_no_enrolment_leave_nothing_behind(tmp_path: Path, body: object) -> None:
    with pytest.raises(EnrolmentError):
        await enrol_with(tmp_path, Answering(201, body))
    assert names_in(tmp_path) == ["device.key"]


async def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(EnrolmentError, match="cannot be reached"):
        await enrol("http://127.0.0.1:9", "code", "name", tmp_path)


def test_addresses_of_relays() -> None:
    assert relay_url("relay.example") == "wss://relay.example/api/v1/edge/link"
    assert relay_url("https://relay.example:8889/") == "wss://relay.example:8889/api/v1/edge/link"
    assert relay_url("localhost:8889") == "ws://localhost:8889/api/v1/edge/link"
    assert (
        relay_url("relay.example", ENROL_PATH, web_socket=False) == "https://relay.example/api/v1/edge/enrol"
    )
    for text in (
        "",
        "[::1",
        "ftp://relay.example",
        "https://",
        "https://a:s3@relay.example",
        "https://relay:99999",
    ):
        with pytest.raises(ConfigurationError) as caught:
            relay_url(text)
        assert "s3" not in str(caught.value)
