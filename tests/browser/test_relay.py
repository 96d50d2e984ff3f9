"""From one browser's microphone through the relay, run as a user runs it, to another browser's loudspeaker."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Request, expect

from tests.browser.conftest import OpenPage
from tests.browser.listening import expect_state, expect_tone
from tests.support.relay_process import RelayProcess

CHANNELS = {
    "xa": ['title = "Xã Tân Phú"', "public = true"],
    "thay": ['title = "Xã Thay Phiên"', "public = true"],
    "kin": ['title = "Họp Uỷ ban"'],
}


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    """For tests that have a channel each."""
    with RelayProcess(tmp_path_factory.mktemp("relay"), CHANNELS) as running:
        yield running


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[RelayProcess]:
    with RelayProcess(tmp_path, CHANNELS) as running:
        yield running


def printed_token(relay: RelayProcess, scope: str, channel: str) -> str:
    """A token as an operator makes it."""
    command = [sys.executable, "-m", "loaedge", "token", "--config", str(relay.config)]
    command += ["--scope", scope, "--channel", channel]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def publish(open_page: OpenPage, relay: RelayProcess, *, microphone_hz: int, channel: str = "xa") -> Page:
    """A page that has been told to go on air with a microphone that hears a tone."""
    token = printed_token(relay, "publish", channel)
    page = open_page(f"{relay.base}/{channel}/publish#token={token}", microphone_hz=microphone_hz)
    page.get_by_role("radio", name="Âm nhạc, bàn trộn").check()
    page.get_by_role("button", name="Bắt đầu phát").click()
    return page


def listen(open_page: OpenPage, relay: RelayProcess, channel: str = "xa") -> tuple[Page, list[Request]]:
    """A page that listens, and the offers that it makes."""
    page = open_page(f"{relay.base}/{channel}")
    offers: list[Request] = []
    page.on("request", lambda request: offers.append(request) if request.method == "POST" else None)
    page.get_by_role("button", name="Nghe").click()
    return page, offers


def test_a_voice_passes(open_page: OpenPage, relay: RelayProcess) -> None:
    listener, offers = listen(open_page, relay)
    expect_state(listener, "waiting")
    speaker = publish(open_page, relay, microphone_hz=440)
    expect_state(speaker, "on-air")
    expect_state(listener, "sounding")
    expect_tone(listener, 440)
    index = open_page(f"{relay.base}/")
    xa = index.get_by_role("listitem").filter(has_text="Xã Tân Phú")
    expect(xa).to_contain_text("Đang phát · 1 nơi đang nghe")
    speaker.get_by_role("button", name="Dừng phát").click()
    expect_state(listener, "waiting")
    speaker.get_by_role("button", name="Bắt đầu phát").click()
    expect_state(listener, "sounding")
    expect_tone(listener, 440)
    assert len(offers) == 1


def test_the_source_changes_without_renegotiation(open_page: OpenPage, relay: RelayProcess) -> None:
    listener, offers = listen(open_page, relay, "thay")
    first = publish(open_page, relay, microphone_hz=440, channel="thay")
    expect_state(first, "on-air")
    expect_tone(listener, 440)
    second = publish(open_page, relay, microphone_hz=880, channel="thay")
    second.get_by_role("button", name="Thay người đó và phát").click()
    expect_state(second, "on-air")
    expect_tone(listener, 880)
    expect_state(listener, "sounding")
    expect(first.get_by_role("dialog", name="Có người đang phát")).to_be_visible()
    assert len(offers) == 1


def test_a_private_channel_is_heard_with_a_token_only(open_page: OpenPage, relay: RelayProcess) -> None:
    speaker = publish(open_page, relay, microphone_hz=440, channel="kin")
    expect_state(speaker, "on-air")
    listener = open_page(f"{relay.base}/kin")
    listener.get_by_role("button", name="Nghe").click()
    expect(listener.get_by_role("status")).to_have_text("Kênh này cần mã truy cập")
    listener.get_by_label("Mã truy cập").fill(printed_token(relay, "publish", "kin"))
    listener.get_by_role("button", name="Dùng mã này").click()
    expect(listener.get_by_role("status")).to_have_text("Mã này không được phép dùng cho kênh này")
    listener.get_by_label("Mã truy cập").fill(printed_token(relay, "listen", "kin"))
    listener.get_by_role("button", name="Dùng mã này").click()
    expect_state(listener, "sounding")
    expect_tone(listener, 440)


def test_both_sides_come_back_after_a_restart(open_page: OpenPage, mortal: RelayProcess) -> None:
    listener, _ = listen(open_page, mortal)
    speaker = publish(open_page, mortal, microphone_hz=440)
    expect_tone(listener, 440)
    mortal.terminate()
    expect_state(listener, "reconnecting")
    expect_state(speaker, "reconnecting")
    assert mortal.process_wait(20)
    with mortal:
        expect_state(speaker, "on-air")
        expect_state(listener, "sounding")
        expect_tone(listener, 440)


def test_both_sides_come_back_after_a_power_cut(open_page: OpenPage, mortal: RelayProcess) -> None:
    listener, _ = listen(open_page, mortal)
    speaker = publish(open_page, mortal, microphone_hz=440)
    expect_tone(listener, 440)
    mortal.kill()
    # Nobody says goodbye: the page tells by what it hears, before the connection is given up.
    expect_state(listener, "waiting")
    with mortal:
        expect_state(speaker, "on-air")
        expect_state(listener, "sounding")
        expect_tone(listener, 440)
