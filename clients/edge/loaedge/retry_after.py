"""When a relay that has no room now wants to be asked again."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import Final

RETRY_AFTER_LIMIT: Final = 300.0
"""Nobody is left for longer: what asks for it may be a proxy, and a date is read by a clock that may be wrong."""


def retry_after(value: str | None) -> float | None:
    """Seconds to wait of a Retry-After header, a number or a date (RFC 9110 §10.2.3); None when it says nothing.

    Never more than RETRY_AFTER_LIMIT.
    """
    if value is None:
        return None
    try:
        seconds = (
            float(value)
            if value.strip().isdecimal()
            else parsedate_to_datetime(value).timestamp() - time.time()
        )
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(0.0, seconds), RETRY_AFTER_LIMIT)
