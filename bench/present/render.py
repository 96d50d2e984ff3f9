"""The text of a page; apart from `bench.present.html`, because it needs the libraries that draw and lay out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bench.present.headlines import headlines
from bench.present.pages import page, plain_rows
from bench.present.schema import Report, validate

_TEMPLATES = Path(__file__).parent / "templates"


def html(report: Report) -> str:
    """The page as text. Raises BenchError when the report does not fit its schema."""
    validate(report)
    # numbers and tuples become what a reader of the file would see
    plain: dict[str, Any] = json.loads(json.dumps(report, ensure_ascii=False))
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html").render(
        report=plain,
        page=page(plain),
        headlines=headlines(plain),
        machine=plain_rows(plain["machine"]),
        parameters=plain_rows(plain["parameters"]),
        text=json.dumps(plain, indent=1, ensure_ascii=False),
    )
