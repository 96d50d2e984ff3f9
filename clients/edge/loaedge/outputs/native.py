"""Loading a C library of the system when it is first needed, its functions declared."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

from .output import OutputError

Signature = tuple[Any, tuple[Any, ...]]
"""ctypes result and arguments; None is void."""


def load(file: str, functions: Mapping[str, Signature], mend: str) -> ctypes.CDLL:
    """The library `file` with result and argument types set; its calls release the GIL.

    Raises OutputError with `mend` when it is not there or lacks a function.
    """
    try:
        library = ctypes.CDLL(file)
    except OSError as error:
        raise OutputError(f"{file} is not there: {mend}") from error
    for name, (result, arguments) in functions.items():
        try:
            function = getattr(library, name)
        except AttributeError:
            raise OutputError(f"{file} is too old, it has no {name}: {mend}") from None
        function.restype, function.argtypes = result, list(arguments)
    return library
