"""ICE credentials: the user name fragment that finds a session, and the password that signs its checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


class IceCredentials(NamedTuple):
    """A user name fragment and its password (RFC 8445 §5.3)."""

    ufrag: str
    pwd: str

    def __repr__(self) -> str:
        return f"IceCredentials(ufrag={self.ufrag!r})"


def generate_credentials(random: Callable[[int], bytes]) -> IceCredentials:
    """Make an ice-ufrag of 48 bits and an ice-pwd of 144 bits (RFC 8445 §5.3 asks for 24 and 128)."""
    text = "".join(_CHARACTERS[byte & 63] for byte in random(32))
    return IceCredentials(text[:8], text[8:])
