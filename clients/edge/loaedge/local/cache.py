"""Local copies of programmes, each known by size and SHA-256, so that a damaged one is noticed before it plays.

A folder of programmes may hold `manifest.json`: {"files": {name: {"size": bytes, "sha256": hex}}}. The cache
writes it for what it stores; a technician may write it for files copied by hand (`Cache.adopt`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from loacodecs.errors import LoaError

from ..disk import Disk, DiskError, reason

MANIFEST: Final = "manifest.json"
_NAME: Final = re.compile(r"[A-Za-z0-9_][\w .,()+-]{0,199}")
_BLOCK: Final = 1 << 16
_HASH: Final = re.compile(r"[0-9a-f]{64}")

CacheFault = Literal["missing", "truncated", "changed", "unreadable", "manifest", "name", "full"]


class CacheError(LoaError):
    """A stored programme is not what it was, or cannot be stored; `fault` is the reason in one word."""

    def __init__(self, name: str, fault: CacheFault, detail: str = "") -> None:
        super().__init__(f"{name}: {fault}{f': {detail}' if detail else ''}")
        self.fault: CacheFault = fault


@dataclass(frozen=True, slots=True)
class Stored:
    """What a file must be."""

    size: int
    sha256: str


class Cache:
    """The programmes in `directory`, of at most `room` bytes together. One thread at a time."""

    def __init__(self, directory: Path, disk: Disk | None = None, *, room: int = 1 << 30) -> None:
        self._directory = directory
        self._disk = disk or Disk()
        self._room = room
        # Sums are computed again only when the file has been touched.
        self._seen: dict[str, tuple[int, int]] = {}

    def verify(self, path: Path, *, sums: bool = True) -> None:
        """Look at a file, or at all files of the folder. Raises CacheError for the first that is damaged.

        What lies elsewhere, or is not in the manifest, has promised nothing and passes. Without `sums` it is only
        looked whether the files are there and as long as they should be.
        """
        stored = self._manifest()
        if path == self._directory:
            for name, promise in stored.items():
                self._verify(name, promise, sums=sums)
        elif path.parent == self._directory and path.name in stored:
            self._verify(path.name, stored[path.name], sums=sums)

    def faults(self) -> dict[str, str]:
        """All that is wrong, for `loa edge doctor` and telemetry: file name to sentence."""
        found: dict[str, str] = {}
        try:
            stored = self._manifest()
        except CacheError as error:
            return {MANIFEST: str(error)}
        for name, promise in stored.items():
            try:
                self._verify(name, promise)
            except CacheError as error:
                found[name] = str(error)
        return found

    def store(self, name: str, blocks: Iterable[bytes], promise: Stored) -> Path:
        """Write a programme; it is there whole and as promised, or not at all. Raises CacheError."""
        if not _NAME.fullmatch(name) or name == MANIFEST:
            raise CacheError(name[:80], "name")
        stored = self._manifest()
        used = sum(entry.size for key, entry in stored.items() if key != name)
        if used + promise.size > self._room:
            raise CacheError(name, "full", f"{self._room >> 20} MiB are set aside")
        path = self._directory / name
        partial = path.with_name(name + ".part")
        try:
            self._write(partial, blocks, name, promise)
            # First the promise: a file without one would be believed blindly.
            self._save(stored | {name: promise})
            partial.replace(path)
        except OSError as error:
            raise CacheError(name, "unreadable", reason(error)) from error
        finally:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
        return path

    def adopt(self, name: str) -> Stored:
        """Take a file that is there as it is into the manifest. Raises CacheError."""
        path = self._directory / name
        promise = Stored(_size(path, name), _sum(path, name))
        self._save(self._manifest() | {name: promise})
        return promise

    def remove(self, name: str) -> None:
        """Forget a programme. Raises CacheError."""
        if not _NAME.fullmatch(name):
            raise CacheError(name[:80], "name")
        self._save({key: value for key, value in self._manifest().items() if key != name})
        try:
            self._disk.remove(self._directory / name)
        except DiskError as error:
            raise CacheError(name, "unreadable", str(error)) from error

    def _write(self, partial: Path, blocks: Iterable[bytes], name: str, promise: Stored) -> None:
        digest, size = hashlib.sha256(), 0
        try:
            self._disk.replace(partial, b"", 0o644)
            for block in blocks:
                size += len(block)
                if size > promise.size:
                    break
                digest.update(block)
                self._disk.append(partial, block, 0o644)
        except DiskError as error:
            raise CacheError(name, "full" if error.full else "unreadable", str(error)) from error
        if size != promise.size:
            raise CacheError(name, "truncated", f"{size} of {promise.size} bytes came")
        if digest.hexdigest() != promise.sha256:
            raise CacheError(name, "changed", "not the file that was promised")

    def _verify(self, name: str, promise: Stored, *, sums: bool = True) -> None:
        path = self._directory / name
        size = _size(path, name)
        if size != promise.size:
            raise CacheError(name, "truncated", f"{size} of {promise.size} bytes are there")
        mark = (size, path.stat().st_mtime_ns)
        if not sums or self._seen.get(name) == mark:
            return
        if _sum(path, name) != promise.sha256:
            raise CacheError(name, "changed", "its sum is another one")
        self._seen[name] = mark

    def _manifest(self) -> dict[str, Stored]:
        try:
            data = self._disk.read(self._directory / MANIFEST)
            document = {"files": {}} if data is None else json.loads(data)
            return {
                name: Stored(_count(entry["size"]), _hex(entry["sha256"]))
                for name, entry in document["files"].items()
                if _NAME.fullmatch(name)
            }
        except DiskError as error:
            raise CacheError(MANIFEST, "unreadable", str(error)) from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise CacheError(MANIFEST, "manifest", "it is no list of files") from None

    def _save(self, stored: dict[str, Stored]) -> None:
        files = {name: {"size": entry.size, "sha256": entry.sha256} for name, entry in stored.items()}
        data = json.dumps({"files": files}, indent=1).encode()
        try:
            self._disk.replace(self._directory / MANIFEST, data, 0o644)
        except DiskError as error:
            raise CacheError(MANIFEST, "full" if error.full else "unreadable", str(error)) from error


def verify(path: Path, *, sums: bool = True) -> None:
    """Look at a file before it is played, or at a whole folder, by the manifest beside it, if there is one.

    A playlist is looked at like any file; the files it names are found out as they play. Raises CacheError.
    """
    try:
        Cache(path if path.is_dir() else path.parent).verify(path, sums=sums)
    except OSError as error:  # a folder that this user may not enter, a card that gives errors
        raise CacheError(path.name, "unreadable", reason(error)) from error


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError("no size")
    return value


def _hex(value: object) -> str:
    if not isinstance(value, str) or not _HASH.fullmatch(value):
        raise ValueError("no SHA-256")
    return value


def _size(path: Path, name: str) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        raise CacheError(name, "missing") from None
    except OSError as error:
        raise CacheError(name, "unreadable", reason(error)) from error


def _sum(path: Path, name: str) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError as error:
        raise CacheError(name, "unreadable", reason(error)) from error
    return digest.hexdigest()
