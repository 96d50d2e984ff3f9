"""libopus through ctypes: found in the PyAV wheel or the system, its functions declared.

PyAV itself is not imported: its wheel brings the library as a file beside the package. ctypes calls release
the GIL. The variadic `opus_*_ctl` functions get `argtypes` for their fixed arguments only, which makes ctypes
call them by the platform's variadic convention; whoever calls them passes the rest as ctypes values.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import importlib.util
from collections.abc import Callable, Iterable, Iterator
from ctypes import c_char_p, c_int, c_void_p
from pathlib import Path

from .errors import CodecError

SAMPLE_RATE = 48000
MAX_PACKET_SAMPLES = 5760
"""An Opus packet lasts at most 120 ms (RFC 6716 §3.2.5)."""

BAD_ARGUMENT = -1
INVALID_PACKET = -4

SET_APPLICATION, GET_APPLICATION = 4000, 4001
SET_BITRATE, GET_BITRATE = 4002, 4003
SET_COMPLEXITY, GET_COMPLEXITY = 4010, 4011
SET_INBAND_FEC, GET_INBAND_FEC = 4012, 4013
SET_PACKET_LOSS_PERC, GET_PACKET_LOSS_PERC = 4014, 4015
SET_DTX, GET_DTX = 4016, 4017
GET_LOOKAHEAD = 4027
RESET_STATE = 4028

# name: (result, arguments); c_void_p stands for codec states, PCM and packet memory alike.
_FUNCTIONS: dict[str, tuple[type | None, tuple[type, ...]]] = {
    "opus_get_version_string": (c_char_p, ()),
    "opus_strerror": (c_char_p, (c_int,)),
    "opus_encoder_get_size": (c_int, (c_int,)),
    "opus_encoder_init": (c_int, (c_void_p, c_int, c_int, c_int)),
    "opus_encode_float": (c_int, (c_void_p, c_void_p, c_int, c_void_p, c_int)),
    "opus_encoder_ctl": (c_int, (c_void_p, c_int)),
    "opus_decoder_get_size": (c_int, (c_int,)),
    "opus_decoder_init": (c_int, (c_void_p, c_int, c_int)),
    "opus_decode_float": (c_int, (c_void_p, c_char_p, c_int, c_void_p, c_int, c_int)),
    "opus_decoder_ctl": (c_int, (c_void_p, c_int)),
}

Search = Callable[[], Iterable[str]]
"""Gives paths or names for the dynamic loader, best first."""


class LibOpus:
    """The functions of one loaded libopus; each is the C function of that name.

    Raises CodecError when the library lacks one of them.
    """

    def __init__(self, library: ctypes.CDLL, path: str) -> None:
        self.path = path
        for name, (result, arguments) in _FUNCTIONS.items():
            try:
                function = getattr(library, name)
            except AttributeError:
                raise CodecError(f"{path} is not a usable libopus: it has no {name}") from None
            function.restype, function.argtypes = result, arguments
        self.get_version_string: Callable[[], bytes] = library.opus_get_version_string
        self.strerror: Callable[[int], bytes] = library.opus_strerror
        self.encoder_get_size: Callable[[int], int] = library.opus_encoder_get_size
        self.encoder_init: Callable[..., int] = library.opus_encoder_init
        self.encode_float: Callable[..., int] = library.opus_encode_float
        self.encoder_ctl: Callable[..., int] = library.opus_encoder_ctl
        self.decoder_get_size: Callable[[int], int] = library.opus_decoder_get_size
        self.decoder_init: Callable[..., int] = library.opus_decoder_init
        self.decode_float: Callable[..., int] = library.opus_decode_float
        self.decoder_ctl: Callable[..., int] = library.opus_decoder_ctl

    @property
    def version(self) -> str:
        """As libopus says it, for example "libopus 1.6.1"."""
        return self.get_version_string().decode()

    def check(self, code: int, what: str) -> int:
        """`code` when it is no error; CodecError "libopus refused WHAT: reason" when it is."""
        if code < 0:
            raise CodecError(f"libopus refused {what}: {self.strerror(code).decode()}")
        return code


def in_wheel() -> Iterator[str]:
    """libopus files that PyAV's wheel brought, without importing it."""
    spec = importlib.util.find_spec("av")
    for package in (spec.submodule_search_locations or ()) if spec else ():
        # auditwheel puts them beside the package, delocate (macOS) inside it.
        for folder, pattern in (
            (Path(package).parent / "av.libs", "libopus*.so*"),
            (Path(package) / ".dylibs", "libopus*.dylib"),
        ):
            yield from (str(path) for path in sorted(folder.glob(pattern)))


def in_system() -> Iterator[str]:
    """The libopus of the operating system."""
    name = ctypes.util.find_library("opus")
    if name:
        yield name


def in_wheel_or_system() -> Iterator[str]:
    """The search order of Loa: the library that was tested with the wheel before the system's."""
    yield from in_wheel()
    yield from in_system()


def find(search: Search = in_wheel_or_system) -> LibOpus:
    """Load the first library of `search` that can be used.

    Raises CodecError with the mend when there is none.
    """
    reasons: list[str] = []
    for path in search():
        try:
            return LibOpus(ctypes.CDLL(path), path)
        except (OSError, CodecError) as error:
            reasons.append(" ".join(str(error).split()))
    because = f" ({'; '.join(reasons)})" if reasons else ""
    raise CodecError(f"no libopus was found{because}: run `pip install av` or `apt install libopus0`")


@functools.cache
def library() -> LibOpus:
    """The libopus of this process, loaded when first asked for. Raises CodecError when there is none."""
    return find()
