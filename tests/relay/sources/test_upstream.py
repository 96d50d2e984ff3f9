"""The relay's own session with the relay upstream, on a network in memory under a hand-driven clock."""

from __future__ import annotations

import pytest

from loacodecs.address import Address
from loacodecs.credentials import IceCredentials
from relay.sources.upstream import CONSENT_TIMEOUT_S, make_peer
from tests.support.wire import CLIENT, CLIENT_CERTIFICATE, Session, randomness


class Outage:
    """Loses the checks that leave within so many seconds from `begins` on."""

    def __init__(self, begins: float, seconds: float) -> None:
        self.begins, self.seconds = begins, seconds
        self.lost = 0
        self.now = 0.0

    def __call__(self, data: bytes, source: Address, target: Address) -> bool:
        lose = data[0] < 4 and source == CLIENT and self.begins <= self.now < self.begins + self.seconds
        self.lost += lose
        return lose


def pull(seed: int) -> Session:
    session = Session()
    peer = make_peer(
        CLIENT_CERTIFICATE, IceCredentials("clientU", session.client_pwd), randomness(seed), session.wire.now
    )
    session.client = session.wire.attach(peer, CLIENT)
    session.connect()
    return session


@pytest.mark.parametrize("seed", range(10))
def test_a_silent_channel_stays_pulled_though_a_check_or_two_are_lost(seed: int) -> None:
    session = pull(seed)
    outage = session.wire.drop = Outage(session.wire.now + 20.0, 4.0)
    for _ in range(600):
        outage.now = session.wire.now
        session.wire.run(0.1)
    assert outage.lost >= 1
    assert session.client.closed is None


def test_an_upstream_that_answers_nothing_is_gone_in_eight_seconds() -> None:
    session = pull(1)
    session.wire.drop = lambda data, source, target: True
    began = session.wire.now
    assert session.wire.run(30.0, lambda: session.client.closed is not None)
    assert session.wire.now - began <= CONSENT_TIMEOUT_S + 0.1
