"""An opened ALSA PCM: written to without blocking, asked how far it is."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import time
from collections.abc import Iterator
from ctypes import c_int, c_ulong, c_void_p
from dataclasses import dataclass
from typing import Final

from loacodecs.opus import SAMPLE_RATE

from . import alsa_lib
from .alsa_lib import Allocated, check
from .output import DeviceSettings, OutputError
from .samples import frame_bytes

_PERIOD: Final = SAMPLE_RATE // 50
"""Frames after which a card says how far it is; some do not know in between. It does not wake us up as often."""


class Underrun(Exception):  # noqa: N818 - an event of every sound card, not an error
    """The device had nothing left to play, or was suspended; it stands still until `restart`."""


@dataclass(frozen=True, slots=True)
class Report:
    """`delay` frames of what was written were not yet heard at the local time `at`, known to ±`unsure_s`."""

    delay: int
    at: float
    unsure_s: float


class Pcm:
    """A PCM in non-blocking mode. `capacity` is the size of its buffer in frames."""

    def __init__(self, handle: c_void_p, name: str, settings: DeviceSettings) -> None:
        self._lib = alsa_lib.library()
        self._handle = handle
        self._name = name
        self._frame_bytes = frame_bytes(settings)
        self.capacity = self._set_hardware(settings)
        self._set_software(settings)

    def _set_hardware(self, settings: DeviceSettings) -> int:
        """Format, channels, rate and buffer; gives the frames of the buffer."""
        lib, pcm = self._lib, self._handle
        target = round(settings.latency_s * SAMPLE_RATE)
        period, size, direction = c_ulong(min(settings.block, _PERIOD)), c_ulong(target), c_int(0)
        kind = settings.sample_format
        with Allocated("pcm_hw_params") as params:
            check(lib.snd_pcm_hw_params_any(pcm, params), f"{self._name} cannot be set up")
            lib.snd_pcm_hw_params_set_rate_resample(pcm, params, 1)
            for call, value, what in (
                (lib.snd_pcm_hw_params_set_access, alsa_lib.ACCESS_RW_INTERLEAVED, "interleaved samples"),
                (lib.snd_pcm_hw_params_set_format, alsa_lib.FORMATS[kind], f"{kind} samples"),
                (lib.snd_pcm_hw_params_set_channels, settings.channels, f"{settings.channels} channels"),
            ):
                check(call(pcm, params, value), self._lacks(what))
            check(lib.snd_pcm_hw_params_set_rate(pcm, params, SAMPLE_RATE, 0), self._lacks("48 kHz"))
            lib.snd_pcm_hw_params_set_period_size_near(
                pcm, params, ctypes.byref(period), ctypes.byref(direction)
            )
            lib.snd_pcm_hw_params_set_buffer_size_near(pcm, params, ctypes.byref(size))
            check(lib.snd_pcm_hw_params(pcm, params), f"{self._name} cannot be set up")
            check(
                lib.snd_pcm_hw_params_get_buffer_size(params, ctypes.byref(size)), f"{self._name}: its buffer"
            )
        return int(size.value)

    def _lacks(self, what: str) -> str:
        mend = f"; name it plug{self._name}, which converts" if self._name.startswith("hw:") else ""
        return f"{self._name} does not take {what}{mend}"

    def _set_software(self, settings: DeviceSettings) -> None:
        """Start with the first block, wake up when a block is wanted, stamp reports with the monotonic clock."""
        lib, pcm = self._lib, self._handle
        wanted = min(self.capacity, round(settings.latency_s * SAMPLE_RATE))
        wake = max(1, self.capacity - wanted + min(settings.block, wanted // 2))
        with Allocated("pcm_sw_params") as params:
            check(lib.snd_pcm_sw_params_current(pcm, params), f"{self._name} cannot be set up")
            lib.snd_pcm_sw_params_set_start_threshold(pcm, params, 1)
            lib.snd_pcm_sw_params_set_avail_min(pcm, params, min(wake, self.capacity))
            lib.snd_pcm_sw_params_set_tstamp_mode(pcm, params, alsa_lib.TSTAMP_ENABLE)
            lib.snd_pcm_sw_params_set_tstamp_type(pcm, params, alsa_lib.TSTAMP_MONOTONIC)
            check(lib.snd_pcm_sw_params(pcm, params), f"{self._name} cannot be set up")

    def free(self) -> int:
        """Frames that can be written now. Raises Underrun, OutputError."""
        return self._checked(self._lib.snd_pcm_avail(self._handle))

    def wait(self, timeout_s: float) -> None:
        """Until the device wants more, at most so long. Raises Underrun, OutputError."""
        self._checked(self._lib.snd_pcm_wait(self._handle, max(1, round(1000 * timeout_s))))

    def write(self, data: bytes) -> None:
        """Write whole frames for which there is room. Raises Underrun, OutputError."""
        frames = len(data) // self._frame_bytes
        done = 0
        while done < frames:
            rest = data[done * self._frame_bytes :] if done else data
            written = self._checked(self._lib.snd_pcm_writei(self._handle, rest, frames - done))
            if written == 0:
                raise OutputError(f"{self._name} takes no sound although it said so")
            done += written

    def report(self) -> Report | None:
        """How far the device is; None while it does not run. Raises Underrun, OutputError."""
        lib, stamp = self._lib, alsa_lib.Timespec()
        with Allocated("pcm_status") as status:
            before = time.monotonic()
            self._checked(lib.snd_pcm_status(self._handle, status))
            after = time.monotonic()
            state, delay = lib.snd_pcm_status_get_state(status), lib.snd_pcm_status_get_delay(status)
            lib.snd_pcm_status_get_htstamp(status, ctypes.byref(stamp))
        if state != alsa_lib.STATE_RUNNING:
            return None
        at = stamp.seconds + stamp.nanoseconds * 1e-9
        # Drivers say when they looked; plug-ins often do not, or by another clock: then it was during the call.
        if before - 0.02 <= at <= after:
            return Report(delay, at, 0.0)
        return Report(delay, (before + after) / 2, (after - before) / 2)

    def restart(self) -> None:
        """Make a device that stands still ready to start again. Raises OutputError."""
        if self._lib.snd_pcm_resume(self._handle) < 0:
            self._lib.snd_pcm_drop(self._handle)
        check(self._lib.snd_pcm_prepare(self._handle), f"{self._name} does not start again")

    def _checked(self, result: int) -> int:
        if result >= 0:
            return result
        if result == -errno.EAGAIN:
            return 0
        if result in (-errno.EPIPE, -errno.ESTRPIPE):
            raise Underrun
        raise OutputError(f"{self._name} was lost: {alsa_lib.reason(result)}")


@contextlib.contextmanager
def opened(name: str, settings: DeviceSettings) -> Iterator[Pcm]:
    """The PCM of that name. Raises OutputError when it is not there, is in use, or cannot play what we have."""
    lib = alsa_lib.library()
    handle = c_void_p()
    code = lib.snd_pcm_open(ctypes.byref(handle), name.encode(), alsa_lib.PLAYBACK, alsa_lib.NONBLOCK)
    if code == -errno.EBUSY:
        raise OutputError(f"{name} is in use by another program; share it by dmix or a sound server")
    if code < 0:
        raise OutputError(f"no ALSA device {name} ({alsa_lib.reason(code)}); see `loa edge devices`")
    try:
        yield Pcm(handle, name, settings)
    finally:
        lib.snd_pcm_drop(handle)
        lib.snd_pcm_close(handle)
