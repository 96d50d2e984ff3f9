"""The address for other players on the listen page: offered where there is one, and good."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.support.relay_process import RelayProcess

CHANNELS = {
    "xa": ['title = "Xã Tân Phú"', "public = true"],
    "kin": ['title = "Họp Uỷ ban"'],
    "cam": ['title = "Xã Cam"', "public = true", "stream = false"],
}


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    with RelayProcess(tmp_path_factory.mktemp("relay"), CHANNELS) as running:
        yield running


def offered(page: Page) -> str:
    """The address, as a visitor finds and copies it."""
    page.get_by_text("Nghe bằng trình phát khác").click()
    page.get_by_role("button", name="Sao chép địa chỉ").click()
    expect(page.get_by_role("button", name="Đã sao chép")).to_be_visible()
    return page.get_by_label("Địa chỉ cho trình phát").input_value()


def is_ogg(address: str) -> bool:
    with httpx.stream("GET", address, timeout=10) as answer:
        return answer.status_code == 200 and next(answer.iter_bytes()).startswith(b"OggS")


def test_a_public_channel_offers_its_bare_address(open_page: OpenPage, relay: RelayProcess) -> None:
    page = open_page(f"{relay.base}/xa#token={relay.token('listen')}")
    address = offered(page)
    assert address == f"{relay.base}/xa.opus"
    assert is_ogg(address)
    expect(page.get_by_text("Địa chỉ này chứa mã truy cập")).to_be_hidden()


def test_a_private_channel_offers_it_to_who_may_listen_with_a_warning(
    open_page: OpenPage, relay: RelayProcess
) -> None:
    page = open_page(f"{relay.base}/kin")
    expect(page.locator("#players")).to_be_hidden()
    token = relay.token("listen", channels=["kin"])
    page.get_by_role("button", name="Nghe").click()
    page.get_by_label("Mã truy cập").fill(token)
    page.get_by_role("button", name="Dùng mã này").click()
    address = offered(page)
    assert address == f"{relay.base}/kin.opus?token={token}"
    assert is_ogg(address)
    expect(page.get_by_text("Địa chỉ này chứa mã truy cập")).to_be_visible()
    assert token not in page.url
    assert token.rpartition(".")[2] not in relay.log.read_text()


def test_a_channel_without_stream_offers_none(open_page: OpenPage, relay: RelayProcess) -> None:
    page = open_page(f"{relay.base}/cam")
    expect(page.get_by_role("heading", name="Xã Cam")).to_be_visible()
    expect(page.locator("#players")).to_be_hidden()
