"""Which tokens a revocation voids, and which it leaves alone."""

from __future__ import annotations

import dataclasses

import pytest

from relay.access.revocations import REVOCATIONS_MAX, Revocations
from relay.errors import RevocationsFull
from relay.http.auth import EVERYTHING, NOTHING
from relay.revocation_ports import Revocation
from relay.tokens import Grant

NOW = 1_800_000_000.0
LEAKED = Grant("đài", frozenset({"publish"}), ("xa",), NOW + 3600, "a1", issued=NOW - 60)
INVITATION = Grant(
    "invited by đài", frozenset({"publish"}), ("xa",), NOW + 60, "b2", "speaker", issued=NOW - 5, parent="a1"
)


def token(name: str, *, revoked: float = NOW, until: float = NOW + 90_000, subject: str = "") -> Revocation:
    return Revocation("token", name, subject, revoked, "admin", until)


def subject(name: str, *, revoked: float = NOW, until: float = NOW + 1e9) -> Revocation:
    return Revocation("subject", name, name, revoked, "admin", until)


def void(wanted: Revocation, grant: Grant) -> bool:
    """Whether it is, asked both ways: in the look-up of requests, and by a session."""
    revocations = Revocations()
    revocations.add(wanted)
    assert revocations.is_revoked(grant) == wanted.voids(grant)
    return wanted.voids(grant)


def test_a_token_is_void_by_its_id_and_so_are_invitations_made_with_it() -> None:
    assert void(token("a1"), LEAKED)
    assert void(token("a1"), INVITATION)
    assert not void(token("b2"), LEAKED), "who invited is not void with his guest"
    assert not void(token("đài"), LEAKED), "a subject is no id"
    assert not void(token("a1"), dataclasses.replace(LEAKED, id="a2"))


def test_a_subject_is_void_as_far_as_it_was_minted_by_then() -> None:
    assert void(subject("đài"), LEAKED)
    assert void(subject("đài"), INVITATION)
    assert void(subject("đài"), dataclasses.replace(LEAKED, issued=NOW))
    assert void(subject("đài"), dataclasses.replace(LEAKED, issued=0.0)), "who does not say when was before"
    assert not void(subject("đài"), dataclasses.replace(LEAKED, issued=NOW + 0.001))
    assert not void(subject("xã"), LEAKED)
    assert not void(subject("a1"), LEAKED), "an id is no subject"


@pytest.mark.parametrize("grant", [NOTHING, EVERYTHING])
def test_who_has_no_token_is_never_revoked(grant: Grant) -> None:
    assert not void(subject(grant.subject), grant)


def test_what_is_void_stays_void() -> None:
    revocations = Revocations()
    revocations.add(token("a1", until=NOW + 1e9))
    again = revocations.add(token("a1", revoked=NOW + 5, until=NOW + 3600, subject="đài"))
    assert again == token("a1", until=NOW + 3600, subject="đài"), "its end is known now"
    assert revocations.add(token("a1", revoked=NOW + 9, until=NOW + 1e9)) == again
    revocations.add(subject("đài"))
    assert revocations.add(subject("đài", revoked=NOW + 10)).revoked == NOW + 10
    assert revocations.add(subject("đài", revoked=NOW - 10)).revoked == NOW + 10, "a clock that was set back"
    assert [each.name for each in revocations.all()] == ["đài", "a1"], "the latest first"


def test_it_is_forgotten_when_it_voids_nothing_any_more() -> None:
    revocations = Revocations()
    revocations.add(token("a1", until=NOW + 60))
    revocations.add(subject("xã"))
    assert revocations.expire(NOW + 59) == []
    assert revocations.is_revoked(LEAKED)
    assert [each.name for each in revocations.expire(NOW + 60)] == ["a1"]
    assert [each.name for each in revocations.all()] == ["xã"]


def test_their_number_is_bounded_and_those_there_can_still_be_renewed() -> None:
    revocations = Revocations()
    revocations.restore(token(f"t{number}") for number in range(REVOCATIONS_MAX))
    with pytest.raises(RevocationsFull, match="new token-secret"):
        revocations.add(subject("đài"))
    revocations.add(token("t7", revoked=NOW + 1))
