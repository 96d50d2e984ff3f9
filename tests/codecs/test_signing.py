"""Who may speak: hellos of receivers, commands of the relay, and none of ten thousand others."""

from __future__ import annotations

import dataclasses
import random

import pytest

from loacodecs.control import Command, CommandBody, Hello, Settings, encode_body, settings_args
from loacodecs.errors import ConfigurationError
from loacodecs.signing import (
    FUTURE_S,
    LIFETIME_MAX_S,
    CommandGuard,
    SeenNonces,
    is_genuine,
    private_key,
    public_octets,
    relay_name,
    sign_command,
    sign_hello,
)
from loacodecs.strict_json import from_base64url, to_base64url

NOW = 1_800_000_000.0
RELAY_KEY = private_key(b"r" * 32)
RELAY = relay_name(public_octets(RELAY_KEY))
DEVICE_KEY = private_key(b"d" * 32)
OTHER_KEY = private_key(b"o" * 32)
NONCE = to_base64url(b"n" * 32)
ARGS = settings_args(Settings("xa", 700, 0, 0.0, False))


def body(nonce: str = "n1", **changes: object) -> CommandBody:
    plain = CommandBody("rx-1", nonce, NOW - 1, NOW + 60, "settings", ARGS)
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]  # by field name


def guard(seen: SeenNonces | None = None) -> CommandGuard:
    return CommandGuard("rx-1", public_octets(RELAY_KEY), SeenNonces() if seen is None else seen)


def hello(device: str = "rx-1", relay: str = RELAY, nonce: str = NONCE) -> Hello:
    signature = sign_hello(DEVICE_KEY, relay=relay, nonce=nonce, device=device)
    return Hello(device, "0.1.0", 1, (), signature)


def genuine(said: Hello, public_key: bytes | None = None) -> bool:
    key = public_octets(DEVICE_KEY) if public_key is None else public_key
    return is_genuine(said, relay=RELAY, nonce=NONCE, public_key=key)


def test_a_hello_is_genuine_for_its_own_challenge_key_and_device_only() -> None:
    assert genuine(hello())
    assert not genuine(hello(), public_octets(OTHER_KEY))
    assert not genuine(hello(nonce=to_base64url(b"m" * 32)))
    assert not genuine(hello(relay="loa-other"))
    assert not genuine(dataclasses.replace(hello(), device="rx-2"))
    assert not genuine(dataclasses.replace(hello(), signature=to_base64url(bytes(64))))


def test_a_command_is_no_hello_and_a_hello_no_command() -> None:
    as_command = RELAY_KEY.sign(b"loa-hello-1\n" + encode_body(body()).encode())
    assert guard().check(Command(encode_body(body()), to_base64url(as_command)), NOW).refusal == "signature"


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_public_key_of_another_length_verifies_nothing(length: int) -> None:
    assert not genuine(hello(), b"k" * length)


def test_a_seed_of_another_length_is_told() -> None:
    with pytest.raises(ConfigurationError, match="32 octets"):
        private_key(b"short")


def test_a_genuine_command_is_accepted_once() -> None:
    watching = guard()
    command = sign_command(RELAY_KEY, body())
    accepted = watching.check(command, NOW)
    assert accepted.body == body()
    assert accepted.nonce == "n1"
    again = watching.check(command, NOW + 1)
    assert (again.body, again.refusal, again.nonce) == (None, "replayed", "n1")
    assert watching.refused == {"replayed": 1}


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"device": "rx-2"}, "device"),
        ({"issued": NOW - 120, "expires": NOW}, "expired"),
        ({"issued": NOW + FUTURE_S + 1, "expires": NOW + FUTURE_S + 60}, "future"),
        ({"expires": NOW - 1 + LIFETIME_MAX_S + 1}, "lifetime"),
        ({"issued": NOW + 60, "expires": NOW + 60}, "lifetime"),
    ],
)
def test_why_a_command_of_the_relay_is_refused(changes: dict[str, object], refusal: str) -> None:
    verdict = guard().check(sign_command(RELAY_KEY, body(**changes)), NOW)
    assert (verdict.body, verdict.refusal, verdict.nonce) == (None, refusal, "n1")


