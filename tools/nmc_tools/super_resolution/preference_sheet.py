"""``nmc sr preference-sheet``: a page of films side by side that asks which one is better."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

from nmc_framework.whole_files import write_text
from nmc_tools.super_resolution.opinion_sheet import COMMON, STYLE, in_script

TYPES = {
    ".gif": "image/gif",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".mp4": "video/mp4",
    ".png": "image/png",
    ".webm": "video/webm",
    ".webp": "image/webp",
}
"""Media types of what browsers show, by the ending."""

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>@TITLE@</title>
<style>
@STYLE@ body { max-width: 1200px; }
 .pair { display: grid; grid-template-columns: 1fr 1fr; gap: .8rem; margin: 1rem 0; }
 .pair img, .pair video { width: 100%; image-rendering: pixelated; border-radius: 6px; }
</style>
<h1>@TITLE@</h1>
<section id="begin">
 <p>You will see @COUNT@, two versions side by side each time. Say which of them is better.
 There is no right answer, and nothing is sent anywhere: at the end you save a file.</p>
 <label>Your name or a number: <input id="person" required></label>
 <button id="start">Begin</button>
</section>
<section id="ask" hidden>
 <p class="quiet" id="place"></p>
 <div class="pair"><div id="left"></div><div id="right"></div></div>
 <fieldset><button value="left">The left one is better</button>
 <button value="none">No difference</button>
 <button value="right">The right one is better</button></fieldset>
</section>
<section id="end" hidden>
 <p>Thank you. Save your answers and give them to whom asked you.</p>
 <button id="json">Save as JSON</button> <button id="csv">Save as CSV</button>
</section>
<script>
"use strict";
const trials = @TRIALS@;
const sources = @SOURCES@;
const columns = ["person", "film", "first", "second", "chosen"];
const answers = [];
@COMMON@shuffle(trials);
for (const trial of trials) shuffle(trial.ways);
function put(id, source) {
  const made = document.createElement(source.startsWith("data:video/") ? "video" : "img");
  made.autoplay = made.muted = made.loop = made.playsInline = true;
  made.src = source;
  at(id).replaceChildren(made);
}
function next() {
  if (answers.length === trials.length) {
    for (const id of ["left", "right"]) at(id).replaceChildren();
    show("end");
    return;
  }
  const {ways} = trials[answers.length];
  at("place").textContent = `Pair ${answers.length + 1} of ${trials.length}`;
  put("left", sources[ways[0].source]);
  put("right", sources[ways[1].source]);
}
at("start").onclick = () => {
  if (!at("person").value.trim()) { at("person").focus(); return; }
  show("ask"); next();
};
for (const button of document.querySelectorAll("fieldset button"))
  button.onclick = () => {
    const {film, ways} = trials[answers.length];
    answers.push({person: at("person").value.trim(), film, first: ways[0].name,
      second: ways[1].name, chosen: {left: "first", right: "second"}[button.value] || "none"});
    next();
  };
</script>
</html>
"""


def write_preference_sheet(path: Path, films: Mapping[str, Mapping[str, Path]], title: str) -> int:
    """Write the page, with all films in it; return how many pairs it asks about.

    Each pair of ways of each film is asked once, in another order and with other sides for each
    person.

    Parameters
    ----------
    path
        Ends in ``.html``.
    films
        Videos and pictures that browsers show, by the film's name and the way that it was made.
    title
        What the page asks.
    """
    trials: list[dict[str, object]] = []
    sources: list[str] = []
    for film, ways in films.items():
        shown = []
        for way, place in ways.items():
            shown.append({"name": way, "source": len(sources)})
            data = base64.b64encode(place.read_bytes()).decode("ascii")
            sources.append(f"data:{TYPES[place.suffix.lower()]};base64,{data}")
        trials += [{"film": film, "ways": pair} for pair in combinations(shown, 2)]
    parts = {
        "TITLE": html.escape(title),
        "COUNT": f"{len(trials)} pairs" if len(trials) > 1 else "a pair",
        "STYLE": STYLE,
        "COMMON": COMMON,
        "TRIALS": in_script(trials),
        "SOURCES": in_script(sources),
    }
    write_text(path, re.sub(r"@([A-Z]+)@", lambda mark: parts[mark[1]], _PAGE))
    return len(trials)
