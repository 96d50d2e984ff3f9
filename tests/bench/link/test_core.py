from __future__ import annotations

import pytest

from bench.link.core import Delivery, Flow, Limits, ProxyCore
from bench.link.delay import Delay
from bench.link.loss import Loss
from bench.link.model import Link, LinkConfig, PathConfig
from bench.link.presets import P2, PRESETS
from bench.link.stalls import Stalls

A, B, C = ("127.0.0.1", 1000), ("127.0.0.1", 1001), ("127.0.0.1", 1002)
SLOW = PathConfig(LinkConfig(delay=Delay(0.1)), LinkConfig(delay=Delay(0.2)))


def joined(core: ProxyCore, client: tuple[str, int], now: float = 100.0) -> Flow:
    flow = core.from_client(now, b"hello", client)
    assert flow is not None
    return flow


def delivered(core: ProxyCore, now: float) -> list[Delivery]:
    found = []
    while (delivery := core.pop(now)) is not None:
        found.append(delivery)
    return found


def test_datagrams_come_out_when_their_link_says_to_whom_they_belong() -> None:
    core = ProxyCore(SLOW.links(1))
    a, b = joined(core, A), joined(core, B, 100.01)
    core.from_relay(100.02, b"to a", a)
    assert core.next_deadline() == pytest.approx(100.1)
    assert delivered(core, 100.09) == []
    up = delivered(core, 100.11)
    assert [(item.flow, item.direction, item.data) for item in up] == [
        (a, "up", b"hello"),
        (b, "up", b"hello"),
    ]
    assert [item.due for item in up] == pytest.approx([100.1, 100.11])
    assert [(item.flow, item.direction) for item in delivered(core, 100.22)] == [(a, "down")]
    assert core.next_deadline() is None


def test_the_same_seed_and_the_same_datagrams_give_the_same_deliveries() -> None:
    def run() -> list[tuple[int, float]]:
        core = ProxyCore(P2.links(7))
        flows = [joined(core, A), joined(core, B)]
        for number in range(500):
            for flow in flows:
                core.from_relay(100 + number * 0.02, b"x" * 100, flow)
        return [(item.flow.number, item.due) for item in delivered(core, 1e6)]

    assert run() == run()


def test_fates_are_those_of_the_clients_own_links() -> None:
    core = ProxyCore(P2.links("s"))
    flow = joined(core, A, 50.0)
    core.pop(1e9)
    for number in range(300):
        core.from_relay(50 + number * 0.02, b"x" * 172, flow)
    alone = P2.links("s")(0, 50.0)[1]
    assert isinstance(alone, Link)
    expected = [due for number in range(300) for due in alone.fate(50 + number * 0.02, 172)]
    assert [item.due for item in delivered(core, 1e9)] == expected
    assert core.counts("down") == alone.counts


def test_time_begins_with_the_first_datagram_for_all_clients() -> None:
    stalled = LinkConfig(stalls=Stalls(listed=((10.0, 2.0),)))
    core = ProxyCore(PathConfig(stalled, stalled).links(1))
    a = joined(core, A, 100.0)
    b = joined(core, B, 109.0)
    delivered(core, 109.5)
    core.from_relay(110.5, b"x", a)
    core.from_relay(110.5, b"x", b)
    assert core.epoch == 100.0
    assert [item.due for item in delivered(core, 200)] == [112.0, 112.0]


def test_clients_are_bounded_and_the_rest_is_counted() -> None:
    core = ProxyCore(SLOW.links(1), Limits(clients=2))
    joined(core, A)
    joined(core, B)
    assert core.from_client(100.0, b"x", C) is None
    assert core.from_client(100.0, b"x", A) is not None
    assert (core.flows, core.clients, core.dropped.clients) == (2, 2, 1)


def test_silent_clients_are_forgotten_and_may_come_again_as_new_ones() -> None:
    core = ProxyCore(SLOW.links(1), Limits(clients=2, idle_s=60))
    a, b = joined(core, A), joined(core, B)
    core.from_relay(155.0, b"x", b)
    delivered(core, 155.0)
    assert core.sweep(160.0) == []
    assert core.sweep(160.1) == [a]
    assert core.counts("up").offered == 2  # what the forgotten one did still counts
    again = joined(core, A, 161.0)
    assert again.number == 2
    assert core.from_client(161.0, b"x", C) is None


def test_what_was_on_its_way_to_a_forgotten_client_is_dropped_and_counted() -> None:
    core = ProxyCore(SLOW.links(1))
    flow = joined(core, A)
    core.from_relay(100.0, b"x", flow)
    core.forget(flow)
    core.forget(flow)
    core.from_relay(100.1, b"x", flow)
    assert delivered(core, 200) == []
    assert core.dropped.orphans == 2
    assert core.waiting == 0
    assert core.counts("down").offered == 1


@pytest.mark.parametrize("limits", [Limits(datagrams=10), Limits(bytes=1000)])
def test_memory_is_bounded_and_what_did_not_fit_is_counted(limits: Limits) -> None:
    core = ProxyCore(SLOW.links(1), limits)
    flow = joined(core, A)
    for _ in range(100):
        core.from_relay(100.0, b"x" * 100, flow)
    assert core.waiting <= 10
    assert core.overfull == 101 - core.waiting
    assert len(delivered(core, 200)) + core.overfull == 101


def test_the_recorder_is_told_every_fate_with_time_since_the_beginning() -> None:
    rows: list[tuple[float, int, str, int, tuple[float, ...]]] = []
    lossy = PathConfig(LinkConfig(Loss(1.0)), LinkConfig(delay=Delay(0.2), duplicate=1.0))
    core = ProxyCore(lossy.links(1), record=lambda *row: rows.append(row))
    flow = joined(core, A)
    core.from_relay(100.5, b"123", flow)
    assert rows[0] == (0.0, 0, "up", 5, ())
    assert rows[1][:4] == (0.5, 0, "down", 3)
    assert rows[1][4] == pytest.approx((0.2, 0.2))


def test_the_time_of_a_client_does_not_go_back() -> None:
    rows: list[float] = []
    core = ProxyCore(SLOW.links(1), record=lambda at, *_: rows.append(at))
    flow = joined(core, A, 100.0)
    core.from_relay(100.002, b"x", flow)
    core.from_relay(100.001, b"x", flow)  # by a clock that had been read in two halves
    assert rows == pytest.approx([0.0, 0.002, 0.002])


def test_an_hour_of_a_stalling_link_passes_by_a_hand_clock() -> None:
    core = ProxyCore(PRESETS["P4"].links(3))
    flow = joined(core, A, 0.0)
    waiting = []
    for number in range(180_000):
        now = number * 0.02
        core.from_relay(now, b"x" * 172, flow)
        for delivery in delivered(core, now):
            assert delivery.due <= now
        waiting.append(core.waiting)
    down = core.counts("down")
    assert down.held == pytest.approx(5 * 150, abs=5)
    assert down.loss_share == pytest.approx(0.02, rel=0.1)
    assert max(waiting) == pytest.approx(150, abs=20)
    assert sorted(waiting)[90_000] < 15
