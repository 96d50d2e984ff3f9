"""The relay's command key: receivers learn it at their enrolment and obey nobody else."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from loacodecs.control import Command, CommandBody, LiveClass, Settings, class_args, settings_args
from loacodecs.errors import ConfigurationError
from loacodecs.signing import private_key, public_octets, relay_name, sign_command
from loacodecs.strict_json import to_base64url
from relay.tokens import load_secret

COMMAND_LIFETIME_S: Final = 60.0
"""A command that has not arrived by then is obeyed no more."""


def load_command_key(path: Path) -> Ed25519PrivateKey:
    """The key in `path`, made there at the first start. Raises ConfigurationError with the mend."""
    text = load_secret(path, purpose="the key that signs commands").reveal()
    try:
        return private_key(bytes.fromhex(text.decode("ascii")))
    except (ValueError, ConfigurationError):
        raise ConfigurationError(
            f"{path} does not hold the key that signs commands; restore it from a backup, or delete it and enrol"
            " every receiver again"
        ) from None


class Commander:
    """Signs commands. `wall` gives relay time (unix seconds)."""

    def __init__(
        self,
        key: Ed25519PrivateKey,
        *,
        wall: Callable[[], float],
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.public_key: Final = public_octets(key)
        self.relay: Final = relay_name(self.public_key)
        self._key = key
        self._wall = wall
        self._random = random

    def settings(self, device: str, settings: Settings) -> tuple[str, Command]:
        """The nonce and the command that tells `device` all that is wanted of it."""
        return self._command(device, "settings", settings_args(settings))

    def live_class(self, device: str, stated: LiveClass) -> tuple[str, Command]:
        """The nonce and the command that tells `device` what its channel's live programme is."""
        return self._command(device, "class", class_args(stated))

    def restart(self, device: str) -> tuple[str, Command]:
        """The nonce and the command that has `device` start afresh."""
        return self._command(device, "restart", {})

    def _command(self, device: str, verb: str, args: Mapping[str, Any]) -> tuple[str, Command]:
        now = self._wall()
        nonce = to_base64url(self._random(12))
        body = CommandBody(device, nonce, round(now, 3), round(now + COMMAND_LIFETIME_S, 3), verb, args)
        return nonce, sign_command(self._key, body)
