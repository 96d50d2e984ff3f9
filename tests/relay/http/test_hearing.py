"""What a publisher is told of whether he is heard, where a chime may keep him waiting."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from relay.http.events import events
from relay.http.hearing import LOOK_S, QUIET_LOOKS, described
from relay.ports import Hearing
from tests.relay.http.conftest import Surface
from tests.support.fake_core import SESSION

SDP = {"Content-Type": "application/sdp"}
ADDRESS = f"/xa/whip/{SESSION}/hearing"
SHUT, WAITS, HEARD = Hearing(False, False), Hearing(False, True), Hearing(True, False)
SAID = {
    SHUT: 'data: {"heard": false, "awaits_chime": false}\n\n',
    WAITS: 'data: {"heard": false, "awaits_chime": true}\n\n',
    HEARD: 'data: {"heard": true, "awaits_chime": false}\n\n',
}
Detail = Callable[[httpx.Response], str]


async def told(*answers: Hearing) -> tuple[list[str], float]:
    """The events for these answers, one a look, and how long it takes."""
    passed = 0.0
    remaining: list[Hearing | None] = [*answers, None]

    async def pause(seconds: float) -> None:
        nonlocal passed
        passed += seconds

    told = events(lambda: remaining.pop(0), described, look_s=LOOK_S, quiet_looks=QUIET_LOOKS, pause=pause)
    return [event async for event in told], passed


async def test_it_is_told_at_once_and_on_every_change_and_ends_with_the_session() -> None:
    said, _ = await told(SHUT, SHUT, WAITS, WAITS, HEARD, SHUT)
    assert said == [SAID[each] for each in (SHUT, WAITS, HEARD, SHUT)]
    assert await told() == ([], 0.0)


async def test_the_stream_shows_that_it_lives() -> None:
    said, passed = await told(*[HEARD] * (2 * QUIET_LOOKS + 1))
    assert said == [SAID[HEARD], ":\n\n", ":\n\n"]
    assert passed == pytest.approx((2 * QUIET_LOOKS + 1) * LOOK_S)


async def test_who_may_be_kept_waiting_finds_the_address_in_his_answer(surface: Surface) -> None:
    surface.core.heard["xa", SESSION] = [SHUT]
    async with surface.client() as client:
        response = await client.post("/xa/whip", content="v=0", headers=SDP | surface.bearer("publish"))
        assert f'<{ADDRESS}>; rel="urn:x-loa:hearing"' in response.headers["link"]
        surface.core.heard["xa", SESSION] = [None]
        response = await client.post("/xa/whip", content="v=0", headers=SDP | surface.bearer("publish"))
        assert "hearing" not in response.headers.get("link", "")


async def test_the_address_is_the_key(surface: Surface) -> None:
    surface.core.heard["xa", SESSION] = [WAITS, WAITS, HEARD, None]
    async with surface.client() as client:
        response = await client.get(ADDRESS, headers={"Origin": "https://elsewhere.example"})
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.text == SAID[WAITS] + SAID[HEARD]


async def test_a_session_that_is_over_or_waits_for_no_chime_is_not_found(
    surface: Surface, detail: Detail
) -> None:
    async with surface.client() as client:
        response = await client.get(ADDRESS)
    assert response.status_code == 404
    assert "may have ended" in detail(response)


async def test_a_relay_that_drains_says_no_more(surface: Surface) -> None:
    surface.core.heard["xa", SESSION] = [HEARD]
    surface.core.is_draining = True
    async with surface.client() as client:
        response = await client.get(ADDRESS)
    assert response.text == ""
