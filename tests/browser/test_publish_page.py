"""The publish page against a relay whose refusals and accidents are commanded."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import expect

from relay.errors import Unavailable
from tests.browser.conftest import OpenPage
from tests.browser.fake_server import FakeServer
from tests.browser.listening import LEVEL, expect_state
from tests.browser.on_air import go_on_air
from tests.support.tones import dominant_frequency, level_dbfs

Wav = Callable[[int, float], Path]


def assert_server_hears(server: FakeServer, hertz: int) -> None:
    server.core.heard.clear()
    server.wait(lambda core: len(core.heard) == core.heard.maxlen, "no sound came")
    assert abs(dominant_frequency(server.heard()) - hertz) < 3
    assert level_dbfs(server.heard()) > -40


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


def test_what_was_muted_stays_so_when_the_source_changes(
    open_page: OpenPage, server: FakeServer, wav: Wav
) -> None:
    page = go_on_air(open_page, server)
    page.get_by_role("button", name="Tắt tiếng").click()
    page.get_by_role("radio", name="Tệp âm thanh").check()
    page.get_by_label("Chọn tệp âm thanh").set_input_files(wav(880, 60.0))
    expect(page.get_by_text("0:00 / 1:00")).to_be_visible()
    expect_state(page, "paused")
    page.get_by_role("button", name="Phát tiếp").click()
    assert_server_hears(server, 880)
    page.get_by_role("button", name="Tạm dừng tệp").click()
    page.get_by_role("radio", name="Micro").check()
    expect_state(page, "muted")
    expect(page.get_by_role("button", name="Bật tiếng")).to_have_attribute("aria-pressed", "true")
    server.core.heard.clear()
    server.wait(lambda core: len(core.heard) == core.heard.maxlen, "the stream stopped")
    assert level_dbfs(server.heard()[-24_000:]) < -60


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
