from __future__ import annotations

import pytest

from loacodecs import stun
from loacodecs.ice_lite import MAX_CHECKED, IceLite

PEER = ("198.51.100.7", 40000)
PASSWORD = "s" * 24


def agent() -> IceLite:
    return IceLite(ufrag="serv", pwd=PASSWORD, remote_ufrag="clie")


def check(username: str = "serv:clie", password: str = PASSWORD, **changes: object) -> bytes:
    values: dict[str, object] = {"priority": 1, "controlling": True, "tie_breaker": 1}
    return stun.binding_request(bytes(12), username=username, password=password, **(values | changes))  # type: ignore[arg-type]  # keywords under test


def test_an_authentic_check_is_answered_and_a_nomination_followed() -> None:
    lite = agent()
    assert lite.receive(1.0, check(), PEER) is None
    ((answer, target),) = lite.outgoing
    message = stun.parse(answer)
    assert target == PEER
    assert message.mapped_address == PEER
    assert message.verify(PASSWORD)
    assert (lite.remote, lite.last_check) == (None, 1.0)
    assert lite.is_checked(PEER)
    lite.receive(2.0, check(nominate=True), PEER)
    assert lite.remote == PEER
    lite.receive(3.0, check(nominate=True), ("198.51.100.7", 50000))
    assert lite.remote == ("198.51.100.7", 50000)
    lite.receive(4.0, check(), PEER)
    assert lite.remote == ("198.51.100.7", 50000)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (check(username="serv:else"), "stun_integrity"),
        (check(username="else:clie"), "stun_integrity"),
        (check(username="serv"), "stun_integrity"),
        (check(username="serv:clie:x"), "stun_integrity"),
        (check(password="t" * 24), "stun_integrity"),
        (stun.binding_response(bytes(12), PEER, PASSWORD), "stun_integrity"),
        (stun.role_conflict(bytes(12), PASSWORD), "stun_integrity"),
        (check()[:-1], "stun_malformed"),
        (check()[:40], "stun_malformed"),
        (check()[:-1] + b"\xff", "stun_malformed"),
    ],
)
def test_everything_else_meets_silence(data: bytes, reason: str) -> None:
    lite = agent()
    assert lite.receive(1.0, data, PEER) == reason
    assert lite.outgoing == []
    assert lite.last_check is None
    assert not lite.is_checked(PEER)


def test_a_peer_that_believes_itself_controlled_is_answered_like_any_other() -> None:
    lite = agent()
    assert lite.receive(1.0, check(controlling=False), PEER) is None
    assert stun.parse(lite.outgoing[0][0]).kind is stun.Class.RESPONSE


def test_checked_addresses_are_bounded_and_the_nominated_one_stays() -> None:
    lite = agent()
    lite.receive(1.0, check(nominate=True), PEER)
    for port in range(1, 3 * MAX_CHECKED):
        lite.receive(2.0, check(), ("203.0.113.9", port))
    assert lite.is_checked(PEER)
    assert not lite.is_checked(("203.0.113.9", 1))
    assert (
        sum(lite.is_checked(("203.0.113.9", port)) for port in range(1, 3 * MAX_CHECKED)) == MAX_CHECKED - 1
    )


def test_after_a_restart_old_credentials_serve_until_the_new_are_used() -> None:
    lite = agent()
    lite.receive(1.0, check(nominate=True), PEER)
    lite.restart(ufrag="newS", pwd="n" * 24, remote_ufrag="newC")
    assert lite.receive(2.0, check(), PEER) is None
    assert lite.remote == PEER
    new = check(username="newS:newC", password="n" * 24, nominate=True)
    assert lite.receive(3.0, new, ("198.51.100.8", 2)) is None
    assert lite.remote == ("198.51.100.8", 2)
    assert stun.parse(lite.outgoing[-1][0]).verify("n" * 24)
    assert lite.receive(4.0, check(), PEER) == "stun_integrity"
    assert lite.is_checked(PEER)
