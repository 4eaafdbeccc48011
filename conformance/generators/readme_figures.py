"""Writes the figures of the README: those of the suite, and the headlines of BENCHMARKS.md."""

from __future__ import annotations

import sys
import textwrap
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from nmc_conformance.coverage import coverage
from nmc_conformance.vectors import default_root, load_suite
from nmc_spec import requirements
from nmc_spec.generated import between, command, settled

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "selftest"))

import wrong_programs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
BENCHMARKS = ROOT / "BENCHMARKS.md"

Row = dict[str, str]


def suite_figures() -> str:
    """Return what the suite holds and covers."""
    vectors = load_suite(default_root()).vectors
    made = coverage(vectors)
    outcomes = Counter(vector.expected.outcome for vector in vectors)
    ways = made.ways
    text = (
        f"{len(vectors)} vectors, {outcomes['accept']} to accept and {outcomes['reject']} to "
        f"refuse. Of {len(requirements())} requirements (*shall*), {ways['vectors']} are tested by "
        f"vectors, {ways['encoder']} by what an encoder makes, {ways['runner']} by the runner; "
        f"{ways['exempt']} cannot be put to a program ([why](spec/nmc_spec/clauses.toml))"
    )
    if made.missing_requirements:
        text += f"; {len(made.missing_requirements)} are not tested"
    codes = len(made.codes)
    every = codes + len(made.missing_codes)
    text += f". {codes} of the {every} codes that a package can provoke have a vector."
    return text


def rows(text: str, head: str) -> list[Row]:
    """Return the rows of the first table whose head begins with a cell, by column.

    Raises
    ------
    ValueError
        If the text has no such table.
    """
    lines = text.splitlines()
    at = next((i for i, line in enumerate(lines) if line.startswith(f"| {head} |")), None)
    if at is None:
        raise ValueError(f"{BENCHMARKS.name}: there is no table that begins with | {head} |")
    names = _names(lines[at])
    found = []
    for line in lines[at + 2 :]:
        if not line.startswith("|"):
            break
        found.append(dict(zip(names, _cells(line), strict=True)))
    return found


_ALIKE = {
    "nerf_all_bf16",
    "sparse_bf16_1",
    "sparse_bf16_8",
    "splats_in_place",
    "splats_shuffled",
}
"""Chains that stay in the benchmarks: the README has one of each kind, neither best nor worst."""


