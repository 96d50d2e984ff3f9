"""The pages against a relay whose refusals and accidents are commanded."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Error, Page, Request, expect

from relay.errors import Unavailable
from tests.browser.conftest import Browsers, OpenPage
from tests.browser.fake_server import FakeServer
from tests.browser.listening import expect_state, expect_tone
from tests.support.tones import dominant_frequency, level_dbfs

Wav = Callable[[int, float], Path]

#: A level of a tone that is neither faint nor too loud, as the meters tell it.
LEVEL = re.compile("\N{MINUS SIGN}[12][0-9] dBFS$")


def go_on_air(open_page: OpenPage, server: FakeServer, *, microphone_hz: int = 440) -> Page:
    """A publisher whose sound the server has confirmed."""
    page = open_page(f"{server.url}/xa/publish#token={server.token('publish')}", microphone_hz=microphone_hz)
    page.get_by_role("radio", name="Âm nhạc, bàn trộn").check()
    page.get_by_role("button", name="Bắt đầu phát").click()
    expect_state(page, "on-air")
    return page


def assert_server_hears(server: FakeServer, hertz: int) -> None:
    server.core.heard.clear()
    server.wait(lambda core: len(core.heard) == core.heard.maxlen, "no sound came")
    assert abs(dominant_frequency(server.heard()) - hertz) < 3
    assert level_dbfs(server.heard()) > -40


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


# Publishing


def test_on_air_is_what_the_server_confirms(open_page: OpenPage, server: FakeServer) -> None:
    page = go_on_air(open_page, server)
    expect(page.get_by_role("status")).to_contain_text("Máy chủ đã nhận được tiếng")
    expect(page).to_have_title(re.compile("^● Đang phát"))
    assert_server_hears(server, 440)
    expect(page.get_by_role("meter")).to_have_attribute("aria-valuetext", LEVEL)
    page.get_by_role("button", name="Dừng phát").click()
    expect_state(page, "idle")
    server.wait(lambda core: not core.sessions, "the session was not ended")
    expect(page.get_by_role("button", name="Bắt đầu phát")).to_be_visible()


def test_the_offer_has_opus_only_and_the_browsers_own_parameters(
    open_page: OpenPage, server: FakeServer
) -> None:
    go_on_air(open_page, server)
    [call] = server.calls("publish")
    codecs = set(re.findall(r"a=rtpmap:\d+ ([\w-]+)/", call.offer))
    assert codecs <= {"opus", "red"}
    first = re.search(r"m=audio \d+ \S+ (\d+)", call.offer)
    assert first is not None
    assert f"a=rtpmap:{first[1]} opus/48000/2" in call.offer
    assert "maxaveragebitrate" not in call.offer


def test_muting_sends_silence_and_says_so(open_page: OpenPage, server: FakeServer) -> None:
    page = go_on_air(open_page, server)
    page.get_by_role("button", name="Tắt tiếng").click()
    expect_state(page, "muted")
    server.core.heard.clear()
    server.wait(lambda core: len(core.heard) == core.heard.maxlen, "the stream stopped")
    assert level_dbfs(server.heard()[-24_000:]) < -60
    page.get_by_role("button", name="Bật tiếng").click()
    expect_state(page, "on-air")
    assert_server_hears(server, 440)


def test_a_microphone_is_tried_without_being_on_air(open_page: OpenPage, server: FakeServer) -> None:
    page = open_page(f"{server.url}/xa/publish")
    page.get_by_role("button", name="Thử micro").click()
    expect_state(page, "testing")
    expect(page.get_by_role("meter")).to_have_attribute("aria-valuetext", LEVEL)
    page.get_by_role("button", name="Thôi thử").click()
    expect_state(page, "idle")
    assert server.core.calls == []


def test_a_microphone_that_is_not_allowed_is_explained(open_page: OpenPage, server: FakeServer) -> None:
    page = open_page(f"{server.url}/xa/publish#token={server.token('publish')}")
    page.evaluate(
        "() => { navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', 'NotAllowedError'); } }"
    )
    page.get_by_role("button", name="Bắt đầu phát").click()
    expect(page.get_by_role("alert").filter(has_text="chưa cho phép dùng micro")).to_be_visible()
    expect_state(page, "idle")
    assert server.core.calls == []


def test_a_file_is_sent_from_its_beginning_to_its_end(
    open_page: OpenPage, server: FakeServer, wav: Wav
) -> None:
    page = open_page(f"{server.url}/xa/publish#token={server.token('publish')}")
    page.get_by_role("radio", name="Tệp âm thanh").check()
    page.get_by_role("button", name="Bắt đầu phát").click()
    expect(page.get_by_text("Hãy chọn một tệp âm thanh trước")).to_be_visible()
    page.get_by_label("Chọn tệp âm thanh").set_input_files(wav(700, 6.0))
    expect(page.get_by_text("0:00 / 0:06")).to_be_visible()
    page.get_by_role("button", name="Bắt đầu phát").click()
    expect_state(page, "on-air")
    assert_server_hears(server, 700)
    expect(page.get_by_text("Đã phát hết tệp")).to_be_visible()
    expect_state(page, "idle")
    server.wait(lambda core: not core.sessions, "the session was not ended")


def test_a_file_that_is_no_sound_is_refused(open_page: OpenPage, server: FakeServer, tmp_path: Path) -> None:
    rubbish = tmp_path / "ban-tin.mp3"
    rubbish.write_bytes(b"not a sound at all" * 1000)
    page = open_page(f"{server.url}/xa/publish")
    page.get_by_role("radio", name="Tệp âm thanh").check()
    page.get_by_label("Chọn tệp âm thanh").set_input_files(rubbish)
    expect(page.get_by_text("Không đọc được tệp này")).to_be_visible()


def test_the_source_changes_on_air_without_another_offer(
    open_page: OpenPage, server: FakeServer, wav: Wav
) -> None:
    page = go_on_air(open_page, server)
    assert_server_hears(server, 440)
    page.get_by_role("radio", name="Tệp âm thanh").check()
    page.get_by_label("Chọn tệp âm thanh").set_input_files(wav(880, 60.0))
    expect(page.get_by_role("button", name="Tạm dừng tệp")).to_be_visible()
    assert_server_hears(server, 880)
    page.get_by_role("radio", name="Micro").check()
    expect(page.get_by_role("button", name="Tắt tiếng")).to_be_visible()
    assert_server_hears(server, 440)
    assert len(server.calls("publish")) == 1


def test_a_busy_channel_is_taken_over_only_when_the_user_says_so(
    open_page: OpenPage, server: FakeServer
) -> None:
    first = go_on_air(open_page, server)
    second = open_page(f"{server.url}/xa/publish#token={server.token('publish')}", microphone_hz=880)
    second.get_by_role("radio", name="Âm nhạc, bàn trộn").check()
    second.get_by_role("button", name="Bắt đầu phát").click()
    dialog = second.get_by_role("dialog", name="Có người đang phát")
    dialog.get_by_role("button", name="Để họ phát tiếp").click()
    expect_state(second, "idle")
    expect_state(first, "on-air")
    assert_server_hears(server, 440)
    second.get_by_role("button", name="Bắt đầu phát").click()
    dialog.get_by_role("button", name="Thay người đó và phát").click()
    expect_state(second, "on-air")
    assert_server_hears(server, 880)
    assert [call.replace for call in server.calls("publish")][:4] == [False, False, False, True]
    # Who was taken over asks, and does not fight back.
    expect(first.get_by_role("dialog", name="Có người đang phát")).to_be_visible()
    expect_state(first, "busy")
    assert not server.calls("publish")[-1].replace


def test_a_publisher_comes_back_by_itself(open_page: OpenPage, server: FakeServer) -> None:
    page = go_on_air(open_page, server)
    server.core.refusals.append(Unavailable("restarting", 1))
    server.run(server.core.drop("publish"))
    expect_state(page, "reconnecting")
    expect_state(page, "on-air")
    assert_server_hears(server, 440)


def test_a_machine_that_slept_does_not_go_on_air_by_itself(open_page: OpenPage, server: FakeServer) -> None:
    page = go_on_air(open_page, server)
    page.evaluate("() => { const real = Date.now; Date.now = () => real.call(Date) + 3600e3; }")
    expect_state(page, "given-up")
    server.wait(lambda core: not core.sessions, "the session was not ended")
    page.get_by_role("button", name="Bắt đầu phát").click()
    expect_state(page, "on-air")


def test_without_https_there_is_no_microphone_but_files_work(
    open_page: OpenPage, server: FakeServer, wav: Wav
) -> None:
    url = server.url.replace("127.0.0.1", "loa.test")
    page = open_page(f"{url}/xa/publish#token={server.token('publish')}")
    expect(page.get_by_text("Micro chỉ dùng được khi mở trang bằng HTTPS")).to_be_visible()
    expect(page.get_by_role("radio", name="Micro")).to_be_disabled()
    page.get_by_label("Chọn tệp âm thanh").set_input_files(wav(700, 60.0))
    expect(page.get_by_text("0:00 / 1:00")).to_be_visible()
    page.get_by_role("button", name="Bắt đầu phát").click()
    expect_state(page, "on-air")
    assert_server_hears(server, 700)


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
