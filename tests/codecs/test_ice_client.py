from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise

import pytest

from loacodecs import stun
from loacodecs.address import Address
from loacodecs.candidate import Candidate
from loacodecs.ice_client import MAX_PAIRS, MAX_TRANSMISSIONS, IceClient
from loacodecs.ice_lite import IceLite

HERE: Address = ("198.51.100.7", 40000)
A: Address = ("192.0.2.1", 8189)
B: Address = ("2001:db8::1", 8189)
C: Address = ("192.0.2.3", 8189)
OUR_PASSWORD, THEIR_PASSWORD = "c" * 24, "s" * 24


def candidate(address: Address, priority: int) -> Candidate:
    return Candidate("1", priority, address, "host")


def client(seed: int = 1, ufrag: str = "clie", pwd: str = OUR_PASSWORD) -> IceClient:
    return IceClient(ufrag=ufrag, pwd=pwd, random=random.Random(seed).randbytes, consent_timeout=30.0)


def lite() -> IceLite:
    return IceLite(ufrag="serv", pwd=THEIR_PASSWORD, remote_ufrag="clie")


class Simulation:
    """Agents at addresses, 10 ms apart, driven by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.agents: dict[Address, IceClient | IceLite] = {}
        self.sent: list[tuple[float, bytes, Address, Address]] = []
        self.flying: list[tuple[float, bytes, Address, Address]] = []
        self.lost: Callable[[Address, Address], bool] = lambda _source, _target: False

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        for _ in range(20_000):
            for address, agent in self.agents.items():
                for data, target in agent.outgoing:
                    self.sent.append((self.now, data, address, target))
                    if not self.lost(address, target):
                        self.flying.append((self.now + 0.01, data, address, target))
                agent.outgoing.clear()
            clients = [agent for agent in self.agents.values() if isinstance(agent, IceClient)]
            moments = [f[0] for f in self.flying] + [
                d for c in clients if (d := c.next_deadline()) is not None
            ]
            moment = max(self.now, min(moments, default=end + 1))
            if moment > end:
                self.now = end
                return
            self.now = moment
            arrived = [f for f in self.flying if f[0] <= self.now]
            self.flying = [f for f in self.flying if f[0] > self.now]
            for _, data, source, target in arrived:
                if target in self.agents:
                    self.agents[target].receive(self.now, data, source)
            for agent in clients:
                agent.on_timeout(self.now)
        raise AssertionError("busy without time passing")


def against_lite(*candidates: Candidate, alive: tuple[Address, ...] = (A,)) -> tuple[Simulation, IceClient]:
    simulation, agent = Simulation(), client()
    simulation.agents[HERE] = agent
    for address in alive:
        simulation.agents[address] = lite()
    agent.set_remote("serv", THEIR_PASSWORD, candidates, lite=True)
    return simulation, agent


def test_one_candidate_is_checked_and_nominated_in_two_round_trips() -> None:
    simulation, agent = against_lite(candidate(A, 100))
    simulation.run(0.05)
    assert agent.nominated
    assert agent.remote == A
    assert agent.round_trip == pytest.approx(0.02)
    checks = [stun.parse(data) for _, data, source, _ in simulation.sent if source == HERE]
    assert [check.nominates for check in checks] == [False, True]
    assert all(check.username == "serv:clie" and check.controlling is not None for check in checks)
    assert all(check.verify(THEIR_PASSWORD) for check in checks)


def test_dead_candidates_are_checked_by_priority_50_ms_apart_then_more_and_more_rarely() -> None:
    simulation, agent = against_lite(candidate(A, 1), candidate(B, 3), candidate(C, 2), alive=())
    simulation.run(0.09)
    assert [(round(t, 3), target) for t, _, _, target in simulation.sent] == [(0.0, B), (0.05, C)]
    simulation.run(70)
    times = [t for t, _, _, target in simulation.sent if target == B]
    waits = [after - before for before, after in pairwise(times)]
    assert waits[0] == pytest.approx(0.1)
    assert all(after >= before - 1e-9 for before, after in pairwise(waits))
    assert waits[-1] == pytest.approx(2.0)
    assert len(simulation.sent) == 3 * MAX_TRANSMISSIONS
    assert agent.remote is None
    assert agent.next_deadline() is None


def test_a_better_candidate_that_is_dead_costs_a_tenth_of_a_second() -> None:
    simulation, agent = against_lite(candidate(B, 200), candidate(A, 100))
    simulation.run(0.15)
    assert not agent.nominated
    simulation.run(0.1)
    assert agent.nominated
    assert agent.remote == A


def test_the_better_of_two_live_candidates_is_taken() -> None:
    simulation, agent = against_lite(candidate(A, 100), candidate(C, 200), alive=(A, C))
    simulation.run(0.3)
    assert agent.remote == C


def test_a_lost_check_and_a_lost_nomination_are_repeated() -> None:
    simulation, agent = against_lite(candidate(A, 100))
    losses = iter([True, False, True, False])
    simulation.lost = lambda source, _: source == HERE and next(losses, False)
    simulation.run(3.0)
    assert agent.nominated


@pytest.mark.parametrize("deaf", [HERE, A])
def test_a_burst_that_loses_the_first_five_packets_of_a_direction_costs_half_a_second(
    deaf: Address,
) -> None:
    simulation, agent = against_lite(candidate(A, 100))
    passed = iter(range(100))
    simulation.lost = lambda _, target: target == deaf and next(passed) < 5
    simulation.run(0.6)
    assert agent.nominated
    assert agent.round_trip == pytest.approx(0.02)


def test_answers_to_every_repetition_over_a_long_way_are_no_refusals() -> None:
    agent, server = client(), lite()
    agent.set_remote("serv", THEIR_PASSWORD, [candidate(A, 1)], lite=True)
    for now in (0.0, 0.1, 0.2):
        agent.on_timeout(now)
    for data, _ in agent.outgoing:
        assert server.receive(0.3, data, HERE) is None
    agent.outgoing.clear()
    assert [agent.receive(0.6, data, A) for data, _ in server.outgoing] == [None] * 3
    assert agent.round_trip == pytest.approx(0.6)
    assert len(agent.outgoing) == 1  # one nomination, however many answers


def test_candidates_may_come_late_and_are_bounded() -> None:
    simulation, agent = against_lite()
    simulation.run(1.0)
    assert simulation.sent == []
    agent.add_candidates([candidate(A, 100)])
    simulation.run(0.1)
    assert agent.nominated
    agent = client()
    agent.set_remote(
        "serv", THEIR_PASSWORD, [candidate(("192.0.2.9", n), n) for n in range(1, 200)], lite=True
    )
    simulation = Simulation()
    simulation.agents[HERE] = agent
    simulation.run(10)
    assert len({target for *_, target in simulation.sent}) == MAX_PAIRS


def test_a_response_from_elsewhere_or_unsigned_is_refused() -> None:
    agent = client()
    agent.set_remote("serv", THEIR_PASSWORD, [candidate(A, 1)], lite=True)
    agent.on_timeout(0.0)
    check = stun.parse(agent.outgoing[0][0])
    good = stun.binding_response(check.transaction_id, HERE, THEIR_PASSWORD)
    forged = stun.binding_response(check.transaction_id, HERE, "x" * 24)
    unknown = stun.binding_response(bytes(12), HERE, THEIR_PASSWORD)
    assert agent.receive(0.1, good, C) == "stun_integrity"
    assert agent.receive(0.1, forged, A) == "stun_integrity"
    assert agent.receive(0.1, unknown, A) is None  # signed, and no answer to anything
    assert agent.receive(0.1, b"\0\1", A) == "stun_malformed"
    assert agent.remote is None
    assert agent.receive(0.1, good, A) is None
    nominations = len(agent.outgoing)
    assert agent.receive(0.2, good, A) is None
    assert len(agent.outgoing) == nominations  # answered once


def test_consent_is_asked_every_five_seconds_and_lost_after_thirty() -> None:
    simulation, agent = against_lite(candidate(A, 100))
    simulation.run(61)
    asked = [t for t, _, source, _ in simulation.sent if source == HERE][2:]
    waits = [later - earlier for earlier, later in pairwise(asked)]
    assert all(4.0 <= wait <= 6.0 for wait in waits)
    assert len({round(wait, 3) for wait in waits}) > 1
    assert not agent.consent_lost
    before, simulation.lost = simulation.now, lambda source, _: source == A
    simulation.run(23)
    assert not agent.consent_lost
    simulation.run(before + 31 - simulation.now)
    assert agent.consent_lost
    assert agent.next_deadline() is None


def test_an_idle_agent_asks_rarely_and_at_once_when_woken() -> None:
    simulation, agent = against_lite(candidate(A, 100))
    simulation.run(10)
    agent.set_consent(simulation.now, interval=50.0, timeout=125.0)
    simulation.run(300)
    asked = [t for t, _, source, _ in simulation.sent if source == HERE and t > 10.5]
    assert all(40.0 <= later - earlier <= 60.0 for earlier, later in pairwise(asked))
    assert not agent.consent_lost
    simulation.lost = lambda source, _: source == A
    simulation.run(50)
    woken = simulation.now
    agent.set_consent(woken, interval=5.0, timeout=15.0)
    assert agent.next_deadline() == woken
    simulation.run(1)
    assert [t for t, _, source, _ in simulation.sent if source == HERE][-1] == woken
    simulation.run(13)
    assert not agent.consent_lost
    simulation.run(2)
    assert agent.consent_lost


@pytest.mark.parametrize("seeds", [(1, 2), (2, 1), (3, 4), (4, 3)])
def test_two_full_agents_that_both_control_settle_it_by_tie_breaker(seeds: tuple[int, int]) -> None:
    simulation = Simulation()
    one, two = client(seeds[0]), client(seeds[1], "serv", THEIR_PASSWORD)
    simulation.agents |= {HERE: one, A: two}
    one.set_remote("serv", THEIR_PASSWORD, [candidate(A, 100)], lite=False)
    two.set_remote("clie", OUR_PASSWORD, [candidate(HERE, 100)], lite=False)
    simulation.run(2.0)
    assert one.controlling != two.controlling
    assert one.nominated
    assert two.nominated
    assert (one.remote, two.remote) == (A, HERE)


@pytest.mark.parametrize(("theirs", "we_stay"), [(0, True), (2**64 - 1, False)])
def test_the_larger_tie_breaker_controls(theirs: int, we_stay: bool) -> None:
    agent = client()
    agent.set_remote("serv", THEIR_PASSWORD, [], lite=False)
    request = stun.binding_request(
        bytes(12),
        username="clie:serv",
        password=OUR_PASSWORD,
        priority=1,
        controlling=True,
        tie_breaker=theirs,
    )
    assert agent.receive(0.0, request, A) is None
    answer = stun.parse(agent.outgoing[0][0])
    assert (answer.kind is stun.Class.ERROR and answer.error_code == 487) == we_stay
    assert agent.controlling == we_stay


def test_a_full_agent_without_our_candidates_is_met_by_its_checks() -> None:
    """Peer-reflexive: we have no address of it, it checks us, also before we know the answer."""
    simulation = Simulation()
    one, two = client(1), client(2, "serv", THEIR_PASSWORD)
    simulation.agents |= {HERE: one, A: two}
    two.controlling = False
    two.set_remote("clie", OUR_PASSWORD, [candidate(HERE, 100)], lite=False)
    simulation.run(0.2)
    assert one.is_checked(A)
    assert one.remote is None
    one.set_remote("serv", THEIR_PASSWORD, [], lite=False)
    simulation.run(1.0)
    assert one.nominated
    assert two.nominated
    assert (one.remote, two.remote, one.controlling) == (A, HERE, True)


def test_requests_that_are_not_signed_for_us_meet_silence() -> None:
    agent = client()
    agent.set_remote("serv", THEIR_PASSWORD, [], lite=False)
    values = {"priority": 1, "controlling": False, "tie_breaker": 1}
    for username, password in (
        ("clie:serv", "x" * 24),
        ("clie:else", OUR_PASSWORD),
        ("else:serv", OUR_PASSWORD),
    ):
        data = stun.binding_request(bytes(12), username=username, password=password, **values)  # type: ignore[arg-type]  # keywords in a dict
        assert agent.receive(0.0, data, A) == "stun_integrity"
    assert agent.outgoing == []
    assert not agent.is_checked(A)


def test_a_restart_keeps_the_path_until_the_new_generation_has_one() -> None:
    simulation, agent = against_lite(candidate(A, 100))
    simulation.run(1.0)
    server = simulation.agents[A]
    assert isinstance(server, IceLite)
    agent.restart(ufrag="newC", pwd="d" * 24, remote_ufrag="newS", remote_pwd="n" * 24)
    assert agent.remote == A
    assert not agent.nominated
    server.restart(ufrag="newS", pwd="n" * 24, remote_ufrag="newC")
    simulation.run(1.0)
    assert agent.nominated
    assert stun.parse(simulation.sent[-2][1]).username == "newS:newC"
