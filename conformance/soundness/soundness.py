"""Proves that each negative vector is sound but for one thing: with its check off, it is accepted.

It prints a table, and the vectors that are masked: a decoder that lacks the check refuses them for
another reason, and passes. There shall be none. ``listed.toml`` has those that cannot be accepted
with one check off, with the reason, which is proved as far as it can be.
"""

from __future__ import annotations

import argparse
import fnmatch
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).resolve().parent
for _folder in (_HERE, _HERE.parent, _HERE.parent / "mutation", _HERE.parent / "selftest"):
    sys.path.insert(0, str(_folder))

import courses  # noqa: E402
from courses import CRASHED, Course, Trial  # noqa: E402

from nmc_conformance.vectors import SuiteError, Vector, load_suite  # noqa: E402
from nmc_spec.generated import between  # noqa: E402

LISTED = _HERE / "listed.toml"
VECTORS = _HERE.parent / "vectors"
OPENING, CLOSING = "<!-- soundness -->\n", "<!-- /soundness -->"

SOUND, LENIENT, MASKED = "accepted", "accepted by the lenient decoder", "masked"


@dataclass(frozen=True)
class Reason:
    """A class of vectors that cannot be accepted with one check off.

    Attributes
    ----------
    name, why : str
        Of the class.
    vectors : tuple of str
        Patterns of ids.
    also : tuple of str
        Codes of checks that are switched off, too; the vector is accepted then.
    lenient : bool
        Whether the decoder with nearly no checks accepts the vector.

    A class with neither is of vectors of which nothing can be read once the check is off.
    """

    name: str
    why: str
    vectors: tuple[str, ...]
    also: tuple[str, ...]
    lenient: bool

    def holds(self, course: Course, found: Trial) -> bool:
        """Whether a course of a vector is what this reason says."""
        if self.lenient:
            return not found.lenient
        if self.also:
            known = {*self.also, course.refusals[0].code}
            return course.accepted and known >= {refusal.code for refusal in course.refusals}
        return bool(found.lenient)


def reasons(path: Path = LISTED) -> list[Reason]:
    """Return the classes of the list."""
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    return [
        Reason(
            name,
            entry["why"],
            tuple(entry["vectors"]),
            tuple(entry.get("also", ())),
            entry.get("lenient", False),
        )
        for name, entry in content.items()
    ]


def fate(course: Course, found: Trial, listed: Sequence[Reason]) -> str:
    """Return what became of a vector in one role."""
    first, *more = course.refusals
    if course.accepted and all(refusal == first for refusal in more):
        return SOUND
    stuck = not course.accepted and course.refusals[-1].code == CRASHED
    if stuck and not found.lenient and all(r == first for r in course.refusals[:-1]):
        return LENIENT
    for reason in listed:
        named = any(fnmatch.fnmatchcase(found.vector, pattern) for pattern in reason.vectors)
        if named and reason.holds(course, found):
            return reason.name
    return MASKED


def negative(root: Path, select: Sequence[str]) -> list[Vector]:
    """Return the vectors of a folder that have to be refused.

    Raises
    ------
    SuiteError
        If there is none, or one is broken.
    """
    suite = load_suite(root, select)
    for name, reason in suite.broken.items():
        raise SuiteError(f"{name} {reason}")
    found = [v for v in suite.vectors if v.expected.outcome == "reject"]
    if not found:
        raise SuiteError("none of the vectors has to be refused")
    return found


def judged(vectors: Iterable[Vector], listed: Sequence[Reason]) -> dict[Trial, str]:
    """Return the fate of each vector, the worst of its roles; progress goes to stderr."""
    made: dict[Trial, str] = {}
    courses.prepare()
    todo = list(vectors)
    with tempfile.TemporaryDirectory(prefix="nmc-soundness-") as home:
        for i, vector in enumerate(todo):
            found = courses.tried(vector, Path(home))
            fates = {fate(course, found, listed) for course in found.courses}
            others = sorted(fates - {SOUND, LENIENT, MASKED})
            made[found] = next((f for f in (MASKED, *others, LENIENT) if f in fates), SOUND)
            if sys.stderr.isatty() or i % 50 == 49:
                print(
                    f"{i + 1} of {len(todo)}", end="\r\n"[not sys.stderr.isatty()], file=sys.stderr
                )
    return made


def idle(found: Mapping[Trial, str], listed: Sequence[Reason]) -> list[str]:
    """Return patterns of the list that no vector needs any more."""
    used = {t.vector for t, f in found.items() if f not in {SOUND, LENIENT, MASKED}}
    return [
        pattern
        for reason in listed
        for pattern in reason.vectors
        if not any(fnmatch.fnmatchcase(name, pattern) for name in used)
    ]


def report(found: Mapping[Trial, str], listed: Sequence[Reason]) -> str:
    """Return the table, and how each masked vector is refused."""
    counts = Counter(found.values())
    lines = [f"{len(found):5}  negative vectors"]
    lines += [f"{counts[name]:5}  {name}, the check being off" for name in (SOUND, LENIENT)]
    lines += [f"{counts[r.name]:5}  listed: {r.name}. {r.why}" for r in listed if counts[r.name]]
    lines += [f"{counts[MASKED]:5}  masked"]
    for t, name in found.items():
        if name == MASKED:
            for course in t.courses:
                way = ", then ".join(map(str, course.refusals))
                end = "accepted" if course.accepted else "no end"
                lines.append(f"{t.vector} ({course.role}): {way}, then {end}")
            lines.append(f"{t.vector} (lenient decoder): {t.lenient or 'accepted'}")
    return "\n".join(lines)


def published(found: Mapping[Trial, str], listed: Sequence[Reason]) -> str:
    """Return the table for a document: what became of the vectors, a row a fate."""
    counts = Counter(found.values())
    rows = [("all negative vectors", len(found)), (f"{SOUND}, the check being off", counts[SOUND])]
    rows += [(f"{LENIENT}, the check being off", counts[LENIENT])]
    rows += [(f"listed: {r.why}", counts[r.name]) for r in listed if counts[r.name]]
    rows += [(MASKED, counts[MASKED])]
    lines = ["| what became of them | vectors |", "|---|---:|"]
    return "\n".join([*lines, *(f"| {what} | {number} |" for what, number in rows), ""])


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge the vectors; return 0 where none is masked and the list has nothing idle."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: conformance/soundness/soundness.py '06-segment/*' 07-decoding/swapped",
    )
    parser.add_argument("select", nargs="*", help="patterns of ids; none selects all")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take one vector of N")
    parser.add_argument("--vectors", type=Path, default=VECTORS, help="folder of the vectors")
    parser.add_argument("--into", type=Path, help="put the table between the marks of a file")
    options = parser.parse_args(arguments)
    whole = not options.select and options.every == 1 and options.vectors == VECTORS
    if options.into is not None and not whole:
        parser.error("--into is for a run of all vectors of the suite: leave the selection out")
    listed = reasons()
    try:
        vectors = negative(options.vectors, options.select)
    except SuiteError as error:
        parser.error(str(error))
    found = judged(vectors[:: options.every], listed)
    print(report(found, listed))
    if options.into is not None:
        page = options.into.read_text(encoding="utf-8")
        page = between(page, OPENING, CLOSING, published(found, listed))
        options.into.write_text(page, encoding="utf-8")
    left = idle(found, listed) if whole else []
    for pattern in left:
        print(f"{LISTED.name}: {pattern} is accepted, or not there; take it from the list")
    return 1 if left or MASKED in found.values() else 0


if __name__ == "__main__":
    sys.exit(main())
