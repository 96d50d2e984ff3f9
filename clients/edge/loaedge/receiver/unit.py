"""The systemd unit of a receiver, for `loa edge unit`; made here because it names this installation's program."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Final

WATCHDOG_S: Final = 60

_TEMPLATE: Final = """\
# Made by `loa edge unit`. Install it with
#   loa edge unit | sudo tee /etc/systemd/system/loa-edge.service
#   sudo systemctl daemon-reload && sudo systemctl enable --now loa-edge
[Unit]
Description=Loa receiver
Wants=network-online.target
After=network-online.target sound.target time-sync.target
# Try again for ever, whatever happens.
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={program} edge --config {config}
Restart=always
RestartSec=2
WatchdogSec={watchdog}
TimeoutStopSec=15

# A user of its own that owns nothing but its state; sound and GPIO come with the groups.
DynamicUser=yes
User=loa-edge
SupplementaryGroups=audio {groups}
StateDirectory=loa-edge
StateDirectoryMode=0700
UMask=0077

# Sound before everything else on this board, and never the victim when memory is short.
Nice=-10
OOMScoreAdjust=-500
MemoryMax=200M
Environment=MALLOC_ARENA_MAX=2 OPENBLAS_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=1

NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
DevicePolicy=closed
DeviceAllow=char-alsa rw
DeviceAllow=char-gpiochip rw

[Install]
WantedBy=multi-user.target
"""


def unit(config: Path, *, groups: tuple[str, ...] = ()) -> str:
    """The unit for the file `config`. `groups` are further groups of this machine the service joins."""
    return _TEMPLATE.format(
        program=_program(),
        config=_word(str(config.absolute())),
        watchdog=WATCHDOG_S,
        groups=" ".join(groups),
    ).replace("SupplementaryGroups=audio \n", "SupplementaryGroups=audio\n")


def _program() -> str:
    """This installation's `loa`, else this interpreter with the package."""
    beside = Path(sys.executable).with_name("loa")
    if beside.exists():
        return _word(str(beside))
    return f"{_word(sys.executable)} -m loaedge"


def _word(text: str) -> str:
    """One word of a unit's command line: % and $ mean something to systemd (systemd.service(5))."""
    return shlex.quote(text.replace("%", "%%").replace("$", "$$"))
