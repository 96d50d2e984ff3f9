"""One control link that is up, as the relay holds it: what waits to be sent, what is expected back."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from typing import Any, Final

from loacodecs.control import CLOSE_TOO_MUCH, Hello, Message, Result, Settings, encode
from relay.device_ports import LinkClosed, LinkSocket, Presence, SettingsState

OUTGOING_MAX: Final = 64
"""Messages that wait for a receiver that does not read; one more ends the link."""
EXPECTED_MAX: Final = 64
RECEIPTS_MAX: Final = 32
"""Receipts of one link on their way to the disk; the next ones stay in the socket meanwhile."""


class Link:
    """A receiver that said hello. Lives in the event loop; `since` is unix time."""

    def __init__(self, socket: LinkSocket, hello: Hello, settings: Settings, *, since: float) -> None:
        self.device: Final = hello.device
        self.settings = settings
        self.since = since
        self.token_expires = 0.0
        self.seen = since
        """When it last sent something."""
        self.welcomed = False
        """Nothing but the welcome itself is sent before it."""
        self.told_on_air: bool | None = None
        """What the receiver was last told of its channel."""
        self._socket = socket
        self._hello = hello
        self._outgoing: deque[str] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._sending = False
        self._ending = False
        self._expected: dict[str, asyncio.Future[Result]] = {}
        self._settings_nonce = ""
        self._settings_state: SettingsState = "pending"
        self._settings_detail = ""

    @property
    def presence(self) -> Presence:
        """What operators see of it."""
        return Presence(
            self.since,
            self._hello.version,
            self._hello.capabilities,
            self._settings_state,
            self._settings_detail,
        )

    def understands(self, verb: str) -> bool:
        """Whether the receiver's hello named this capability."""
        return verb in self._hello.capabilities

    async def receive(self) -> tuple[str, float]:
        """The next text and when it arrived; raises LinkClosed, MalformedError."""
        return await self._socket.receive()

    async def send(self, message: Message) -> None:
        """Send at once, ahead of what waits; raises LinkClosed."""
        await self._socket.send(encode(message))

    def push(self, text: str) -> None:
        """Have `text` sent, after what waits already; never blocks, never raises."""
        if len(self._outgoing) >= OUTGOING_MAX:
            self.end(CLOSE_TOO_MUCH, "the receiver does not read what it is sent")
            return
        self._outgoing.append(text)
        if not self._sending:
            self._sending = True
            self.start(self._send_waiting())

    def end(self, code: int, reason: str) -> None:
        """Close the link; whoever serves it sees it closed."""
        if not self._ending:
            self._ending = True
            self.start(self._socket.close(code, reason))

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` beside the link, no longer than the link lives."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def room_for_receipts(self) -> None:
        """Wait until fewer than RECEIPTS_MAX things are under way."""
        while len(self._tasks) >= RECEIPTS_MAX:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    def expect(self, nonce: str, *, settings: bool) -> asyncio.Future[Result]:
        """The Result that will come for `nonce`; cancelled when the link ends or too many are expected."""
        if len(self._expected) >= EXPECTED_MAX:
            self._expected.pop(next(iter(self._expected))).cancel()
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._expected[nonce] = future
        if settings:
            self._settings_nonce, self._settings_state, self._settings_detail = nonce, "pending", ""
        return future

    def note(self, result: Result) -> bool:
        """Take a Result; False when nothing like it was expected."""
        future = self._expected.pop(result.nonce, None)
        if future is None:
            return False
        if result.nonce == self._settings_nonce:
            self._settings_state = "applied" if result.ok else "refused"
            self._settings_detail = result.detail
        if not future.done():
            future.set_result(result)
        return True

    def dispose(self) -> None:
        """The link has ended: forget what is under way."""
        for future in self._expected.values():
            future.cancel()
        for task in self._tasks:
            task.cancel()

    async def _send_waiting(self) -> None:
        try:
            while self._outgoing:
                await self._socket.send(self._outgoing.popleft())
        except LinkClosed:
            self._outgoing.clear()  # whoever receives is told so, too
        finally:
            self._sending = False
