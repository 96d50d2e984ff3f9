"""The configuration of a channel's outputs besides WebRTC."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field, model_validator

from relay.config_model import ConfigModel, Duration

_UNITS: Final = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_SIZE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?B)", re.IGNORECASE)

DAY_S: Final = 86_400.0


def _size(value: object) -> object:
    if not isinstance(value, str):
        return value
    parts = _SIZE.fullmatch(value.strip())
    if parts is None:
        raise ValueError(f"{value!r} is not a size; write a number and a unit such as 500MB or 20GB")
    return round(float(parts[1]) * _UNITS[parts[2].upper()])


#: Bytes, written in the configuration as "500MB" or "20GB" (powers of ten, as disks are sold) or as a number.
Size = Annotated[int, BeforeValidator(_size), Field(ge=0)]


class RecordingConfig(ConfigModel):
    """`[channels.NAME.recording]`: the channel as it was on air, in Ogg Opus files."""

    enabled: bool = False
    folder: Path | None = None
    segment: Annotated[Duration, Field(ge=60, le=DAY_S)] = 3600.0
    keep: Annotated[Duration, Field(ge=0)] = 90 * DAY_S
    keep_at_least: Annotated[Duration, Field(ge=0)] = 7 * DAY_S
    size_max: Size = 0
    reserve: Size = 10**9
    when_full: Literal["delete-oldest", "stop"] = "delete-oldest"

    @model_validator(mode="after")
    def _check(self) -> RecordingConfig:
        if self.segment % 60 or DAY_S % self.segment:
            raise ValueError("segment must be whole minutes of which a whole number makes a day, such as 1h")
        if self.keep and self.keep < self.keep_at_least:
            raise ValueError("keep must not be less than keep_at_least")
        return self


class RtpConfig(ConfigModel):
    """`[[channels.NAME.rtp]]`: the channel's packets as plain RTP to one address, a group or a machine."""

    address: str
    port: Annotated[int, Field(ge=1024, le=65_534)]
    payload_type: Annotated[int, Field(ge=96, le=127)] = 111
    ssrc: Annotated[int, Field(ge=0, le=0xFFFF_FFFF)] = 0
    ttl: Annotated[int, Field(ge=0, le=255)] = 1
    interface: str = ""

    @model_validator(mode="after")
    def _check(self) -> RtpConfig:
        try:
            address = ipaddress.ip_address(self.address)
        except ValueError:
            raise ValueError(f"address {self.address!r} is no IP address such as 239.255.1.1") from None
        if address.is_unspecified:
            raise ValueError(f"address {self.address!r} stands for every address; name one")
        if self.port % 2:
            raise ValueError("port must be even: the odd one after it carries RTCP (RFC 3550 §11)")
        if self.interface and not address.is_multicast:
            raise ValueError(f"interface is for multicast, and {self.address} is not a multicast address")
        return self
