"""Enrolment codes: short enough to be typed on a ladder, long enough not to be guessed from their hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

_LETTERS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's: no I, L, O, U
_LENGTH: Final = 16
"""80 bits: a stolen file of hashes does not give the codes away before they expire."""
_READ_AS: Final = str.maketrans({"O": "0", "I": "1", "L": "1"})


def make_code(random: Callable[[int], bytes]) -> str:
    """A new code, in four groups of four."""
    letters = "".join(_LETTERS[octet & 31] for octet in random(_LENGTH))
    return "-".join(letters[start : start + 4] for start in range(0, _LENGTH, 4))


def hash_of(code: str) -> bytes | None:
    """SHA-256 of what somebody typed, however grouped and spelt; None when it cannot be a code."""
    letters = "".join(code.upper().replace("-", " ").split()).translate(_READ_AS)
    if len(letters) != _LENGTH or not set(letters) <= set(_LETTERS):
        return None
    return hashlib.sha256(letters.encode()).digest()
