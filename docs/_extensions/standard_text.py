"""Renders the standard: its anchors are targets, and each "clause 5.2" is a link to it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from docutils import nodes
from sphinx.util import logging

from nmc_spec.anchors import anchor_of, anchored

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sphinx.application import Sphinx

_log = logging.getLogger(__name__)

_PLACE = re.compile(r'^<a id="([^"]+)"></a>$')
_LETTER = re.compile(r'<a id="([^"]+)" href="[^"]*"><sup>([^<]*)</sup></a>')
_SPOT = re.compile(r'<a id="([^"]+)"></a>(`[^`]*`)')
_NUMBER = r"(?:[A-E]\b(?:\.\d+)*|\d+(?:\.\d+)*)(?:-[a-z]{1,2}\b)?"
_CLAUSES = re.compile(
    rf"\b(?:[Cc]lauses?|[Aa]nnex(?:es)?) {_NUMBER}(?:(?:, (?:and )?| and | to | or ){_NUMBER})*"
)


def targets(text: str) -> str:
    """Return a page of the standard with its anchors in the notation of MyST."""
    lines = []
    for line in anchored(text).splitlines():
        lettered = _LETTER.sub(r"[[\2](#\1)]{#\1 .requirement}", _PLACE.sub(r"(\1)=", line))
        lines.append(_SPOT.sub(r"[\2]{#\1}", lettered))
    return "\n".join(lines) + "\n"


def _read(app: Sphinx, docname: str, source: list[str]) -> None:
    if docname.startswith("spec/text/"):
        source[0] = targets(source[0])


def _prose(doctree: nodes.document) -> Iterator[nodes.Text]:
    barred = (nodes.literal, nodes.literal_block, nodes.reference, nodes.title, nodes.raw)
    for text in list(doctree.findall(nodes.Text)):
        node = text.parent
        while node is not None and not isinstance(node, barred):
            node = node.parent
        if node is None:
            yield text


def _anchor(number: str) -> str:
    """Return the anchor of a clause, of an annex, or of a requirement such as 5.2.1-a."""
    clause, _, letter = number.partition("-")
    return anchor_of(clause) + (f"-{letter}" if letter else "")


def _linked(app: Sphinx, docname: str, text: str) -> list[nodes.Node]:
    """Return a text in pieces, with a reference for each clause that it names."""
    labels = app.env.get_domain("std").anonlabels  # type: ignore[attr-defined]
    pieces: list[nodes.Node] = []
    done = 0
    for phrase in _CLAUSES.finditer(text):
        for found in re.compile(_NUMBER).finditer(text, phrase.start() + 5, phrase.end()):
            target = labels.get(_anchor(found[0]))
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
