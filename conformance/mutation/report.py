"""What came of the mutants: a table by module, and every survivor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from operators import Site
from trial import Verdict

BOUND = 0.95
"""Part of the mutants that change behaviour which the suite shall kill."""

_BEGIN, _END = "<!-- mutation -->", "<!-- /mutation -->"


@dataclass(frozen=True)
class Text:
    """A report.

    Attributes
    ----------
    table, full : str
        The score; the score and all that survived.
    enough : bool
        Whether the score reaches its bound.
    """

    table: str
    full: str
    enough: bool


@dataclass(frozen=True)
class Count:
    """Mutants of one module, or of all.

    Attributes
    ----------
    killed, noticed, explained, survived : int
        By verdict; only by the code that is reported; survivors that change nothing; others.
    """

    killed: int
    noticed: int
    explained: int
    survived: int

    @property
    def changing(self) -> int:
        """Mutants that change behaviour, as far as is known."""
        return self.killed + self.noticed + self.survived

    @property
    def score(self) -> float:
        """Part of them that the suite tells."""
        return (self.killed + self.noticed) / self.changing if self.changing else 1.0

    @property
    def row(self) -> str:
        """Cells of a table."""
        total = self.changing + self.explained
        return (
            f"{total} | {self.explained} | {self.killed} | {self.noticed} | {self.survived} "
            f"| {100 * self.score:.1f} %"
        )


def count(
    sites: Sequence[Site], verdicts: Mapping[str, Verdict], explained: Mapping[str, str]
) -> Count:
    """Count mutants by what became of them."""
    fates = [
        "explained"
        if s.name in explained and verdicts[s.name].fate == "survived"
        else verdicts[s.name].fate
        for s in sites
    ]
    return Count(*(fates.count(f) for f in ("killed", "noticed", "explained", "survived")))


def markdown(
    sites: Sequence[Site],
    verdicts: Mapping[str, Verdict],
    explained: Mapping[str, str],
    known_sites: int,
) -> Text:
    """Return the report; there are so many mutants, of which these are all or a sample."""
    known = sorted((s for s in sites if s.name in verdicts), key=lambda s: (s.module, s.number))
    modules = list(dict.fromkeys(s.module for s in known))
    heads = [
        "| module | mutants | no change | killed | by code only | survived | score |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    rows = [
        f"| `{m}` | {count([s for s in known if s.module == m], verdicts, explained).row} |"
        for m in modules
    ]
    total = count(known, verdicts, explained)
    full = ["# Mutants of the reference decoder and checker", "", *heads, *rows]
    full += [f"| **all** | {total.row} |", ""]
    survivors = [s for s in known if verdicts[s.name].fate == "survived"]
    full += ["## Survivors", ""]
    full += [f"- `{s.name}`" for s in survivors if s.name not in explained]
    full += ["", "## Told by the reported code only", ""]
    full += [
        f"- `{s.name}` by {verdicts[s.name].vector}"
        for s in known
        if verdicts[s.name].fate == "noticed"
    ]
    full += ["", "## Survivors that change nothing", ""]
    full += [f"- `{s.name}`: {explained[s.name]}" for s in survivors if s.name in explained]
    floors = {"format (syntax, checks)": "nmc_format", "reference (decoding)": "nmc."}
    drawn = f"A sample of {len(sites):,} of {known_sites:,} mutants."
    short = [drawn, ""] if len(sites) < known_sites else []
    short += [heads[0].replace("module", "floor"), heads[1]]
    for title, prefix in floors.items():
        part = [s for s in known if s.module.startswith(prefix)]
        short.append(f"| {title} | {count(part, verdicts, explained).row} |")
    short.append(f"| **all** | {total.row} |")
    alone = 100 * total.killed / total.changing if total.changing else 100.0
    short += ["", f"By verdicts alone, the codes left aside: {alone:.1f} %."]
    return Text("\n".join(short), "\n".join(full) + "\n", total.score >= BOUND)


def put_into(path: Path, table: str) -> None:
    """Put the table between its marks."""
    text = path.read_text(encoding="utf-8")
    before, _, rest = text.partition(_BEGIN)
    _, mark, after = rest.partition(_END)
    if not mark:
        raise SystemExit(f"{path} has no {_BEGIN} … {_END}")
    path.write_text(f"{before}{_BEGIN}\n{table}\n{_END}{after}", encoding="utf-8")
