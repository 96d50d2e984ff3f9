"""What `loa edge doctor` finds out about the relays: the way there, the time there, the control link, a session."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

import httpx

from loacodecs.errors import ConfigurationError, LoaError

from ..client import ClientSettings, WebRtcClient
from ..control.greeting import NotWelcomeError, greet
from ..control.identity import Identity, IdentityError, IdentityStore
from ..control.link import network_reason
from ..control.settings import SETTINGS_FILE, SettingsStore
from ..control.tls import forgiving
from ..disk import DiskError
from ..urls import LOCAL_HOSTS, Token, bearer, endpoint
from ..whip import SignallingError, Trust
from .config import Config
from .finding import Finding
from .version import program_version
from .words import spoken

REACH_S: Final = 5.0
SESSION_S: Final = 8.0
LISTEN_S: Final = 2.0
CLOCK_TOLERANCE_S: Final = 5.0
"""The relay tells its time in whole seconds; a timetable is good to the second at best."""

_ENROL: Final = "ask for a new code (loa device code), then: loa edge enrol CODE"
_LINK_MENDS: Final = {
    "revoked": _ENROL,
    "unknown": _ENROL,
    "signature": f"this key is not the device's: {_ENROL} --anew",
    "protocol": "update the older of the two: pip install --upgrade loa",
    "tls": "look at the clock first; then give ca_file the certificate of the relay's authority",
    "busy": "wait a minute and try again",
    "not found": "is this the address of a Loa relay, and does what stands before it let WebSockets through?",
    "malformed": "is this the address of a Loa relay?",
}


class RelayDoctor:
    """Examines one relay after the other; a token that one gave is good for the next."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._token: Token | None = None
        self._told_time = False

    async def examine(self, relay: str) -> AsyncIterator[Finding]:
        """All that is to be said of the relay with that base address."""
        reached = await reach(relay)
        yield reached
        if reached.verdict != "ok":
            return
        if (untrusted := self._certificates()) is not None:
            yield untrusted
            return
        if not self._told_time and (clock := await self._clock(relay)) is not None:
            self._told_time = True
            yield clock
        if (identities := self._identities()) is not None:
            yield await self._link(relay, identities)
        yield await self._session(relay)

    def _certificates(self) -> Finding | None:
        """Why nobody can be trusted, with which the receiver does not start; None when that is in order."""
        try:
            self._trust().context()
        except ConfigurationError as error:
            return Finding("certificates", "failure", str(error), "put them there, or take ca_file out")
        return None

    def _identities(self) -> dict[str, Identity] | None:
        """None where no control link is wanted or possible; another finding says why."""
        if not self._config.control:
            return None
        try:
            return IdentityStore(self._config.state_dir).load()
        except (IdentityError, DiskError):
            return None

    async def _clock(self, relay: str) -> Finding | None:
        """The system's clock beside the relay's; None when that tells no time."""
        tls = forgiving(self._trust().context(), 0.0)  # a wrong clock must not hide itself
        try:
            async with httpx.AsyncClient(
                verify=tls, timeout=REACH_S, trust_env=urlsplit(relay).hostname not in LOCAL_HOSTS
            ) as client:
                told = (await client.head(f"{relay}/healthz")).headers.get("date", "")
            ahead = time.time() - parsedate_to_datetime(told).timestamp()
        except (httpx.HTTPError, ValueError):
            return None
        return clock_beside(named(relay), ahead)

    async def _link(self, relay: str, identities: dict[str, Identity]) -> Finding:
        """Whether the relay takes this receiver for who it is; its token is kept."""
        about = f"control link to {named(relay)}"
        tls = forgiving(self._trust().context(), time.time())
        try:
            welcome = await greet(relay, identities, program_version(), tls)
        except NotWelcomeError as error:
            if error.word == "other relay" and len(self._config.relays) > 1:
                mend = f"ask it for a code, then: loa edge enrol CODE --relay {relay}"
                return Finding(about, "warning", str(error), mend)
            mend = _LINK_MENDS.get(error.word, "is the relay running, and is this its address?")
            if error.word == "other relay":
                mend = f"{_ENROL} --relay {relay}"
            return Finding(about, "failure", str(error), mend)
        with contextlib.suppress(ConfigurationError):
            self._token = bearer(welcome.token, "the control link") if welcome.token else self._token
        on_air = "" if not welcome.channel_on_air else ", the channel is on air"
        return Finding(about, "ok", f"the relay knows this receiver{on_air}")

    async def _session(self, relay: str) -> Finding:
        """Whether the relay gives us a session, and media get through."""
        about, config = f"relay {named(relay)}", self._config
        channel = self._channel()
        if not channel:
            return Finding(about, "warning", "no channel is known yet", "the relay gives one: loa device set")
        packets: list[float] = []
        began = time.monotonic()
        try:
            settings = ClientSettings(
                endpoint(f"{relay}/{channel}", "whep"),
                "recvonly",
                self._token_now(),
                forgiving(self._trust().context(), time.time()),
                connect_timeout_s=SESSION_S,
                wishes=config.wishes,
            )
            client = WebRtcClient(settings, on_rtp=lambda _data, now: packets.append(now))
            async with client:
                await client.connect()
                took = time.monotonic() - began
                await asyncio.wait({client.closed}, timeout=LISTEN_S)
                round_trip = client.round_trip_s
        except LoaError as error:
            return Finding(about, "failure", spoken(error), self._mend(error))
        sounding = f"{len(packets)} packets in {LISTEN_S:.0f} s" if packets else "nothing is on air"
        return Finding(
            about,
            "ok",
            f"channel {channel}: session after {took * 1000:.0f} ms, "
            f"round trip {1000 * (round_trip or 0):.0f} ms, {sounding}",
        )

    def _channel(self) -> str:
        config = self._config
        if not config.control or (config.channel and not IdentityStore(config.state_dir).is_enrolled):
            return config.channel
        kept = SettingsStore(config.state_dir / SETTINGS_FILE).load()
        return kept.settings.channel if kept is not None else config.channel or self._enrolled_channel()

    def _enrolled_channel(self) -> str:
        return IdentityStore(self._config.state_dir).first_channel()

    def _token_now(self) -> Token | None:
        path = self._config.token_file
        if path is None:
            return self._token
        try:
            return bearer(path.read_text(encoding="utf-8"), f"token_file {path}")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"token_file {path} cannot be read: {error}") from error

    def _trust(self) -> Trust:
        ca_file = self._config.ca_file
        return Trust(ca_file=str(ca_file) if ca_file else None, option="ca_file")

    def _mend(self, error: LoaError) -> str:
        sentence = str(error)
        if "certificate" in sentence:
            return _LINK_MENDS["tls"]
        if "UDP" in sentence:
            return "open UDP to that port on the way to the relay; nothing need be open towards us"
        status = error.status if isinstance(error, SignallingError) else None
        if status == 404:
            return "choose another one: channel in the file, or loa device set --channel on the relay's side"
        if status in (401, 403) or "token" in sentence:
            if self._config.control and self._config.token_file is None:
                return "the control link brings the token: mend that first"
            return "put a token into the file of token_file: loa token --scope listen, on the relay"
        return "is the relay running, and is this its address?"


