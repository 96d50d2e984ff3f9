"""What is believed of the class that another relay states of a pulled channel, and what is not."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from loacodecs.control import Command, CommandBody, LiveClass, class_args
from loacodecs.errors import LoaError
from loacodecs.signing import private_key, public_octets, relay_name, sign_command
from loacodecs.strict_json import to_base64url
from relay.device_ports import RELAYS
from relay.sources.upstream_class import UpstreamClass

NOW = 1_800_000_000.0
KEY, OTHER = private_key(b"u" * 32), private_key(b"x" * 32)
EMERGENCY = LiveClass("tinh", "emergency", NOW + 900)
URL = "whep+https://tinh.example/loa/tinh/whep"


class Downstream:
    """A relay that pulls the province's channel `tinh` as `xa`, and what it took."""

    def __init__(self) -> None:
        self.taken: list[tuple[LiveClass, str]] = []
        self.trusted = relay_name(public_octets(KEY))
        self.pull = UpstreamClass("xa", URL, self.trusted, lambda: None, self.take, wall=lambda: NOW)

    async def take(self, stated: LiveClass, relay: str) -> None:
        self.taken.append((stated, relay))


def statement(
    stated: LiveClass = EMERGENCY, *, key: object = KEY, signer: object = None, number: int = 1,
    device: str = RELAYS, issued: float = NOW, verb: str = "class",
) -> str:  # fmt: skip
    body = CommandBody(device, f"nonce-{number}", issued, issued + 60, verb, class_args(stated))
    command: Command = sign_command(signer or key, body)  # type: ignore[arg-type]
    return json.dumps({"command_key": to_base64url(public_octets(key)), **asdict(command)})  # type: ignore[arg-type]


async def test_the_relay_that_is_trusted_is_believed_of_the_channel_under_its_name_here() -> None:
    relay = Downstream()
    await relay.pull.hear(statement())
    await relay.pull.hear(statement(LiveClass("tinh", "normal", 0.0), number=2))
    assert relay.taken == [
        (LiveClass("xa", "emergency", NOW + 900), relay.trusted),
        (LiveClass("xa", "normal", 0.0), relay.trusted),
    ]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (statement(key=OTHER), "not loa-"),
        (statement(signer=OTHER), "signature"),
        (statement(device="rx-5f2c9a10b3d4"), "device"),
        (statement(issued=NOW - 61), "expired"),
        (statement(issued=NOW + 61), "future"),
        (statement(LiveClass("huyen", "emergency", NOW + 900)), "another channel"),
        (statement(LiveClass("tinh", "emergency", NOW + 3_601)), "too long"),
        (statement(verb="restart"), "not a restart"),
        (statement().replace("emergency", "normal"), "signature"),
        ('{"command_key": "…", "body": "", "signature": ""}', "base64url"),
        ('{"command_key": 1}', "command_key, body"),
        ("[]", ""),
        ("rubbish", ""),
    ],
)
async def test_nothing_else_is(said: str, why: str) -> None:
    relay = Downstream()
    with pytest.raises(LoaError, match=why or None):
        await relay.pull.hear(said)
    assert relay.taken == []


async def test_a_statement_is_believed_once() -> None:
    relay = Downstream()
    await relay.pull.hear(statement())
    with pytest.raises(LoaError, match="replayed"):
        await relay.pull.hear(statement())
    assert len(relay.taken) == 1
