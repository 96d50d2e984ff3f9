"""A publisher in a browser."""

from __future__ import annotations

from playwright.sync_api import Page

from tests.browser.conftest import OpenPage
from tests.browser.fake_server import FakeServer
from tests.browser.listening import expect_state


def go_on_air(open_page: OpenPage, server: FakeServer, *, microphone_hz: int = 440) -> Page:
    """A publisher whose sound the server has confirmed."""
    page = open_page(f"{server.url}/xa/publish#token={server.token('publish')}", microphone_hz=microphone_hz)
    page.get_by_role("radio", name="Âm nhạc, bàn trộn").check()
    page.get_by_role("button", name="Bắt đầu phát").click()
    expect_state(page, "on-air")
    return page
