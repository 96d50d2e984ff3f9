"""The pages against a relay whose refusals and accidents are commanded."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Error, Request, expect

from relay.errors import Unavailable
from tests.browser.conftest import Browsers, OpenPage
from tests.browser.fake_server import FakeServer
from tests.browser.listening import LEVEL, expect_state, expect_tone
from tests.browser.on_air import go_on_air

# Listening


def test_the_state_follows_what_is_heard_and_never_the_connection(
    open_page: OpenPage, server: FakeServer
) -> None:
    server.run(server.core.command(sending=False))
    page = open_page(f"{server.url}/xa")
    expect_state(page, "idle")
    expect(page.get_by_role("heading", level=1)).to_have_text("Xã Tân Phú")
    page.get_by_role("button", name="Nghe").click()
    server.wait(lambda core: len(core.sessions) == 1, "nobody came")
    expect_state(page, "waiting")
    expect(page.get_by_text("Kênh chưa có người phát")).to_be_visible()
    server.run(server.core.command())
    expect_state(page, "sounding")
    expect(page.get_by_role("status")).to_have_text("Đang có tiếng")
    expect_tone(page, 440)
    server.run(server.core.command(sounding=False))
    expect_state(page, "silent")
    server.run(server.core.command(sending=False))
    expect_state(page, "waiting")
    server.run(server.core.command())
    expect_state(page, "sounding")
    assert len(server.calls("listen")) == 1


def test_level_and_figures_are_of_the_decoded_sound(open_page: OpenPage, server: FakeServer) -> None:
    page = open_page(f"{server.url}/xa", locale="en-US")
    page.get_by_role("button", name="Listen").click()
    expect_state(page, "sounding")
    meter = page.get_by_role("meter", name="Level received")
    expect(meter).to_have_attribute("aria-valuetext", LEVEL)
    page.get_by_text("Technical figures").click()
    figures = page.locator("#figures")
    expect(figures).to_contain_text(re.compile(r"Delay from server to ear\d+ ms"))
    expect(figures).to_contain_text(re.compile(r"Packets lost0% \(0 in all\)"))
    expect(figures).to_contain_text(LEVEL)


def test_stopping_and_leaving_end_the_session_on_the_server(open_page: OpenPage, server: FakeServer) -> None:
    page = open_page(f"{server.url}/xa")
    page.get_by_role("button", name="Nghe").click()
    expect_state(page, "sounding")
    page.get_by_role("button", name="Dừng").click()
    expect_state(page, "idle")
    server.wait(lambda core: not core.sessions, "the session was not ended")
    page.get_by_role("button", name="Nghe").click()
    expect_state(page, "sounding")
    page.goto(f"{server.url}/")
    server.wait(lambda core: not core.sessions, "the session outlived its page")
    assert len(server.calls("close")) == 2


def test_a_page_that_is_sent_away_comes_back_when_it_was_told_to(
    open_page: OpenPage, server: FakeServer
) -> None:
    server.core.refusals.append(Unavailable("the relay is full; come back", 4))
    page = open_page(f"{server.url}/xa")
    page.get_by_role("button", name="Nghe").click()
    expect_state(page, "reconnecting")
    expect(page.get_by_text(re.compile(r"Thử lại sau [1-5] giây"))).to_be_visible()
    expect_state(page, "sounding")
    first, second = server.calls("listen")
    assert 4 <= second.at - first.at < 8


def test_try_now_does_not_wait(open_page: OpenPage, server: FakeServer) -> None:
    server.core.refusals.append(Unavailable("the relay is full; come back", 300))
    page = open_page(f"{server.url}/xa")
    page.get_by_role("button", name="Nghe").click()
    expect_state(page, "reconnecting")
    page.get_by_role("button", name="Thử lại ngay").click()
    expect_state(page, "sounding")


def test_a_session_that_the_relay_ends_is_opened_anew(open_page: OpenPage, server: FakeServer) -> None:
    page = open_page(f"{server.url}/xa")
    page.get_by_role("button", name="Nghe").click()
    expect_state(page, "sounding")
    server.run(server.core.drop("listen"))
    server.wait(lambda core: len(core.sessions) == 1, "the page did not come back")
    expect_state(page, "sounding")
    expect_tone(page, 440)
    assert len(server.calls("listen")) == 2
    # It heard the goodbye, else it would have found out by itself and asked for the old session's end.
    assert server.calls("close") == []


def test_late_candidates_follow_by_patch(open_page: OpenPage, server: FakeServer) -> None:
    page = open_page(f"{server.url}/xa")
    page.get_by_role("button", name="Nghe").click()
    expect_state(page, "sounding")
    server.wait(lambda core: any(call.action == "trickle" for call in core.calls), "nothing was trickled")
    [listen], trickle = server.calls("listen"), server.calls("trickle")[-1]
    assert trickle.fragment.endswith("a=end-of-candidates\r\n")
    ufrag = re.search(r"a=ice-ufrag:\S+", listen.offer)
    assert ufrag is not None
    assert ufrag[0] in trickle.fragment


# Tokens


def test_a_token_is_asked_for_and_kept_out_of_addresses(open_page: OpenPage, server: FakeServer) -> None:
    page = open_page(f"{server.url}/kin")
    requests: list[Request] = []
    page.on("request", lambda request: requests.append(request))
    page.get_by_role("button", name="Nghe").click()
    expect_state(page, "refused")
    expect(page.get_by_role("status")).to_have_text("Kênh này cần mã truy cập")
    field = page.get_by_label("Mã truy cập")
    expect(field).to_be_focused()
    field.fill("xin chào")
    page.get_by_role("button", name="Dùng mã này").click()
    expect(page.get_by_text("Đây không phải là mã truy cập")).to_be_visible()
    token = server.token("listen", "kin")
    field.fill(f"https://loa.vn/kin#token={token}")
    field.press("Enter")
    expect_state(page, "sounding")
    expect(field).to_be_hidden()
    assert server.calls("listen")[-1].subject == "test"
    assert [request.url for request in requests if token in request.url] == []
    page.reload()
    page.get_by_role("button", name="Nghe").click()
    expect_state(page, "sounding")


def test_a_token_in_the_fragment_leaves_the_address_bar(open_page: OpenPage, server: FakeServer) -> None:
    page = open_page(f"{server.url}/kin#token={server.token('listen', 'kin')}")
    assert page.url == f"{server.url}/kin"
    page.get_by_role("button", name="Nghe").click()
    expect_state(page, "sounding")


def test_refused_tokens_are_told_apart(open_page: OpenPage, server: FakeServer) -> None:
    page = open_page(f"{server.url}/kin#token=not.a.jwt")
    page.get_by_role("button", name="Nghe").click()
    status = page.get_by_role("status")
    expect(status).to_have_text("Mã truy cập không đúng")
    # A link pasted over the old one does not load the page anew.
    page.goto(f"{server.url}/kin#token={server.token('listen', 'khac')}")
    expect(status).to_have_text("Mã này không được phép dùng cho kênh này")
    assert page.url == f"{server.url}/kin"


def test_an_expired_token_is_named_so(open_page: OpenPage, server: FakeServer) -> None:
    expired = server.expired_token("listen", "kin")
    page = open_page(f"{server.url}/kin#token={expired}", locale="en-US")
    page.get_by_role("button", name="Listen").click()
    expect(page.get_by_role("status")).to_have_text("The access code has expired")


# Language, keyboard, the list of channels


def test_the_language_is_the_browsers_until_one_is_chosen(open_page: OpenPage, server: FakeServer) -> None:
    page = open_page(f"{server.url}/xa", locale="fr-FR")
    html = page.locator("html")
    expect(html).to_have_attribute("lang", "en")
    expect(page.get_by_role("button", name="Listen")).to_be_visible()
    page.get_by_role("button", name="Tiếng Việt").click()
    expect(html).to_have_attribute("lang", "vi")
    expect(page.get_by_role("status")).to_have_text("Bấm nút để nghe")
    page.goto(f"{server.url}/xa/publish")
    expect(html).to_have_attribute("lang", "vi")
    expect(page.get_by_role("button", name="Bắt đầu phát")).to_be_visible()


def test_everything_is_reached_and_worked_by_keyboard(open_page: OpenPage, server: FakeServer) -> None:
    page = open_page(f"{server.url}/xa")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Tới nội dung chính")).to_be_focused()
    for _ in range(3):
        page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Nghe")).to_be_focused()
    page.keyboard.press("Enter")
    expect_state(page, "sounding")
    page.keyboard.press("Tab")
    slider = page.get_by_role("slider", name="Âm lượng")
    expect(slider).to_be_focused()
    page.keyboard.press("Home")
    assert page.evaluate("document.querySelector('audio').volume") == 0
    # The level is of what arrives: turning the volume down does not make the channel silent.
    expect_state(page, "sounding")


def test_no_control_is_nameless(open_page: OpenPage, server: FakeServer) -> None:
    for path in ("/", "/xa", "/xa/publish"):
        page = open_page(server.url + path)
        for element in page.locator("button, a, input:not([type=file]), select").all():
            if element.is_visible():
                expect(element).to_have_accessible_name(re.compile(r"\S"))


def test_nothing_is_wider_than_a_small_phone(open_page: OpenPage, server: FakeServer) -> None:
    for path in ("/", "/xa", "/xa/publish"):
        page = open_page(server.url + path, width=320)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == 320


def test_the_list_shows_who_is_on_air(open_page: OpenPage, server: FakeServer) -> None:
    page = open_page(f"{server.url}/")
    items = page.get_by_role("listitem")
    expect(items).to_have_count(1)
    expect(items).to_contain_text("Chưa có người phát")
    go_on_air(open_page, server)
    expect(items).to_contain_text("Đang phát")
    page.get_by_role("link", name="Nghe: Xã Tân Phú").click()
    expect(page).to_have_url(f"{server.url}/xa")


def test_private_channels_are_listed_with_a_token_that_then_serves(
    open_page: OpenPage, server: FakeServer
) -> None:
    page = open_page(f"{server.url}/#token={server.token('listen', 'kin')}")
    assert page.url == f"{server.url}/"
    expect(page.get_by_role("listitem")).to_have_count(2)
    page.get_by_role("link", name="Nghe: Họp Uỷ ban").click()
    expect(page).to_have_url(f"{server.url}/kin")
    page.get_by_role("button", name="Nghe").click()
    expect_state(page, "sounding")


def test_a_channel_is_opened_by_name(open_page: OpenPage, server: FakeServer) -> None:
    page = open_page(f"{server.url}/")
    field = page.get_by_label("Tên kênh")
    field.fill("Xã Tân Phú")
    field.press("Enter")
    expect(page.get_by_role("alert").filter(has_text="chữ thường không dấu")).to_be_visible()
    field.fill(" KIN ")
    field.press("Enter")
    expect(page).to_have_url(f"{server.url}/kin")


# The tests themselves


def test_a_browser_that_does_not_answer_is_ended_and_another_begins(browsers: Browsers) -> None:
    page = browsers.hearing(440).new_page()
    faults: list[str] = []
    with browsers.answering(0.2, faults), pytest.raises(Error, match="closed"):
        page.evaluate("new Promise(() => {})")
    assert faults == ["the browser was not done after 0.2 s and was ended"]
    page = browsers.hearing(440).new_page()
    assert page.evaluate("1 + 1") == 2
    page.close()
