"""Which version of the program this is, as relays are told it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def program_version() -> str:
    """The installed package's; "unknown" from a bare checkout."""
    try:
        return version("loa")
    except PackageNotFoundError:
        return "unknown"
