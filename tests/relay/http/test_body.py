"""Reading bodies: what is refused unread, and what never comes."""

from __future__ import annotations

import asyncio

import pytest
from starlette.requests import Request
from starlette.types import Message

from relay.http.body import read_text
from relay.http.errors import Problem


def request(messages: list[Message], **headers: str) -> Request:
    """A request whose body arrives as `messages`, and then not at all."""

    async def receive() -> Message:
        if messages:
            return messages.pop(0)
        await asyncio.Event().wait()
        raise AssertionError

    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "headers": raw}, receive)


def body(content: bytes, *, more: bool = False) -> Message:
    return {"type": "http.request", "body": content, "more_body": more}


async def refusal(given: Request, limit: int = 100, seconds: float = 5.0) -> Problem:
    with pytest.raises(Problem) as caught:
        await read_text(given, limit, seconds=seconds)
    return caught.value


async def test_pieces_are_put_together() -> None:
    assert await read_text(request([body("đ".encode()[:1], more=True), body("đ".encode()[1:])]), 100) == "đ"


@pytest.mark.parametrize("length", ["101", "9" * 5000])
async def test_what_announces_itself_too_large_is_not_waited_for(length: str) -> None:
    assert (await refusal(request([], content_length=length))).status == 413


@pytest.mark.parametrize("length", ["-1", "x", "\u00b2", ""])
async def test_a_strange_length_is_left_to_counting(length: str) -> None:
    assert await read_text(request([body(b"x")], content_length=length), 100) == "x"


async def test_a_body_that_lied_about_its_length_is_413() -> None:
    assert (await refusal(request([body(b"x" * 101)], content_length="5"))).status == 413


async def test_a_body_that_does_not_come_is_408_and_ends_the_connection() -> None:
    problem = await refusal(request([body(b"x", more=True)]), seconds=0.05)
    assert problem.status == 408
    assert problem.headers["Connection"] == "close"


async def test_a_client_that_leaves_is_no_fault_of_ours() -> None:
    assert (await refusal(request([body(b"x", more=True), {"type": "http.disconnect"}]))).status == 400
