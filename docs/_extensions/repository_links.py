"""Links of the documents to what is no page: folders and files of the repository."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from docutils import nodes
from sphinx import addnodes

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_INDEX = ("README", "index", "01-scope")
"""Pages that stand for their folder, best first."""


def _page_of(app: Sphinx, folder: str) -> str | None:
    """Return the page that a folder is shown by."""
    if folder == ".":
        return str(app.config.root_doc)
    return next(
        (f"{folder}/{name}" for name in _INDEX if f"{folder}/{name}" in app.env.found_docs), None
    )


def _missing(
    app: Sphinx, env: object, node: addnodes.pending_xref, content: nodes.TextElement
) -> nodes.Node | None:
    """Resolve a link to a folder, or to a file of the repository."""
    target = unquote(str(node.get("reftarget", ""))).partition("#")[0]
    if node.get("refdomain") not in {None, "", "doc"} or not target:
        return None
    root = Path(app.srcdir)
    here = root / str(node["refdoc"])
    place = Path(os.path.normpath(here.parent / target))
    if not place.is_relative_to(root) or not place.exists():
        return None
    name = place.relative_to(root).as_posix()
    page = _page_of(app, name) if place.is_dir() else None
    if name in {"README.md", "README.ko.md"}:
        page = "docs/index.ko" if name.endswith("ko.md") else "docs/index"
    if page:
        uri = app.builder.get_relative_uri(str(node["refdoc"]), page)
        return nodes.reference("", "", *content.children, refuri=uri, internal=True)
    if app.config.source_url:
        uri = f"{app.config.source_url.rstrip('/')}/{name}"
        return nodes.reference("", "", *content.children, refuri=uri)
    return nodes.inline("", "", *content.children) if place.is_dir() else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_config_value("source_url", "", "env", str)
    app.connect("missing-reference", _missing, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
