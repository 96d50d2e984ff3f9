"""Receivers' control links by the thousand, in a process of their own: `loa edge`'s own code, without its disk.

Commands come as lines on standard input, answers go as one JSON object a line:

    connect   bring all links up; answered when they are, or have not been for TIMEOUT_S
    drop      break all connections at once, as an operator's outage does; answered as connect
    wait      wait until all are up again after the relay went; answered as connect
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any, Final

import httpx
import uvloop
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from loacodecs.clocksync import ClockSync
from loacodecs.control import ENROL_PATH, Settings
from loacodecs.signing import public_octets
from loacodecs.strict_json import to_base64url
from loaedge.control.classes import LiveClasses
from loaedge.control.identity import Enrolment, Identity
from loaedge.control.link import Link, LinkParts, LinkStatus
from loaedge.control.nonces import NonceMemory
from loaedge.control.receipts import ReceiptBook
from loaedge.control.settings import SettingsStore
from loaedge.control.telemetry import Machine, Report
from loaedge.disk import Disk

TIMEOUT_S: Final = 180.0
ENROLLING_AT_ONCE: Final = 32
NICENESS: Final = 15
"""The machine is shared: receivers are elsewhere, and must not take the relay's time."""
_NOWHERE: Final = Path("/nonexistent")


class NoDisk(Disk):
    """Keeps nothing: 2,000 receivers have 2,000 disks, and here there is one."""

    def read(self, path: Path, limit: int = 1 << 20) -> bytes | None:
        """There is no such file."""
        return None

    def replace(self, path: Path, data: bytes, mode: int = 0o600) -> None:
        """Written, as far as anybody knows."""

    def overwrite(self, path: Path, offset: int, data: bytes) -> None:
        """Written, too."""


class Member:
    """One receiver: a `LinkListener` that notes when its link is up."""

    def __init__(self, crowd: Crowd, relay: str, identity: Identity) -> None:
        self.up = False
        self._crowd = crowd
        self._relay = relay
        self._identity = identity
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to connect."""
        disk = NoDisk()
        parts = LinkParts(
            memory=NonceMemory(_NOWHERE, disk, count=64, new=True),
            settings=SettingsStore(_NOWHERE, disk),
            receipts=ReceiptBook(_NOWHERE, disk),
            classes=LiveClasses(),
            clock=ClockSync(),
            report=lambda: Report(state="idle"),
            on_air=lambda: False,
            listener=self,
            version="bench",
            machine=Machine(_NOWHERE),
        )
        link = Link([self._relay], {self._identity.enrolment.relay: self._identity}, parts)
        self._task = asyncio.create_task(link.run())

    def stop(self) -> asyncio.Task[None] | None:
        """Let the connection go."""
        task, self._task, self.up = self._task, None, False
        if task is not None:
            task.cancel()
        return task

    def on_status(self, status: LinkStatus) -> None:
        """Count it when it comes up."""
        self.up = status.phase == "up"
        self._crowd.note(self.up)

    def on_settings(self, settings: Settings) -> None:
        """Nothing is played."""

    def on_token(self, token: str, expires: float) -> None:
        """Nothing is played."""

    def on_air(self, channel: str, on_air: bool) -> None:
        """Nothing is played."""

    def on_class(self) -> None:
        """Nothing is played."""

    def on_restart(self) -> None:
        """Never asked for."""


class Crowd:
    """All of them. `begin` and `all_up` bracket what is timed."""

    def __init__(self) -> None:
        self.members: list[Member] = []
        self._loop = asyncio.get_running_loop()
        self._began = 0.0
        self._up_after: list[float] = []
        self._changed = asyncio.Event()

    def begin(self) -> None:
        """Time from now on."""
        self._began = self._loop.time()
        self._up_after = []

    def note(self, up: bool) -> None:
        """A link has changed."""
        if up:
            self._up_after.append(self._loop.time() - self._began)
        self._changed.set()

    async def all_up(self) -> dict[str, Any]:
        """Wait for everybody; how many came, and after how many seconds."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                while not all(member.up for member in self.members):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pass
        times = sorted(self._up_after) or [0.0]
        return {
            "up": sum(member.up for member in self.members),
            "seconds": {
                "p50": round(times[len(times) // 2], 2),
                "p95": round(times[min(len(times) - 1, len(times) * 95 // 100)], 2),
                "max": round(times[-1], 2),
            },
        }

    async def enrol(self, relay: str, admin: str, count: int, channel: str) -> None:
        """Make `count` devices of the relay, as technicians do."""
        gate = asyncio.Semaphore(ENROLLING_AT_ONCE)
        async with httpx.AsyncClient(base_url=relay, timeout=60, trust_env=False) as client:

            async def one() -> Member:
                key = Ed25519PrivateKey.generate()
                async with gate:
                    made = await client.post(
                        "/api/v1/devices/codes",
                        json={"channel": channel},
                        headers={"Authorization": f"Bearer {admin}"},
                    )
                    made.raise_for_status()
                    body = {"code": made.json()["code"], "public_key": to_base64url(public_octets(key))}
                    answer = await client.post(ENROL_PATH, json=body)
                    answer.raise_for_status()
                return Member(self, relay, Identity(Enrolment(**answer.json()), key))

            self.members = await asyncio.gather(*(one() for _ in range(count)))

    async def drop(self) -> None:
        """Break every connection, then connect as after an outage: all at once."""
        tasks = [task for member in self.members if (task := member.stop()) is not None]
        await asyncio.wait(tasks)
        self.begin()
        for member in self.members:
            member.start()

    def look(self) -> None:
        """The relay has gone: whoever was up is to come back."""
        self.begin()


async def attend(relay: str, admin: str, count: int, channel: str) -> None:
    """Do as standard input says until it ends."""
    crowd = Crowd()
    await crowd.enrol(relay, admin, count, channel)
    _say({"enrolled": len(crowd.members)})
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        match line.strip():
            case "connect":
                crowd.begin()
                for member in crowd.members:
                    member.start()
            case "drop":
                await crowd.drop()
            case "gone":
                crowd.look()
                continue
        _say(await crowd.all_up())
    tasks = [task for member in crowd.members if (task := member.stop()) is not None]
    if tasks:
        await asyncio.wait(tasks)


def _say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    os.nice(NICENESS)
    uvloop.run(attend(sys.argv[1], os.environ["LOA_BENCH_TOKEN"], int(sys.argv[2]), sys.argv[3]))
