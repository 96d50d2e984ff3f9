"""Commands right after the welcome, while the receiver's clock is not this relay's yet. Waits for events only."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from loacodecs.clocksync import ClockSync, Exchange
from loacodecs.control import Result
from tests.clients.edge.control.test_link import WANTED, running
from tests.support.fake_link_relay import RelayKeys, fake_relay


@pytest.mark.parametrize("ahead", [-600.0, 600.0])
async def test_a_relay_whose_clock_is_another_one_is_obeyed_from_its_first_command(
    tmp_path: Path, ahead: float
) -> None:
    """The relay before it, or this one before its clock was set right, told another time."""
    keys, clock = RelayKeys(), ClockSync()
    async with fake_relay(keys) as relay:
        now = asyncio.get_running_loop().time()
        other = relay.now() + ahead
        for index in range(4):
            sent = now - 1.0 + index / 10
            clock.add(Exchange(sent, other - 1.0 + index / 10, other - 1.0 + index / 10, sent))
        relay.at_welcome = [keys.command_for("first", relay.now())]
        async with running(tmp_path, keys, relay.url, clock=clock) as it:
            assert await relay.until_has(Result) == [Result("first", True)]
            assert it.listener.settings == [WANTED]


async def test_what_was_meant_for_an_earlier_time_of_this_relay_is_refused(tmp_path: Path) -> None:
    keys = RelayKeys()
    async with fake_relay(keys) as relay:
        relay.at_welcome = [
            keys.command_for("late", relay.now() - 31.0),
            keys.command_for("early", relay.now() + 90.0),
        ]
        async with running(tmp_path, keys, relay.url) as it:
            results = await relay.until_has(Result, 2)
            assert [(each.ok, each.detail) for each in results] == [(False, "expired"), (False, "future")]
            assert it.listener.settings == []
