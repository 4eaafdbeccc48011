"""Anchors of the standard's text: the source is plain Markdown, and they are derived from it.

A heading has an anchor by its number, and a requirement one by its clause and its letter, which the
source writes as ``shall[a]`` (clause 11.4). ``anchored`` puts them into a page for a renderer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MARK = re.compile(r"\bshall\[([a-z])\]")
"""A *shall* with the letter of its requirement."""

_HEADING = re.compile(r"(#+) ((?:Annex )?[A-Z0-9][0-9.]*) (?:\(\w+\): )?(.*)$")
_ISSUE = re.compile(r"\| `([a-z]+)/([a-z0-9-]+)` \| (?=error|warning)")


@dataclass(frozen=True)
class Heading:
    """A numbered heading.

    Attributes
    ----------
    number : str
        Of the clause or the annex, such as ``5.3.2``, ``D.1`` or ``A``.
    title : str
        What stands behind the number.
    anchor : str
        Its permanent anchor, such as ``c5-3-2``, ``d-1`` or ``annex-a``.
    slug : str
        The anchor that GitHub and other renderers make of the whole heading.
    """

    number: str
    title: str
    anchor: str
    slug: str


def anchor_of(number: str) -> str:
    """Return the permanent anchor of a clause or an annex by its number.

    Parameters
    ----------
    number : str
        Such as ``5.3.2``, ``D.1`` or ``A``.
    """
    name = number.lower().replace(".", "-")
    if number[0].isdigit():
        return f"c{name}"
    return name if "." in number else f"annex-{name}"


def slug(title: str) -> str:
    """Return the anchor that a renderer makes of a heading: lower case, hyphens, no punctuation."""
    return re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", title.lower()).strip())


def heading(line: str) -> Heading | None:
    """Return the numbered heading that a line is; None for any other line."""
    found = _HEADING.match(line)
    if not found:
        return None
    number = found[2].removeprefix("Annex ").rstrip(".")
    return Heading(number, found[3], anchor_of(number), slug(line.lstrip("#")))


def headings(text: str) -> Iterator[Heading]:
    """Yield the numbered headings of a page."""
    for line, prose in _lines(text):
        if prose and (found := heading(line)):
            yield found


def anchors(text: str) -> list[str]:
    """Return the permanent anchors of a page: its headings, requirements and issues."""
    return re.findall(r'<a id="([^"]+)"', anchored(text))


def anchored(text: str) -> str:
    """Return a page with its anchors as HTML, and the letters of requirements as superscripts.

    Parameters
    ----------
    text : str
        A page of ``spec/text``.
    """
    clause = ""
    lines = []
    for line, prose in _lines(text):
        found = heading(line) if prose else None
        if found:
            clause = found.anchor
            lines += [f'<a id="{clause}"></a>', ""]
        lines.append(_marked(line, clause) if prose else line)
    return "\n".join(lines) + "\n"


def _marked(line: str, clause: str) -> str:
    line = MARK.sub(rf'shall<a id="{clause}-\1" href="#{clause}-\1"><sup>\1</sup></a>', line)
    return _ISSUE.sub(r'| <a id="issue-\1-\2"></a>`\1/\2` | ', line)


def _lines(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the lines of a page, and whether they are prose; code is none."""
    fenced = False
    for line in text.splitlines():
        fence = line.startswith("```")
        yield line, not (fenced or fence)
        fenced ^= fence
