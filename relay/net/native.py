"""Calling C by address from compiled loops.

numba refuses to cache a function that holds a ctypes pointer, because the address differs from run to run.
Here an address is an ordinary integer argument and only the *signature* is compiled, so the kernels are
cached on disk and a relay starts in a second. Signatures are those of Linux on 64-bit machines.
"""

from __future__ import annotations

import _hashlib
import ctypes
from pathlib import Path
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from loacodecs.errors import CodecError
from relay.kernel_cache import drop_stale

drop_stale(Path(__file__).parent)  # here, because every kernel imports this module before it is compiled

_I32 = ir.IntType(32)
_I64 = ir.IntType(64)
_LIBC = ctypes.CDLL(None, use_errno=True)


def address_of(name: str) -> int:
    """The address of libc's function `name`, for the `call_*` intrinsics."""
    return _address(_LIBC, name)


def _address(library: ctypes.CDLL, name: str) -> int:
    return ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0


def _evp_addresses() -> tuple[int, ...]:
    """OpenSSL's cipher functions as Python itself loaded them; none where Python carries a hidden copy."""
    names = ("EVP_EncryptInit_ex", "EVP_EncryptUpdate", "EVP_EncryptFinal_ex", "EVP_CIPHER_CTX_ctrl")
    try:
        return tuple(_address(_CRYPTO, name) for name in names)
    except (AttributeError, TypeError):
        return ()


def _hmac_addresses() -> tuple[int, int]:
    try:
        _CRYPTO.EVP_sha1.restype = ctypes.c_void_p
        return _address(_CRYPTO, "HMAC"), int(_CRYPTO.EVP_sha1())
    except (AttributeError, TypeError):
        return 0, 0


class AeadContext:
    """An OpenSSL cipher context for AES-128-GCM, used by one thread, keyed anew for every packet.

    A row of the fan-out table then needs 28 octets of key and salt that lie beside the next row's, instead of some
    kilobytes of pointers that have left the cache by the time the next packet comes (docs/adr/004).
    """

    def __init__(self) -> None:
        self._context = _CRYPTO.EVP_CIPHER_CTX_new()
        if not _CRYPTO.EVP_EncryptInit_ex(
            self._context, _CRYPTO.EVP_aes_128_gcm(), None, bytes(16), bytes(12)
        ):
            raise CodecError("OpenSSL refused AES-128-GCM")

    @property
    def address(self) -> int:
        """The `EVP_CIPHER_CTX *` as an integer; valid as long as this object lives."""
        return int(self._context)

    def close(self) -> None:
        """Free the context and the key in it."""
        _CRYPTO.EVP_CIPHER_CTX_free(self._context)
        self._context = 0


SENDMMSG = address_of("sendmmsg")
READ = address_of("read")
WRITE = address_of("write")
RECVMMSG = address_of("recvmmsg")
EPOLL_WAIT = address_of("epoll_wait")
CLOCK_GETTIME = address_of("clock_gettime")
ERRNO_LOCATION = address_of("__errno_location")

_CRYPTO = ctypes.CDLL(getattr(_hashlib, "__file__", None))
EVP = _evp_addresses()
"""Addresses of EVP_EncryptInit_ex, EVP_EncryptUpdate, EVP_EncryptFinal_ex, EVP_CIPHER_CTX_ctrl, or empty."""
HMAC, SHA1 = _hmac_addresses()
"""Addresses of HMAC and of the digest SHA-1, or zeros."""
if EVP:
    _CRYPTO.EVP_CIPHER_CTX_new.restype = ctypes.c_void_p
    _CRYPTO.EVP_CIPHER_CTX_free.argtypes = [ctypes.c_void_p]
    _CRYPTO.EVP_aes_128_gcm.restype = ctypes.c_void_p
    _CRYPTO.EVP_EncryptInit_ex.argtypes = [ctypes.c_void_p] * 3 + [ctypes.c_char_p] * 2


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
def call_recvmmsg(typingctx: Any, address: Any, fd: Any, messages: Any, count: Any, flags: Any) -> Any:
    """`int recvmmsg(int fd, struct mmsghdr *, unsigned count, int flags, NULL)`."""
    signature = types.int32(types.int64, types.int32, types.int64, types.int32, types.int32)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        function = builder.inttoptr(
            args[0], ir.FunctionType(_I32, [_I32, _I64, _I32, _I32, _I64]).as_pointer()
        )
        return builder.call(function, [*args[1:], ir.Constant(_I64, 0)])

    return signature, generate


