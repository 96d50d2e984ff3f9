"""Trust while the time is unknown.

A board that wakes in 1970 finds every certificate not yet valid, and so could never ask a relay what time it is.
"""

from __future__ import annotations

import ssl
from typing import Final

from ..local.wallclock import EARLIEST

_NO_CHECK_TIME: Final = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME, which the ssl module passes on without knowing its name."""


def forgiving(context: ssl.SSLContext, system_unix: float) -> ssl.SSLContext:
    """`context`, which is changed, for a system's clock of `system_unix` (time.time()).

    While that is impossibly early the certificate's dates are not looked at; its chain and its name are, and what a
    relay commands is signed with the key of the enrolment all the same. With a sane clock the dates count.
    """
    flags = int(context.verify_flags) & ~_NO_CHECK_TIME
    if system_unix < EARLIEST:
        flags |= _NO_CHECK_TIME
    context.verify_flags = ssl.VerifyFlags(flags)
    return context
