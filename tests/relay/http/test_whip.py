"""The contract of RFC 9725 and draft-ietf-wish-whep, status by status."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from loacodecs.errors import NegotiationError, SdpError
from relay.config import HttpConfig, IceServer
from relay.errors import ChannelBusy, ChannelNotFound, Unavailable
from relay.http.whip import entity_tags, ice_server_links
from tests.relay.http.conftest import Surface
from tests.support.fake_core import ANSWER, ETAG, SESSION

OFFER = "v=0\r\n"
SDP = {"Content-Type": "application/sdp"}
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}
Detail = Callable[[httpx.Response], str]


async def test_a_publisher_gets_201_with_everything_the_session_needs(surface: Surface) -> None:
    async with surface.client() as client:
        response = await client.post("/xa/whip", content=OFFER, headers=SDP | surface.bearer("publish"))
    assert response.status_code == 201
    assert response.text == ANSWER
    assert response.headers["content-type"] == "application/sdp"
    assert response.headers["location"] == f"/xa/whip/{SESSION}"
    assert response.headers["etag"] == f'"{ETAG}"'
    assert surface.core.calls == [("publish", "xa", OFFER, False, "đài xã", "192.0.2.1")]


async def test_a_listener_gets_201(surface: Surface) -> None:
    async with surface.client() as client:
        response = await client.post("/xa/whep", content=OFFER, headers=SDP | surface.bearer("listen"))
    assert response.status_code == 201
    assert response.headers["location"] == f"/xa/whep/{SESSION}"
    assert surface.core.calls == [("listen", "xa", OFFER, "đài xã", "192.0.2.1")]


@pytest.mark.parametrize(
    ("query", "headers"), [("?replace=1", {}), ("", {"X-Loa-Replace": "1"}), ("?replace=1", SDP)]
)
async def test_a_publisher_may_ask_to_replace_another(
    surface: Surface, query: str, headers: dict[str, str]
) -> None:
    async with surface.client() as client:
        await client.post(
            f"/xa/whip{query}", content=OFFER, headers=SDP | headers | surface.bearer("publish")
        )
    assert surface.core.calls[0][3] is True


async def test_ice_servers_are_told_in_link_fields(surface: Surface) -> None:
    server = IceServer.model_validate(
        {"urls": ["turn:t.example:3478?transport=udp"], "username": 'a"b', "credential": "c\\d"}
    )
    surface.configure(http=HttpConfig(ice_servers=(IceServer(urls=("stun:s.example",)), server)))
    async with surface.client() as client:
        response = await client.post("/xa/whep", content=OFFER, headers=SDP | surface.bearer("listen"))
        told = await client.options("/xa/whep", headers=surface.bearer("listen"))
        untold = await client.options("/xa/whep")
    links = [
        '<stun:s.example>; rel="ice-server"',
        '<turn:t.example:3478?transport=udp>; rel="ice-server"; username="a\\"b"; credential="c\\\\d"; '
        'credential-type="password"',
    ]
    assert response.headers.get_list("link") == links
    assert told.headers.get_list("link") == links
    assert untold.status_code == 200
    assert "link" not in untold.headers


def test_a_stun_server_has_no_credentials() -> None:
    both = IceServer.model_validate(
        {"urls": ["stun:x.example", "turns:x.example"], "username": "u", "credential": "c"}
    )
    assert ["username" in link for link in ice_server_links((both,))] == [False, True]


@pytest.mark.parametrize("path", ["/xa/whip", "/xa/whep"])
async def test_options_name_what_may_be_posted(surface: Surface, path: str) -> None:
    async with surface.client() as client:
        response = await client.options(path)
    assert response.status_code == 200
    assert response.headers["accept-post"] == "application/sdp"


async def test_get_is_a_success_without_content(surface: Surface) -> None:
    async with surface.client() as client:
        for path in ("/xa/whip", "/xa/whep", f"/xa/whip/{SESSION}"):
            assert (await client.get(path)).status_code == 204
            assert (await client.head(path)).status_code == 204


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/xa/whip", "GET, HEAD, OPTIONS, POST"),
        ("PATCH", "/xa/whep", "GET, HEAD, OPTIONS, POST"),
        ("DELETE", "/xa/whip", "GET, HEAD, OPTIONS, POST"),
        ("POST", f"/xa/whip/{SESSION}", "DELETE, GET, HEAD, OPTIONS, PATCH"),
        ("PUT", f"/xa/whep/{SESSION}", "DELETE, GET, HEAD, OPTIONS, PATCH"),
    ],
)
async def test_other_methods_are_405_with_allow(
    surface: Surface, detail: Detail, method: str, path: str, allowed: str
) -> None:
    async with surface.client() as client:
        response = await client.request(method, path)
    assert response.status_code == 405
    assert response.headers["allow"] == allowed
    assert method in detail(response)


@pytest.mark.parametrize("content_type", ["text/plain", "application/json", "application/sdpx", None])
async def test_an_offer_of_another_type_is_415(
    surface: Surface, detail: Detail, content_type: str | None
) -> None:
    headers = surface.bearer("publish") | ({"Content-Type": content_type} if content_type else {})
    async with surface.client() as client:
        response = await client.post("/xa/whip", content=OFFER, headers=headers)
    assert response.status_code == 415
    assert "application/sdp" in detail(response)
    assert surface.core.calls == []


async def test_parameters_and_case_of_the_type_do_not_matter(surface: Surface) -> None:
    headers = surface.bearer("publish") | {"Content-Type": "Application/SDP; charset=utf-8"}
    async with surface.client() as client:
        assert (await client.post("/xa/whip", content=OFFER, headers=headers)).status_code == 201


@pytest.mark.parametrize("body", [b"", b"\xff\xfe"])
async def test_an_unreadable_offer_is_400(surface: Surface, detail: Detail, body: bytes) -> None:
    async with surface.client() as client:
        response = await client.post("/xa/whip", content=body, headers=SDP | surface.bearer("publish"))
    assert response.status_code == 400
    assert detail(response)


async def test_an_announced_large_body_is_413_unread(surface: Surface, detail: Detail) -> None:
    async with surface.client() as client:
        response = await client.post(
            "/xa/whip", content=b"x" * 65_537, headers=SDP | surface.bearer("publish")
        )
    assert response.status_code == 413
    assert response.headers["connection"] == "close"
    assert "65536" in detail(response)


async def test_a_chunked_body_is_413_as_soon_as_it_is_too_large(surface: Surface) -> None:
    sent = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 10_000
            yield b"x" * 10_000

    async with surface.client() as client:
        response = await client.post("/xa/whip", content=chunks(), headers=SDP | surface.bearer("publish"))
    assert response.status_code == 413
    assert sent <= 80_000


async def test_a_body_of_exactly_the_limit_passes(surface: Surface) -> None:
    async with surface.client() as client:
        response = await client.post(
            "/xa/whip", content=b"x" * 65_536, headers=SDP | surface.bearer("publish")
        )
    assert response.status_code == 201


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (SdpError("line 3 is not an attribute"), 400),
        (NegotiationError("the offer has no audio; add an audio track"), 406),
        (ChannelNotFound("there is no channel xa"), 404),
        (ChannelBusy("another publisher is on air; ask with replace to take over"), 409),
        (Unavailable("the relay is full", 7), 503),
    ],
)
async def test_what_the_core_refuses_becomes_its_status(
    surface: Surface, detail: Detail, error: Exception, status: int
) -> None:
    surface.core.error = error
    async with surface.client() as client:
        response = await client.post("/xa/whip", content=OFFER, headers=SDP | surface.bearer("publish"))
    assert response.status_code == status
    assert detail(response) == str(error)
    assert response.headers.get("retry-after") == ("7" if status == 503 else None)


async def test_a_fault_of_ours_is_500_and_says_nothing_of_itself(
    surface: Surface, detail: Detail, caplog: pytest.LogCaptureFixture
) -> None:
    surface.core.error = RuntimeError("inner workings")
    async with surface.client() as client:
        response = await client.post("/xa/whip", content=OFFER, headers=SDP | surface.bearer("publish"))
    assert response.status_code == 500
    assert "inner workings" not in detail(response)
    assert "inner workings" in caplog.text


async def test_a_draining_relay_is_503_with_retry_after(surface: Surface, detail: Detail) -> None:
    surface.core.is_draining = True
    async with surface.client() as client:
        response = await client.post("/xa/whep", content=OFFER, headers=SDP | surface.bearer("listen"))
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) > 0
    assert detail(response)
    assert surface.core.calls == []


@pytest.mark.parametrize("name", ["Xa", "-xa", "static", "x" * 64, "x%20y", "%2e%2e"])
async def test_an_impossible_channel_is_404(surface: Surface, detail: Detail, name: str) -> None:
    headers = SDP | surface.bearer("publish", channels=["*"])
    async with surface.client() as client:
        response = await client.post(f"/{name}/whip", content=OFFER, headers=headers)
    assert response.status_code in (404, 405)  # 405: below /static/ only GET is known
    assert detail(response)
    assert surface.core.calls == []


async def test_candidates_are_204_without_etag(surface: Surface) -> None:
    headers = FRAGMENT | {"If-Match": f'"{ETAG}"'} | surface.bearer("publish")
    async with surface.client() as client:
        response = await client.patch(f"/xa/whip/{SESSION}", content="a=mid:0\r\n", headers=headers)
    assert response.status_code == 204
    assert response.content == b""
    assert "etag" not in response.headers
    assert surface.core.calls == [("trickle", "xa", "publish", SESSION, "a=mid:0\r\n", ETAG)]


@pytest.mark.parametrize("star", ["*", '"*"'])
async def test_an_ice_restart_is_200_with_a_new_etag(surface: Surface, star: str) -> None:
    surface.core.restart_fragment = "a=ice-ufrag:new\r\n"
    headers = FRAGMENT | {"If-Match": star} | surface.bearer("listen")
    async with surface.client() as client:
        response = await client.patch(f"/xa/whep/{SESSION}", content="a=ice-ufrag:x\r\n", headers=headers)
    assert response.status_code == 200
    assert response.text == "a=ice-ufrag:new\r\n"
    assert response.headers["content-type"] == "application/trickle-ice-sdpfrag"
    assert response.headers["etag"] == '"etag-2"'


@pytest.mark.parametrize(
    ("extra", "status"),
    [
        ({}, 428),
        ({"If-Match": '"older"'}, 412),
        ({"If-Match": f'W/"{ETAG}"'}, 412),
        ({"If-Match": "garbage"}, 412),
        ({"If-Match": f'"older", "{ETAG}"'}, 204),
        ({"If-Match": f'"{ETAG}"', "Content-Type": "application/sdp"}, 415),
    ],
)
async def test_conditions_of_patch(surface: Surface, extra: dict[str, str], status: int) -> None:
    headers = FRAGMENT | surface.bearer("publish") | extra
    async with surface.client() as client:
        response = await client.patch(f"/xa/whip/{SESSION}", content="a=mid:0\r\n", headers=headers)
    assert response.status_code == status


async def test_the_number_of_entity_tags_tried_is_bounded() -> None:
    assert len(entity_tags(", ".join('"x"' for _ in range(1000)))) == 8


async def test_delete_ends_the_session_whatever_if_match_says(surface: Surface) -> None:
    headers = surface.bearer("publish") | {"If-Match": '"older"'}
    async with surface.client() as client:
        response = await client.delete(f"/xa/whip/{SESSION}", headers=headers)
    assert response.status_code == 200
    assert surface.core.calls == [("close", "xa", "publish", SESSION)]


@pytest.mark.parametrize("session", ["another-session-of-theirs", "short", "%2e%2e%2fadmin"])
async def test_an_unknown_session_is_404(surface: Surface, detail: Detail, session: str) -> None:
    async with surface.client() as client:
        ended = await client.delete(f"/xa/whip/{session}", headers=surface.bearer("publish"))
    assert ended.status_code == 404
    assert detail(ended)


async def test_behind_a_proxy_our_own_address_says_nothing(surface: Surface) -> None:
    headers = SDP | surface.bearer("listen") | {"X-Forwarded-For": "203.0.113.5"}
    async with surface.client(client="127.0.0.1") as client:
        await client.post("/xa/whep", content=OFFER, headers=headers)
    assert surface.core.calls[0][-1] is None


async def test_a_host_name_is_not_taken_for_our_address(surface: Surface) -> None:
    async with surface.client(base_url="http://relay.example") as client:
        await client.post("/xa/whep", content=OFFER, headers=SDP | surface.bearer("listen"))
    assert surface.core.calls[0][-1] is None


async def test_below_a_path_prefix_the_location_has_it_too(surface: Surface) -> None:
    app = surface.app()
    transport = httpx.ASGITransport(app, root_path="/loa")
    async with httpx.AsyncClient(transport=transport, base_url="http://192.0.2.1") as client:
        response = await client.post("/loa/xa/whep", content=OFFER, headers=SDP | surface.bearer("listen"))
    assert response.headers["location"] == f"/loa/xa/whep/{SESSION}"
