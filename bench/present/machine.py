"""The machine and the software of a run, as far as they decide about its figures; and whether two runs share them."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping
from pathlib import Path

from OpenSSL import SSL

from bench import procfs

LIBRARIES = (
    "numpy",
    "numba",
    "pylibsrtp",
    "cryptography",
    "pyopenssl",
    "av",
    "aiortc",
    "uvicorn",
    "uvloop",
    "fastapi",
)
# Two machines that agree in these may have their times compared; the rest of the description is for people
IDENTITY = ("cpu", "cores", "memory_mb", "kernel", "architecture", "virtual", "cpu_limit", "mitigations")

_ROOT = Path("/")
_CIPHER_FLAGS = (("vaes", "vector AES (VAES)"), ("aes", "AES instructions"))


def describe(root: Path = _ROOT) -> dict[str, object]:
    """The machine. `root` is the root of the file system with /proc and /sys.

    Mitigations of CPU faults are told because they set the price of a system call; buffer limits because they
    decide what is dropped.
    """
    return procfs.description() | {
        "os": _release(root),
        "virtual": "hypervisor" in _flags(root),
        "cipher": next((text for flag, text in _CIPHER_FLAGS if flag in _flags(root)), "no AES instructions"),
        "cpu_limit": _line(root / "sys/fs/cgroup/cpu.max") or "none",
        "governor": _line(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or "unknown",
        "clock": _line(root / "sys/devices/system/clocksource/clocksource0/current_clocksource") or "unknown",
        "mitigations": _mitigations(root),
        "receive_buffer_max": _number(root / "proc/sys/net/core/rmem_max"),
        "send_buffer_max": _number(root / "proc/sys/net/core/wmem_max"),
        "backlog_max": _number(root / "proc/sys/net/core/netdev_max_backlog"),
    }


def versions() -> dict[str, str]:
    """The versions of what does the work: Python, OpenSSL, and the libraries that are installed."""
    found = {
        "loa": importlib.metadata.version("loa"),
        "python": platform.python_version(),
        "openssl": SSL.OpenSSL_version(SSL.OPENSSL_VERSION).decode(),
    }
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def differences(old: Mapping[str, object], new: Mapping[str, object]) -> list[str]:
    """In what two machines differ so that absolute times cannot be compared; empty when they may be.

    A key that only one of the two tells is passed over.
    """
    return [
        f"{key} {old[key]} and {new[key]}"
        if not isinstance(old[key], Mapping)
        else f"{key} ({', '.join(_unequal(old[key], new[key]))})"
        for key in IDENTITY
        if key in old and key in new and old[key] != new[key]
    ]


def _unequal(old: object, new: object) -> list[str]:
    one = dict(old) if isinstance(old, Mapping) else {}
    other = dict(new) if isinstance(new, Mapping) else {}
    return sorted(str(key) for key in {*one, *other} if one.get(key) != other.get(key))


def _release(root: Path) -> str:
    for line in _text(root / "etc/os-release").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"')
    return "unknown"


def _flags(root: Path) -> set[str]:
    for line in _text(root / "proc/cpuinfo").splitlines():
        if line.lower().startswith(("flags", "features")):
            return set(line.partition(":")[2].split())
    return set()


def _mitigations(root: Path) -> dict[str, str]:
    folder = root / "sys/devices/system/cpu/vulnerabilities"
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    found = {name: _line(folder / name) for name in names}
    return {name: text for name, text in found.items() if text and text != "Not affected"}


def _number(path: Path) -> int | None:
    text = _line(path)
    return int(text) if text.isdigit() else None


def _line(path: Path) -> str:
    return _text(path).strip()


def _text(path: Path) -> str:
    """The text of a file; empty where this kernel has none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
