"""What sound can be played on here: for `loa edge devices`, and for the output "auto"."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_void_p
from dataclasses import dataclass
from typing import Any

from . import alsa_lib, pulse_link
from .alsa_pcm import opened
from .output import DeviceSettings, OutputError


@dataclass(frozen=True, slots=True)
class Device:
    """`spec` is what `open_output` takes; `about` says what it is, in one line."""

    spec: str
    about: str


def list_devices() -> tuple[list[Device], list[str]]:
    """All devices, the sound server's first, and what kept others from being found, a sentence each."""
    found: list[Device] = []
    problems: list[str] = []
    for lister in (_pulse, _alsa):
        try:
            found += lister()
        except OutputError as error:
            problems.append(str(error))
    return found, problems


def automatic() -> str:
    """The spec "auto" stands for: the sound server if one answers, else ALSA's default.

    Raises OutputError with the mend when there is neither.
    """
    try:
        with pulse_link.connected():
            return "pulse"
    except OutputError as error:
        pulse = str(error)
    try:
        with opened("default", DeviceSettings(channels=2)):
            return "alsa:default"
    except OutputError as error:
        raise OutputError(
            f"no sound device was found: {pulse}; {error}. Plug one in, or choose one of `loa edge devices`"
        ) from error


def _pulse() -> list[Device]:
    return [Device(f"pulse:{name}", about) for name, about in pulse_link.sinks()]


def _alsa() -> list[Device]:
    """The PCMs of libasound's configuration that can play."""
    lib = alsa_lib.library()
    hints = POINTER(c_void_p)()
    if lib.snd_device_name_hint(-1, b"pcm", ctypes.byref(hints)) < 0:
        raise OutputError("ALSA's devices cannot be listed; is /usr/share/alsa there?")
    try:
        found = []
        index = 0
        while hints[index]:
            hint = hints[index]
            index += 1
            name, about = _hint(lib, hint, b"NAME"), _hint(lib, hint, b"DESC")
            if name and _hint(lib, hint, b"IOID") != "Input":
                found.append(Device(f"alsa:{name}", about.replace("\n", ", ")))
        return found
    finally:
        lib.snd_device_name_free_hint(hints)


def _hint(lib: Any, hint: int, key: bytes) -> str:
    """One text of a hint, "" when it has none; libasound gives a copy that is ours to free."""
    address = lib.snd_device_name_get_hint(hint, key)
    if not address:
        return ""
    try:
        return ctypes.string_at(address).decode(errors="replace")
    finally:
        lib.free(address)
