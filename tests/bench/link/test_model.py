from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.link.bottleneck import Bottleneck
from bench.link.delay import Delay
from bench.link.loss import Loss
from bench.link.model import Link, LinkConfig, PathConfig
from bench.link.presets import P2, PRESETS
from bench.link.stalls import Stalls
from loacodecs.errors import ConfigurationError

FRAME_S = 0.02
SIZE = 172

losses = st.builds(Loss, st.floats(0, 0.3), st.one_of(st.none(), st.floats(2, 20)))
orders = st.booleans()


def configs(reorder: st.SearchStrategy[bool] = orders) -> st.SearchStrategy[LinkConfig]:
    delays = st.builds(
        Delay,
        st.floats(0, 0.3),
        st.floats(0, 0.2),
        st.sampled_from(["uniform", "normal", "pareto"]),
        st.floats(0, 0.99),
        reorder,
    )
    bottlenecks = st.builds(Bottleneck, st.one_of(st.none(), st.floats(2e4, 1e7)), st.integers(1000, 100_000))
    stalls = st.one_of(
        st.none(),
        st.builds(
            Stalls,
            st.floats(1, 10),
            st.floats(0, 0.9),
            st.just(0.5),
            action=st.sampled_from(["hold", "lose"]),
        ),
    )
    return st.builds(LinkConfig, losses, delays, st.floats(0, 0.5), bottlenecks, stalls)


pauses = st.lists(st.floats(0, 0.1), min_size=1, max_size=300)
seeds = st.integers(0, 10**9)


def fates(config: LinkConfig, seed: int, times: list[float]) -> list[tuple[float, ...]]:
    link = Link(config, seed)
    return [link.fate(now, SIZE) for now in times]


def steady(packets: int) -> list[float]:
    return [number * FRAME_S for number in range(packets)]


def accumulated(steps: list[float]) -> list[float]:
    now, times = 100.0, []
    for step in steps:
        now += step
        times.append(now)
    return times


@given(configs(), seeds, pauses)
@settings(deadline=None)
def test_two_links_of_one_seed_decide_alike(config: LinkConfig, seed: int, steps: list[float]) -> None:
    times = accumulated(steps)
    assert fates(config, seed, times) == fates(config, seed, times)


@given(configs(), seeds, pauses)
@settings(deadline=None)
def test_nothing_comes_before_its_time_nor_more_than_twice(
    config: LinkConfig, seed: int, steps: list[float]
) -> None:
    times = accumulated(steps)
    for now, fate in zip(times, fates(config, seed, times), strict=True):
        assert len(fate) <= 2
        assert list(fate) == sorted(fate)
        assert all(delivery >= now + config.delay.base for delivery in fate)


@given(configs(reorder=st.just(False)), seeds, pauses)
@settings(deadline=None)
def test_in_order_means_first_in_first_out(config: LinkConfig, seed: int, steps: list[float]) -> None:
    deliveries = [delivery for fate in fates(config, seed, accumulated(steps)) for delivery in fate]
    assert deliveries == sorted(deliveries)


@given(configs(), seeds, pauses)
@settings(deadline=None)
def test_every_packet_is_counted_once(config: LinkConfig, seed: int, steps: list[float]) -> None:
    link = Link(config, seed)
    decided = [link.fate(now, SIZE) for now in accumulated(steps)]
    counts = link.counts
    assert counts.offered == len(steps)
    assert counts.bytes == len(steps) * SIZE
    assert counts.lost == sum(not fate for fate in decided)
    assert counts.doubled == sum(len(fate) == 2 for fate in decided)
    pairs = zip([True, *map(bool, decided)], decided, strict=False)
    assert counts.bursts == sum(before and not fate for before, fate in pairs)


@given(losses, seeds, pauses, pauses)
@settings(deadline=None)
def test_the_chance_a_packet_meets_depends_on_its_number_not_on_its_time(
    loss: Loss, seed: int, steps: list[float], others: list[float]
) -> None:
    config = LinkConfig(loss, Delay(0.05, 0.02, reorder=True))
    common = min(len(steps), len(others))
    here, there = accumulated(steps)[:common], accumulated(others)[:common]
    left, right = fates(config, seed, here), fates(config, seed, there)
    assert [bool(fate) for fate in left] == [bool(fate) for fate in right]
    for now, one, then, other in zip(here, left, there, right, strict=True):
        assert [delivery - now for delivery in one] == pytest.approx([delivery - then for delivery in other])


def test_changing_one_process_leaves_the_others_draws_alone() -> None:
    lost = [not fate for fate in fates(LinkConfig(Loss(0.1, 3)), 5, steady(2000))]
    config = LinkConfig(Loss(0.1, 3), Delay(0.1, 0.05, "pareto", 0.5), 0.3, Bottleneck(1e6))
    assert [not fate for fate in fates(config, 5, steady(2000))] == lost


def test_another_seed_decides_otherwise() -> None:
    config = LinkConfig(Loss(0.1), Delay(0.1, 0.05))
    assert fates(config, 1, steady(200)) != fates(config, 2, steady(200))


def test_fates_of_a_seed_are_the_same_in_every_version_of_python() -> None:
    lost = [number for number, fate in enumerate(fates(P2.down, 7, steady(400))) if not fate]
    assert lost == [276, 277, 367, 368, 394, 395]
    assert fates(P2.down, 7, [0.0])[0][0] == pytest.approx(0.1750855487089685, abs=1e-12)


