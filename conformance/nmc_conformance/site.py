"""The implementation report: a folder of pages that needs no server and nothing from elsewhere.

The first page has implementations, profiles and chapters; each implementation has a page with its
claim (clause 11.7), what it fails, and what changed since its run before.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from nmc_conformance import badge, matrix
from nmc_conformance.judge import GOOD, NOT_SUPPORTED, PASS
from nmc_spec import FORMAT_VERSIONS, profiles

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from nmc_conformance.results import Result, Run

CHAPTERS = {
    "04-model": "4 The model of a sequence",
    "05-package": "5 Package",
    "06-segment": "6 Segment",
    "07-decoding": "7 Decoding",
    "08-arithmetic": "8 Arithmetic of differences",
    "09-freezing": "9 Lineage and freezing",
    "10-profiles": "10 Profiles and levels",
    "12-quantised": "12 Quantised tensors",
    "13-signatures": "13 Signatures",
    "14-encryption": "14 Encryption",
    "15-messages": "15 Messages",
    "16-media": "16 Media",
}
"""Folders of the vectors, and the titles of their chapters; the text is not installed with this."""

FORMATS = " and ".join(FORMAT_VERSIONS)

STYLE = """\
:root { color-scheme: light dark; --text: #1b1f24; --back: #fff; --line: #d5d9de; --dim: #5b6470;
  --good: #1a6b2f; --good-back: #dff3e3; --bad: #a11a1a; --bad-back: #fbe2e2; --link: #0b57b0; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e7eb; --back: #15181c; --line: #3a4048;
  --dim: #9aa4b0; --good: #8fd6a0; --good-back: #17331f; --bad: #ff9d9d; --bad-back: #431c1c;
  --link: #86b7f5; } }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back);
  margin: 0 auto; max-width: 66rem; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .3rem; } h2 { font-size: 1.15rem;
  margin: 2.2rem 0 .5rem; } p { max-width: 46rem; } a { color: var(--link); }
.dim { color: var(--dim); } .wide { overflow-x: auto; }
table { border-collapse: collapse; min-width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem;
  border-bottom: 1px solid var(--line); } thead th { border-bottom: 2px solid var(--line);
  min-width: 4.5rem; overflow-wrap: anywhere; } tbody th { white-space: nowrap; }
td.n { white-space: nowrap; text-align: right; }
.good { background: var(--good-back); color: var(--good); }
.bad { background: var(--bad-back); color: var(--bad); font-weight: 600; }
code { font-size: .92em; overflow-wrap: anywhere; } img { vertical-align: middle; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1rem; margin: 1rem 0; }
dt { color: var(--dim); } dd { margin: 0; }
@media (max-width: 34rem) { dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .5rem; }
  th, td { padding: .3rem .4rem; } }
"""


@dataclass(frozen=True)
class Entry:
    """One implementation in one role.

    Attributes
    ----------
    slug : str
        Name of its files.
    run : Run
        Its last run.
    before : Run or None
        The run before, where there is one.
    source : Path
        Results of the last run.
    """

    slug: str
    run: Run
    before: Run | None
    source: Path

    @property
    def title(self) -> str:
        """Name and version."""
        return f"{self.run.subject['name']} {self.run.subject['version']}"


def write(folder: Path, runs: Sequence[tuple[Path, Run]], summaries: Mapping[str, str]) -> Path:
    """Write the report into a folder.

    Parameters
    ----------
    folder : Path
        Made where it is not there. Pages of an earlier report are replaced.
    runs : sequence of (Path, Run)
        Results with the files that they were read from. Of several runs of one program in one
        role the last one counts, and is compared with the one before.
    summaries : mapping of str to str
        By vector id: what it says.

    Returns
    -------
    Path
        The first page.
    """
    entries = entries_of(runs)
    (folder / "results").mkdir(parents=True, exist_ok=True)
    for entry in entries:
        kept = folder / "results" / f"{entry.slug}.ndjson"
        if entry.source.resolve() != kept.resolve():
            shutil.copyfile(entry.source, kept)
        (folder / f"{entry.slug}.svg").write_text(badge.badge(entry.run), encoding="utf-8")
        page = _implementation(entry, summaries)
        (folder / f"{entry.slug}.html").write_text(page, encoding="utf-8")
    vectors = matrix.matrix([entry.run for entry in entries], summaries)
    (folder / "vectors.html").write_text(vectors, encoding="utf-8")
    index = folder / "index.html"
    index.write_text(_index(entries), encoding="utf-8")
    return index


def entries_of(runs: Sequence[tuple[Path, Run]]) -> list[Entry]:
    """Return one entry for each program and role, in the order in which they are given."""
    grouped: dict[tuple[str, str], list[tuple[Path, Run]]] = {}
    for path, run in runs:
        grouped.setdefault((run.subject["name"], run.role), []).append((path, run))
    made = []
    slugs: Counter[str] = Counter()
    for (name, role), some in grouped.items():
        *earlier, (path, last) = sorted(some, key=lambda pair: pair[1].started)
        slug = re.sub(r"[^a-z0-9]+", "-", f"{name}-{role}".lower()).strip("-")
        slugs[slug] += 1
        slug = f"{slug}-{slugs[slug]}" if slugs[slug] > 1 else slug
        made.append(Entry(slug, last, earlier[-1][1] if earlier else None, path))
    return made


def _page(title: str, body: Iterable[str]) -> str:
    return f"""\
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{STYLE}</style></head><body>
{chr(10).join(body)}
</body></html>
"""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; cells are HTML already, each with its own tag."""
    heads = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    lines = "".join(f"<tr>{''.join(cells)}</tr>" for cells in rows)
    return (
        f'<div class="wide"><table><thead><tr>{heads}</tr></thead>'
        f"<tbody>{lines}</tbody></table></div>"
    )


