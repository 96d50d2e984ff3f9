"""Pages and the files they load."""

from __future__ import annotations

import re
from urllib.parse import urljoin

import pytest

from relay.config import ChannelsConfig
from relay.http.pages import package_folder
from relay.ports import ChannelState
from tests.relay.http.conftest import Surface


@pytest.mark.parametrize(
    ("path", "page"), [("/", "index.html"), ("/xa", "listen.html"), ("/xa/publish", "publish.html")]
)
async def test_addresses_are_pages(surface: Surface, path: str, page: str) -> None:
    async with surface.client() as client:
        response = await client.get(path)
    assert response.status_code == 200
    assert page in response.text
    assert response.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    ("settings", "page"),
    [
        ({"mode": "mix", "meeting": {}}, "meeting.html"),
        ({"mode": "mix", "meeting": {"enabled": False}}, "publish.html"),
        ({"mode": "mix"}, "publish.html"),
    ],
)
async def test_a_channel_with_meetings_has_another_page_to_publish(
    surface: Surface, settings: dict[str, object], page: str
) -> None:
    surface.configure(channels=ChannelsConfig.model_validate({"named": {"xa": settings}}))
    async with surface.client() as client:
        assert page in (await client.get("/xa/publish")).text


@pytest.mark.parametrize("path", ["/", "/xa", "/static/js/listen.js", "/none"])
async def test_pages_take_everything_from_their_own_origin(surface: Surface, path: str) -> None:
    async with surface.client() as client:
        headers = (await client.get(path)).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "microphone=(self)" in headers["permissions-policy"]
    assert headers["cache-control"] == "no-cache"


async def test_a_page_seen_before_is_304(surface: Surface) -> None:
    async with surface.client() as client:
        first = await client.get("/xa")
        again = await client.get("/xa", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    assert again.content == b""


@pytest.mark.parametrize(
    "path", ["/none", "/none/publish", "/none/", "/static", "/favicon.ico", "/docs", "/X"]
)
async def test_an_unknown_channel_is_a_404_page(surface: Surface, path: str) -> None:
    async with surface.client() as client:
        response = await client.get(path)
    assert response.status_code == 404
    assert "listen.html" not in response.text
    leads = {urljoin(path, link) for link in re.findall(r'(?:href|src)="([^"]+)"', response.text)}
    assert leads == {"/", "/static/icon.svg", "/static/css/base.css"}
    assert all((package_folder() / at.removeprefix("/static/")).exists() for at in leads - {"/"})


async def test_with_auto_every_name_is_a_channel(surface: Surface) -> None:
    surface.configure(channels=ChannelsConfig(auto=True))
    async with surface.client() as client:
        assert (await client.get("/none")).status_code == 200
        assert (await client.get("/favicon.ico")).status_code == 404


async def test_a_channel_of_the_core_has_its_page(surface: Surface) -> None:
    surface.core.states = [ChannelState("demo", "Demo", True, True, False, 0, None, "")]
    async with surface.client() as client:
        assert (await client.get("/demo")).status_code == 200


async def test_a_slash_too_many_is_mended(surface: Surface) -> None:
    async with surface.client() as client:
        response = await client.get("/xa/")
    assert response.status_code == 308
    assert response.headers["location"] == "/xa"


@pytest.mark.parametrize(
    "path",
    [
        "/static/package.json",
        "/static/../secret.js",
        "/static/%2e%2e/secret.js",
        "/static/tests/x.js",
        "/static/none.js",
    ],
)
async def test_only_what_pages_load_is_served(surface: Surface, path: str) -> None:
    (surface.folder.parent / "secret.js").write_text("no")
    (surface.folder / "tests").mkdir()
    (surface.folder / "tests" / "x.js").write_text("no")
    async with surface.client() as client:
        assert (await client.get(path)).status_code == 404


async def test_modules_are_served_as_javascript(surface: Surface) -> None:
    async with surface.client() as client:
        response = await client.get("/static/js/listen.js")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/javascript")


async def test_pages_that_are_not_installed_are_404_and_nothing_breaks(surface: Surface) -> None:
    surface.folder = surface.folder / "absent"
    async with surface.client() as client:
        for path in ("/", "/xa", "/static/js/listen.js"):
            assert (await client.get(path)).status_code == 404


async def test_the_installed_package_is_the_default(surface: Surface) -> None:
    from relay.http.pages import package_folder

    assert (package_folder() / "__init__.py").exists()