@intrinsic
def call_epoll_wait(typingctx: Any, address: Any, fd: Any, events: Any, count: Any, timeout: Any) -> Any:
    """`int epoll_wait(int fd, struct epoll_event *, int count, int milliseconds)`."""
    signature = types.int32(types.int64, types.int32, types.int64, types.int32, types.int32)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _call(context, builder, _I32, [_I32, _I64, _I32, _I32], args)

    return signature, generate


@intrinsic
def call_clock(typingctx: Any, address: Any, clock: Any, timespec: Any) -> Any:
    """`int clock_gettime(clockid_t, struct timespec *)`."""
    signature = types.int32(types.int64, types.int32, types.int64)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _call(context, builder, _I32, [_I32, _I64], args)

    return signature, generate


@intrinsic
def pointer(typingctx: Any, address: Any) -> Any:
    """An address as `void *`, for `numba.carray`; what stands there must outlive the call."""
    signature = types.voidptr(types.int64)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(types.voidptr))

    return signature, generate


@intrinsic
def call_evp_init(typingctx: Any, address: Any, context: Any, key: Any, nonce: Any) -> Any:
    """`EVP_EncryptInit_ex(context, NULL, NULL, key, nonce)`: the cipher stays, key and nonce are new."""
    signature = types.int32(types.int64, types.int64, types.int64, types.int64)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        null = ir.Constant(_I64, 0)
        function = builder.inttoptr(args[0], ir.FunctionType(_I32, [_I64] * 5).as_pointer())
        return builder.call(function, [args[1], null, null, args[2], args[3]])

    return signature, generate


@intrinsic
def call_evp_update(
    typingctx: Any, address: Any, context: Any, out: Any, out_length: Any, data: Any, length: Any
) -> Any:
    """`EVP_EncryptUpdate`; an `out` of 0 takes `data` as additional authenticated data."""
    signature = types.int32(*[types.int64] * 5, types.int32)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _call(context, builder, _I32, [_I64, _I64, _I64, _I64, _I32], args)

    return signature, generate


@intrinsic
def call_evp_final(typingctx: Any, address: Any, context: Any, out: Any, out_length: Any) -> Any:
    """`EVP_EncryptFinal_ex`."""
    signature = types.int32(types.int64, types.int64, types.int64, types.int64)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _call(context, builder, _I32, [_I64, _I64, _I64], args)

    return signature, generate


@intrinsic
def call_evp_ctrl(typingctx: Any, address: Any, context: Any, kind: Any, argument: Any, pointer: Any) -> Any:
    """`EVP_CIPHER_CTX_ctrl`."""
    signature = types.int32(types.int64, types.int64, types.int32, types.int32, types.int64)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _call(context, builder, _I32, [_I64, _I32, _I32, _I64], args)

    return signature, generate


@intrinsic
def call_gcm(
    typingctx: Any, address: Any, key: Any, context: Any, out: Any, data: Any, length: Any, nonce: Any,
    header: Any, header_length: Any, tag: Any, tag_length: Any,
) -> Any:  # fmt: skip
    """libipsec-mb's `aes_gcm_enc_128_*`; lengths in octets, `nonce` 12 of them."""
    signature = types.void(*[types.int64] * 11)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _call(context, builder, ir.VoidType(), [_I64] * 10, args)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def call_hmac(
    typingctx: Any, address: Any, digest: Any, key: Any, key_length: Any, data: Any, length: Any, out: Any
) -> Any:
    """`HMAC(digest, key, key_length, data, length, out, NULL)`."""
    signature = types.int64(*[types.int64] * 3, types.int32, *[types.int64] * 3)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = [_I64, _I64, _I32, _I64, _I64, _I64, _I64]
        function = builder.inttoptr(args[0], ir.FunctionType(_I64, kinds).as_pointer())
        return builder.call(function, [*args[1:], ir.Constant(_I64, 0)])

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
