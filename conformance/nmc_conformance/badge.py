"""A badge that says how many vectors a program passes."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from nmc_conformance.judge import NOT_SUPPORTED, PASS

if TYPE_CHECKING:
    from nmc_conformance.results import Run

_GREEN, _YELLOW, _RED = "#2e7d32", "#b26a00", "#c62828"
_MOSTLY = 0.9
_LETTER = 6.6
_MARGIN = 12


def badge(run: Run) -> str:
    """Return the badge of a run, an SVG image."""
    tried = len(run.results) - run.counts[NOT_SUPPORTED]
    good = run.counts[PASS]
    whole = run.passed and not run.selection
    colour = _GREEN if whole else _YELLOW if good >= _MOSTLY * max(tried, 1) else _RED
    left, right = f"NMC {run.role}", f"{good} of {tried}"
    first, second = _width(left), _width(right)
    label = escape(f"{left}: {right}")
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" width="{first + second}" height="20" role="img" \
aria-label="{label}">
<title>{label}</title>
<rect width="{first}" height="20" fill="#444"/>
<rect x="{first}" width="{second}" height="20" fill="{colour}"/>
<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">
<text x="{first / 2:g}" y="14">{escape(left)}</text>
<text x="{first + second / 2:g}" y="14">{escape(right)}</text>
</g>
</svg>
"""


def _width(text: str) -> int:
    return round(len(text) * _LETTER) + _MARGIN
