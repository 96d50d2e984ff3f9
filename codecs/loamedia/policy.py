"""What may be opened: the rule for everything that somebody names from outside, and none for the operator.

A programme that fetches what strangers name is a door into the network it stands in (server-side request forgery).
Hence a name is resolved once, each of its addresses is judged, and the connection goes to an address so judged: a name
that means something else the next time (DNS rebinding) gains nothing. Redirects and the parts of playlists pass the
same judge.
"""

from __future__ import annotations

import fnmatch
import ipaddress
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loacodecs.errors import reason

from .errors import SourceError, SourceForbidden

Resolve = Callable[[str, int], Sequence[str]]
"""(host, port) to its IP addresses; raises OSError."""

_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_V4_COMPATIBLE: Final = ipaddress.ip_network("::/96")


def system_resolve(host: str, port: int) -> list[str]:
    """The addresses the system knows for a name, in its order. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True)
class Policy:
    """What may be opened.

    trusted        anything: what the operator wrote into a file or on a command line
    allow_files    folders whose files may be played
    allow_hosts    patterns of host names (`*.vov.vn`); empty: every host
    allow_private  also addresses that are not of the public Internet
    allow_devices  patterns of line inputs (`hw:1`)
    """

    trusted: bool = False
    allow_files: tuple[Path, ...] = ()
    allow_hosts: tuple[str, ...] = ()
    allow_private: bool = False
    allow_devices: tuple[str, ...] = ()

    def addresses(self, host: str, port: int, resolve: Resolve = system_resolve) -> list[str]:
        """The addresses of `host` one may connect to. Raises SourceForbidden; SourceError for an unknown name."""
        self.check_host(host)
        try:
            found = resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise SourceError(f"cannot find {host}: {reason(error)}", passing=True) from error
        allowed = [address for address in found if self.trusted or self.allow_private or is_public(address)]
        if found and not allowed:
            raise SourceForbidden(
                f"{host} is an internal address, which [sources] allow_private does not allow"
            )
        if not allowed:
            raise SourceError(f"cannot find {host}", passing=True)
        return allowed

    def check_host(self, host: str, *, named: bool = False) -> None:
        """Raises SourceForbidden for a host that is not allowed; `named` wants it to be in the list by name."""
        if self.trusted or (not self.allow_hosts and not named):
            return
        name = host.lower().rstrip(".")
        if not any(fnmatch.fnmatchcase(name, pattern.lower()) for pattern in self.allow_hosts):
            raise SourceForbidden(f"{host} is not among the hosts of [sources] allow_hosts")

    def check_device(self, device: str) -> None:
        """Raises SourceForbidden for a line input that is not allowed."""
        if not self.trusted and not any(fnmatch.fnmatchcase(device, each) for each in self.allow_devices):
            raise SourceForbidden(f"the line input {device} is not among [sources] allow_devices")

    def check_file(self, descriptor: int, path: str) -> None:
        """Judge a file that is open already, so that no link can be turned meanwhile. Raises SourceForbidden."""
        if self.trusted:
            return
        real = Path(f"/proc/self/fd/{descriptor}").readlink()
        if not any(real.is_relative_to(folder.resolve()) for folder in self.allow_files):
            raise SourceForbidden(f"{path} is in no folder of [sources] allow_files")


ANYTHING: Final = Policy(trusted=True)
"""For what the operator names explicitly."""


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public Internet, and hides no other inside (mapped, NAT64, 6to4, Teredo)."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.sixtofour is not None or ip.teredo is not None or ip.is_site_local:
            return False
        inner = ip.ipv4_mapped
        if inner is None and (ip in _NAT64 or ip in _V4_COMPATIBLE):
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast and not ip.is_reserved
