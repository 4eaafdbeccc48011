"""``nmc sr mos-sheet``: a page that shows films without saying how they were made, and asks."""

from __future__ import annotations

import base64
import html
import json
import random
from collections.abc import Mapping
from pathlib import Path

from nmc_framework.super_resolution.opinion import WORDS
from nmc_framework.whole_files import write_text

STYLE = """\
 body { font: 16px/1.5 system-ui, sans-serif; color: #2b3440; max-width: 760px;
   margin: 2rem auto; padding: 0 1rem; }
 video { width: 100%; image-rendering: pixelated; background: #10151b; border-radius: 6px; }
 fieldset { border: 0; padding: 0; display: flex; gap: .5rem; flex-wrap: wrap; }
 button { font: inherit; padding: .5rem .9rem; border: 1px solid #9aa7b4; border-radius: 6px;
   background: #fff; cursor: pointer; }
 button:hover, button:focus { border-color: #1f6f78; }
 .quiet { color: #5b6b8c; }
 [hidden] { display: none; }
"""
"""How the pages look that ask people."""

COMMON = """\
function shuffle(list) {
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [list[i], list[j]] = [list[j], list[i]];
  }
}
const at = id => document.getElementById(id);
function show(id) { for (const s of ["begin", "ask", "end"]) at(s).hidden = s !== id; }
function save(name, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], {type}));
  link.download = name; link.click();
}
const quoted = text => '"' + String(text).replaceAll('"', '""') + '"';
at("json").onclick = () =>
  save("answers.json", "application/json", JSON.stringify({answers}, null, 1));
at("csv").onclick = () => save("answers.csv", "text/csv", [columns.join(","),
  ...answers.map(a => columns.map(name => quoted(a[name])).join(","))].join("\\r\\n"));
"""
"""What their scripts share: answers are kept in ``answers``, with the names in ``columns``."""

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
{style}</style>
<h1>{title}</h1>
<section id="begin">
 <p>You will see {count} short films, one after the other. Say of each how good the picture is.
 There is no right answer, and nothing is sent anywhere: at the end you save a file.</p>
 <label>Your name or a number: <input id="person" required></label>
 <button id="start">Begin</button>
</section>
<section id="ask" hidden>
 <p class="quiet" id="place"></p>
 <video id="film" autoplay muted loop playsinline controls></video>
 <fieldset>{buttons}</fieldset>
</section>
<section id="end" hidden>
 <p>Thank you. Save your answers and give them to whom asked you.</p>
 <button id="json">Save as JSON</button> <button id="csv">Save as CSV</button>
</section>
<script>
"use strict";
const trials = {trials};
const films = {films};
const columns = ["person", "film", "way", "score"];
const answers = [];
{common}shuffle(trials);
function next() {{
  if (answers.length === trials.length) {{
    at("film").removeAttribute("src");
    show("end");
    return;
  }}
  at("place").textContent = `Film ${{answers.length + 1}} of ${{trials.length}}`;
  at("film").src = films[trials[answers.length].source];
}}
at("start").onclick = () => {{
  if (!at("person").value.trim()) {{ at("person").focus(); return; }}
  show("ask"); next();
}};
for (const button of document.querySelectorAll("fieldset button"))
  button.onclick = () => {{
    const {{film, way}} = trials[answers.length];
    answers.push({{person: at("person").value.trim(), film, way, score: +button.value}});
    next();
  }};
</script>
</html>
"""


def write_sheet(
    path: Path, films: Mapping[str, Mapping[str, Path]], title: str, *, seed: int = 0
) -> int:
    """Write the page, with all films in it; return how many it asks about.

    Parameters
    ----------
    path
        Ends in ``.html``.
    films
        Videos that browsers play, by the film's name and the way that it was made.
    title
        What the page is called.
    seed
        Of the order of what is in the page; the page shuffles it for each person anyway.
    """
    trials: list[dict[str, object]] = []
    sources: list[str] = []
    for film, ways in films.items():
        for way, video in ways.items():
            trials.append({"film": film, "way": way, "source": len(sources)})
            data = base64.b64encode(video.read_bytes()).decode("ascii")
            sources.append(f"data:video/mp4;base64,{data}")
    random.Random(seed).shuffle(trials)  # noqa: S311 - an order, and no secret
    buttons = "".join(
        f'<button value="{score}">{score} {word}</button>' for score, word in WORDS.items()
    )
    text = _PAGE.format(
        title=html.escape(title),
        count=len(trials),
        buttons=buttons,
        style=STYLE,
        common=COMMON,
        trials=in_script(trials),
        films=in_script(sources),
    )
    write_text(path, text)
    return len(trials)


def in_script(value: object) -> str:
    """Return JSON that no text of which ends the script that it stands in."""
    return json.dumps(value).replace("<", "\\u003c")
