"""A report as one HTML file that needs nothing else: no script, no font, no picture from anywhere."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from bench.errors import BenchError
from bench.present.schema import Report

_LIBRARIES = ("jinja2", "matplotlib")


def require_libraries() -> None:
    """BenchError with the mend when a page could not be made; to be asked before a long run rather than after it."""
    for name in _LIBRARIES:
        if find_spec(name) is None:
            raise BenchError(f"a page needs {name}; install it with: pip install 'loa[bench]'")


def write_html(report: Report, path: Path) -> None:
    """Write the page of any scenario's report. Raises BenchError when it does not fit its schema or a library is
    missing, OSError of the file.
    """
    require_libraries()
    # half a second of imports: not for runs without a page
    from bench.present.render import html

    text = html(report)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
