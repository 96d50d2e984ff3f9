"""What a receiver does on a command of its relay: judges it, carries it out, says what became of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Protocol

from loacodecs.control import Command, CommandBody, Result, Settings, parse_class, parse_settings
from loacodecs.errors import MalformedError
from loacodecs.signing import CommandGuard, Verdict

from .classes import LiveClasses
from .identity import Identity
from .nonces import NonceMemory
from .settings import SettingsStore


class Obeying(Protocol):
    """Who acts on a command; called in the event loop, must not block or raise."""

    def on_settings(self, settings: Settings) -> None:
        """These are wanted from now on; they are on the disk already."""

    def on_class(self) -> None:
        """Something was stated of the class of the live programme."""

    def on_restart(self) -> None:
        """The relay wants this receiver to start anew."""


class Commands:
    """Of all relays of `identities`. `refused` counts those that were not obeyed, by reason."""

    def __init__(
        self,
        identities: Mapping[str, Identity],
        memory: NonceMemory,
        settings: SettingsStore,
        classes: LiveClasses,
        obeying: Obeying,
    ) -> None:
        self.refused: Counter[str] = Counter()
        self._memory = memory
        self._settings = settings
        self._classes = classes
        self._obeying = obeying
        self._guards = {
            name: CommandGuard(identity.device, identity.command_key, memory)
            for name, identity in identities.items()
        }

    async def take(self, command: Command, relay: str, relay_now: float, now: float) -> Result | None:
        """What to tell `relay` of its command, which came at local time `now`; None when it is not the relay's."""
        # The nonce is on the disk before anything is done; a slow flash card must not hold up the sound.
        verdict = await asyncio.to_thread(self._guards[relay].check, command, relay_now)
        if verdict.body is None:
            return self._refuse(verdict)
        try:
            ok, detail = await self._obey(verdict.body, relay, relay_now, now)
        except MalformedError as error:
            self.refused["malformed"] += 1
            ok, detail = False, str(error)[:400]
        return Result(verdict.nonce, ok, detail)

    def _refuse(self, verdict: Verdict) -> Result | None:
        refusal = verdict.refusal
        if refusal == "replayed" and self._memory.fault:
            refusal = "disk"  # what cannot be remembered could be replayed
        self.refused[refusal] += 1
        return Result(verdict.nonce, False, refusal) if verdict.nonce else None

    async def _obey(self, body: CommandBody, relay: str, relay_now: float, now: float) -> tuple[bool, str]:
        match body.verb:
            case "settings":
                settings = parse_settings(body.args)
                self._classes.tune(settings.channel)
                kept = await asyncio.to_thread(self._settings.save, settings, body.issued)
                self._obeying.on_settings(settings)
                return True, "" if kept else "not kept: " + self._settings.fault[:300]
            case "class":
                stated = parse_class(body.args)
                refusal = self._classes.take(relay, stated, issued=body.issued, relay_now=relay_now, now=now)
                if refusal:
                    self.refused[refusal] += 1
                    return False, refusal
                self._obeying.on_class()
                return True, ""
            case "restart":
                # Later, so that the answer can go out.
                asyncio.get_running_loop().call_soon(self._obeying.on_restart)
                return True, ""
        self.refused["verb"] += 1
        return False, f"this receiver has no {body.verb}"
