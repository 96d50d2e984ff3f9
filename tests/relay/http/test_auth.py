"""Who may do what, and how refusals are told."""

from __future__ import annotations

import logging
from collections.abc import Callable

import httpx
import pytest

from relay.config import AuthConfig, HttpConfig
from relay.http.auth import BadTokens
from relay.tokens import Secret, Tokens
from tests.relay.http.conftest import Surface
from tests.support.fake_core import SESSION

SDP = {"Content-Type": "application/sdp"}
Detail = Callable[[httpx.Response], str]


async def offer(
    surface: Surface, path: str, headers: dict[str, str], client: str = "198.51.100.7"
) -> httpx.Response:
    async with surface.client(client=client) as http:
        return await http.post(path, content="v=0\r\n", headers=SDP | headers)


async def test_without_token_the_challenge_names_no_error(surface: Surface, detail: Detail) -> None:
    response = await offer(surface, "/xa/whip", {})
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer realm="loa"'
    assert "publish" in detail(response)


@pytest.mark.parametrize(
    "given", ["Bearer nonsense", "Bearer ", "Bearer a.b.c", "bearer \u00e9".encode("latin-1")]
)
async def test_a_bad_token_is_401_invalid_token(surface: Surface, detail: Detail, given: str | bytes) -> None:
    async with surface.client() as http:
        response = await http.post(
            "/xa/whip", content="v=0", headers=[("Content-Type", "application/sdp"), ("Authorization", given)]
        )
    assert response.status_code == 401
    assert 'error="invalid_token"' in response.headers["www-authenticate"]
    assert detail(response)
    assert surface.core.calls == []


async def test_an_expired_token_says_so(surface: Surface, detail: Detail) -> None:
    headers = surface.bearer("publish")
    surface.unix += 3601
    response = await offer(surface, "/xa/whip", headers)
    assert response.status_code == 401
    assert "expired" in detail(response)
    assert "expired" in response.headers["www-authenticate"]


async def test_a_token_of_another_relay_is_401(surface: Surface) -> None:
    other = Tokens(Secret(b"o" * 32), clock=lambda: surface.unix)
    token = other.mint(subject="x", scopes=["publish"], channels=["*"], ttl=60)
    assert (await offer(surface, "/xa/whip", {"Authorization": f"Bearer {token}"})).status_code == 401


async def test_the_wrong_role_is_403(surface: Surface, detail: Detail) -> None:
    response = await offer(surface, "/xa/whip", surface.bearer("listen"))
    assert response.status_code == 403
    assert response.headers["www-authenticate"] == (
        'Bearer realm="loa", error="insufficient_scope", scope="publish"'
    )
    assert "publish" in detail(response)


@pytest.mark.parametrize(
    ("channels", "status"), [(["huyen"], 403), (["x*"], 201), (["*"], 201), (["xa"], 201), (["xa-*"], 403)]
)
async def test_tokens_are_for_channels(surface: Surface, channels: list[str], status: int) -> None:
    response = await offer(surface, "/xa/whip", surface.bearer("publish", channels=channels))
    assert response.status_code == status


async def test_admin_may_publish_and_listen_on_its_channels(surface: Surface) -> None:
    assert (await offer(surface, "/xa/whip", surface.bearer("admin"))).status_code == 201
    assert (await offer(surface, "/xa/whep", surface.bearer("admin"))).status_code == 201
    assert (await offer(surface, "/huyen/whep", surface.bearer("admin"))).status_code == 403


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_sessions_need_the_same_token_as_their_offer(surface: Surface, method: str) -> None:
    headers = {"Content-Type": "application/trickle-ice-sdpfrag", "If-Match": "*"}
    async with surface.client() as http:
        none = await http.request(method, f"/xa/whip/{SESSION}", headers=headers, content="a")
        role = await http.request(
            method, f"/xa/whip/{SESSION}", headers=headers | surface.bearer("listen"), content="a"
        )
    assert (none.status_code, role.status_code) == (401, 403)
    assert surface.core.calls == []