def _share(results: Iterable[Result]) -> str:
    """Return a cell: how many verdicts are good, of those that count."""
    some = [result for result in results if result.verdict != NOT_SUPPORTED]
    if not some:
        return '<td class="n dim">none</td>'
    good = sum(result.verdict in GOOD for result in some)
    kind = "good" if good == len(some) else "bad"
    return f'<td class="n {kind}">{good} of {len(some)}</td>'


def _chapter_of(result: Result) -> str:
    return result.vector.partition("/")[0]


def _chapters(runs: Iterable[Run]) -> list[str]:
    return sorted({_chapter_of(result) for run in runs for result in run.results})


def _class(run: Run) -> str:
    """Return the class that a program claims, as clause 11.1.2 names it."""
    subject = run.subject
    highest = max(subject["levels"], default=0)
    profile = next((p for p in ("lossy", "main") if p in subject["profiles"]), "baseline")
    said = "Checker" if run.role == "checker" else f"{profile.capitalize()} {run.role}"
    forms = ""
    if run.role == "decoder":
        forms = ", any form of HDF5" if "hdf5" in subject["features"] else ", compact form only"
    return f"{said} of level {highest}{forms}"


def _index(entries: Sequence[Entry]) -> str:
    suites = ", ".join(sorted({entry.run.suite for entry in entries})) or "unknown"
    rows = []
    for entry in entries:
        run = entry.run
        verdict = "fails" if not run.passed else "passes a part" if run.selection else "passes"
        rows.append(
            [
                f'<th scope="row"><a href="{entry.slug}.html">{escape(entry.title)}</a></th>',
                f"<td>{escape(_class(run))}</td>",
                f'<td class="{"good" if run.passed else "bad"}">{verdict}</td>',
                f'<td><img src="{entry.slug}.svg" alt="{_tally(run)}" height="20"></td>',
                f"<td>{escape(run.suite)}</td>",
                f"<td>{escape(run.started[:10])}</td>",
            ]
        )
    heads = ["Implementation", "Claims", "Suite", "Vectors", "Version of the suite", "Run on"]
    return _page(
        "NMC implementation report",
        [
            "<h1>NMC implementation report</h1>",
            (
                f'<p class="dim">Format {FORMATS}, conformance suite {escape(suites)}. '
                "What each program claims of itself, and what became of it in the suite.</p>"
            ),
            "<h2>Implementations</h2>",
            _table(heads, rows),
            "<h2>Profiles and chapters</h2>",
            _by_chapter(entries),
            (
                '<p class="dim">Good verdicts, of the vectors that the program says it supports. '
                'Each vector: <a href="vectors.html">all vectors and requirements</a>.</p>'
            ),
        ],
    )


def _tally(run: Run) -> str:
    tried = len(run.results) - run.counts[NOT_SUPPORTED]
    return f"{run.counts[PASS]} of {tried} vectors"


