"""What connections leave behind when they are over: nothing that only the collector would find.

What is alive is set aside every 20 s, and a circle there is never found: a leak with each link that ends.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.http.server import BoundedProtocol
from relay.http.websocket import BoundedWebSocket
from tests.support.edge_link import EdgeRelay


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[EdgeRelay]:
    async with EdgeRelay(tmp_path).running() as running:
        gc.collect()
        gc.disable()
        try:
            yield running
        finally:
            gc.enable()


async def left() -> int:
    """How many connections are there still after the event loop has had its time to end them."""
    count = 0
    for _ in range(20):
        count = sum(isinstance(each, BoundedProtocol | BoundedWebSocket) for each in gc.get_objects())
        if not count:
            break
        await asyncio.sleep(0.01)
    return count


async def test_a_link_that_ends_leaves_nothing(relay: EdgeRelay) -> None:
    receiver = await relay.enrol()
    async with receiver.link() as link:
        await link.obey()
    assert await left() == 0


async def test_a_request_leaves_nothing(relay: EdgeRelay) -> None:
    async with relay.client() as client:
        assert (await client.get("/api/v1/devices")).status_code == 200
    assert await left() == 0
