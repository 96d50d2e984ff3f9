"""What a channel may be called: its name is a segment of URLs, a label of metrics and a key of TOML."""

from __future__ import annotations

import re

#: First segments of the relay's own URLs; a channel of that name could not be reached.
RESERVED_NAMES = frozenset(
    {
        "static",
        "api",
        "metrics",
        "healthz",
        "readyz",
        "docs",
        "favicon.ico",
        "robots.txt",
        "openapi.json",
        "auto",  # a setting of [channels] (see relay.config)
    }
)
#: What stands behind a channel's name in addresses of its stream and its description.
RESERVED_ENDINGS = (".opus", ".sdp")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def is_channel_name(name: str) -> bool:
    """Whether `name` may name a channel: 1 to 63 of a-z 0-9 . _ - beginning with a letter or digit."""
    return _NAME.fullmatch(name) is not None and name not in RESERVED_NAMES and not _ends_as_address(name)


def _ends_as_address(name: str) -> bool:
    return name.endswith(RESERVED_ENDINGS)


def checked_channel_name(name: str) -> str:
    """`name` itself; ValueError with a sentence when it cannot name a channel."""
    if name in RESERVED_NAMES:
        raise ValueError(f"{name!r} is a word of the relay's own addresses; choose another name")
    if _ends_as_address(name):
        raise ValueError(f"{name!r} ends as the address of a channel's stream does; choose another name")
    if not is_channel_name(name):
        raise ValueError(
            f"{name!r} cannot name a channel; use 1 to 63 of a-z 0-9 . _ - and begin with a letter or digit"
        )
    return name
