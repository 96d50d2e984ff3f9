"""The quick answer to a check against aioice's, byte by byte."""

from __future__ import annotations

import pytest
from aioice import stun as aioice
from hypothesis import given
from hypothesis import strategies as st

from loacodecs import stun_check

KEY = b"a password of 24 letters"
USERNAME = b"server:client"


def check(username: str = "server:client", key: bytes = KEY, **attributes: object) -> bytes:
    message = aioice.Message(aioice.Method.BINDING, aioice.Class.REQUEST)
    message.attributes["USERNAME"] = username
    message.attributes["PRIORITY"] = 1
    message.attributes.update(attributes)
    message.add_message_integrity(key)
    return bytes(message)


@pytest.mark.parametrize("address", [("192.0.2.7", 4321), ("2001:db8::9", 65_535), ("127.0.0.1", 1)])
def test_the_answer_is_aioices_byte_for_byte(address: tuple[str, int]) -> None:
    request = check()
    expected = aioice.Message(
        aioice.Method.BINDING, aioice.Class.RESPONSE, aioice.parse_message(request).transaction_id
    )
    expected.attributes["XOR-MAPPED-ADDRESS"] = address
    expected.add_message_integrity(KEY)
    answered = stun_check.answer(request, USERNAME, KEY, address)
    assert answered is not None
    assert answered.data == bytes(expected)
    assert not answered.nominates


def test_nomination_is_seen() -> None:
    answered = stun_check.answer(check(**{"USE-CANDIDATE": None}), USERNAME, KEY, ("127.0.0.1", 1))
    assert answered is not None
    assert answered.nominates


def test_a_check_without_fingerprint_is_answered() -> None:
    request = check()[:-8]
    request = request[:2] + (len(request) - 20).to_bytes(2, "big") + request[4:]
    assert stun_check.answer(request, USERNAME, KEY, ("127.0.0.1", 1)) is not None


def test_another_name_another_key_and_no_signature_are_met_with_silence() -> None:
    address = ("127.0.0.1", 1)
    assert stun_check.answer(check("server:other"), USERNAME, KEY, address) is None
    assert stun_check.answer(check(key=b"another"), USERNAME, KEY, address) is None
    unsigned = aioice.Message(aioice.Method.BINDING, aioice.Class.REQUEST)
    unsigned.attributes["USERNAME"] = "server:client"
    assert stun_check.answer(bytes(unsigned), USERNAME, KEY, address) is None
    response = aioice.Message(aioice.Method.BINDING, aioice.Class.RESPONSE)
    response.add_message_integrity(KEY)
    assert stun_check.answer(bytes(response), USERNAME, KEY, address) is None


@given(st.data())
def test_a_check_changed_anywhere_is_not_answered(data: st.DataObject) -> None:
    request = bytearray(check())
    at = data.draw(st.integers(0, len(request) - 1))
    request[at] ^= data.draw(st.integers(1, 255))
    assert stun_check.answer(bytes(request), USERNAME, KEY, ("127.0.0.1", 1)) is None
    assert stun_check.answer(bytes(request[:at]), USERNAME, KEY, ("127.0.0.1", 1)) is None


@given(st.binary(max_size=200))
def test_anything_else_is_not_answered(noise: bytes) -> None:
    assert stun_check.answer(noise, USERNAME, KEY, ("127.0.0.1", 1)) is None
    assert stun_check.answer(b"\0\1\0\0\x21\x12\xa4\x42" + noise, USERNAME, KEY, ("127.0.0.1", 1)) is None
