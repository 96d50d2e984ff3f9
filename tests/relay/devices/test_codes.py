"""Enrolment codes: random, and read however they are spelt."""

from __future__ import annotations

import os

import pytest

from relay.devices.codes import hash_of, make_code


def test_codes_differ_and_have_four_groups_of_four() -> None:
    codes = {make_code(os.urandom) for _ in range(1000)}
    assert len(codes) == 1000
    for code in codes:
        assert [len(group) for group in code.split("-")] == [4, 4, 4, 4]
        assert not set(code) & set("ILOU")


def test_every_letter_comes_as_often_as_the_next() -> None:
    letters = make_code(lambda length: bytes(range(length))) + make_code(
        lambda length: bytes(range(16, 16 + length))
    )
    assert len(set(letters.replace("-", ""))) == 32


@pytest.mark.parametrize("spelt", ["0123456789ABCDEF", "0123-4567-89ab-cdef", " o l23 4567\t89AB-CDEF "])
def test_how_it_is_spelt_does_not_matter(spelt: str) -> None:
    assert hash_of(spelt) == hash_of("0123-4567-89AB-CDEF") is not None


@pytest.mark.parametrize(
    "text", ["", "0123-4567-89AB-CDE", "0123-4567-89AB-CDEU", "0123-4567-89AB-CDEFG", "đ" * 16]
)
def test_what_cannot_be_a_code(text: str) -> None:
    assert hash_of(text) is None