async def test_a_public_channel_is_heard_without_token_but_not_published_to(surface: Surface) -> None:
    assert (await offer(surface, "/open/whep", {})).status_code == 201
    assert (await offer(surface, "/open/whip", {})).status_code == 401
    async with surface.client() as http:
        assert (await http.delete(f"/open/whep/{SESSION}")).status_code == 200


async def test_an_expired_token_does_not_bar_from_a_public_channel(surface: Surface) -> None:
    headers = surface.bearer("listen", channels=["open"])
    surface.unix += 3601
    assert (await offer(surface, "/open/whep", headers)).status_code == 201


async def test_a_token_gives_its_name_to_a_public_session(surface: Surface) -> None:
    await offer(surface, "/open/whep", surface.bearer("listen", channels=["open"]))
    assert surface.core.calls[0][3] == "đài xã"


async def test_other_schemes_are_told_which_one_is_taken(surface: Surface, detail: Detail) -> None:
    response = await offer(surface, "/xa/whip", {"Authorization": "Basic YTpi"})
    assert response.status_code == 401
    assert "Bearer" in detail(response)


async def test_a_refusal_is_logged_without_the_token(
    surface: Surface, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="relay.http.errors"):
        await offer(surface, "/xa/whip", surface.bearer("listen"))
    record = caplog.records[-1]
    assert "does not allow publish" in record.getMessage()
    assert (vars(record)["status"], vars(record)["path"]) == (403, "/xa/whip")
    assert "eyJ" not in str(vars(record))


async def test_without_auth_everything_is_allowed(surface: Surface) -> None:
    surface.configure(auth=AuthConfig(enabled=False))
    assert (await offer(surface, "/xa/whip", {})).status_code == 201
    assert surface.core.calls[0][4] == "anonymous"


async def test_an_address_that_keeps_presenting_bad_tokens_is_429(surface: Surface, detail: Detail) -> None:
    async with surface.client() as http:
        bad = {"Authorization": "Bearer nonsense"}
        statuses = [(await http.post("/xa/whip", headers=bad)).status_code for _ in range(12)]
        refused = await http.post("/xa/whip", headers=bad)
        good = await http.post("/xa/whip", content="v=0", headers=SDP | surface.bearer("publish"))
        surface.monotonic += float(refused.headers["retry-after"])
        later = await http.post("/xa/whip", headers=bad)
    assert statuses == [401] * 10 + [429] * 2
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert detail(refused)
    assert good.status_code == 201, "a neighbour behind the same address must not suffer"
    assert later.status_code == 401


async def test_forwarded_addresses_count_only_from_trusted_proxies(surface: Surface) -> None:
    surface.configure(http=HttpConfig(trusted_proxies=("10.0.0.0/8",)))

    async def exhaust(client: str) -> list[int]:
        async with surface.client(client=client) as http:
            return [
                (
                    await http.post(
                        "/xa/whip",
                        headers={"Authorization": "Bearer x", "X-Forwarded-For": f"203.0.113.{i}"},
                    )
                ).status_code
                for i in range(12)
            ]

    assert 429 not in await exhaust("10.1.2.3"), "each forwarded client is its own"
    assert 429 in await exhaust("198.51.100.1"), "an invented header must not help"


def test_memory_of_bad_tokens_is_bounded_and_forgets_the_quietest() -> None:
    now = 0.0
    bad = BadTokens(burst=1, interval=60, addresses_max=3, clock=lambda: now)
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        assert bad.record(address) == 0
    now = 1.0
    assert bad.record("192.0.2.1") > 0
    assert bad.record("192.0.2.4") == 0
    assert len(bad) == 3
    assert bad.record("192.0.2.1") > 0, "the active one is remembered"
    assert bad.record("192.0.2.2") == 0, "the quiet one is forgotten"


def test_an_ipv6_host_is_its_network() -> None:
    bad = BadTokens(burst=1, interval=60, clock=lambda: 0.0)
    assert bad.record("2001:db8::1") == 0
    assert bad.record("2001:db8::2") > 0
    assert bad.record("2001:db8:0:1::1") == 0
