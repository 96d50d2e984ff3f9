"""What `loa edge doctor` says of one thing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "warning", "failure"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; `mend` is what to do about it, "" when nothing."""

    about: str
    verdict: Verdict
    sentence: str
    mend: str = ""
