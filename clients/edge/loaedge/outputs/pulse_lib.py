"""libpulse through ctypes: the part of its asynchronous interface that a playing stream needs.

PipeWire's PulseAudio server speaks the same protocol and is used through the same library. Nothing is called back:
states are asked for after each turn of the main loop, so no Python function is ever entered from C, but for the list of
sinks.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from ctypes import c_char_p, c_int, c_int64, c_size_t, c_uint8, c_uint32, c_uint64, c_void_p
from typing import Any, Final

from .native import Signature, load

LIBRARY: Final = "libpulse.so.0"
MEND: Final = "install libpulse0"

CONTEXT_NOAUTOSPAWN: Final = 1
CONTEXT_READY, CONTEXT_FAILED = 4, 5
STREAM_READY, STREAM_FAILED = 2, 3
STREAM_DONT_MOVE, STREAM_ADJUST_LATENCY = 0x0200, 0x2000
OPERATION_RUNNING: Final = 0
SEEK_RELATIVE, SEEK_RELATIVE_ON_READ = 0, 2
ANY: Final = 0xFFFFFFFF
"""Lets the server choose a buffer size; also the index of no device."""

SAMPLE_FORMATS: Final = {"s16": 3, "float32": 5} if sys.byteorder == "little" else {"s16": 4, "float32": 6}


class SampleSpec(ctypes.Structure):
    """pa_sample_spec"""

    _fields_ = (("format", c_int), ("rate", c_uint32), ("channels", c_uint8))


class BufferAttr(ctypes.Structure):
    """pa_buffer_attr, octets"""

    _fields_ = (
        ("maxlength", c_uint32),
        ("tlength", c_uint32),
        ("prebuf", c_uint32),
        ("minreq", c_uint32),
        ("fragsize", c_uint32),
    )


class TimingInfo(ctypes.Structure):
    """pa_timing_info: where the server was at `seconds`, `microseconds` of the wall clock"""

    _fields_ = (
        ("seconds", ctypes.c_long),
        ("microseconds", ctypes.c_long),
        ("synchronized_clocks", c_int),
        ("sink_usec", c_uint64),
        ("source_usec", c_uint64),
        ("transport_usec", c_uint64),
        ("playing", c_int),
        ("write_index_corrupt", c_int),
        ("write_index", c_int64),
        ("read_index_corrupt", c_int),
        ("read_index", c_int64),
        ("configured_sink_usec", c_uint64),
        ("configured_source_usec", c_uint64),
        ("since_underrun", c_int64),
    )


class SinkInfo(ctypes.Structure):
    """The beginning of pa_sink_info; the rest is never looked at"""

    _fields_ = (("name", c_char_p), ("index", c_uint32), ("description", c_char_p))


SinkCallback = ctypes.CFUNCTYPE(None, c_void_p, ctypes.POINTER(SinkInfo), c_int, c_void_p)
"""pa_sink_info_cb_t"""

_FUNCTIONS: Final[dict[str, Signature]] = {
    "pa_strerror": (c_char_p, (c_int,)),
    "pa_mainloop_new": (c_void_p, ()),
    "pa_mainloop_free": (None, (c_void_p,)),
    "pa_mainloop_get_api": (c_void_p, (c_void_p,)),
    "pa_mainloop_prepare": (c_int, (c_void_p, c_int)),
    "pa_mainloop_poll": (c_int, (c_void_p,)),
    "pa_mainloop_dispatch": (c_int, (c_void_p,)),
    "pa_context_new": (c_void_p, (c_void_p, c_char_p)),
    "pa_context_connect": (c_int, (c_void_p, c_char_p, c_int, c_void_p)),
    "pa_context_disconnect": (None, (c_void_p,)),
    "pa_context_unref": (None, (c_void_p,)),
    "pa_context_get_state": (c_int, (c_void_p,)),
    "pa_context_errno": (c_int, (c_void_p,)),
    "pa_context_get_sink_info_list": (c_void_p, (c_void_p, SinkCallback, c_void_p)),
    "pa_operation_get_state": (c_int, (c_void_p,)),
    "pa_operation_cancel": (None, (c_void_p,)),
    "pa_operation_unref": (None, (c_void_p,)),
    "pa_stream_new": (c_void_p, (c_void_p, c_char_p, ctypes.POINTER(SampleSpec), c_void_p)),
    "pa_stream_connect_playback": (
        c_int,
        (c_void_p, c_char_p, ctypes.POINTER(BufferAttr), c_int, c_void_p, c_void_p),
    ),
    "pa_stream_disconnect": (c_int, (c_void_p,)),
    "pa_stream_unref": (None, (c_void_p,)),
    "pa_stream_get_state": (c_int, (c_void_p,)),
    "pa_stream_get_device_name": (c_char_p, (c_void_p,)),
    "pa_stream_is_suspended": (c_int, (c_void_p,)),
    "pa_stream_writable_size": (c_size_t, (c_void_p,)),
    "pa_stream_write": (c_int, (c_void_p, c_char_p, c_size_t, c_void_p, c_int64, c_int)),
    "pa_stream_update_timing_info": (c_void_p, (c_void_p, c_void_p, c_void_p)),
    "pa_stream_get_timing_info": (ctypes.POINTER(TimingInfo), (c_void_p,)),
}


@functools.cache
def library() -> Any:
    """libpulse, loaded when first asked for. Raises OutputError when it is not installed."""
    return load(LIBRARY, _FUNCTIONS, MEND)
