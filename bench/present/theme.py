"""From a matplotlib figure to inline SVG that follows the page: its colours are the page's CSS variables.

matplotlib knows no variables, so figures are drawn in stand-in colours (`INK`, `SERIES`, ...), each of which is then
replaced by `var(--...)`. One drawing thus serves the light and the dark page, and its text stays text.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

INK, SOFT, LINE, ON_SERIES = "#010203", "#040506", "#070809", "#0a0b0c"
# In the order of the page's --series-1 ...; Okabe and Ito's palette, which the colour-blind can tell apart
SERIES = ("#110001", "#110002", "#110003", "#110004", "#110005", "#110006")
DASHES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (2, 2)), (0, (6, 2, 1.5, 2)), (0, (1, 1)), (0, (9, 3)))
MARKERS = ("o", "s", "^", "D", "v", "P")

_VARIABLES = {
    INK: "--ink",
    SOFT: "--soft",
    LINE: "--line",
    ON_SERIES: "--on-series",
    **{color: f"--series-{number}" for number, color in enumerate(SERIES, 1)},
}
_PIXELS_PER_INCH = 72  # an SVG of matplotlib has one unit a point
_SETTINGS: Any = {
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "text.color": INK,
    "axes.labelcolor": SOFT,
    "axes.edgecolor": LINE,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": SOFT,
    "ytick.labelcolor": SOFT,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "lines.linewidth": 2,
}


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing and the words above it."""

    title: str
    svg: Markup


def draw(
    title: str, description: str, paint: Callable[[Axes], None], *, width: int = 560, height: int = 300
) -> Chart:
    """What `paint` draws, as SVG. `description` is read out to people who do not see it; sizes are in CSS pixels.

    The title also keeps the inner ids apart from those of the page's other charts, so it should be the only such.
    """
    with rc_context(_SETTINGS | {"svg.hashsalt": title}):
        figure = Figure(figsize=(width / _PIXELS_PER_INCH, height / _PIXELS_PER_INCH), layout="constrained")
        FigureCanvasSVG(figure)
        paint(figure.subplots())
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return Chart(title, _inline(text.getvalue(), f"{title}: {description}"))


def _inline(text: str, description: str) -> Markup:
    svg = text[text.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r' (?:width|height)="[\d.]+pt"', "", svg, count=2)
    # nobody refers to groups, and their names are the same in every drawing
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r"font: ((?:\d+ )?[\d.]+px) [^;\"]+", r"font: \1 var(--type)", svg)
    for color, variable in _VARIABLES.items():
        svg = svg.replace(color, f"var({variable})")
    label = escape(description)
    return Markup(svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1))  # noqa: S704 - matplotlib escapes
