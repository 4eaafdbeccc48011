"""What there is: a listing as JSON, and as a page for people."""

from __future__ import annotations

import asyncio
import html
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from nmc_format.issues import FormatError
from nmc_tools.serve.facts import manifest_status
from nmc_tools.serve.messages import answer
from nmc_tools.serve.shelf import Kind
from nmc_tools.terminal import size_text

if TYPE_CHECKING:
    from nmc_tools.serve.files import Files
    from nmc_tools.serve.messages import Receive, Scope, Send
    from nmc_tools.serve.shelf import Entry

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}td,th{padding:.3rem .6rem;text-align:left;"
    "border-bottom:1px solid #8884}td.n,th.n{text-align:right}"
    "@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}a{color:#8cf}}"
)


def listing(files: Files) -> dict[str, Any]:
    """Return all packages and presentation documents; those that are refused with their error."""
    packages: list[dict[str, Any]] = []
    documents: list[dict[str, Any]] = []
    for entry in files.shelf.entries():
        if entry.kind is Kind.DOCUMENT:
            documents.append({"name": entry.name, "url": quote(entry.name)})
        else:
            packages.append(_package(files, entry))
    return {"packages": packages, "presentations": documents}


def _package(files: Files, entry: Entry) -> dict[str, Any]:
    said: dict[str, Any] = {"name": entry.name, "url": quote(entry.name)}
    manifest = manifest_status(entry.path)
    if manifest is None:
        try:
            _, frames = files.journals.sealed(entry.path)
        except OSError:
            return said | {"error": "it is gone"}
        return said | {"growing": True, "frames": frames}
    try:
        return said | {"growing": False} | files.known.read(entry.path, manifest).listed
    except FormatError as error:
        return said | {"error": str(error.finding)}


class Listing:
    """Answers with the listing, as JSON or as a page.

    Parameters
    ----------
    files : Files
        What is served.
    page : bool
        As a page for people.
    player : bool
        Whether the server has the player, to which the page leads.
    render : bool
        Whether it renders for players that cannot.
    """

    def __init__(
        self, files: Files, *, page: bool, player: bool = False, render: bool = False
    ) -> None:
        self._files, self._page, self._player, self._render = files, page, player, render

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        found = await asyncio.to_thread(listing, self._files)
        token = scope["nmc.token"]
        if self._page:
            body = _html(found, token, player=self._player, render=self._render)
            media = "text/html; charset=utf-8"
        else:
            body, media = json.dumps(found, indent=2) + "\n", "application/json"
        data = body.encode()
        headers = {"content-type": media, "cache-control": "no-store"}
        if self._page:
            headers["content-security-policy"] = "default-src 'none'; style-src 'unsafe-inline'"
            headers["referrer-policy"] = "no-referrer"  # a token in the URL stays here
        headers["content-length"] = str(len(data))
        await answer(send, 200, headers, b"" if scope["method"] == "HEAD" else data)


def _html(found: dict[str, Any], token: str, *, player: bool, render: bool) -> str:
    query = _query(token)
    rows = []
    for package in found["packages"]:
        name, link = html.escape(package["name"]), html.escape(package["url"] + query)
        if "error" in package:
            rows.append(f"<tr><td>{name}<td colspan=5>{html.escape(package['error'])}")
            continue
        play = _play(package["url"], token, render=render) if player else ""
        if package["growing"]:
            rows.append(
                f"<tr><td>{name}<td class=n>{package['frames']}<td colspan=3>growing<td>{play}"
            )
            continue
        shown = f"<a href='{link}'>{name}</a>" if package["form"] == "file" else name
        rows.append(
            f"<tr><td>{shown}<td class=n>{package['frames']}"
            f"<td class=n>{package['seconds']:.2f} s<td class=n>{size_text(package['bytes'])}"
            f"<td>{html.escape(package['family'])}<td>{play}"
        )
    for document in found["presentations"]:
        link = html.escape(document["url"] + query)
        play = _play(document["url"], token) if player else ""
        name = html.escape(document["name"])
        rows.append(f"<tr><td><a href='{link}'>{name}</a><td colspan=4>presentation<td>{play}")
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>NMC packages</title>"
        f"<meta name=viewport content='width=device-width'><style>{_STYLE}</style>"
        "<h1>NMC packages</h1><table><tr><th>name<th class=n>frames<th class=n>length"
        f"<th class=n>bytes<th>family<th>{''.join(rows)}</table>"
        "<p><a href='index.json"
        f"{html.escape(query)}'>index.json</a></p></html>\n"
    )


def _query(token: str) -> str:
    return f"?token={quote(token, safe='')}" if token else ""


def _play(url: str, token: str, *, render: bool = False) -> str:
    """Return a link to the player for what lies beside the listing."""
    asked = {"url": f"../{url}{_query(token)}"}
    if token:
        asked["token"] = token
    if render:
        asked["render"] = f"../render/{url}{_query(token)}"
    return f"<a href='player/?{html.escape(urlencode(asked, quote_via=quote, safe=''))}'>play</a>"
