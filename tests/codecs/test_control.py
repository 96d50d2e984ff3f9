"""The messages of the control link: what goes out comes in again, and nothing else does."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loacodecs.control import (
    MESSAGE_BYTES_MAX,
    Challenge,
    Clock,
    ClockAnswer,
    Command,
    CommandBody,
    Hello,
    Message,
    OnAir,
    Receipt,
    ReceiptOk,
    Refused,
    Result,
    Settings,
    Telemetry,
    Token,
    Welcome,
    decode,
    decode_body,
    encode,
    encode_body,
    parse_settings,
    settings_args,
)
from loacodecs.errors import MalformedError
from loacodecs.strict_json import from_base64url, to_base64url

NONCE = to_base64url(b"n" * 32)
SIGNATURE = to_base64url(b"s" * 64)
IDLE = Telemetry(
    number=123_456,
    sent=1_234_567.891011,
    on_air=False,
    concealed_ms=43_000.0,
    lost=1200,
    recovered=1180,
    temperature_c=41.5,
    link="lte -91 dBm",
    clock_error_ms=1.23,
    state="idle",
    uptime_s=1_234_567.0,
)
MESSAGES: list[Message] = [
    Challenge(1, "loa-abc", NONCE, 1_800_000_000.25),
    Hello("rx-1", "0.1.0", 1, ("red", "ptime60"), SIGNATURE),
    Welcome(10.0, 60.0, "a.b.c", 1_800_003_600.0, True),
    Refused("revoked", "this receiver was revoked; enrol it again"),
    Token("a.b.c", 1_800_003_600.0),
    Clock(12.5),
    ClockAnswer(12.5, 1_800_000_000.123456, 1_800_000_000.123556),
    IDLE,
    dataclasses.replace(
        IDLE, on_air=True, level_dbfs=-18.2, buffer_ms=640.0, faults=("đĩa đầy",), error_ms=-0.41
    ),
    Receipt("r-1", "Bản tin sáng", "xa", 1.8e9, 1.8e9 + 900, 0.9998, 120.0, -19.5, "played"),
    Receipt("r-2", "", "", 0.0, 0.0, 0.0, 0.0, None, "quiet hours"),
    ReceiptOk("r-1"),
    OnAir("xa", True),
    Command('{"device":"rx-1"}', SIGNATURE),
    Result("n1", False, "expired"),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_what_is_encoded_is_decoded(message: Message) -> None:
    document = encode(message)
    assert decode(document) == message
    assert "\n" not in document


def test_unknown_fields_are_ignored_because_newer_peers_say_more() -> None:
    assert decode('{"type":"clock","sent":1,"mood":["good"]}') == Clock(1.0)


def test_an_idle_receiver_pays_for_less_than_two_hundred_bytes_a_minute() -> None:
    assert len(encode(IDLE).encode()) <= 200
    assert len(encode(ClockAnswer(1_234_567.891011, 1.8e9 + 0.123456, 1.8e9 + 0.123556))) <= 110


def garbled(message: Message) -> list[tuple[str, dict[str, Any]]]:
    """The message's object with each field missing (where it may not be) and of other types, one at a time."""
    source = json.loads(encode(message))
    defaults = {
        item.metadata["key"]
        for item in dataclasses.fields(message)
        if item.default is not dataclasses.MISSING
    }
    cases = []
    for key in source:
        if key not in defaults:
            cases.append((f"{key} missing", {name: value for name, value in source.items() if name != key}))
        wrong = [{}, [[]], 10**400, "x" * 9000, "a\nb", "\ud800"]
        cases += [(f"{key} = {str(value)[:12]!r}", source | {key: value}) for value in wrong]
        if not isinstance(source[key], bool):
            cases.append((f"{key} = true", source | {key: True}))
        if not isinstance(source[key], str):
            cases.append((f"{key} = text", source | {key: "1"}))
    return cases


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_field_that_is_missing_or_of_another_kind_is_refused(message: Message) -> None:
    cases = garbled(message)
    assert len(cases) >= 7
    for name, source in cases:
        with pytest.raises(MalformedError):
            print(name, decode(json.dumps(source)))


