"""Renders the standard: its anchors become targets, and each "clause 5.2" a link to it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from docutils import nodes
from sphinx.util import logging

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sphinx.application import Sphinx

_log = logging.getLogger(__name__)

_PLACE = re.compile(r'^<a id="([^"]+)"></a>$')
_LETTER = re.compile(r'<a id="([^"]+)"><sup>([^<]*)</sup></a>')
_SPOT = re.compile(r'<a id="([^"]+)"></a>(`[^`]*`)')
_LINK = re.compile(r"\]\((?:[\w./-]*\.md)?#([a-z][\w-]*)\)")
_NUMBER = r"(?:[A-E]\b(?:\.\d+)*|\d+(?:\.\d+)*)(?:-[a-z]{1,2}\b)?"
_CLAUSES = re.compile(
    rf"\b(?:[Cc]lauses?|[Aa]nnex(?:es)?) {_NUMBER}(?:(?:, (?:and )?| and | to | or ){_NUMBER})*"
)


def targets(text: str) -> str:
    """Return the text with its HTML anchors in the notation of MyST; fenced blocks stay."""
    lines, fenced = [], False
    for line in text.splitlines():
        if line.startswith("```"):
            fenced = not fenced
        if fenced or line.startswith("```"):
            lines.append(line)
            continue
        lettered = _LETTER.sub(r"[\2]{#\1 .requirement}", _PLACE.sub(r"(\1)=", line))
        lines.append(_LINK.sub(r"](#\1)", _SPOT.sub(r"[\2]{#\1}", lettered)))
    return "\n".join(lines) + "\n"


def _read(app: Sphinx, docname: str, source: list[str]) -> None:
    if docname.startswith("spec/"):
        source[0] = targets(source[0])
    if docname.startswith("spec/decisions/0"):
        source[0] = f"---\norphan: true\n---\n\n{source[0]}"


def anchor(number: str) -> str:
    """Return the anchor of a clause: ``c5-2-1-a`` of 5.2.1-a, ``annex-d`` of D, ``d-1`` of D.1."""
    if len(number) == 1 and number.isalpha():
        return f"annex-{number.lower()}"
    return ("" if number[0].isalpha() else "c") + number.lower().replace(".", "-")


def _prose(doctree: nodes.document) -> Iterator[nodes.Text]:
    barred = (nodes.literal, nodes.literal_block, nodes.reference, nodes.title, nodes.raw)
    for text in list(doctree.findall(nodes.Text)):
        node = text.parent
        while node is not None and not isinstance(node, barred):
            node = node.parent
        if node is None:
            yield text


def _linked(app: Sphinx, docname: str, text: str) -> list[nodes.Node]:
    """Return a text in pieces, with a reference for each clause that it names."""
    labels = app.env.get_domain("std").anonlabels  # type: ignore[attr-defined]
    pieces: list[nodes.Node] = []
    done = 0
    for phrase in _CLAUSES.finditer(text):
        for found in re.compile(_NUMBER).finditer(text, phrase.start() + 5, phrase.end()):
            target = labels.get(anchor(found[0]))
            if target is None:
                _log.warning("no such clause: %s", phrase[0], location=docname)
                continue
            uri = f"{app.builder.get_relative_uri(docname, target[0])}#{target[1]}"
            pieces.append(nodes.Text(text[done : found.start()]))
            pieces.append(nodes.reference(found[0], found[0], refuri=uri, internal=True))
            done = found.end()
    return [*pieces, nodes.Text(text[done:])] if pieces else []


def _resolved(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    if not docname.startswith("spec/text/"):
        return
    for text in _prose(doctree):
        pieces = _linked(app, docname, text.astext())
        if pieces:
            text.parent.replace(text, pieces)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("source-read", _read)
    app.connect("doctree-resolved", _resolved)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
