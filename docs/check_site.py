"""Checks a built site: each link leads to a file and a place, and nothing comes from outside.

Sphinx warns of what it resolves itself; this looks at the pages as a browser gets them.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_LOADED = {"img": "src", "script": "src", "iframe": "src", "source": "src", "link": "href"}
"""What a browser loads without a click."""


@dataclass
class Page(HTMLParser):
    """The places of a page, and what it links to and loads."""

    ids: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of an element."""
        given = {name: value for name, value in attrs if value}
        self.ids.update(given[name] for name in ("id", "name") if name in given)
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag in _LOADED and _LOADED[tag] in given:
            self.loaded.append(given[_LOADED[tag]])


def _read(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def _ids(pages: dict[Path, Page], target: Path) -> set[str]:
    return pages[target].ids if target in pages else set()


def faults(site: Path) -> list[str]:
    """Return what is wrong with the pages under a folder, one line each."""
    pages = {path: _read(path) for path in sorted(site.rglob("*.html"))}
    found = [] if pages else [f"{site}: there are no pages"]
    for path, page in pages.items():
        name = path.relative_to(site)
        outside = (link for link in page.loaded if urlsplit(link).netloc)
        found += [f"{name}: loads {link} from outside" for link in outside]
        for link in [*page.links, *page.loaded]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = path
            if parts.path:
                target = Path(os.path.normpath(path.parent / unquote(parts.path)))
            if not target.is_relative_to(site) or not target.is_file():
                found.append(f"{name}: there is no {link}")
            elif parts.fragment and unquote(parts.fragment) not in _ids(pages, target):
                found.append(f"{name}: there is no place {link}")
    return found


def main() -> int:
    """Check the folder given as the argument; return the exit status."""
    wrong = faults(Path(sys.argv[1]).resolve())
    print("\n".join(wrong), end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
