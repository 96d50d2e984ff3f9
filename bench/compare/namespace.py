"""A private network for one run: a network namespace with a loopback device and one address that is not loopback.

libnice (Janus) offers no loopback address as an ICE candidate, so Janus needs another one, and a load test must not
depend on, or reach, whatever the machine is connected to. Inside are `lo` and a veth pair; the pair
only lends its address: what is sent to an address of the machine itself goes through `lo` (RFC 1122 §3.2.1.3, and
Linux's local routing table), so all servers that are compared have the same way, and it is the way that 127.0.0.1 has
outside.

The namespace has no name. The kernel removes it with the last process and socket in it, also when the run was
killed; there is nothing that could be left behind in /run/netns.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
from types import TracebackType

from bench.errors import BenchError

ADDRESS = "10.77.0.1"
_DEVICES = ("loa0", "loa1")
_CLONE_NEWNET = 0x40000000
_OWN_NETWORK = "/proc/thread-self/ns/net"
_COMMAND_TIMEOUT_S = 10.0


class Namespace:
    """A context manager: inside, the calling thread and all that it starts are in the private network.

    Sockets stay in the network in which they were opened.
    """

    def __init__(self) -> None:
        self._undo = contextlib.ExitStack()

    def __enter__(self) -> Namespace:
        """Raises BenchError with the mend when this process may not, or `ip` is missing."""
        if (mend := missing()) is not None:
            raise BenchError(f"no private network: {mend}")
        with contextlib.ExitStack() as undo:
            home = os.open(_OWN_NETWORK, os.O_RDONLY | os.O_CLOEXEC)
            undo.callback(os.close, home)
            _call("unshare", _CLONE_NEWNET)
            undo.callback(_call, "setns", home, _CLONE_NEWNET)
            _furnish()
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()


def missing() -> str | None:
    """What to do so that a private network can be made; None when it can."""
    if os.geteuid() != 0:
        return "sudo loa bench compare"
    if shutil.which("ip") is None:
        return "apt-get install iproute2"
    if not _permitted():
        return "docker run --cap-add SYS_ADMIN --cap-add NET_ADMIN"
    return None


def _permitted() -> bool:
    """Whether the kernel lets us; root in a container may lack the capability."""
    home = os.open(_OWN_NETWORK, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _call("unshare", _CLONE_NEWNET)
        _call("setns", home, _CLONE_NEWNET)
    except BenchError:
        return False
    finally:
        os.close(home)
    return True


def _furnish() -> None:
    first, second = _DEVICES
    for line in (
        "link set lo up",
        f"link add {first} type veth peer name {second}",
        f"address add {ADDRESS}/24 dev {first}",
        f"link set {first} up",
        f"link set {second} up",
    ):
        _ip(line)


def _ip(line: str) -> None:
    try:
        subprocess.run(  # noqa: S603 - words of our own
            [shutil.which("ip") or "ip", *line.split()],
            check=True,
            capture_output=True,
            text=True,
            timeout=_COMMAND_TIMEOUT_S,
        )
    except subprocess.CalledProcessError as error:
        raise BenchError(f"`ip {line}` failed: {error.stderr.strip()}; load the veth module") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchError(f"`ip {line}` failed: {error}") from error


def _call(name: str, *arguments: int) -> None:
    """A function of libc that Python 3.11 does not have. Raises BenchError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        raise BenchError(f"{name}: {os.strerror(ctypes.get_errno())}")
