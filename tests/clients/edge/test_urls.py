"""Addresses as people type them."""

from __future__ import annotations

import pytest

from loacodecs.errors import ConfigurationError
from loaedge.urls import Token, endpoint


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("https://host/tien-giang", "https://host/tien-giang/whip"),
        ("https://host/tien-giang/", "https://host/tien-giang/whip"),
        ("https://host/tien-giang/whip", "https://host/tien-giang/whip"),
        ("https://host/tien-giang/whep", "https://host/tien-giang/whip"),
        ("https://host/tien-giang/publish", "https://host/tien-giang/whip"),
        ("https://host/prefix/tien-giang", "https://host/prefix/tien-giang/whip"),
        ("https://host/whip", "https://host/whip/whip"),
        ("http://192.0.2.1:8889/a?x=1", "http://192.0.2.1:8889/a/whip?x=1"),
        ("localhost:8889/a", "http://localhost:8889/a/whip"),
        ("127.0.0.1:8889/a", "http://127.0.0.1:8889/a/whip"),
        ("[::1]:8889/a", "http://[::1]:8889/a/whip"),
        ("loa.example/a", "https://loa.example/a/whip"),
        (" https://host/a \n", "https://host/a/whip"),
    ],
)
def test_pages_and_endpoints_lead_to_the_endpoint(typed: str, url: str) -> None:
    assert endpoint(typed, "whip").url == url


def test_the_token_of_a_page_is_taken_and_never_shown() -> None:
    found = endpoint("https://host/a#token=s3cret", "whep")
    assert found.url == "https://host/a/whep"
    assert found.token is not None
    assert found.token.value == "s3cret"
    assert "s3cret" not in f"{found} {found!r} {found.token} {found.token!r}"


@pytest.mark.parametrize(
    "typed",
    ["", "https://", "https://host", "https://host/", "ftp://host/a", "http://host:99999/a", "/a", "[::1/a"],
)
def test_what_is_no_channel_is_refused_with_one_sentence(typed: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        endpoint(typed + "#token=s3cret", "whip")
    assert "\n" not in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "typed",
    [
        "https://me:s3cret@host/a",
        "https://me:s3cret@host:99999/a",
        "https://me:s3cret/#?@host/a",
        "https://host/?key=s3cret",
        "ftp://host/a?key=s3cret",
        "https://host/a#token=s3cret%0a%0dX:",  # httpx would repeat it in its complaint
    ],
)
def test_what_may_be_a_secret_in_a_refused_address_is_not_repeated(typed: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        endpoint(typed, "whip")
    assert "s3cret" not in str(caught.value)


def test_the_endpoint_of_another_server_is_taken_as_it_is_written() -> None:
    there = endpoint("whip+https://media.example/webRTC/publish?key=1#token=abc", "whip")
    assert there.url == "https://media.example/webRTC/publish?key=1"
    assert there.token == Token("abc")
    assert str(there) == "https://media.example/webRTC/publish"  # as it is shown, and written into recordings
    with pytest.raises(ConfigurationError):
        endpoint("whip+https://media.example/", "whip")
