"""Pages of other origins."""

from __future__ import annotations

import pytest

from relay.config import HttpConfig
from tests.relay.http.conftest import Surface
from tests.support.fake_core import SESSION

ORIGIN = {"Origin": "https://studio.example"}
PREFLIGHT = ORIGIN | {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type",
}


@pytest.mark.parametrize("path", ["/xa/whip", "/xa/whep", f"/xa/whip/{SESSION}", "/api/v1/channels"])
async def test_a_preflight_passes_without_token(surface: Surface, path: str) -> None:
    async with surface.client() as client:
        response = await client.options(path, headers=PREFLIGHT)
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == "*"
    allowed = response.headers["access-control-allow-headers"].lower()
    assert {"authorization", "content-type", "if-match"} <= {name.strip() for name in allowed.split(",")}
    methods = response.headers["access-control-allow-methods"]
    assert {"POST", "PATCH", "DELETE"} <= {name.strip() for name in methods.split(",")}
    assert "link" not in response.headers


async def test_a_page_elsewhere_may_declare_an_emergency_and_not_only_withdraw_it(surface: Surface) -> None:
    async with surface.client() as client:
        preflight = await client.options(
            "/api/v1/channels/xa/class", headers=PREFLIGHT | {"Access-Control-Request-Method": "PUT"}
        )
    methods = preflight.headers["access-control-allow-methods"]
    assert {"GET", "PUT", "DELETE"} <= {name.strip() for name in methods.split(",")}


async def test_a_preflight_names_what_is_taken_as_the_rfc_asks(surface: Surface) -> None:
    async with surface.client() as client:
        endpoint = await client.options("/xa/whip", headers=PREFLIGHT)
        session = await client.options(f"/xa/whip/{SESSION}", headers=PREFLIGHT)
    assert endpoint.headers["accept-post"] == "application/sdp"
    assert session.headers["accept-patch"] == "application/trickle-ice-sdpfrag"


@pytest.mark.parametrize(("authorized", "status"), [(True, 201), (False, 401)])
async def test_answers_and_refusals_can_be_read(surface: Surface, authorized: bool, status: int) -> None:
    headers = ORIGIN | {"Content-Type": "application/sdp"} | (surface.bearer("publish") if authorized else {})
    async with surface.client() as client:
        response = await client.post("/xa/whip", content="v=0", headers=headers)
    assert response.status_code == status
    assert response.headers["access-control-allow-origin"] == "*"
    exposed = {name.strip() for name in response.headers["access-control-expose-headers"].lower().split(",")}
    assert {"location", "link", "etag", "www-authenticate", "retry-after"} <= exposed
    assert "access-control-allow-credentials" not in response.headers


async def test_only_configured_origins_are_let_in(surface: Surface) -> None:
    surface.configure(http=HttpConfig(cors_origins=("https://studio.example/",)))
    async with surface.client() as client:
        ours = await client.options("/xa/whip", headers=PREFLIGHT)
        theirs = await client.options("/xa/whip", headers=PREFLIGHT | {"Origin": "https://evil.example"})
        plain = await client.get("/api/v1/channels")
    assert ours.headers["access-control-allow-origin"] == "https://studio.example"
    assert "access-control-allow-origin" not in theirs.headers
    assert plain.headers["vary"] == "Origin", "caches must keep origins apart"


@pytest.mark.parametrize("path", ["/", "/xa", "/xa/publish", "/metrics", "/healthz"])
async def test_pages_and_metrics_are_not_for_other_origins(surface: Surface, path: str) -> None:
    async with surface.client() as client:
        response = await client.get(path, headers=ORIGIN)
    assert "access-control-allow-origin" not in response.headers
