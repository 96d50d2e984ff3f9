"""What the configuration says of programme automation: `[channels.NAME.automation]`."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from loacodecs.errors import ConfigurationError
from loamedia.spec import parse_spec
from relay.config_model import ConfigModel, Duration
from relay.live.settings import CHANNEL_PREFIX

PUBLISHERS: Final = "publishers"
"""A source that is whoever publishes to the channel."""
QUEUE: Final = "queue"
"""A source that is the queue."""
_NAME: Final = r"^[a-z0-9][a-z0-9._-]{0,62}$"


def _source(text: str) -> str:
    if text in (PUBLISHERS, QUEUE):
        return text
    if text.startswith(CHANNEL_PREFIX):
        if not text.removeprefix(CHANNEL_PREFIX):
            raise ValueError("channel: names no channel; write channel:NAME")
        return text
    try:
        parse_spec(text)
    except ConfigurationError as error:
        raise ValueError(str(error)) from None
    return text


def _entries(value: object) -> object:
    """A source that needs no more than its address may be written as a text."""
    if isinstance(value, (list, tuple)):
        return [{"source": each} if isinstance(each, str) else each for each in value]
    return value


Level = Annotated[float, Field(ge=-120, le=0)]


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """When a source counts as silent: quiet is what stays below `level_dbfs` (RMS)."""

    level_dbfs: float = -45.0
    warn_s: float = 10.0
    switch_s: float = 20.0
    back_s: float = 5.0


class RundownSource(ConfigModel):
    """One source of the list; what is not said of it is as for all."""

    source: Annotated[str, AfterValidator(_source)]
    name: Annotated[str, Field(pattern=_NAME)] | None = None
    gain: Annotated[float, Field(ge=-120, le=24)] = 0.0
    level: Level | None = None
    warn: Annotated[Duration, Field(ge=0.1, le=3600)] | None = None
    switch: Annotated[Duration, Field(ge=0.1, le=3600)] | None = None
    back: Annotated[Duration, Field(ge=0, le=3600)] | None = None


class AutomationConfig(ConfigModel):
    """What is on air by itself: the first of `sources` that is heard. The queue comes first unless it is listed."""

    sources: Annotated[tuple[RundownSource, ...], BeforeValidator(_entries), Field(max_length=32)] = ()
    level: Level = -45.0
    warn: Annotated[Duration, Field(ge=0.1, le=3600)] = 10.0
    switch: Annotated[Duration, Field(ge=0.1, le=3600)] = 20.0
    back: Annotated[Duration, Field(ge=0, le=3600)] = 5.0
    fade: Annotated[Duration, Field(ge=0, le=60)] = 1.0
    crossfade: Annotated[Duration, Field(ge=0, le=30)] = 0.0
    queue_max: Annotated[int, Field(ge=1, le=10_000)] = 1_000

    @model_validator(mode="after")
    def _check(self) -> AutomationConfig:
        names = [name for name, _ in self.listed]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two sources are called {name}; each needs a name of its own")
        for name, source in self.listed:
            if (name in (PUBLISHERS, QUEUE)) != (source.source in (PUBLISHERS, QUEUE)):
                raise ValueError(f"{name} is the name of one kind of source only; choose another one")
            if (source.warn or self.warn) > (source.switch or self.switch):
                raise ValueError(
                    f"{name} is warned of only when it has been switched; warn must be below switch"
                )
        return self

    @property
    def listed(self) -> list[tuple[str, RundownSource]]:
        """The sources in order, each with its name; the queue is always among them."""
        named = [
            (each.source if each.source in (PUBLISHERS, QUEUE) else each.name or f"source-{place}", each)
            for place, each in enumerate(self.sources, 1)
        ]
        if QUEUE not in (each.source for each in self.sources):
            named.insert(0, (QUEUE, RundownSource(source=QUEUE)))
        return named

    def check_room(self, inputs: Set[str], inputs_max: int) -> None:
        """Raises ValueError where a channel's other inputs have such a name, or leave no room."""
        opened = [name for name, _ in self.listed if name != PUBLISHERS]
        for name in opened:
            if name in inputs:
                raise ValueError(
                    f"an input and a source of automation are both called {name}; rename one of them"
                )
        if len(self.sources) and len(inputs) + len(opened) > inputs_max:
            raise ValueError(
                f"{len(inputs)} inputs, {len(opened) - 1} sources of automation and the queue need more room than "
                f"inputs_max = {inputs_max} gives"
            )

    def watching(self, name: str, source: RundownSource) -> WatchSettings:
        """When a source counts as silent. Who publishes is on air with the first word unless `back` says otherwise."""
        back = 0.0 if name == PUBLISHERS else self.back
        return WatchSettings(
            level_dbfs=self.level if source.level is None else source.level,
            warn_s=self.warn if source.warn is None else source.warn,
            switch_s=self.switch if source.switch is None else source.switch,
            back_s=back if source.back is None else source.back,
        )

    def placed_in(self, folder: Path) -> AutomationConfig:
        """The same with the paths of files taken from `folder`."""
        placed = []
        for each in self.sources:
            if each.source not in (PUBLISHERS, QUEUE) and not each.source.startswith(CHANNEL_PREFIX):
                spec = parse_spec(each.source)
                if spec.kind == "file":
                    each = each.model_copy(update={"source": str(folder.absolute() / spec.target)})
            placed.append(each)
        return self.model_copy(update={"sources": tuple(placed)})
