"""What the configuration says of a mixed channel: keys of `[channels.NAME]` that only `mode = "mix"` has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal, Protocol

from pydantic import AfterValidator, Field, model_validator

from loacodecs.errors import ConfigurationError
from loamedia.spec import parse_spec
from relay.config_model import ConfigModel, Duration
from relay.live.overshoot import Application, ceiling_for
from relay.live_ports import Role

_NAME: Final = r"^[a-z0-9][a-z0-9._-]{0,62}$"
ChimeName = Literal["none", "two-tone"]
"""What sounds before an announcement."""
CHANNEL_PREFIX: Final = "channel:"
"""A source that is another channel of this relay: `channel:NAME`."""


def _source(text: str) -> str:
    if text.startswith(CHANNEL_PREFIX):
        if not text.removeprefix(CHANNEL_PREFIX):
            raise ValueError("channel: names no channel; write channel:NAME")
        return text
    try:
        parse_spec(text)
    except ConfigurationError as error:
        raise ValueError(str(error)) from None
    return text


class MixInputConfig(ConfigModel):
    """An input that is there from the start, besides those that publish: `[[channels.NAME.inputs]]`."""

    name: Annotated[str, Field(pattern=_NAME)]
    source: Annotated[str, AfterValidator(_source)]
    role: Role = "programme"
    gain: Annotated[float, Field(ge=-120, le=24)] = 0.0
    pan: Annotated[float, Field(ge=-1, le=1)] = 0.0
    muted: bool = False
    loop: bool = True

    def placed_in(self, folder: Path) -> MixInputConfig:
        """The same with a file's path taken from `folder`."""
        if self.source.startswith(CHANNEL_PREFIX):
            return self
        spec = parse_spec(self.source)
        if spec.kind != "file":
            return self
        return self.model_copy(update={"source": str(folder.absolute() / spec.target)})


class DuckConfig(ConfigModel):
    """How announcements push the programme down: `[channels.NAME.duck]`."""

    threshold: Annotated[float, Field(ge=-120, le=0)] = -40.0
    depth: Annotated[float, Field(ge=-120, le=0)] = -15.0
    attack: Annotated[Duration, Field(ge=0, le=60)] = 0.05
    hold: Annotated[Duration, Field(ge=0, le=60)] = 0.5
    release: Annotated[Duration, Field(ge=0, le=60)] = 0.8


class MeetingConfig(ConfigModel):
    """Meetings on a channel: `[channels.NAME.meeting]`. The table itself makes it a channel of meetings."""

    enabled: bool = True
    admit: bool = True
    cap: Annotated[Duration, Field(ge=60, le=86_400)] = 7_200.0
    warning: Annotated[Duration, Field(ge=10, le=3_600)] = 300.0
    extend: Annotated[Duration, Field(ge=60, le=86_400)] = 1_800.0

    @model_validator(mode="after")
    def _check_warning(self) -> MeetingConfig:
        if self.warning >= self.cap:
            raise ValueError("warning is as long before the end as cap is; make it shorter")
        return self


class MixSettings(ConfigModel):
    """How a channel is fed: `relay` passes one source on as it is, `mix` mixes several and encodes anew."""

    mode: Literal["relay", "mix"] = "relay"
    bitrate: Annotated[int, Field(ge=6_000, le=510_000)] = 32_000
    application: Application = "audio"
    complexity: Annotated[int, Field(ge=0, le=10)] = 5
    frame: Literal["20ms", "40ms", "60ms"] = "20ms"
    fec: bool = False
    dtx: bool = False
    channels: Annotated[int, Field(ge=1, le=2)] = 1
    leveller: bool = True
    ceiling: Annotated[float, Field(ge=-12, le=-0.1)] | None = None
    horn_filter: bool = False
    inputs_max: Annotated[int, Field(ge=1, le=256)] = 16
    publishers: Role = "announcement"
    inputs: tuple[MixInputConfig, ...] = ()
    duck: DuckConfig = DuckConfig()
    chime: ChimeName = "none"
    chime_gain: Annotated[float, Field(ge=-60, le=6)] = 0.0
    chime_after: Annotated[Duration, Field(ge=1, le=86_400)] = 30.0
    meeting: MeetingConfig = MeetingConfig(enabled=False)

    @property
    def frame_ms(self) -> int:
        """Milliseconds of one packet."""
        return int(self.frame.removesuffix("ms"))

    @property
    def ceiling_dbtp(self) -> float:
        """No true peak of what is encoded is above; unless it is configured, speech is decoded below -1."""
        if self.ceiling is not None:
            return self.ceiling
        return ceiling_for(self.application, self.bitrate, self.channels, self.frame_ms)

    @model_validator(mode="after")
    def _check_mix(self) -> MixSettings:
        if self.mode == "relay":
            for name, field in MixSettings.model_fields.items():
                if getattr(self, name) != field.default:
                    raise ValueError(f'{name} is a setting of a mixed channel; write mode = "mix" as well')
            return self
        names = [each.name for each in self.inputs]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two inputs are called {name}; each needs a name of its own")
        if len(names) > self.inputs_max:
            raise ValueError(f"there are {len(names)} inputs and inputs_max is {self.inputs_max}")
        return self


class Sourced(Protocol):
    """What names a source."""

    @property
    def source(self) -> str:
        """As of an input."""
        ...


def check_inputs(inputs: Mapping[str, Sequence[Sourced]]) -> None:
    """Every channel that is an input of another must be there, and none may hear itself through others.

    `inputs` by name of channel. Raises ValueError.
    """
    heard = {
        name: [
            each.source.removeprefix(CHANNEL_PREFIX) for each in own if each.source.startswith(CHANNEL_PREFIX)
        ]
        for name, own in inputs.items()
    }
    for name, others in heard.items():
        for other in others:
            if other not in inputs:
                raise ValueError(
                    f"channel {name} has channel:{other} as an input, and there is no channel {other}"
                )
        if name in reached(name, heard):
            raise ValueError(
                f"channel {name} would hear itself through its inputs; let it have none that hears it"
            )


def reached(name: str, heard: Mapping[str, list[str]]) -> set[str]:
    """All channels that the channel of that name hears, through others too."""
    found: set[str] = set()
    ahead = list(heard.get(name, []))
    while ahead:
        other = ahead.pop()
        if other not in found:
            found.add(other)
            ahead += heard.get(other, [])
    return found
