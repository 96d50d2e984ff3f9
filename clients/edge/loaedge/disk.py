"""Files that a power cut cannot tear and a full disk cannot fool.

Whatever must outlast the process goes through a `Disk`, so that tests can hand in one that is full. Every
failure is a DiskError that says which file and why; `full` tells a full disk from a broken one.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from loacodecs.errors import LoaError

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_PARTIAL_SUFFIX: Final = ".part"


class DiskError(LoaError):
    """A file cannot be read or written; `full` when there is no room left (or no more allowed).

    `read_only` when the file system takes nothing at all.
    """

    def __init__(self, sentence: str, *, full: bool = False, read_only: bool = False) -> None:
        super().__init__(sentence)
        self.full = full
        self.read_only = read_only


class Disk:
    """Reads and writes whole small files, durably. Raises DiskError, and nothing else."""

    def read(self, path: Path, limit: int = 1 << 20) -> bytes | None:
        """What is in the file, at most `limit` bytes; None when there is no such file."""
        try:
            with path.open("rb") as file:
                return file.read(limit)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _translated("read", path, error) from error

    def replace(self, path: Path, data: bytes, mode: int = 0o600) -> None:
        """Write the file anew: after a power cut there is the old one or the new one, whole."""
        partial = path.with_name(path.name + _PARTIAL_SUFFIX)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
            with _closing(descriptor):
                os.fchmod(descriptor, mode)
                self._write(descriptor, data)
                os.fsync(descriptor)
            partial.replace(path)
            _sync_directory(path.parent)
        except OSError as error:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
            raise _translated("write", path, error) from error

    def append(self, path: Path, data: bytes, mode: int = 0o600) -> None:
        """Add to the end of the file and wait until it is safe; a failed attempt is cut off again."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, mode)
            with _closing(descriptor):
                size = os.fstat(descriptor).st_size
                try:
                    self._write(descriptor, data)
                    os.fsync(descriptor)
                except OSError:
                    with contextlib.suppress(OSError):
                        os.ftruncate(descriptor, size)
                    raise
        except OSError as error:
            raise _translated("write", path, error) from error

    def overwrite(self, path: Path, offset: int, data: bytes) -> None:
        """Write within a file that exists: this needs no new room, so it succeeds on a full disk, too."""
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            with _closing(descriptor):
                self._write_at(descriptor, data, offset)
                os.fdatasync(descriptor)
        except OSError as error:
            raise _translated("write", path, error) from error

    def rename(self, path: Path, name: str) -> None:
        """Give the file another name in its folder."""
        try:
            path.rename(path.with_name(name))
            _sync_directory(path.parent)
        except OSError as error:
            raise _translated("rename", path, error) from error

    def remove(self, path: Path) -> None:
        """Take the file away, if it is there."""
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise _translated("remove", path, error) from error

    def _write_at(self, descriptor: int, data: bytes, offset: int) -> None:
        if os.pwrite(descriptor, data, offset) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _write(self, descriptor: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]


def reason(error: OSError) -> str:
    """What the system says, as the end of a sentence."""
    return (error.strerror or str(error)).lower()


@contextlib.contextmanager
def _closing(descriptor: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(descriptor)


def _sync_directory(directory: Path) -> None:
    """A rename is durable when its directory is."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    with _closing(descriptor):
        os.fsync(descriptor)


def _translated(what: str, path: Path, error: OSError) -> DiskError:
    return DiskError(
        f"cannot {what} {path}: {reason(error)}",
        full=error.errno in _FULL,
        read_only=error.errno == errno.EROFS,
    )
