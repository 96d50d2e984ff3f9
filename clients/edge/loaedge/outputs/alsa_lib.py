"""libasound through ctypes: the functions of the PCM interface that playing needs."""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Callable
from ctypes import POINTER, c_char_p, c_int, c_long, c_uint, c_ulong, c_void_p
from typing import Any, Final

from .native import Signature, load
from .output import OutputError

LIBRARY: Final = "libasound.so.2"
MEND: Final = "install libasound2"

PLAYBACK, NONBLOCK = 0, 1
ACCESS_RW_INTERLEAVED: Final = 3
FORMATS: Final = {"s16": 2, "float32": 14} if sys.byteorder == "little" else {"s16": 3, "float32": 15}
STATE_RUNNING: Final = 3
TSTAMP_ENABLE, TSTAMP_MONOTONIC = 1, 1


class Timespec(ctypes.Structure):
    """snd_htimestamp_t"""

    _fields_ = (("seconds", c_long), ("nanoseconds", c_long))


ErrorHandler = ctypes.CFUNCTYPE(None, c_char_p, c_int, c_char_p, c_int, c_char_p)
"""snd_lib_error_handler_t without its variadic part, which nobody reads."""

_FRAMES = POINTER(c_ulong)
_FUNCTIONS: Final[dict[str, Signature]] = {
    # of libc, which libasound is linked with
    "free": (None, (c_void_p,)),
    "snd_strerror": (c_char_p, (c_int,)),
    "snd_lib_error_set_handler": (c_int, (ErrorHandler,)),
    "snd_pcm_open": (c_int, (POINTER(c_void_p), c_char_p, c_int, c_int)),
    "snd_pcm_close": (c_int, (c_void_p,)),
    "snd_pcm_drop": (c_int, (c_void_p,)),
    "snd_pcm_prepare": (c_int, (c_void_p,)),
    "snd_pcm_resume": (c_int, (c_void_p,)),
    "snd_pcm_wait": (c_int, (c_void_p, c_int)),
    "snd_pcm_avail": (c_long, (c_void_p,)),
    "snd_pcm_writei": (c_long, (c_void_p, c_char_p, c_ulong)),
    "snd_pcm_hw_params_malloc": (c_int, (POINTER(c_void_p),)),
    "snd_pcm_hw_params_free": (None, (c_void_p,)),
    "snd_pcm_hw_params_any": (c_int, (c_void_p, c_void_p)),
    "snd_pcm_hw_params_set_rate_resample": (c_int, (c_void_p, c_void_p, c_uint)),
    "snd_pcm_hw_params_set_access": (c_int, (c_void_p, c_void_p, c_int)),
    "snd_pcm_hw_params_set_format": (c_int, (c_void_p, c_void_p, c_int)),
    "snd_pcm_hw_params_set_channels": (c_int, (c_void_p, c_void_p, c_uint)),
    "snd_pcm_hw_params_set_rate": (c_int, (c_void_p, c_void_p, c_uint, c_int)),
    "snd_pcm_hw_params_set_period_size_near": (c_int, (c_void_p, c_void_p, _FRAMES, POINTER(c_int))),
    "snd_pcm_hw_params_set_buffer_size_near": (c_int, (c_void_p, c_void_p, _FRAMES)),
    "snd_pcm_hw_params": (c_int, (c_void_p, c_void_p)),
    "snd_pcm_hw_params_get_buffer_size": (c_int, (c_void_p, _FRAMES)),
    "snd_pcm_sw_params_malloc": (c_int, (POINTER(c_void_p),)),
    "snd_pcm_sw_params_free": (None, (c_void_p,)),
    "snd_pcm_sw_params_current": (c_int, (c_void_p, c_void_p)),
    "snd_pcm_sw_params_set_start_threshold": (c_int, (c_void_p, c_void_p, c_ulong)),
    "snd_pcm_sw_params_set_avail_min": (c_int, (c_void_p, c_void_p, c_ulong)),
    "snd_pcm_sw_params_set_tstamp_mode": (c_int, (c_void_p, c_void_p, c_int)),
    "snd_pcm_sw_params_set_tstamp_type": (c_int, (c_void_p, c_void_p, c_int)),
    "snd_pcm_sw_params": (c_int, (c_void_p, c_void_p)),
    "snd_pcm_status_malloc": (c_int, (POINTER(c_void_p),)),
    "snd_pcm_status_free": (None, (c_void_p,)),
    "snd_pcm_status": (c_int, (c_void_p, c_void_p)),
    "snd_pcm_status_get_state": (c_int, (c_void_p,)),
    "snd_pcm_status_get_delay": (c_long, (c_void_p,)),
    "snd_pcm_status_get_htstamp": (None, (c_void_p, POINTER(Timespec))),
    "snd_device_name_hint": (c_int, (c_int, c_char_p, POINTER(POINTER(c_void_p)))),
    "snd_device_name_get_hint": (c_void_p, (c_void_p, c_char_p)),
    "snd_device_name_free_hint": (c_int, (POINTER(c_void_p),)),
}


def _quiet(_file: bytes, _line: int, _function: bytes, _error: int, _format: bytes) -> None:
    """libasound would print to stderr; what goes wrong is told by the return values."""


_QUIET: Final = ErrorHandler(_quiet)
"""Kept for ever: libasound keeps its address."""


@functools.cache
def library() -> Any:
    """libasound, loaded when first asked for. Raises OutputError when it is not installed."""
    lib = load(LIBRARY, _FUNCTIONS, MEND)
    lib.snd_lib_error_set_handler(_QUIET)
    return lib


def check(code: int, what: str) -> int:
    """`code` when it is no error, else OutputError "WHAT: reason"."""
    if code < 0:
        raise OutputError(f"{what}: {reason(code)}")
    return code


def reason(code: int) -> str:
    """libasound's words for a negative return value."""
    text: bytes = library().snd_strerror(code)
    return text.decode(errors="replace").lower()


class Allocated:
    """One of libasound's parameter blocks: a context manager that gives its address and frees it."""

    def __init__(self, kind: str) -> None:
        """`kind` is pcm_hw_params, pcm_sw_params or pcm_status."""
        lib = library()
        self.address = c_void_p()
        self._free: Callable[[c_void_p], None] = getattr(lib, f"snd_{kind}_free")
        check(getattr(lib, f"snd_{kind}_malloc")(ctypes.byref(self.address)), "libasound has no memory")

    def __enter__(self) -> c_void_p:
        return self.address

    def __exit__(self, *_: object) -> None:
        self._free(self.address)