@pytest.mark.parametrize(
    "document",
    [
        "",
        "null",
        "[]",
        '"clock"',
        "{",
        '{"type":"clock"}',
        '{"type":"clock","sent":NaN}',
        '{"type":"clock","sent":1,"x":NaN}',
        '{"type":"clock","sent":Infinity}',
        '{"type":"clock","sent":-Infinity}',
        '{"type":"clock","sent":1e400}',
        '{"type":"clock","sent":1e300}',
        '{"type":"clock","sent":' + "9" * 5000 + "}",
        '{"type":"clock","sent":1,"sent":2}',
        '{"type":["clock"],"sent":1}',
        '{"type":"nonsense","sent":1}',
        '{"sent":1}',
        "[" * 16_000,
        '{"a":' * 3_000,
        '{"type":"clock","sent":1,"x":' + "[" * 8_000 + "]" * 8_000 + "}",
        "\x00" * 100,
        "\ud800",
        '{"type":"clock","sent":1,"x":"' + "a" * MESSAGE_BYTES_MAX + '"}',
        '{"type":"clock","sent":1,"x":"' + "đ" * 9_000 + '"}',
    ],
    ids=lambda document: document[:40],
)
def test_nothing_else_is_a_message(document: str) -> None:
    with pytest.raises(MalformedError):
        decode(document)


@given(st.text(max_size=300))
def test_no_text_raises_anything_else(document: str) -> None:
    with contextlib.suppress(MalformedError):
        decode(document)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3)
    ),
    max_leaves=8,
)


@given(st.sampled_from(MESSAGES), st.data())
def test_no_mutation_raises_anything_else(message: Message, data: st.DataObject) -> None:
    source = json.loads(encode(message))
    source[data.draw(st.sampled_from(sorted(source)))] = data.draw(_JSON)
    try:
        decoded = decode(json.dumps(source))
    except MalformedError:
        return
    encode(decoded)  # what was taken could have been sent


@pytest.mark.parametrize(
    "message",
    [
        Clock(float("nan")),
        Clock(1e13),
        Token("x" * 5000, 0.0),
        Welcome(10.0, 60.0, "t", 1.0, 1),  # type: ignore[arg-type]  # what a careless caller might pass
        dataclasses.replace(IDLE, link="two\nlines"),
        dataclasses.replace(IDLE, faults=("f",) * 9),
        Command("x" * 9000, SIGNATURE),
        Command("x", to_base64url(b"s" * 63)),
    ],
)
def test_what_the_other_side_would_refuse_is_not_sent(message: Message) -> None:
    with pytest.raises(MalformedError):
        encode(message)


def test_a_refusal_names_the_key() -> None:
    with pytest.raises(MalformedError, match="sent must be a number from"):
        decode('{"type":"clock","sent":"soon"}')


SETTINGS = Settings("xa", 700, 12, -3.5, False)


def test_settings_travel_in_a_command_body() -> None:
    body = CommandBody("rx-1", "n1", 1.8e9, 1.8e9 + 60, "settings", settings_args(SETTINGS))
    again = decode_body(encode_body(body))
    assert again == body
    assert parse_settings(again.args) == SETTINGS


@pytest.mark.parametrize(
    "change",
    [
        {"delay_ms": 149},
        {"delay_ms": 700.5},
        {"trim_ms": 1001},
        {"volume_db": 21},
        {"muted": 0},
        {"channel": None},
    ],
)
def test_settings_out_of_bounds_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        parse_settings(settings_args(SETTINGS) | change)


@pytest.mark.parametrize(
    "args", [{"a": []}, {"a": {"b": 1}}, {"a": float("nan")}, [], {f"{n}": 1 for n in range(33)}]
)
def test_args_are_a_flat_object(args: Any) -> None:
    with pytest.raises(MalformedError):
        encode_body(CommandBody("rx-1", "n1", 1.8e9, 1.8e9 + 60, "settings", args))


@pytest.mark.parametrize("text", ["a", "A=", "AA==", "AB", "A+", "A/", "AAA\n", "ă"])
def test_base64url_has_one_spelling(text: str) -> None:
    with pytest.raises(ValueError):
        from_base64url(text)


@given(st.binary(max_size=70))
def test_base64url_round_trip(data: bytes) -> None:
    assert from_base64url(to_base64url(data)) == data
