"""Compiled kernels on disk are thrown away when any source they were made from has changed.

numba looks at the file of the function that was called alone; the kernels it calls, in other files, are part of the
same machine code. Without this, half of an update would go on running as it was before.
"""

from __future__ import annotations

import contextlib
from pathlib import Path


def drop_stale(folder: Path) -> None:
    """Remove from the `__pycache__` of `folder` what numba made before the newest source in `folder`."""
    with contextlib.suppress(OSError):
        newest = max((source.stat().st_mtime for source in folder.glob("*.py")), default=0.0)
        for index in (folder / "__pycache__").glob("*.nbi"):
            if index.stat().st_mtime < newest:
                index.unlink(missing_ok=True)
