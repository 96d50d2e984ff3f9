"""Memory that others lend the mixer, by its address: what it takes to see samples where they lie from compiled code.

numba takes arrays as arguments, but not hundreds of them a block without more work than copying their samples.
`relay.net.native` has the same: neither package knows the other, and what is compiled in one is dropped when a source
of that folder changes.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import intrinsic


@intrinsic
def pointer(typingctx: Any, address: Any) -> Any:
    """An int64 address as `void *`, for `numba.carray`; what stands there must outlive the call."""
    signature = types.voidptr(types.int64)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(types.voidptr))

    return signature, generate
