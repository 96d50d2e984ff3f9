"""The revocation of tokens over HTTP: who may, what it voids, what is said."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from relay.http.app import create_app
from tests.relay.http.conftest import Surface
from tests.support.fake_core import SESSION
from tests.support.revoking import REVOKED, HandRevocations

URL = "/api/v1/tokens/revocations"
SDP = {"Content-Type": "application/sdp"}
Detail = Callable[[httpx.Response], str]


@pytest.fixture
def desk() -> HandRevocations:
    return HandRevocations()


@pytest.fixture
async def relay(surface: Surface, desk: HandRevocations) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(surface.core, surface.config, surface.tokens, revocations=desk, folder=surface.folder)
    transport = httpx.ASGITransport(app, client=("198.51.100.7", 40000))
    async with httpx.AsyncClient(transport=transport, base_url="http://192.0.2.1:8889") as client:
        yield client


def operator(surface: Surface) -> dict[str, str]:
    return surface.bearer("admin", channels=["*"])


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_a_token_is_revoked_by_its_text_and_opens_nothing_any_more(
    surface: Surface, relay: httpx.AsyncClient, detail: Detail
) -> None:
    leaked, other = surface.token("publish", "listen", channels=["*"]), surface.token("listen")
    grant = surface.tokens.verify(leaked)
    assert (await relay.get("/api/v1/channels", headers=bearer(leaked))).status_code == 200
    answer = await relay.post(URL, json={"token": leaked}, headers=operator(surface))
    assert answer.status_code == 201
    assert answer.json() == {
        "kind": "token",
        "name": grant.id,
        "subject": "đài xã",
        "revoked": REVOKED,
        "revoked_by": "đài xã",
        "until": grant.expires,
        "sessions": 0,
        "kept": True,
    }
    requests: list[tuple[str, str]] = [
        ("GET", "/api/v1/channels"),
        ("POST", "/xa/whip"),
        ("POST", "/xa/whep"),
        ("POST", "/open/whep"),
        ("DELETE", f"/xa/whip/{SESSION}"),
        ("GET", "/metrics"),
    ]
    for method, path in requests:
        refused = await relay.request(method, path, headers=bearer(leaked) | SDP, content="v=0\r\n")
        assert refused.status_code == 401, path
        assert "has been revoked; ask the relay's operator" in detail(refused)
        assert 'error="invalid_token"' in refused.headers["www-authenticate"]
    welcome = await relay.post("/open/whep", headers=bearer(other) | SDP, content="v=0\r\n")
    assert welcome.status_code == 201
    for _ in range(30):  # whoever keeps trying makes nobody else wait who stands behind the same address
        assert (await relay.get("/api/v1/channels", headers=bearer(leaked))).status_code == 401


@pytest.mark.parametrize(("method", "path"), [("POST", URL), ("POST", "/xa/whip")])
async def test_a_request_whose_body_is_still_to_come_is_no_way_round_it(
    surface: Surface, desk: HandRevocations, relay: httpx.AsyncClient, method: str, path: str, detail: Detail
) -> None:
    leaked = surface.token("admin", "publish", channels=["*"])

    async def slow() -> AsyncIterator[bytes]:
        yield b'{"id": '
        desk.revoke(surface.tokens.verify(leaked))
        yield b'"c0ffee"}'

    kind = {"Content-Type": "application/json" if path == URL else "application/sdp"}
    answer = await relay.request(method, path, headers=bearer(leaked) | kind, content=slow())
    assert answer.status_code == 401
    assert "has been revoked" in detail(answer)
    assert [each.name for each in desk.revocations()] == [surface.tokens.verify(leaked).id]
    assert surface.core.calls == []


async def test_sessions_are_begun_with_the_grant_that_ends_them(
    surface: Surface, relay: httpx.AsyncClient
) -> None:
    token = surface.token("publish", "listen")
    for path in ("/xa/whip", "/xa/whep", "/open/whep"):
        await relay.post(path, headers=bearer(token) | SDP, content="v=0\r\n")
    assert surface.core.grants == [surface.tokens.verify(token)] * 3


async def test_all_of_a_subject_are_revoked_and_one_minted_later_is_good(
    surface: Surface, relay: httpx.AsyncClient
) -> None:
    before = surface.token("listen")
    admin = bearer(surface.tokens.mint(subject="tỉnh", scopes=["admin"], channels=["*"], ttl=3600))
    done = await relay.post(URL, json={"subject": "đài xã"}, headers=admin)
    assert (done.json()["kind"], done.json()["name"]) == ("subject", "đài xã")
    surface.unix += 1
    after = surface.token("listen")
    assert (await relay.get("/api/v1/channels", headers=bearer(before))).status_code == 401
    assert (await relay.get("/api/v1/channels", headers=bearer(after))).status_code == 200


async def test_what_is_revoked_is_listed_the_latest_first(surface: Surface, relay: httpx.AsyncClient) -> None:
    admin = operator(surface)
    assert (await relay.get(URL, headers=admin)).json() == {"revocations": []}
    for wanted in ({"id": "c0ffee"}, {"subject": "xã"}):
        await relay.post(URL, json=wanted, headers=admin)
    listed = (await relay.get(URL, headers=admin)).json()["revocations"]
    assert {(each["kind"], each["name"], each["subject"]) for each in listed} == {
        ("token", "c0ffee", ""),
        ("subject", "xã", "xã"),
    }
    assert "sessions" not in listed[0]


@pytest.mark.parametrize("channels", [["xa"], ["xa*"], ["**"], [""], ["xa", "open"]])
async def test_an_admin_of_some_channels_revokes_nothing(
    surface: Surface,
    desk: HandRevocations,
    relay: httpx.AsyncClient,
    channels: list[str],
    detail: Detail,
) -> None:
    headers = surface.bearer("admin", channels=channels)
    for answer in (
        await relay.post(URL, json={"id": "c0ffee"}, headers=headers),
        await relay.get(URL, headers=headers),
    ):
        assert answer.status_code == 403
        assert "for all channels" in detail(answer)
    assert desk.revocations() == []


async def test_nobody_else_revokes(surface: Surface, desk: HandRevocations, relay: httpx.AsyncClient) -> None:
    everything_else = surface.bearer("publish", "listen", "control", "emergency", channels=["*"])
    for headers, status in (({}, 401), (everything_else, 403), (bearer("forged"), 401)):
        answer = await relay.post(URL, json={"id": "c0ffee"}, headers=headers)
        assert answer.status_code == status
        assert (await relay.get(URL, headers=headers)).status_code == status
    assert desk.revocations() == []


async def test_an_admins_own_token_can_be_revoked_and_then_it_revokes_nothing(
    surface: Surface, relay: httpx.AsyncClient
) -> None:
    token = surface.token("admin", channels=["*"])
    assert (await relay.post(URL, json={"token": token}, headers=bearer(token))).status_code == 201
    assert (await relay.post(URL, json={"id": "c0ffee"}, headers=bearer(token))).status_code == 401


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ({}, "say what to revoke by one of token, id and subject"),
        ({"id": "c0ffee", "subject": "xã"}, "say what to revoke by one of"),
        ({"id": "no id"}, "id: "),
        ({"id": ""}, "id: "),
        ({"subject": ""}, "subject: "),
        ({"subject": "x" * 1001}, "subject: "),
        ({"token": "x" * 5000}, "token: "),
        ({"colour": "red"}, "colour: "),
        ({"token": "rubbish"}, "this cannot be revoked: the token cannot be read"),
        ({"subject": "device:rx-1"}, "revoke the receiver itself: loa device revoke rx-1"),
    ],
)
async def test_what_cannot_be_revoked_is_said(
    surface: Surface,
    desk: HandRevocations,
    relay: httpx.AsyncClient,
    wanted: Any,
    sentence: str,
    detail: Detail,
) -> None:
    answer = await relay.post(URL, json=wanted, headers=operator(surface))
    assert answer.status_code == 422
    assert sentence in detail(answer)
    assert desk.revocations() == []


async def test_tokens_that_need_no_revocation(
    surface: Surface, relay: httpx.AsyncClient, detail: Detail
) -> None:
    old = surface.token("listen", ttl=60)
    device = surface.tokens.mint(subject="device:rx-1", scopes=["listen"], channels=["xa"], ttl=7200)
    surface.unix += 60
    expired = await relay.post(URL, json={"token": old}, headers=operator(surface))
    assert (expired.status_code, "has expired" in detail(expired)) == (422, True)
    receivers = await relay.post(URL, json={"token": device}, headers=operator(surface))
    assert (receivers.status_code, "loa device revoke rx-1" in detail(receivers)) == (422, True)


async def test_the_log_has_one_line_and_no_token_and_refusals_are_counted(
    surface: Surface, relay: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    leaked = surface.token("listen")
    admin = operator(surface)
    caplog.set_level(logging.DEBUG)
    await relay.post(URL, json={"token": leaked}, headers=admin)
    (line,) = (each for each in caplog.records if each.name == "relay.http.token_revocations")
    fields = vars(line)
    assert (fields["revoked"], fields["of"]) == (surface.tokens.verify(leaked).id, "đài xã")
    assert not any(leaked in str(vars(each)) for each in caplog.records)
    for _ in range(3):
        await relay.get("/api/v1/channels", headers=bearer(leaked))
    shown = (await relay.get("/metrics", headers=admin)).text
    assert "loa_http_revoked_tokens_total 3.0" in shown
    assert "loa_http_bad_tokens_total 0.0" in shown


async def test_a_relay_that_cannot_revoke_has_no_such_address(surface: Surface) -> None:
    async with surface.client() as client:
        assert (await client.get(URL, headers=operator(surface))).status_code == 404


async def test_openapi_tells_of_it(relay: httpx.AsyncClient) -> None:
    described = (await relay.get("/api/openapi.json")).json()
    post = described["paths"][URL]["post"]
    assert {"201", "401", "403", "409", "422"} <= set(post["responses"])
    wanted = post["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert set(wanted) == {"token", "id", "subject"}
    answer = described["components"]["schemas"]["NewlyVoidTokens"]["properties"]
    assert {"name", "until", "sessions", "kept"} <= set(answer)
