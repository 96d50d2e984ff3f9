"""Which sessions a receiver has, by a hand clock and imagined relays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from loaedge.receiver.keeping import HASTY_S, STARVED_S, Cadence, Decision, Keeper, Link


class World:
    """Relays that are there or not, and the sessions that the keeper's decisions make with them."""

    def __init__(self, relays: int, wanted: int = 1) -> None:
        self.keeper = Keeper(relays, wanted, lambda size: bytes(size))
        self.now = 100.0
        self.alive = [True] * relays
        self.sending = [True] * relays
        self.on_air: bool | None = None
        self.setup_s = 0.2
        self.links: list[Link] = []
        self.started: list[tuple[float, int]] = []
        self.ended: list[tuple[float, int]] = []
        self.probed: list[tuple[float, int]] = []
        self._number = 0

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> float:
        """Let time pass in steps of 50 ms; gives when it stopped."""
        end = self.now + seconds
        while self.now < end and not until():
            self.now += 0.05
            self._live()
            self._obey(self.keeper.decide(self.links, self.now, on_air=self.on_air))
        return self.now

    def _live(self) -> None:
        for index, link in enumerate(self.links):
            alive, sending = self.alive[link.relay], self.sending[link.relay]
            if link.connected is None and alive and self.now - link.began >= self.setup_s:
                link = replace(link, connected=self.now)
            if link.connected is not None and alive:
                link = replace(link, heard=self.now, packet=self.now if sending else link.packet)
            self.links[index] = link
        for link in [link for link in self.links if not self.alive[link.relay]]:
            since = link.began + 5 if link.connected is None else link.heard + 8
            if self.now >= since:
                self.links.remove(link)
                self.keeper.lost(link.relay, self.now)

    def _obey(self, decision: Decision) -> None:
        for relay in decision.start:
            self._number += 1
            self.links.append(Link(self._number, relay, self.now))
            self.started.append((self.now, relay))
        for number in decision.end:
            link = next(link for link in self.links if link.number == number)
            self.links.remove(link)
            self.ended.append((self.now, link.relay))
        self.probed += [(self.now, number) for number in decision.probe]

    @property
    def heard_from(self) -> set[int]:
        return {link.relay for link in self.links if link.packet == self.now}


def test_the_preferred_relay_is_enough() -> None:
    world = World(3)
    world.run(60)
    assert [relay for _, relay in world.started] == [0]
    assert world.heard_from == {0}
    assert not world.probed


def test_a_killed_relay_is_replaced_in_a_second_and_taken_back_when_it_is_there_again() -> None:
    world = World(2)
    world.run(20)
    killed, world.alive[0] = world.now, False
    sounded = world.run(5, until=lambda: world.heard_from == {1})
    assert sounded - killed < 1.1
    world.run(100)
    assert world.heard_from == {1}
    world.alive[0] = True
    back = world.run(60, until=lambda: 0 in world.heard_from)
    assert 0 in world.heard_from
    world.run(2)
    assert world.heard_from == {0, 1}  # the one that delivers stays until the other has settled
    world.run(3)
    assert world.heard_from == {0}
    assert world.now - back < 6


def test_attempts_at_a_dead_relay_grow_rare() -> None:
    world = World(1)
    world.alive[0] = False
    world.run(600)
    assert 10 < len(world.started) < 40
    world.alive[0] = True
    world.run(40)
    assert world.heard_from == {0}


def test_a_relay_that_does_not_answer_gets_company() -> None:
    world = World(2)
    world.alive[0] = False
    asked = world.now
    heard = world.run(10, until=lambda: bool(world.heard_from))
    assert world.heard_from == {1}
    assert heard - asked < 2.5


def test_when_the_programme_ends_one_session_remains_and_nobody_is_asked_for_more() -> None:
    world = World(2)
    world.run(20)
    world.sending = [False, False]
    world.run(15)
    assert [link.relay for link in world.links] == [0]
    world.started.clear()
    world.probed.clear()
    world.run(600)
    assert not world.started
    assert not world.probed
    world.sending = [True, True]
    world.run(1)
    assert world.heard_from == {0}


