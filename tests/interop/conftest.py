"""A relay for the interop tests of a module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.relay_process import RelayProcess


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    """One relay with the channels xa, tinh and open (public)."""
    folder: Path = tmp_path_factory.mktemp("relay")
    with RelayProcess(folder, {"xa": [], "tinh": [], "open": ["public = true"]}) as process:
        yield process
