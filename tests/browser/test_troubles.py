"""What a page says, and does with the microphone, when it is not let in or cannot get through; and its shared forms."""

from __future__ import annotations

from typing import TypedDict

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.fake_server import FakeServer
from tests.browser.listening import expect_state

#: Remembers every microphone that the page opens.
_REMEMBER = """() => {
  const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  window.tracks = [];
  window.asked = 0;
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    window.asked += 1;
    const stream = await open(wanted);
    window.tracks.push(...stream.getAudioTracks());
    return stream;
  };
}"""
_OPEN_MICROPHONES = "window.tracks.filter((track) => track.readyState === 'live').length"


class Names(TypedDict):
    """The language of a visitor, and what the shared panel's controls are called in it."""

    locale: str
    start: str
    controls: list[str]


VIETNAMESE = Names(
    locale="vi-VN",
    start="Bắt đầu phát",
    controls=["Micro", "Chọn micro", "Thử micro", "Họp, đọc bản tin", "Xử lý tiếng", "Khử tiếng vọng", "Giảm tiếng ồn"],
)  # fmt: skip
ENGLISH = Names(
    locale="en-US",
    start="Go on air",
    controls=["Microphone", "Choose a microphone", "Test", "Meeting, bulletin", "Sound processing", "Cancel echo"],
)  # fmt: skip


def focused(page: Page) -> str:
    """What a screen reader calls the element that has the focus."""
    return str(
        page.evaluate(
            "() => { const at = document.activeElement; return at.labels?.[0]?.textContent ?? at.textContent; }"
        )
    )


@pytest.mark.parametrize("names", [VIETNAMESE, ENGLISH], ids=["vi", "en"])
def test_the_source_panel_is_worked_by_keyboard(
    open_page: OpenPage, server: FakeServer, names: Names
) -> None:
    page = open_page(f"{server.url}/xa/publish", locale=names["locale"])
    page.get_by_role("button", name=names["start"]).focus()
    reached = []
    for _ in names["controls"]:
        page.keyboard.press("Tab")
        reached.append(focused(page).strip())
        if reached[-1] == names["controls"][4]:
            page.keyboard.press("Enter")
    assert reached == names["controls"]
    echo = page.get_by_role("switch", name=names["controls"][5])
    expect(echo).to_have_accessible_description(page.locator("#echo-help").inner_text())
    echo.press("Space")
    expect(echo).not_to_be_checked()


def test_a_refused_publisher_has_no_open_microphone(open_page: OpenPage, server: FakeServer) -> None:
    page = open_page(f"{server.url}/xa/publish#token={server.expired_token('publish', 'xa')}")
    page.evaluate(_REMEMBER)
    page.get_by_role("button", name="Bắt đầu phát").click()
    expect_state(page, "refused")
    assert page.evaluate("window.tracks.length") == 1
    assert page.evaluate(_OPEN_MICROPHONES) == 0
    page.get_by_label("Mã truy cập").fill(server.token("publish"))
    page.get_by_role("button", name="Dùng mã này").click()
    expect_state(page, "on-air")
    assert page.evaluate(_OPEN_MICROPHONES) == 1


def test_a_pasted_link_opens_no_microphone(open_page: OpenPage, server: FakeServer) -> None:
    page = open_page(f"{server.url}/xa/publish")
    page.evaluate(_REMEMBER)
    pasted = (server.expired_token("publish", "xa"), "refused"), (server.token("publish"), "on-air")
    for token, state in pasted:
        page.evaluate("token => { window.asked = 0; location.hash = `token=${token}`; }", token)
        page.wait_for_function("!location.hash")
        assert page.evaluate("window.asked") == 0
        expect_state(page, "idle")
        page.get_by_role("button", name="Bắt đầu phát").click()
        expect_state(page, state)


def test_an_expired_token_does_not_hide_what_everybody_may_see(
    open_page: OpenPage, server: FakeServer
) -> None:
    page = open_page(f"{server.url}/xa/publish#token={server.expired_token('publish', 'xa')}")
    expect(page.get_by_role("heading", level=1)).to_have_text("Xã Tân Phú")
    page = open_page(f"{server.url}/#token={server.expired_token('listen', 'kin')}")
    expect(page.get_by_role("listitem")).to_have_count(1)
    expect(page.get_by_role("status")).to_contain_text("Mã truy cập đã hết hạn")


def test_a_server_that_cannot_be_reached_is_named_as_the_reason(
    open_page: OpenPage, server: FakeServer
) -> None:
    page = open_page(f"{server.url}/xa")
    page.route("**/whep", lambda route: route.abort())
    page.get_by_role("button", name="Nghe").click()
    expect(page.get_by_role("status")).to_have_text("Chưa kết nối được, đang thử lại")
    expect(page.get_by_text("Không gặp được máy chủ")).to_be_visible()
    page.unroute("**/whep")
    expect_state(page, "sounding")


def test_what_is_wrong_in_a_form_follows_the_language(open_page: OpenPage, server: FakeServer) -> None:
    page = open_page(f"{server.url}/kin")
    page.get_by_role("button", name="Nghe").click()
    field = page.locator("#token-input")
    field.fill("xin chào")
    field.press("Enter")
    expect(page.get_by_text("Đây không phải là mã truy cập")).to_be_visible()
    expect(field).to_be_focused()
    page.get_by_role("button", name="English").click()
    expect(page.get_by_text("This is not an access code")).to_be_visible()
    field.fill(server.token("listen", "kin"))
    field.press("Enter")
    expect_state(page, "sounding")
    expect(page.locator("#token-error")).to_be_empty()
