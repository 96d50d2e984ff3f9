"""Calling C by address from compiled loops.

numba refuses to cache a function that holds a ctypes pointer, because the address differs from run to run.
Here an address is an ordinary integer argument and only the *signature* is compiled, so the kernels are
cached on disk and a relay starts in a second. Signatures are those of Linux on 64-bit machines.
"""

from __future__ import annotations

import ctypes
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_I32 = ir.IntType(32)
_I64 = ir.IntType(64)
_LIBC = ctypes.CDLL(None, use_errno=True)


def address_of(name: str) -> int:
    """The address of libc's function `name`, for the `call_*` intrinsics."""
    return ctypes.cast(getattr(_LIBC, name), ctypes.c_void_p).value or 0


SENDMMSG = address_of("sendmmsg")
READ = address_of("read")
WRITE = address_of("write")
ERRNO_LOCATION = address_of("__errno_location")


def _call(context: Any, builder: Any, result: Any, parameters: list[Any], args: Any) -> Any:
    """Emit a call of the function whose address is `args[0]` with the remaining `args`."""
    function = builder.inttoptr(args[0], ir.FunctionType(result, parameters).as_pointer())
    return builder.call(function, list(args[1:]))


@intrinsic
def call_seal(typingctx: Any, address: Any, session: Any, packet: Any, length: Any) -> Any:
    """`int srtp_protect(srtp_t, void *packet, int *length)`; also the RTCP twin. All arguments int64
    addresses."""
    signature = types.int32(types.int64, types.int64, types.int64, types.int64)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _call(context, builder, _I32, [_I64, _I64, _I64], args)

    return signature, generate


@intrinsic
def call_sendmmsg(typingctx: Any, address: Any, fd: Any, messages: Any, count: Any, flags: Any) -> Any:
    """`int sendmmsg(int fd, struct mmsghdr *, unsigned count, int flags)`."""
    signature = types.int32(types.int64, types.int32, types.int64, types.int32, types.int32)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _call(context, builder, _I32, [_I32, _I64, _I32, _I32], args)

    return signature, generate


@intrinsic
def call_io(typingctx: Any, address: Any, fd: Any, buffer: Any, length: Any) -> Any:
    """`ssize_t read(int, void *, size_t)` and `write`."""
    signature = types.int64(types.int64, types.int32, types.int64, types.int64)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _call(context, builder, _I64, [_I32, _I64, _I64], args)

    return signature, generate


@intrinsic
def last_errno(typingctx: Any, address: Any) -> Any:
    """`errno` of the calling thread; `address` is that of `__errno_location`."""
    signature = types.int32(types.int64)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer_type = _I32.as_pointer()
        location = builder.inttoptr(args[0], ir.FunctionType(pointer_type, []).as_pointer())
        return builder.load(builder.call(location, []))

    return signature, generate
