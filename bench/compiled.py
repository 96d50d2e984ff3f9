"""What the compiled loops share: the decorator, libc and libsrtp as compiled code calls them, and the clock.

The loops run in threads of their own without the GIL, so that neither the pacer nor the receivers wait for
Python. libc is called by symbol name (numba can then cache the machine code); libsrtp by the address that
`loacodecs.srtp` knows, because it lives inside a wheel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

Function = TypeVar("Function", bound=Callable[..., Any])

CLOCK_REALTIME = 0
CLOCK_MONOTONIC = 1
CLOCK_THREAD_CPUTIME_ID = 3
TIMER_ABSTIME = 1
NANOSECONDS = 1_000_000_000


def compiled(function: Function) -> Function:
    """`numba.njit` that lets go of the GIL and keeps its machine code between runs; the type stays."""
    return cast("Function", numba.njit(nogil=True, cache=True)(function))


# numba's own types differ between versions and describe the Python side only
_intrinsic: Callable[[Callable[..., Any]], Any] = intrinsic


def _external(name: str, result: Any, *arguments: Any) -> Any:
    return types.ExternalFunction(name, result(*arguments))


# int recvmmsg(int, struct mmsghdr *, unsigned, int, struct timespec *)
recvmmsg = _external("recvmmsg", types.int32, types.int32, types.intp, types.uint32, types.int32, types.intp)
# int sendmmsg(int, struct mmsghdr *, unsigned, int)
sendmmsg = _external("sendmmsg", types.int32, types.int32, types.intp, types.uint32, types.int32)
# ssize_t sendto(int, const void *, size_t, int, const struct sockaddr *, socklen_t)
sendto = _external(
    "sendto", types.intp, types.int32, types.intp, types.uintp, types.int32, types.intp, types.uint32
)
# ssize_t write(int, const void *, size_t)
write = _external("write", types.intp, types.int32, types.intp, types.uintp)
_clock_gettime = _external("clock_gettime", types.int32, types.int32, types.intp)
_clock_nanosleep = _external("clock_nanosleep", types.int32, types.int32, types.int32, types.intp, types.intp)


@_intrinsic
def _fence(typing_context: Any) -> Any:

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), generate


@_intrinsic
def _call_protect(typing_context: Any, address: Any, session: Any, packet: Any, length: Any) -> Any:

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = ir.IntType(64)
        function = ir.FunctionType(ir.IntType(32), [word, word, word])
        return builder.call(builder.inttoptr(arguments[0], function.as_pointer()), arguments[1:])

    return types.int32(types.int64, types.int64, types.int64, types.int64), generate


# numba's stubs show an intrinsic with its typing context as an argument; callers see these
fence: Callable[[], None] = cast("Callable[[], None]", _fence)
"""A full memory fence, for what is published to another thread through a plain counter."""

call_protect: Callable[[int, int, int, int], int] = cast("Callable[[int, int, int, int], int]", _call_protect)
"""`int srtp_protect(srtp_t, void *, int *)` at an address: (function, session, packet, length) -> 0 or an
error.
"""


@compiled
def clock(which: int, scratch: np.ndarray[Any, Any]) -> int:
    """Nanoseconds of a POSIX clock; `scratch` is int64[2] of the caller's own thread."""
    _clock_gettime(which, scratch.ctypes.data)
    return int(scratch[0]) * NANOSECONDS + int(scratch[1])


@compiled
def sleep_until(deadline: int, scratch: np.ndarray[Any, Any]) -> None:
    """Sleep until CLOCK_MONOTONIC reaches `deadline` nanoseconds; a signal may end the sleep early."""
    scratch[0] = deadline // NANOSECONDS
    scratch[1] = deadline % NANOSECONDS
    _clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, scratch.ctypes.data, 0)