def test_directions_and_clients_are_independent_of_one_another() -> None:
    make = P2.links(7)
    decided = [
        [not link.fate(now, SIZE) for now in steady(3000)]
        for client in range(2)
        for link in make(client, 0.0)
    ]
    assert len({tuple(lost) for lost in decided}) == 4
    for one, other in ((0, 1), (0, 2), (1, 3)):
        both = sum(a and b for a, b in zip(decided[one], decided[other], strict=True))
        assert both < 10  # of about 60 each; 1.2 expected by chance
    again = P2.links(7)(1, 0.0)[1]
    assert [not again.fate(now, SIZE) for now in steady(3000)] == decided[3]


def test_copies_come_as_often_as_asked_each_with_its_own_delay() -> None:
    decided = fates(LinkConfig(delay=Delay(0.05, 0.01, reorder=True), duplicate=0.2), 3, steady(10_000))
    doubled = [fate for fate in decided if len(fate) == 2]
    assert len(doubled) / 10_000 == pytest.approx(0.2, abs=0.025)
    assert sum(first != second for first, second in doubled) > 0.99 * len(doubled)


def test_packets_overtake_one_another_only_where_they_may() -> None:
    jumpy = Delay(0.05, 0.05, reorder=True)
    deliveries = [fate[0] for fate in fates(LinkConfig(delay=jumpy), 3, steady(1000))]
    assert sum(a > b for a, b in itertools.pairwise(deliveries)) > 100


def test_what_is_sent_into_a_stall_waits_for_its_end() -> None:
    link = Link(LinkConfig(delay=Delay(0.06), stalls=Stalls(every=600, duration=3)), 1, epoch=1000.0)
    assert link.fate(1599.99, SIZE) == pytest.approx((1600.05,))
    assert link.fate(1600.5, SIZE) == pytest.approx((1603.06,))
    assert link.fate(1602.9, SIZE) == pytest.approx((1603.06,))
    assert link.fate(1603.0, SIZE) == pytest.approx((1603.06,))
    assert link.fate(1603.5, SIZE) == pytest.approx((1603.56,))
    assert link.counts.held == 2
    assert link.counts.lost == 0


def test_a_stall_may_lose_instead() -> None:
    link = Link(LinkConfig(stalls=Stalls(every=10, duration=1, action="lose")), 1, epoch=0.0)
    decided = [bool(link.fate(number / 2, SIZE)) for number in range(40)]
    assert [number / 2 for number, arrives in enumerate(decided) if not arrives] == [10, 10.5]
    assert link.counts.lost_stall == link.counts.lost == 2
    assert link.counts.bursts == 1


def test_what_a_stall_holds_leaves_at_the_pace_of_the_line() -> None:
    line = Bottleneck(rate=160_000, queue=100_000, overhead=28)  # 10 ms a packet
    link = Link(LinkConfig(bottleneck=line, stalls=Stalls(listed=((1.0, 1.0),))), 1, epoch=0.0)
    deliveries = [link.fate(1 + number * FRAME_S, SIZE)[0] for number in range(10)]
    assert deliveries == pytest.approx([2 + 0.01 * (number + 1) for number in range(10)])


def test_a_stall_holds_no_more_than_its_queue() -> None:
    stalled = LinkConfig(bottleneck=Bottleneck(queue=2000), stalls=Stalls(listed=((0.0, 60.0),)))
    link = Link(stalled, 1, epoch=0.0)
    decided = [bool(link.fate(number * FRAME_S, SIZE)) for number in range(3000)]
    assert decided == [True] * 10 + [False] * 2990
    assert link.counts.lost_queue == 2990


def test_without_an_epoch_time_begins_with_the_first_packet() -> None:
    link = Link(LinkConfig(stalls=Stalls(listed=((1.0, 1.0),))), 1)
    assert link.fate(500.0, SIZE) == (500.0,)
    assert link.fate(501.5, SIZE) == (502.0,)


def test_time_that_goes_back_stands_still() -> None:
    link = Link(LinkConfig(delay=Delay(0.05)), 1)
    assert link.fate(10.0, SIZE) == link.fate(9.0, SIZE)


@pytest.mark.parametrize("name", PRESETS)
def test_each_preset_loses_and_delays_as_it_says(name: str) -> None:
    config = PRESETS[name].down
    times = steady(50_000)
    decided = fates(config, 11, times)
    expected = config.loss.mean
    lost = sum(not fate for fate in decided) / len(times)
    assert lost == pytest.approx(expected, rel=0.2, abs=0.0001)
    delays = sorted(fate[0] - now for now, fate in zip(times, decided, strict=True) if fate)
    assert delays[0] >= config.delay.base
    assert delays[len(delays) // 2] < config.delay.base + 2.5 * config.delay.jitter + 0.001


def test_a_path_is_made_of_links_that_may_be_used_alone() -> None:
    path = PathConfig(up=LinkConfig(Loss(1.0)))
    up, down = path.links("seed")(0, 0.0)
    assert up.fate(1.0, SIZE) == ()
    assert down.fate(1.0, SIZE) == (1.0,)


def test_an_impossible_share_of_copies_is_refused_by_key() -> None:
    with pytest.raises(ConfigurationError, match=r"^duplicate: "):
        LinkConfig(duplicate=1.5)
