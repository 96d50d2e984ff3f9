from __future__ import annotations

import random

import pytest
from aioice import stun as aioice_stun
from hypothesis import given
from hypothesis import strategies as st

from loacodecs import stun
from loacodecs.errors import MalformedError

IDENTIFIER = bytes(range(12))


def request(**changes: object) -> bytes:
    values: dict[str, object] = {
        "username": "there:here",
        "password": "secret" * 4,
        "priority": 1853824767,
        "controlling": True,
        "tie_breaker": 2**63,
        "nominate": True,
    }
    return stun.binding_request(IDENTIFIER, **(values | changes))  # type: ignore[arg-type]  # under test


def test_a_check_reads_back_and_only_its_password_verifies_it() -> None:
    message = stun.parse(request())
    assert message.kind is stun.Class.REQUEST
    assert message.transaction_id == IDENTIFIER
    assert (message.username, message.priority, message.nominates) == ("there:here", 1853824767, True)
    assert (message.controlling, message.controlled) == (2**63, None)
    assert message.verify("secret" * 4)
    assert not message.verify("secret" * 3)
    controlled = stun.parse(request(controlling=False, nominate=False))
    assert (controlled.controlling, controlled.controlled, controlled.nominates) == (None, 2**63, False)


@pytest.mark.parametrize("mapped", [("192.0.2.7", 5004), ("2001:db8::7", 65535)])
def test_a_response_carries_the_address_it_saw(mapped: tuple[str, int]) -> None:
    message = stun.parse(stun.binding_response(IDENTIFIER, mapped, "p" * 22))
    assert message.kind is stun.Class.RESPONSE
    assert message.mapped_address == mapped
    assert message.verify("p" * 22)


def test_a_role_conflict_is_487() -> None:
    message = stun.parse(stun.role_conflict(IDENTIFIER, "p" * 22))
    assert (message.kind, message.error_code) == (stun.Class.ERROR, 487)
    assert message.verify("p" * 22)


def test_without_integrity_nothing_verifies() -> None:
    bare = aioice_stun.Message(aioice_stun.Method.BINDING, aioice_stun.Class.REQUEST, IDENTIFIER)
    bare.attributes["USERNAME"] = "there:here"
    message = stun.parse(bytes(bare))
    assert message.username == "there:here"
    assert not message.verify("")
    assert not message.verify("secret" * 4)


def test_attributes_behind_the_integrity_do_not_count() -> None:
    plain = aioice_stun.Message(aioice_stun.Method.BINDING, aioice_stun.Class.REQUEST, IDENTIFIER)
    plain.attributes["USERNAME"] = "there:here"
    plain.add_message_integrity(b"k" * 22)
    del plain.attributes["FINGERPRINT"]
    plain.attributes["USE-CANDIDATE"] = None
    message = stun.parse(bytes(plain))
    assert message.verify("k" * 22)
    assert not message.nominates


def test_other_methods_and_long_messages_are_malformed() -> None:
    allocate = aioice_stun.Message(aioice_stun.Method.ALLOCATE, aioice_stun.Class.REQUEST, IDENTIFIER)
    with pytest.raises(MalformedError):
        stun.parse(bytes(allocate))
    with pytest.raises(MalformedError):
        stun.parse(request(username="x" * 1300))


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_raise_malformed_only(data: bytes, plausible: bool) -> None:
    if plausible:
        data = b"\0\1" + len(data).to_bytes(2, "big") + b"\x21\x12\xa4\x42" + IDENTIFIER + data
    stun.username_of(data)
    try:
        message = stun.parse(data)
    except MalformedError:
        return
    assert not message.verify("secret" * 4)


def test_mutated_checks_never_verify_and_never_surprise() -> None:
    generator = random.Random(5)
    good = request()
    for _ in range(3000):
        data = bytearray(good)
        for _ in range(generator.randint(1, 4)):
            data[generator.randrange(len(data) - 8)] = generator.randrange(256)  # FINGERPRINT is not signed
        if generator.random() < 0.3:
            del data[generator.randrange(len(data)) :]
        if bytes(data) == good:
            continue
        stun.username_of(bytes(data))
        try:
            message = stun.parse(bytes(data))
        except MalformedError:
            continue
        assert not message.verify("secret" * 4)


def test_the_peek_finds_the_user_name_wherever_it_stands() -> None:
    assert stun.username_of(request()) == "there:here"
    late = aioice_stun.Message(aioice_stun.Method.BINDING, aioice_stun.Class.REQUEST, IDENTIFIER)
    late.attributes |= {"SOFTWARE": "abcde", "PRIORITY": 1, "USERNAME": "a:b"}
    assert stun.username_of(bytes(late)) == "a:b"
    assert stun.username_of(stun.binding_response(IDENTIFIER, ("192.0.2.7", 1), "p" * 22)) is None
    assert stun.username_of(b"") is None
    assert stun.username_of(request()[:26]) is None
    header = b"\0\1\0\x08\x21\x12\xa4\x42" + IDENTIFIER
    assert stun.username_of(header + b"\0\6\0\2\xff\xfe\0\0") is None
    assert stun.username_of(header + b"\0\x20\0\0" * 40) is None
