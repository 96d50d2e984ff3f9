"""`loa bench compare`, typed wrongly."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from bench.cli import bench


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ([], "--json"),
        (["--json", "x", "--servers", "loa,asterisk"], "asterisk"),
        (["--json", "x", "--servers", "janus"], "loa must be among them"),
        (["--json", "x", "--duration", "2", "--rounds", "5"], "--rounds"),
        (["--json", "x", "--listeners", "0"], "--listeners"),
        (["--json", "x", "--aiortc-listeners", "0", "60"], "--aiortc-listeners"),
    ],
)
def test_bad_arguments_are_named_and_end_with_2(arguments: list[str], word: str) -> None:
    result = CliRunner().invoke(bench, ["compare", *arguments])
    assert result.exit_code == 2
    assert word in result.stderr
