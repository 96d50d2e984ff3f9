"""A connection to a PulseAudio (or PipeWire) server and a playing stream on it, driven by one thread.

`Server.turn` waits for the server and lets libpulse handle what came; everything else asks for the state it left.
"""

from __future__ import annotations

import contextlib
import ctypes
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from loacodecs.opus import SAMPLE_RATE

from . import pulse_lib
from .output import DeviceSettings, OutputError
from .samples import frame_bytes

ANSWER_S: Final = 5.0
"""A server that does not answer for so long is lost."""
_POLL_S: Final = 0.05


class Server:
    """A connected context with its main loop."""

    def __init__(self, lib: Any, loop: int, context: int) -> None:
        self.lib = lib
        self.context = context
        self._loop = loop

    def turn(self, timeout_s: float) -> None:
        """Wait for the server, at most so long, and handle what came. Raises OutputError when it is gone."""
        lib = self.lib
        if (
            lib.pa_mainloop_prepare(self._loop, max(0, int(timeout_s * 1e6))) < 0
            or lib.pa_mainloop_poll(self._loop) < 0
            or lib.pa_mainloop_dispatch(self._loop) < 0
        ):
            raise OutputError("PulseAudio's main loop failed")
        if lib.pa_context_get_state(self.context) >= pulse_lib.CONTEXT_FAILED:
            raise OutputError(f"the PulseAudio server went away: {self.reason()}")

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Turn until `condition()`; OutputError "the server did not WHAT" after ANSWER_S."""
        end = time.monotonic() + ANSWER_S
        while not condition():
            if time.monotonic() > end:
                raise OutputError(f"the PulseAudio server did not {what} within {ANSWER_S:g} s")
            self.turn(_POLL_S)

    def reason(self) -> str:
        """What the last call failed for, as libpulse says it."""
        text: bytes = self.lib.pa_strerror(self.lib.pa_context_errno(self.context))
        return text.decode(errors="replace").lower()


@contextlib.contextmanager
def connected(name: str = "loa") -> Iterator[Server]:
    """The server that libpulse finds (PULSE_SERVER, else its own search); none is started.

    Raises OutputError when none answers.
    """
    lib = pulse_lib.library()
    loop = lib.pa_mainloop_new()
    context = lib.pa_context_new(lib.pa_mainloop_get_api(loop), name.encode())
    try:
        server = Server(lib, loop, context)
        refused = lib.pa_context_connect(context, None, pulse_lib.CONTEXT_NOAUTOSPAWN, None) < 0
        if not refused:
            with contextlib.suppress(OutputError):
                server.until(
                    lambda: bool(lib.pa_context_get_state(context) == pulse_lib.CONTEXT_READY), "answer"
                )
        if lib.pa_context_get_state(context) != pulse_lib.CONTEXT_READY:
            raise OutputError(
                f"no PulseAudio server answers ({server.reason()}): start one, or name an ALSA device"
            )
        yield server
    finally:
        lib.pa_context_disconnect(context)
        lib.pa_context_unref(context)
        lib.pa_mainloop_free(loop)


class Stream:
    """A stream that plays."""

    def __init__(self, server: Server, stream: int) -> None:
        self._server = server
        self._lib = server.lib
        self._stream = stream
        self._operation: int | None = None
        self._asked_at = 0.0

    @property
    def sink(self) -> str:
        """The sink it plays on, by name; it may be moved."""
        name: bytes | None = self._lib.pa_stream_get_device_name(self._stream)
        return name.decode(errors="replace") if name else ""

    def check(self) -> None:
        """Raises OutputError when the sink was removed or is suspended."""
        if self._lib.pa_stream_get_state(self._stream) >= pulse_lib.STREAM_FAILED:
            raise OutputError(f"the sink was removed: {self._server.reason()}")
        if self._lib.pa_stream_is_suspended(self._stream) > 0:
            raise OutputError(f"the sink {self.sink} is suspended")

    def writable(self) -> int:
        """Octets the server wants now."""
        size = int(self._lib.pa_stream_writable_size(self._stream))
        return 0 if size == ctypes.c_size_t(-1).value else size

    def write(self, data: bytes, seek: int = pulse_lib.SEEK_RELATIVE) -> None:
        """Hand whole frames over. Raises OutputError."""
        if self._lib.pa_stream_write(self._stream, data, len(data), None, 0, seek) < 0:
            raise OutputError(f"the sink takes no sound: {self._server.reason()}")

    def ask_timing(self, now: float) -> None:
        """Ask the server where it is, unless a question is still open. Raises OutputError when it does not answer."""
        if self._operation is None:
            self._operation = self._lib.pa_stream_update_timing_info(self._stream, None, None)
            self._asked_at = now
        elif now - self._asked_at > ANSWER_S:
            raise OutputError(f"the PulseAudio server has not answered for {ANSWER_S:g} s")

    def timing(self) -> pulse_lib.TimingInfo | None:
        """The answer to `ask_timing`, once; None while there is no new one, or one that cannot be used."""
        operation = self._operation
        if operation is None or self._lib.pa_operation_get_state(operation) == pulse_lib.OPERATION_RUNNING:
            return None
        self._lib.pa_operation_unref(operation)
        self._operation = None
        pointer = self._lib.pa_stream_get_timing_info(self._stream)
        if not pointer:
            return None
        info: pulse_lib.TimingInfo = pointer.contents
        return None if info.write_index_corrupt or info.read_index_corrupt else info

    def close(self) -> None:
        if self._operation is not None:
            self._lib.pa_operation_cancel(self._operation)
            self._lib.pa_operation_unref(self._operation)
        self._lib.pa_stream_disconnect(self._stream)
        self._lib.pa_stream_unref(self._stream)


@contextlib.contextmanager
def playing(server: Server, sink: str, settings: DeviceSettings, block: int) -> Iterator[Stream]:
    """A stream on `sink` ("" is the server's default) that asks for `block` frames at once.

    Raises OutputError when there is no such sink.

    The stream starts at once and never waits for data (prebuf 0): what it lacks is silence, and the server's read
    index goes on like a clock.
    """
    lib = server.lib
    spec = pulse_lib.SampleSpec(
        pulse_lib.SAMPLE_FORMATS[settings.sample_format], SAMPLE_RATE, settings.channels
    )
    frame = frame_bytes(settings)
    attr = pulse_lib.BufferAttr(
        maxlength=pulse_lib.ANY,
        tlength=round(settings.latency_s * SAMPLE_RATE) * frame,
        prebuf=0,
        minreq=block * frame,
        fragsize=pulse_lib.ANY,
    )
    handle = lib.pa_stream_new(server.context, b"programme", ctypes.byref(spec), None)
    if not handle:
        raise OutputError(f"no stream can be made: {server.reason()}")
    stream = Stream(server, handle)
    # A named sink that is pulled must not send our sound to another loudspeaker.
    flags = pulse_lib.STREAM_ADJUST_LATENCY | (pulse_lib.STREAM_DONT_MOVE if sink else 0)
    where = sink.encode() if sink else None
    try:
        if lib.pa_stream_connect_playback(handle, where, ctypes.byref(attr), flags, None, None) < 0:
            raise OutputError(f"the sink {sink or 'of the server'} cannot be opened: {server.reason()}")
        server.until(lambda: bool(lib.pa_stream_get_state(handle) >= pulse_lib.STREAM_READY), "open the sink")
        if lib.pa_stream_get_state(handle) != pulse_lib.STREAM_READY:
            wanted = f"sink {sink}" if sink else "default sink"
            raise OutputError(
                f"the PulseAudio server has no {wanted} ({server.reason()}); see `loa edge devices`"
            )
        yield stream
    finally:
        stream.close()


def sinks() -> list[tuple[str, str]]:
    """Name and description of the server's sinks. Raises OutputError when no server answers."""
    found: list[tuple[str, str]] = []
    ended: list[bool] = []

    def each(_context: Any, info: Any, end: int, _data: Any) -> None:
        if end:
            ended.append(True)
        elif info:
            sink = info.contents
            found.append((_text(sink.name), _text(sink.description)))

    with connected() as server:
        callback = pulse_lib.SinkCallback(each)
        operation = server.lib.pa_context_get_sink_info_list(server.context, callback, None)
        if not operation:
            raise OutputError(f"the PulseAudio server does not list its sinks: {server.reason()}")
        try:
            server.until(lambda: bool(ended), "list its sinks")
        finally:
            server.lib.pa_operation_cancel(operation)
            server.lib.pa_operation_unref(operation)
    return found


def _text(value: bytes | None) -> str:
    return value.decode(errors="replace") if value else ""
