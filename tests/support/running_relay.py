"""A relay whose event loop runs in a thread of its own, for commands that ask it over HTTP."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
from click.testing import CliRunner, Result

from tests.support.edge_link import PATIENCE_S, EdgeRelay, Receiver


@dataclass
class Running:
    """Call it with the words of `command`; `token_file` holds a token of scope admin for all channels."""

    relay: EdgeRelay
    loop: asyncio.AbstractEventLoop
    token_file: Path
    command: click.Command

    def __call__(self, *arguments: str, token: bool = True, command: click.Command | None = None) -> Result:
        where = ["--url", f"127.0.0.1:{self.relay.port}"]
        if token:
            where += ["--token-file", str(self.token_file)]
        return CliRunner().invoke(command or self.command, [*arguments, *where], env={"LOA_TOKEN": ""})

    def receiver(self) -> Receiver:
        """One that has enrolled."""
        return asyncio.run_coroutine_threadsafe(self.relay.enrol(), self.loop).result(PATIENCE_S)


@contextmanager
def running_relay(folder: Path, command: click.Command) -> Iterator[Running]:
    """For as long as it is asked."""
    started, stop = threading.Event(), asyncio.Event()
    running: list[Running] = []

    async def run() -> None:
        async with EdgeRelay(folder).running() as relay:
            file = folder / "token"
            file.write_text(relay.bearer()["Authorization"].removeprefix("Bearer ") + "\n")
            running.append(Running(relay, asyncio.get_running_loop(), file, command))
            started.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    assert started.wait(PATIENCE_S)
    yield running[0]
    running[0].loop.call_soon_threadsafe(stop.set)
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
