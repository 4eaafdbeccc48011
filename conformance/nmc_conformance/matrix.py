"""The matrix of programs and vectors as one HTML page that needs nothing else."""

from __future__ import annotations

from collections import defaultdict
from html import escape
from typing import TYPE_CHECKING

from nmc_conformance.coverage import EXEMPT, RUNNER, by_clause, by_requirement, clause_order
from nmc_conformance.judge import GOOD, MATCH, VERDICTS
from nmc_spec import requirements

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nmc_conformance.results import Result, Run

_SIGNS = {
    "pass": "✓",
    "fail": "✗",
    "crash": "⚡",
    "timeout": "⏱",
    "unsupported": "\N{EN DASH}",
    "xfail": "✗",
    "xpass": "!",
    "broken": "?",
}

_STYLE = """\
:root { color-scheme: light dark; --line: #8884; --good: #2e7d32; --bad: #c62828; --dim: #888; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem;
       padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .2rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
p.sub { color: var(--dim); margin-top: 0; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .2rem .6rem; border-bottom: 1px solid var(--line);
         vertical-align: top; }
thead th { position: sticky; top: 0; background: Canvas; }
td.v, th.v { text-align: center; width: 14rem; } td.v > span:first-child { white-space: nowrap; }
.pass { color: var(--good); } .fail, .crash, .timeout, .xpass, .broken { color: var(--bad);
        font-weight: 600; } .unsupported, .xfail { color: var(--dim); }
.why { color: var(--dim); font-size: .85em; } code { font-size: .92em; }
details { margin: .4rem 0; } summary { cursor: pointer; font-weight: 600; padding: .3rem 0; }
.bar { display: inline-block; height: .6rem; background: var(--bad); width: 8rem; }
.bar i { display: block; height: 100%; background: var(--good); }
"""


def matrix(runs: Sequence[Run], summaries: Mapping[str, str]) -> str:
    """Return the page.

    Parameters
    ----------
    runs : sequence of Run
        One column for each.
    summaries : mapping of str to str
        By vector id: what it says.
    """
    parts = [_head(runs), _overview(runs)]
    chapters: dict[str, set[str]] = defaultdict(set)
    for run in runs:
        for result in run.results:
            chapters[result.vector.partition("/")[0]].add(result.vector)
    tables = [{r.vector: r for r in run.results} for run in runs]
    parts += ["<h2>Vectors</h2>"]
    for chapter in sorted(chapters):
        parts.append(_chapter(chapter, sorted(chapters[chapter]), runs, tables, summaries))
    parts += [_requirements(runs), _clauses(runs), "</body></html>\n"]
    return "\n".join(parts)


def _title(run: Run) -> str:
    return escape(f"{run.subject['name']} {run.subject['version']}")


def _head(runs: Sequence[Run]) -> str:
    names = ", ".join(_title(run) for run in runs)
    suites = ", ".join(sorted({run.suite for run in runs}))
    return f"""\
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>NMC conformance: {names}</title>
<style>{_STYLE}</style></head><body>
<h1>NMC conformance</h1>
<p class="sub">{names}; suite {escape(suites)}</p>"""


def _overview(runs: Sequence[Run]) -> str:
    head = "".join(f"<th>{v}</th>" for v in VERDICTS)
    rows = []
    for run in runs:
        cells = "".join(f"<td>{run.counts[v] or ''}</td>" for v in VERDICTS)
        match, of = run.diagnostics
        verdict = "pass" if run.passed else "fail"
        rows.append(
            f"<tr><th>{_title(run)}</th><td>{escape(run.role)}</td>"
            f'<td class="{verdict}">{verdict}</td>{cells}'
            f"<td>{match} of {of}</td><td>{run.seconds:.1f} s</td></tr>"
        )
    return (
        "<table><thead><tr><th>Program</th><th>As</th><th>Run</th>"
        f"{head}<th>Diagnostics</th><th>Time</th></tr></thead><tbody>{''.join(rows)}</tbody></table>"
    )


def _chapter(
    chapter: str,
    vectors: Sequence[str],
    runs: Sequence[Run],
    tables: Sequence[Mapping[str, Result]],
    summaries: Mapping[str, str],
) -> str:
    results = [table[v] for table in tables for v in vectors if v in table]
    good = sum(result.verdict in GOOD for result in results)
    opened = " open" if good < len(results) else ""
    head = "".join(f"<th class=v>{_title(run)}</th>" for run in runs)
    rows = []
    for name in vectors:
        cells = "".join(_cell(table.get(name)) for table in tables)
        what = escape(summaries.get(name, ""))
        rows.append(
            f"<tr><td><code>{escape(name)}</code><br><span class=why>{what}</span></td>{cells}</tr>"
        )
    return (
        f"<details{opened}><summary>{escape(chapter)}: {good} of {len(results)}</summary>"
        f"<table><thead><tr><th>Vector</th>{head}</tr></thead><tbody>{''.join(rows)}"
        "</tbody></table></details>"
    )


def _cell(result: Result | None) -> str:
    if result is None:
        return "<td class=v></td>"
    why = escape(result.detail)
    if result.diagnostics not in {None, MATCH}:
        why += f" code: {escape(', '.join(result.codes) or 'none')}"
    note = f'<br><span class="why">{why}</span>' if why else ""
    sign = _SIGNS[result.verdict]
    return f'<td class="v"><span class="{result.verdict}">{sign} {result.verdict}</span>{note}</td>'


def _requirements(runs: Sequence[Run]) -> str:
    """Return every requirement of the text, with its vectors' verdicts or why it has none."""
    shares = [by_requirement(run.results) for run in runs]
    head = "".join(f"<th>{_title(run)}</th>" for run in runs)
    rows = []
    for name, requirement in requirements().items():
        if requirement.tested in {RUNNER, EXEMPT}:
            why = f"{requirement.tested}: {requirement.reason}"
            cells = f'<td colspan="{len(runs)}"><span class=why>{escape(why)}</span></td>'
        else:
            cells = "".join(_bar(*share[name]) for share in shares)
        rows.append(
            f"<tr><td><code>{escape(name)}</code><br><span class=why>"
            f"{escape(requirement.sentence)}</span></td>{cells}</tr>"
        )
    return (
        f"<h2>Requirements</h2><details><summary>{len(rows)} requirements</summary><table><thead>"
        f"<tr><th>Requirement</th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></details>"
    )


def _clauses(runs: Sequence[Run]) -> str:
    shares = [by_clause(run.results) for run in runs]
    clauses = sorted({clause for share in shares for clause in share}, key=clause_order)
    head = "".join(f"<th>{_title(run)}</th>" for run in runs)
    rows = []
    for clause in clauses:
        cells = "".join(_bar(*share.get(clause, (0, 0))) for share in shares)
        rows.append(f"<tr><td>{escape(clause)}</td>{cells}</tr>")
    return (
        f"<h2>Clauses</h2><details><summary>{len(clauses)} clauses</summary><table><thead><tr>"
        f"<th>Clause</th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></details>"
    )


def _bar(good: int, count: int) -> str:
    if not count:
        return "<td></td>"
    share = 100 * good / count
    return f'<td><span class="bar"><i style="width:{share:.0f}%"></i></span> {good} of {count}</td>'