async def reach(relay: str) -> Finding:
    """Whether the relay's name has an address, and there is a way to it."""
    parts = urlsplit(relay)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    about = f"network to {parts.hostname}"
    try:
        async with asyncio.timeout(REACH_S):
            _, writer = await asyncio.open_connection(parts.hostname, port)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    except ConnectionRefusedError as error:
        mend = "the machine is there: is the relay running on it, and is this its port?"
        return Finding(about, "failure", f"port {port}: {network_reason(error)}", mend)
    except TimeoutError:
        return Finding(about, "failure", f"port {port} does not answer", "is a firewall between?")
    except OSError as error:
        mend = "look at the SIM card, the cable and the route (ip route), then at the name (resolvectl query)"
        return Finding(about, "failure", f"port {port}: {network_reason(error)}", mend)
    return Finding(about, "ok", f"port {port} answers")


def clock_beside(relay: str, ahead_s: float) -> Finding:
    """The system's clock, which is `ahead_s` before the relay's (seconds; negative: behind it)."""
    about = f"clock beside {relay}"
    if abs(ahead_s) <= CLOCK_TOLERANCE_S:
        return Finding(about, "ok", f"the same within {CLOCK_TOLERANCE_S:.0f} s")
    off = f"{_span(abs(ahead_s))} {'ahead of' if ahead_s > 0 else 'behind'} the relay's"
    mend = (
        "let it be set from the network (timedatectl set-ntp true), or look at the relay's; without the link "
        "quiet hours and the timetable go by it"
    )
    return Finding(about, "failure", f"this machine's clock is {off}", mend)


def named(relay: str) -> str:
    """Host, and port where it is not the usual one."""
    return urlsplit(relay).netloc


def _span(seconds: float) -> str:
    for size, name in ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} seconds"
