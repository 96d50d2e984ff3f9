"""Receivers that come at once have their turns: so many a second, addresses by turns."""

from __future__ import annotations

import asyncio

import pytest

from relay.devices.admission import Arrivals, Gate


def come(arrivals: Arrivals[str], *addresses: str) -> None:
    for number, address in enumerate(addresses):
        arrivals.add(address, f"{address}{number}")


def turns(arrivals: Arrivals[str], now: float) -> list[str]:
    found = []
    while (who := arrivals.next(now)) is not None:
        found.append(who)
    return found


def test_two_thousand_come_up_evenly_and_none_is_forgotten() -> None:
    arrivals: Arrivals[str] = Arrivals(a_second=50.0, at_once=10)
    come(arrivals, *["nat"] * 2000)
    up = 0
    for hundredth in range(4000):
        up += len(turns(arrivals, 7.0 + hundredth / 100))
        assert abs(up - min(2000, 10 + hundredth / 2)) <= 1, f"after {hundredth / 100} s"
    assert up == 2000
    assert arrivals.wait(48.0) is None


def test_few_that_come_do_not_wait() -> None:
    arrivals: Arrivals[str] = Arrivals(a_second=50.0, at_once=3)
    come(arrivals, "a", "b", "a", "a")
    assert turns(arrivals, 100.0) == ["a0", "b1", "a2"]
    assert arrivals.wait(100.0) == pytest.approx(0.01)
    assert turns(arrivals, 100.009) == []
    assert turns(arrivals, 100.011) == ["a3"]
    come(arrivals, "a", "a", "a", "a")
    assert len(turns(arrivals, 200.0)) == 3, "what was not used is not saved up"


def test_an_address_full_of_strangers_holds_up_only_itself() -> None:
    arrivals: Arrivals[str] = Arrivals(a_second=50.0, at_once=1)
    come(arrivals, *["crowd"] * 500, "commune", "hamlet")
    first = [arrivals.next(now / 50) for now in range(5)]
    assert first == ["crowd0", "commune500", "hamlet501", "crowd1", "crowd2"]


def test_who_hangs_up_takes_nobodys_turn() -> None:
    arrivals: Arrivals[str] = Arrivals(a_second=50.0, at_once=2)
    come(arrivals, "a", "a", "b")
    arrivals.drop("a", "a0")
    arrivals.drop("b", "b2")
    arrivals.drop("b", "b2")
    assert turns(arrivals, 1.0) == ["a1"]


async def test_the_gate_lets_everybody_in_and_forgets_who_went() -> None:
    gate = Gate(1e4, asyncio.get_running_loop().time)
    waiting = [asyncio.create_task(gate.turn("nat")) for _ in range(30)]
    await asyncio.sleep(0)
    assert sum(task.done() for task in waiting) <= 11
    waiting[20].cancel()
    async with asyncio.timeout(10.0):
        await asyncio.wait(waiting)
    assert [task.cancelled() for task in waiting].count(True) == 1
