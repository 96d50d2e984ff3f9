"""A meeting in browsers: chair, speaker and a horn that listens, over the relay as a user runs it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from relay.tokens import MeetingRole
from tests.browser.conftest import OpenPage
from tests.browser.listening import expect_state, expect_tone, hears
from tests.support.relay_process import RelayProcess

CHAIR, LAN = 440, 880
PATIENCE_MS = 30_000
CHANNEL = [
    'title = "Xã Tân Phú"', "public = true", 'mode = "mix"', "leveller = false", "[channels.xa.meeting]",
    'cap = "1h"',
]  # fmt: skip


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    with RelayProcess(tmp_path_factory.mktemp("relay"), {"xa": CHANNEL}) as running:
        yield running


def enter(open_page: OpenPage, address: str, name: str, microphone_hz: int, *, howls: bool = False) -> Page:
    page = open_page(address, microphone_hz=microphone_hz, howls=howls)
    page.get_by_label("Tên của bạn").fill(name)
    page.get_by_role("radio", name="Âm nhạc, bàn trộn").check()
    page.get_by_role("button", name="Vào phòng họp").click()
    return page


def address(relay: RelayProcess, role: MeetingRole) -> str:
    token = relay.tokens.mint(subject="xã", scopes=["publish"], channels=["xa"], ttl=600, role=role)
    return f"{relay.base}/xa/publish#token={token}"


def test_a_speaker_is_heard_once_the_chair_lets_him_in(open_page: OpenPage, relay: RelayProcess) -> None:
    chair = enter(open_page, address(relay, "chair"), "Chủ tịch", CHAIR)
    lan = enter(open_page, address(relay, "speaker"), "Chị Lan", LAN)
    horn = open_page(f"{relay.base}/xa")
    horn.get_by_role("button", name="Nghe").click()
    expect_state(lan, "waiting")
    chair.get_by_role("button", name="Bắt đầu phát lên loa").click()
    expect_state(chair, "on-air")
    expect_tone(horn, CHAIR)
    assert hears(horn, CHAIR, LAN) == [True, False]

    chair.get_by_role("button", name="Cho vào: Chị Lan").click()
    expect_state(lan, "on-air")
    lan.get_by_role("switch", name="Nghe những người khác").check()
    expect(lan.locator("#others")).to_have_js_property("paused", False, timeout=PATIENCE_MS)
    assert hears(horn, CHAIR, LAN) == [True, True]
    assert hears(lan, CHAIR, LAN, of="#others") == [True, False]

    chair.get_by_role("button", name="Tắt micro: Chị Lan").click()
    expect_state(lan, "silenced")
    assert hears(horn, CHAIR, LAN) == [True, False]

    chair.get_by_role("button", name="Kết thúc cuộc họp").click()
    chair.get_by_role("button", name="Kết thúc cho mọi người").click()
    expect_state(lan, "ended")
    expect(lan.locator("#note")).to_have_text("Chủ trì đã kết thúc. Loa đã ngừng phát và micro đã tắt.")
    expect_state(chair, "ended")
    expect_state(horn, "waiting")


def test_an_invited_speaker_howls_and_is_removed(open_page: OpenPage, relay: RelayProcess) -> None:
    chair = enter(open_page, address(relay, "chair"), "Chủ tịch", CHAIR)
    expect_state(chair, "closed")
    chair.get_by_role("button", name="Mời người phát biểu").click()
    expect(chair.get_by_role("img", name="Mã QR của đường liên kết mời")).to_be_visible()
    link = chair.locator("#invitation-link").input_value()
    chair.get_by_role("button", name="Đóng").click()

    hoa = enter(open_page, link, "Hoa", 900, howls=True)
    expect_state(hoa, "waiting")
    assert "token" not in hoa.url
    expect(hoa.get_by_text("Micro đang bị hú!")).to_be_visible(timeout=PATIENCE_MS)
    chair.get_by_role("button", name="Từ chối: Hoa").click()
    expect_state(hoa, "removed")
    expect(chair.get_by_text("Hoa")).to_have_count(0)


def test_a_full_meeting_is_called_full(open_page: OpenPage, relay: RelayProcess) -> None:
    page = open_page(address(relay, "speaker"))

    def refuse(socket: WebSocketRoute) -> None:
        def answer(_: str | bytes) -> None:
            socket.send('{"type": "refused", "order": "join", "status": 409, "detail": "full"}')
            socket.close(code=1013)

        socket.on_message(answer)

    page.route_web_socket(re.compile("/meeting$"), refuse)
    page.reload()
    page.get_by_label("Tên của bạn").fill("Chị Lan")
    page.get_by_role("button", name="Vào phòng họp").click()
    expect_state(page, "full")
    expect(page.locator("#state")).to_have_text("Phòng họp đã đủ người")
    expect(page.get_by_role("button", name="Vào phòng họp")).to_be_visible()


def test_who_mutes_himself_while_the_connection_is_broken_stays_muted(
    open_page: OpenPage, relay: RelayProcess
) -> None:
    chair = open_page(address(relay, "chair"), microphone_hz=CHAIR)
    sockets: list[WebSocketRoute] = []
    broken = False

    def pass_on(socket: WebSocketRoute) -> None:
        if broken:
            socket.close(code=1001)
        else:
            sockets.extend((socket, socket.connect_to_server()))

    chair.route_web_socket(re.compile("/meeting$"), pass_on)
    chair.reload()
    chair.get_by_label("Tên của bạn").fill("Chủ tịch")
    chair.get_by_role("button", name="Vào phòng họp").click()
    chair.get_by_role("button", name="Bắt đầu phát lên loa").click()
    expect_state(chair, "on-air")
    broken = True
    for socket in sockets:
        socket.close(code=1001)
    expect_state(chair, "connecting")
    chair.get_by_role("button", name="Tắt micro").click()
    expect(chair.get_by_role("button", name="Bật micro")).to_be_visible()
    broken = False
    expect_state(chair, "muted")
    expect(chair.get_by_role("button", name="Bật micro")).to_be_visible()
    chair.get_by_role("button", name="Bật micro").click()
    expect_state(chair, "on-air")