def _by_chapter(entries: Sequence[Entry]) -> str:
    head = ["Chapter"]
    columns = []
    for entry in entries:
        names = [p for p in profiles() if any(r.profile == p for r in entry.run.results)]
        for name in names or [""]:
            head.append(f"{escape(entry.run.subject['name'])}<br>{entry.run.role} {name}")
            columns.append((entry, name))
    rows = []
    for chapter in _chapters(entry.run for entry in entries):
        cells = [f'<th scope="row">{escape(CHAPTERS.get(chapter, chapter))}</th>']
        for entry, name in columns:
            results = entry.run.results
            mine = [r for r in results if _chapter_of(r) == chapter and r.profile in {name, ""}]
            cells.append(_share(mine))
        rows.append(cells)
    return _table(head, rows)


def _implementation(entry: Entry, summaries: Mapping[str, str]) -> str:
    run = entry.run
    counts, (match, of) = run.counts, run.diagnostics
    failed = [r for r in run.results if r.verdict not in GOOD or r.verdict == "xfail"]
    claim = {
        "Program": entry.title,
        "Class": _class(run),
        "Format and suite": f"{FORMATS}, suite {run.suite}",
        "Vectors passed": f"{counts[PASS]} of {len(run.results)}",
        "Answered unsupported": str(counts[NOT_SUPPORTED]),
        "Known to fail": str(counts["xfail"]),
        "Names the code of annex A": f"{match} of {of} refusals",
        "Run on": run.started,
    }
    listed = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in claim.items())
    verdict = "conforms by this run" if run.passed else "does not conform"
    if run.selection and run.passed:
        verdict = "passes the part of the suite that was run, which shows no conformance"
    body = [
        '<p><a href="index.html">Implementation report</a></p>',
        f"<h1>{escape(entry.title)}</h1>",
        (
            f'<p><img src="{entry.slug}.svg" alt="{_tally(run)}" height="20"> '
            f"As a {run.role} it {verdict}.</p>"
        ),
        f"<dl>{listed}</dl>",
        (
            f'<p><a href="results/{entry.slug}.ndjson">Results of the run</a>, '
            "one JSON object a line.</p>"
        ),
        "<h2>Chapters</h2>",
        _by_chapter([entry]),
        "<h2>Not passed</h2>",
        _verdicts(failed, summaries) if failed else "<p>Nothing.</p>",
        "<h2>Since the run before</h2>",
        _changes(entry, summaries),
    ]
    return _page(f"NMC conformance of {entry.title}", body)


def _named(vector: str, summaries: Mapping[str, str]) -> str:
    what = escape(summaries.get(vector, ""))
    return f'<td><code>{escape(vector)}</code><br><span class="dim">{what}</span></td>'


def _verdicts(results: Iterable[Result], summaries: Mapping[str, str]) -> str:
    rows = [
        [
            _named(result.vector, summaries),
            f'<td class="{"dim" if result.verdict in GOOD else "bad"}">{result.verdict}</td>',
            f"<td>{escape(result.detail)}</td>",
        ]
        for result in results
    ]
    return _table(["Vector", "Verdict", "Why"], rows)


def changes(before: Run, after: Run) -> list[tuple[str, str, str]]:
    """Return (vector, verdict before, verdict after) where they differ; empty where there is none.

    Parameters
    ----------
    before, after : Run
        Two runs, of any two programs or suites.
    """
    old = {result.vector: result.verdict for result in before.results}
    new = {result.vector: result.verdict for result in after.results}
    return [
        (vector, old.get(vector, ""), new.get(vector, ""))
        for vector in sorted(old.keys() | new.keys())
        if old.get(vector, "") != new.get(vector, "")
    ]


def _changes(entry: Entry, summaries: Mapping[str, str]) -> str:
    before = entry.before
    if before is None:
        return "<p>There is no run before: give its results too.</p>"
    found = changes(before, entry.run)
    head = (
        f'<p class="dim">Version {escape(before.subject["version"])}, suite '
        f"{escape(before.suite)}, run on {escape(before.started)}.</p>"
    )
    if not found:
        return f"{head}<p>Every vector has the verdict that it had.</p>"
    rows = [
        [
            _named(vector, summaries),
            f"<td>{old or 'not there'}</td>",
            f'<td class="{"good" if new in GOOD else "bad"}">{new or "not there"}</td>',
        ]
        for vector, old, new in found
    ]
    return head + _table(["Vector", "Before", "Now"], rows)
