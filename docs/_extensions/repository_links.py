"""Links of the documents to what is not a page: folders and files of the repository."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms.post_transforms import SphinxPostTransform

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_INDEX = ("README", "index", "01-scope")
"""Pages that stand for their folder, best first."""


class RepositoryLinks(SphinxPostTransform):
    """Turn a link to a folder or a file into one to its page, or to where the source is hosted."""

    default_priority = 8  # before that of MyST, which knows pages alone

    def run(self, **_: Any) -> None:
        """Go through the links of a page."""
        for node in list(self.document.findall(addnodes.pending_xref)):
            self._replace(node, str(node.get("reftarget", "")))
        for node in list(self.document.findall(addnodes.download_reference)):
            if self.config.source_url:
                self._replace(node, str(node.get("reftarget", "")))

    def _replace(self, node: nodes.Element, link: str) -> None:
        root = Path(self.app.srcdir)
        target = unquote(link).partition("#")[0]
        base = root if target.startswith("/") else (root / self.env.docname).parent
        place = Path(os.path.normpath(base / target.lstrip("/")))
        listed = place.is_dir() or isinstance(node, addnodes.download_reference)
        if not target or not listed or not place.is_relative_to(root):
            return
        name = place.relative_to(root).as_posix()
        pages = (f"{name}/{index}" for index in _INDEX)
        page = next((page for page in pages if page in self.env.found_docs), None)
        if page:
            uri = self.app.builder.get_relative_uri(self.env.docname, page)
            node.replace_self(nodes.reference("", "", *node.children, refuri=uri, internal=True))
        elif self.config.source_url:
            uri = f"{self.config.source_url.rstrip('/')}/{name}"
            node.replace_self(nodes.reference("", "", *node.children, refuri=uri))
        else:
            node.replace_self(nodes.inline("", "", *node.children))


def _unlisted(app: Sphinx, docname: str, source: list[str]) -> None:
    """Take pages that no table of contents has: the records of decisions, and the READMEs."""
    if docname.startswith(("spec/decisions/0", "README")):
        source[0] = f"---\norphan: true\n---\n\n{source[0]}"


def _language(
    app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Say of a Korean page that it is one."""
    if pagename.endswith(".ko"):
        context["language"] = "ko"


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_config_value("source_url", "", "env", str)
    app.add_post_transform(RepositoryLinks)
    app.connect("source-read", _unlisted)
    app.connect("html-page-context", _language)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