def test_a_relay_that_says_off_air_is_believed() -> None:
    world = World(2)
    world.on_air = True
    world.run(20)
    world.sending, world.on_air = [False, False], False
    world.run(60)
    assert [relay for _, relay in world.started] == [0]


def test_on_air_but_silent_brings_in_the_other_relay() -> None:
    world = World(2)
    world.on_air, world.sending = True, [False, True]
    world.run(5)
    assert world.heard_from == {1}


def test_both_keeps_two_and_the_third_steps_in() -> None:
    world = World(3, wanted=2)
    world.run(20)
    assert world.heard_from == {0, 1}
    world.alive[1] = False
    lost = world.now
    found = world.run(5, until=lambda: world.heard_from == {0, 2})
    assert found - lost < 1.1
    world.alive[1] = True
    world.run(60)
    assert world.heard_from == {0, 1}


def test_both_with_one_relay_left_keeps_it() -> None:
    world = World(2, wanted=2)
    world.run(20)
    world.alive[0] = False
    world.run(120)
    assert world.heard_from == {1}
    assert not world.ended


def test_a_restarted_relay_that_has_forgotten_us_is_asked_anew_before_consent_runs_out() -> None:
    world = World(1)
    world.run(20)
    world.links = [replace(link, relay=0, heard=world.now) for link in world.links]
    world.alive[0] = False
    began = world.now
    world.run(2.3)
    world.alive[0] = True
    # The old session is dead; the imagined relay must not revive it.
    world.links = [link for link in world.links if link.began > began]
    heard = world.run(5, until=lambda: bool(world.heard_from))
    assert heard - began < 3.5


def test_a_relay_that_asks_to_wait_is_left_alone() -> None:
    world = World(1)
    world.keeper.lost(0, world.now, at_least_s=20.0)
    world.run(19)
    assert not world.started
    world.run(4)
    assert world.started


def test_a_session_is_in_doubt_after_its_own_patience() -> None:
    keeper = Keeper(2, 1, lambda size: bytes(size))
    link = Link(1, 0, 0.0, connected=1.0, packet=20.0, heard=20.0, patience=0.2)
    assert keeper.decide([link], 20.19, on_air=True) == Decision()
    assert keeper.decide([link], 20.21, on_air=True) == Decision(start=(1,), probe=(1,))


def feed(cadence: Cadence, pauses: list[float], size: int = 100, now: float = 100.0) -> float:
    for pause in pauses:
        now += pause
        cadence.note(size, now)
    return now


def test_packets_that_come_regularly_are_soon_missed() -> None:
    cadence = Cadence()
    assert cadence.patience == STARVED_S
    now = feed(cadence, [0.02] * 50)
    assert cadence.patience == STARVED_S  # one second has shown nothing
    feed(cadence, [0.02] * 150, now=now)
    assert cadence.patience == HASTY_S


def test_a_path_that_jitters_and_loses_is_given_more_than_its_longest_pause() -> None:
    cadence = Cadence()
    now = feed(cadence, [0.02] * 200 + [0.2] + [0.02] * 10)
    assert 0.25 < cadence.patience < 0.5
    now = feed(cadence, [0.02] * 1400, now=now)  # 28 s later it is remembered
    assert 0.25 < cadence.patience < 0.5
    feed(cadence, [0.02] * 3000, now=now)
    assert cadence.patience == HASTY_S


def test_the_silence_of_dtx_is_no_doubt() -> None:
    cadence = Cadence()
    now = feed(cadence, [0.02] * 300)
    now = feed(cadence, [0.02], size=40, now=now)
    assert cadence.patience == STARVED_S
    now = feed(cadence, [0.4] * 5, size=40, now=now)
    assert cadence.patience == STARVED_S
    # Nor were the pauses it makes the path's.
    feed(cadence, [0.4] + [0.02] * 10, now=now)
    assert cadence.patience == HASTY_S


def test_nobody_waits_longer_than_without_knowing_anything() -> None:
    cadence = Cadence()
    feed(cadence, [0.02] * 200 + [3.0, 0.02])
    assert cadence.patience == STARVED_S
