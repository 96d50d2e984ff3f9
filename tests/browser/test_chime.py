"""Who speaks while the chime sounds is told to wait, and told when he is heard: by the page, as a listener hears it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from relay.tokens import MeetingRole
from tests.browser.conftest import OpenPage
from tests.browser.listening import expect_state, expect_tone
from tests.support.relay_process import RelayProcess

VOICE = 1500
MIXED = ["public = true", 'mode = "mix"', "leveller = false", 'chime = "two-tone"']
CHANNELS = {
    "xa": ['title = "Xã Tân Phú"', *MIXED, 'publishers = "announcement"', 'chime_after = "1h"'],
    "hop": ['title = "Họp xã"', *MIXED, "[channels.hop.meeting]", 'cap = "1h"'],
}

_REMEMBER = """() => {
  window.seen = [];
  const look = () => {
    const now = [document.body.dataset.state, !document.getElementById("sign").hidden];
    if (JSON.stringify(window.seen.at(-1)) !== JSON.stringify(now)) window.seen.push(now);
  };
  new MutationObserver(look).observe(document.body, { attributes: true, subtree: true });
}"""


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    with RelayProcess(tmp_path_factory.mktemp("relay"), CHANNELS) as running:
        yield running


def address(relay: RelayProcess, channel: str, role: MeetingRole | None = None) -> str:
    token = relay.tokens.mint(subject="xã", scopes=["publish"], channels=[channel], ttl=600, role=role)
    return f"{relay.base}/{channel}/publish#token={token}"


def expect_wait_then_air(page: Page) -> None:
    """The page has shown, in this order and nothing between: the chime without the sign "on air"; then the sign."""
    expect_state(page, "on-air")
    seen = page.evaluate("window.seen")
    assert ["chime", False] in seen, seen
    begins = seen.index(["chime", False])
    assert not any(sign for _, sign in seen[:begins]), f"on air before the chime: {seen}"
    assert seen[begins + 1][0] == "on-air", seen
    assert seen[-1] == ["on-air", True]


def test_a_speaker_waits_for_the_chime_and_sees_when_he_is_heard(
    open_page: OpenPage, relay: RelayProcess
) -> None:
    horn = open_page(f"{relay.base}/xa")
    horn.get_by_role("button", name="Nghe").click()
    expect_state(horn, "waiting")
    page = open_page(address(relay, "xa"), microphone_hz=VOICE)
    page.get_by_role("radio", name="Âm nhạc, bàn trộn").check()
    page.evaluate(_REMEMBER)
    page.get_by_role("button", name="Bắt đầu phát").click()
    expect(page.locator("#state")).to_have_text("Chuông đang phát, xin chờ…")
    expect(page.locator("#note")).to_have_text("Chưa ai nghe được bạn. Hãy nói khi thấy dòng “Đang phát”.")
    expect_wait_then_air(page)
    expect(page.get_by_role("status")).to_contain_text("Đang phát")
    expect_tone(horn, VOICE)


def test_a_visitor_who_reads_english_is_told_in_english(open_page: OpenPage, relay: RelayProcess) -> None:
    page = open_page(address(relay, "hop", "chair"), locale="en-GB", microphone_hz=VOICE)
    page.get_by_label("Your name").fill("Chair")
    page.get_by_role("radio", name="Music").check()
    page.get_by_role("button", name="Enter the meeting").click()
    expect_state(page, "closed")
    page.evaluate(_REMEMBER)
    page.get_by_role("button", name="Put the meeting on air").click()
    expect(page.locator("#state")).to_have_text("Chime playing, please wait…")
    expect_wait_then_air(page)
    page.get_by_role("button", name="End the meeting").click()
