"""Addresses as the configuration writes them. Names are never looked up: a relay must start without DNS."""

from __future__ import annotations

import ipaddress


def split_address(text: str) -> tuple[str, int]:
    """Host and port of `[::]:8189` or `127.0.0.1:8889`; `:8889` means every address, IPv6 and IPv4.

    Raises ValueError with a sentence. The host is an IP address without brackets.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or not port.isascii() or int(port) > 65535:
        raise ValueError(f"{text!r} is not an address and port; write it as [::]:8889 or 127.0.0.1:8889")
    host = host.removeprefix("[").removesuffix("]") or "::"
    return str(_ip(host, text)), int(port)


def _ip(host: str, text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        raise ValueError(f"{text!r} has no IP address; names are not looked up here") from None


def split_advertised(text: str) -> tuple[str, int | None]:
    """IP address and port of an entry of `media.advertise`; a port of None is that of `media.listen`."""
    try:
        return str(ipaddress.ip_address(text.removeprefix("[").removesuffix("]"))), None
    except ValueError:
        return split_address(text)