def coder_headlines(text: str) -> str:
    """Return a table: a row a chain, the best peer beside the three efforts."""
    lines = [
        "| delta frames of | best peer | nmc fast | nmc strong | nmc max |",
        "|---|---|---|---|---|",
    ]
    for part in text.split("Chain `")[1:]:
        chain = part.partition("`")[0]
        if chain in _ALIKE:
            continue
        by_name = {row["method"].strip("*"): row for row in rows(part, "method")}
        peers = [name for name in by_name if not name.startswith("nmc ")]
        best = max(peers, key=lambda name: float(by_name[name]["ratio"]))
        cells = [f"{_coder(by_name[best])}, {best}"]
        for effort in ("fast", "strong", "max"):
            whole = f"nmc {effort}, package"  # where frames differ in shape
            cells.append(_coder(by_name[whole if whole in by_name else f"nmc {effort}"]))
        lines.append(f"| `{chain}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def message_headlines(text: str) -> str:
    """Return a sentence on weights sent from process to process, beside the smallest peer."""
    sizes: dict[str, dict[str, int]] = {}
    for row in rows(text, "changed"):
        size = int(row["bytes a step"].replace(",", ""))
        sizes.setdefault(row["changed"], {})[row["method"].strip("*")] = size
    told = []
    for changed, by_name in sizes.items():
        peers = {name: size for name, size in by_name.items() if not name.startswith("nmc ")}
        best = min(peers, key=lambda name: peers[name])
        ours = min(size for name, size in by_name.items() if name not in peers)
        by = f"{peers[best] / 1000:.0f} by {best}"
        told.append(f"{ours / 1000:.0f} kB where {changed} changed ({by})")
    return _filled(f"Weights sent after a step, 10.49 MB of BF16: {', '.join(told)}.")


def training_headlines(text: str) -> str:
    """Return a sentence on the embedded scenes."""
    found = rows(text, "scene")
    first, later = ([float(row[f"s, {which}"]) for row in found] for which in ("frame 0", "later"))
    lost = max(float(row["dB"]) - float(row["dB 1"]) for row in found)
    return _filled(
        f"The {len(found)} embedded scenes, hash grid, two cores: {min(first):.0f} to "
        f"{max(first):.0f} s for frame 0, {min(later)} to {max(later)} s for each later one, which "
        f"is at most {lost:.1f} dB below it on held-out views."
    )


def mutation_headline(text: str) -> str:
    """Return the score of the suite against changed decoders, and of which of them it is."""
    part = text.partition("<!-- mutation -->")[2].partition("<!-- /mutation -->")[0]
    (row,) = (row for row in rows(part, "floor") if row["floor"] == "**all**")
    of = next((line for line in part.splitlines() if line.startswith("A sample of ")), "")
    drawn = of.removeprefix("A sample of ").partition(".")[0] or f"{row['mutants']} mutants"
    return (
        f"Of {drawn} (changed decoders and checkers), {row['no change']} are the same on any "
        f"package; of the others the vectors find {row['score']}."
    )


def power_headline(text: str) -> str:
    """Return how many wrong programs the suite fails.

    Raises
    ------
    ValueError
        If the table is of other programs than there are.
    """
    part = text.partition("<!-- power -->")[2].partition("<!-- /power -->")[0]
    *kinds, row = rows(part, "wrong programs")
    told = {each["wrong programs"]: int(each["number"].replace(",", "")) for each in kinds}
    if told != wrong_programs.kinds_of(wrong_programs.table()):
        raise ValueError(
            f"{BENCHMARKS.name} has a table of {sum(told.values())} wrong programs, and there are "
            f"{len(wrong_programs.table())}: run make power with --into {BENCHMARKS.name}"
        )
    return (
        f"Of {row['number']} wrong programs, with the errors that people make, the suite fails "
        f"{row['failed']}."
    )


def suite_headlines(text: str) -> str:
    """Return a paragraph on the suite: what it holds, and what it finds out."""
    return _filled(f"{suite_figures()} {mutation_headline(text)} {power_headline(text)}")


def _coder(row: Mapping[str, str]) -> str:
    return f"{row['ratio']} ({row['encode MB/s']} / {row['decode MB/s']})"


def _names(line: str) -> list[str]:
    """Return the names of columns; one that comes again gets a number behind it."""
    names = _cells(line)
    again = [names[:i].count(name) for i, name in enumerate(names)]
    return [f"{name} {times}" if times else name for name, times in zip(names, again, strict=True)]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _filled(text: str) -> str:
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


PARTS: dict[str, Callable[[str], str]] = {
    "suite": suite_headlines,
    "messages": message_headlines,
    "coders": coder_headlines,
    "training": training_headlines,
}
"""The generated parts of the README, and what makes each of BENCHMARKS.md."""


def replaced(text: str, benchmarks: str) -> str:
    """Return the README with its generated parts.

    Raises
    ------
    ValueError
        If the README has no place for one, or the benchmarks lack a table.
    """
    for mark, figures in PARTS.items():
        opening, closing = f"<!-- {mark} -->\n", f"\n<!-- /{mark} -->"
        text = between(text, opening, closing, figures(benchmarks))
    return text


def main(arguments: Sequence[str] | None = None) -> int:
    """Check or write the figures; return the exit status."""
    options = command(__doc__).parse_args(arguments)
    benchmarks = BENCHMARKS.read_text(encoding="utf-8")
    return settled(README, lambda page: replaced(page, benchmarks), writing=options.write)


if __name__ == "__main__":
    sys.exit(main())
