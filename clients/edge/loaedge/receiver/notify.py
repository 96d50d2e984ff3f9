"""What the service manager is told: ready, stopping, a line of status, and that we are alive (sd_notify(3)).

Without a service manager (no NOTIFY_SOCKET) nothing is told to anybody.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping
from typing import Final

PATIENCE_S: Final = 1.0
"""For what is said once."""


class Notifier:
    """Tells the service manager named in `environment`."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # "@" stands for the NUL of an abstract socket's name.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._status = ""
        self.watchdog_s = _watchdog(environment)
        """Within how many seconds a sign of life is wanted; None when nobody watches."""

    def ready(self) -> None:
        """All is built, and works or will by itself."""
        self._tell("READY=1", PATIENCE_S)

    def stopping(self) -> None:
        """We end on purpose."""
        self._tell("STOPPING=1", PATIENCE_S)

    def alive(self) -> None:
        """A sign of life, for the watchdog."""
        if self.watchdog_s is not None:
            self._tell("WATCHDOG=1")

    def status(self, line: str) -> None:
        """What `systemctl status` shows; told only when it changes, and again if a busy manager did not take it."""
        if line != self._status and self._tell(f"STATUS={' '.join(line.split())}"):
            self._status = line

    def _tell(self, text: str, patience_s: float = 0.0) -> bool:
        """Whether it was taken. A manager that has no room, some ten messages unread, is waited for so long."""
        if not self._address:
            return True
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.settimeout(patience_s)
            sock.sendto(text.encode(), self._address)
            return True
        return False


def _watchdog(environment: Mapping[str, str]) -> float | None:
    """WATCHDOG_USEC in seconds, if it is meant for this process (sd_watchdog_enabled(3))."""
    usec = environment.get("WATCHDOG_USEC", "")
    if not usec.isdecimal() or environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(usec) / 1e6 or None