def test_a_refused_command_does_not_use_up_its_nonce() -> None:
    watching = guard()
    assert (
        watching.check(sign_command(RELAY_KEY, body(issued=NOW + 61, expires=NOW + 100)), NOW).refusal
        == "future"
    )
    assert watching.check(sign_command(RELAY_KEY, body(issued=NOW + 61, expires=NOW + 100)), NOW + 30).body


def test_a_signed_text_that_is_no_command_is_refused() -> None:
    for text in ("", "{}", "[" * 5000, '{"device":"rx-1"}', "\ud800"):
        signature = to_base64url(RELAY_KEY.sign(b"loa-command-1\n" + text.encode("utf-8", "surrogatepass")))
        assert guard().check(Command(text, signature), NOW).refusal == "malformed"


def test_the_clock_of_a_receiver_that_has_just_started_accepts_nothing_from_its_future() -> None:
    assert guard().check(sign_command(RELAY_KEY, body()), 0.0).refusal == "future"


def forgeries(rng: random.Random, genuine: list[Command]) -> list[Command]:
    """Ten thousand commands that nobody may obey, all of them different."""
    made: list[Command] = []
    for number in range(1_600):
        source = rng.choice(genuine)
        position = rng.randrange(len(source.body))
        letter = chr((ord(source.body[position]) + rng.randrange(1, 90)) % 120 + 1)
        made.append(Command(source.body[:position] + letter + source.body[position + 1 :], source.signature))
        signature = bytearray(from_base64url(source.signature))
        signature[rng.randrange(64)] ^= 1 << rng.randrange(8)
        made.append(Command(source.body, to_base64url(bytes(signature))))
        made.append(sign_command(OTHER_KEY, body(f"other-{number}")))
        made.append(Command(rng.choice(genuine).body + " ", to_base64url(rng.randbytes(64))))
        made.append(sign_command(RELAY_KEY, body(f"device-{number}", device=f"rx-{number + 2}")))
        past = NOW - rng.uniform(0, 1e6)
        made.append(sign_command(RELAY_KEY, body(f"stale-{number}", issued=past - 60, expires=past)))
    made += rng.choices(genuine, k=10_000 - len(made))
    rng.shuffle(made)
    return made


def test_none_of_ten_thousand_forged_replayed_stale_or_misdirected_commands_is_accepted() -> None:
    rng = random.Random(4)
    watching = guard()
    genuine = [sign_command(RELAY_KEY, body(f"real-{number}")) for number in range(200)]
    assert all(watching.check(command, NOW).body for command in genuine)
    commands = forgeries(rng, genuine)
    assert len(commands) == 10_000
    accepted = [command for command in commands if watching.check(command, NOW + rng.uniform(0, 50)).body]
    assert accepted == []
    assert sum(watching.refused.values()) == 10_000
    assert set(watching.refused) == {"signature", "device", "expired", "replayed"}
    assert watching.check(sign_command(RELAY_KEY, body("after")), NOW).body


def test_nonces_survive_a_restart_of_the_receiver() -> None:
    seen = SeenNonces()
    command = sign_command(RELAY_KEY, body())
    assert guard(seen).check(command, NOW).body
    restarted = SeenNonces(seen.items(), floor=seen.floor)
    assert guard(restarted).check(command, NOW + 2).refusal == "replayed"


def test_a_flood_of_genuine_commands_neither_grows_memory_nor_lets_a_replay_in() -> None:
    seen = SeenNonces(maximum=50)
    watching = guard(seen)
    commands = [sign_command(RELAY_KEY, body(f"n{n}", expires=NOW + 60 + n)) for n in range(200)]
    assert all(watching.check(command, NOW).body for command in commands)
    assert len(seen) == 50
    assert not any(watching.check(command, NOW).body for command in commands)
    restarted = SeenNonces(seen.items(), floor=seen.floor, maximum=50)
    assert not any(guard(restarted).check(command, NOW).body for command in commands)


def test_expired_nonces_make_room_without_raising_the_floor() -> None:
    seen = SeenNonces(maximum=10)
    for number in range(10):
        assert seen.remember(f"a{number}", NOW + 1, NOW)
    assert seen.remember("b", NOW + 100, NOW + 2)
    assert len(seen) == 1
    assert seen.remember("c", NOW + 50, NOW + 2)


def test_the_relays_name_is_its_keys() -> None:
    assert relay_name(public_octets(RELAY_KEY)) == RELAY
    assert relay_name(public_octets(OTHER_KEY)) != RELAY
    assert len(RELAY) == 20
