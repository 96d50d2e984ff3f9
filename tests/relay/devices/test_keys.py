"""The command key: made once, for its owner only, and never a different one by accident."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from loacodecs.control import Settings, decode_body, parse_settings
from loacodecs.errors import ConfigurationError
from loacodecs.signing import CommandGuard, SeenNonces, private_key, public_octets, relay_name
from relay.devices.keys import COMMAND_LIFETIME_S, Commander, load_command_key

NOW = 1_800_000_000.0


def test_the_key_is_made_at_the_first_start_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "state" / "command-key"
    first = public_octets(load_command_key(path))
    assert path.stat().st_mode & 0o077 == 0
    assert public_octets(load_command_key(path)) == first
    assert public_octets(load_command_key(tmp_path / "other")) != first


@pytest.mark.parametrize("content", [b"short", b"z" * 64, b"ab" * 40, "đ".encode() * 40])
def test_a_damaged_key_is_told_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "command-key"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"command-key"):
        load_command_key(path)
    assert path.read_bytes() == content


def test_a_key_that_cannot_be_kept_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"the key that signs commands in .* cannot be used"):
        load_command_key(tmp_path / "file" / "command-key")


def test_commands_are_accepted_by_their_receiver_for_their_time() -> None:
    numbers = itertools.count()
    commander = Commander(
        private_key(b"r" * 32), wall=lambda: NOW, random=lambda length: bytes([next(numbers)]) * length
    )
    assert commander.relay == relay_name(commander.public_key)
    settings = Settings("xa", 700, 12, -3.5, True)
    nonce, command = commander.settings("rx-1", settings)
    _, restart = commander.restart("rx-1")
    guard = CommandGuard("rx-1", commander.public_key, SeenNonces())
    verdict = guard.check(command, NOW + COMMAND_LIFETIME_S - 1)
    assert verdict.body is not None
    assert (verdict.nonce, verdict.body.verb, parse_settings(verdict.body.args)) == (
        nonce,
        "settings",
        settings,
    )
    assert decode_body(restart.body).nonce != nonce
    assert guard.check(restart, NOW + COMMAND_LIFETIME_S).refusal == "expired"
