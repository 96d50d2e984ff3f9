"""Chromium without a screen, driven by Playwright; its microphone is a file, its loudspeaker is Web Audio."""

from __future__ import annotations

import os
import shutil
import threading
import wave
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Protocol

import numpy as np
import psutil
import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    Page,
    Playwright,
    sync_playwright,
)

from tests.browser.fake_server import FakeServer
from tests.support.tones import tone

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--allow-loopback-in-peer-connection",
    "--autoplay-policy=no-user-gesture-required",
    # What is measured is in the page: no sound server, which another process may start and end, is asked.
    "--disable-audio-output",
    # A name that is neither HTTPS nor localhost, for what browsers keep from such pages.
    "--host-resolver-rules=MAP loa.test 127.0.0.1",
)
PAGES = Path(__file__).parents[2] / "clients" / "web"
PATIENCE_MS = 30_000
#: What the browsers have for a test and for closing its pages: less than the test itself has (tests/conftest.py).
BROWSER_S = 120.0


class OpenPage(Protocol):
    """Opens an address in a new page; `locale` and `scheme` are the visitor's. A microphone that howls hears its tone
    grow, over and over."""

    def __call__(
        self,
        url: str,
        *,
        locale: str = "vi-VN",
        width: int = 390,
        microphone_hz: int = 440,
        howls: bool = False,
    ) -> Page: ...


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs a browser."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's path. It belongs to the machine; nothing is downloaded."""
    for name in CHROMIUM_NAMES:
        path = shutil.which(name)
        if path is not None:
            return path
    sentence = "no Chromium is installed; run: apt-get install chromium (on Ubuntu: chromium-browser)"
    if os.environ.get("CI"):
        pytest.fail(sentence)
    pytest.skip(sentence)


# Playwright keeps an event loop running in this thread, and tests with loops of their own follow: hence not "session".
@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


MakeWav = Callable[..., Path]


@pytest.fixture(scope="session")
def wav(tmp_path_factory: pytest.TempPathFactory) -> MakeWav:
    """Makes a mono 48 kHz file with a tone of so many hertz and seconds, which may grow."""
    folder = tmp_path_factory.mktemp("tones")

    def make(hertz: int, seconds: float, howls: bool = False) -> Path:
        path = folder / f"{hertz}-{seconds}-{howls}.wav"
        sound = tone(hertz, seconds)
        if howls:
            sound = sound * 10 ** (np.linspace(-30, 6, len(sound)) / 20)
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(48_000)
            file.writeframes((sound * 32767).astype(np.int16).tobytes())
        return path

    return make


class Browsers:
    """One Chromium for each tone that its microphone is to hear."""

    def __init__(self, playwright: Playwright, path: str, wav: MakeWav) -> None:
        self._playwright = playwright
        self._path = path
        self._wav = wav
        self._running: dict[tuple[int, bool], Browser] = {}

    def hearing(self, hertz: int, howls: bool = False) -> Browser:
        running = self._running.get((hertz, howls))
        if running is None or not running.is_connected():
            file = self._wav(hertz, 2.0, True) if howls else self._wav(hertz, 10.0)
            capture = f"--use-file-for-fake-audio-capture={file}"
            self._running[hertz, howls] = self._playwright.chromium.launch(
                executable_path=self._path, args=[*FLAGS, capture]
            )
        return self._running[hertz, howls]

    def close(self) -> None:
        for browser in self._running.values():
            browser.close()

    @contextmanager
    def answering(self, seconds: float, faults: list[str]) -> Iterator[None]:
        """End the browsers after so long, and say so in `faults`: many calls of Playwright have no bound of their own.

        A call that waits raises playwright's Error then, and `hearing` starts browsers anew.
        """

        def end() -> None:
            faults.append(f"the browser was not done after {seconds:g} s and was ended")
            for process in psutil.Process().children(recursive=True):
                with suppress(psutil.Error):
                    if process.exe() and "chrom" in Path(process.exe()).name:
                        process.kill()

        timer = threading.Timer(seconds, end)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()


@pytest.fixture(scope="module")
def browsers(playwright: Playwright, chromium: str, wav: MakeWav) -> Iterator[Browsers]:
    running = Browsers(playwright, chromium, wav)
    yield running
    faults: list[str] = []
    with running.answering(10.0, faults):
        running.close()
    assert faults == []


@pytest.fixture
def open_page(browsers: Browsers) -> Iterator[OpenPage]:
    """Pages in contexts of their own. What they throw, or what their policy forbids, fails the test."""
    faults: list[str] = []

    def watch(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            faults.append(message.text)

    def close(context: BrowserContext) -> None:
        try:
            context.close()
        except Error as error:
            faults.append(str(error))

    with browsers.answering(BROWSER_S, faults), ExitStack() as stack:

        def open_url(
            url: str,
            *,
            locale: str = "vi-VN",
            width: int = 390,
            microphone_hz: int = 440,
            howls: bool = False,
        ) -> Page:
            context: BrowserContext = browsers.hearing(microphone_hz, howls).new_context(
                locale=locale, viewport={"width": width, "height": 844}
            )
            stack.callback(close, context)
            context.set_default_timeout(PATIENCE_MS)
            page = context.new_page()
            page.on("pageerror", lambda error: faults.append(str(error)))
            page.on("console", watch)
            page.goto(url)
            return page

        yield open_url
    assert faults == []


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(PAGES) as running:
        yield running
