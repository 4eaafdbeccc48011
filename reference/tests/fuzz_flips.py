"""Flips bits of sound packages and messages; demands that the check refuses every one of them.

Small packages of every profile, coding and effort, in both forms, and small messages lose every bit
in turn; larger ones lose random bytes. A flip goes through the stage of the check that sees it, in
this process: the ZIP structure and the checksums of members, the manifest, or the SHA-256 of a
segment. What a stage lets pass is put to the whole check, whose word counts.

Run as ``python reference/tests/fuzz_flips.py -o FOLDER --count N``. It goes on where it stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import sys
import tempfile
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from fuzz_targets import KINDS, LARGE, Target, messages, moved, targets

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "format" / "tests"))

from fuzz_progress import Run, Tally, code_digest, judged

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FLOORS = ("spec/nmc_spec", "format", "reference/nmc")
"""What is judged."""


def every_flip(
    small: list[Target], stride: int = 1, first: int = 0
) -> Iterator[tuple[Target, int, int]]:
    """Yield every bit of every target, or one in so many from the first on."""
    number = stride - first
    for target in small:
        for bit in range(8 * target.size):
            if number % stride == 0:
                yield target, bit // 8, 1 << bit % 8
            number += 1


def sampled_flips(large: list[Target], count: int) -> Iterator[tuple[Target, int, int]]:
    """Yield changes of single bytes, the same ones each time; longer targets get more."""
    rng = random.Random(20260101)
    weights = [target.size for target in large]
    for _ in range(count):
        (target,) = rng.choices(large, weights)
        yield target, rng.randrange(target.size), rng.randrange(1, 256)


def attempt(tally: Tally, target: Target, at: int, mask: int) -> None:
    """Try one flip."""
    code = target.code(at, mask)
    tally.add(code, "" if code else f"{target.name} byte {at} xor {mask:#04x}")


def run(
    title: str,
    flips: Iterator[tuple[Target, int, int]],
    total: int,
    note: Path,
    mark: str,
    made: Sequence[Target] = (),
    jobs: int = 1,
) -> Tally:
    """Try flips, go on where an earlier run of the same mark stopped, and say how far it is.

    Several processes take the targets as what there are, each with files of its own.
    """
    progress = Run(title, total, note, mark)
    left = islice(flips, progress.tally.done, None)
    if jobs == 1:
        for target, at, mask in left:
            attempt(progress.tally, target, at, mask)
            progress.tick(target.name)
    else:
        numbers = {id(target): number for number, target in enumerate(made)}
        cases = ((numbers[id(target)], at, mask) for target, at, mask in left)
        mine = list(made)

        def judge(case: tuple[int, int, int]) -> tuple[str, str]:
            number, at, mask = case
            tally = Tally()
            attempt(tally, mine[number], at, mask)
            return next(iter(tally.codes), ""), "".join(tally.faults)

        with tempfile.TemporaryDirectory() as folder:

            def begin() -> None:
                own = Path(folder) / str(os.getpid())
                own.mkdir()
                mine[:] = [moved(target, own) for target in made]

            for code, fault in judged(judge, cases, jobs, begin):
                progress.tally.add(code, fault)
                progress.tick()
    progress.finish()
    return progress.tally


def _mark(made: list[Target], *more: object) -> str:
    """Return what a run is about: the code, the bytes of all targets, and its options."""
    digest = hashlib.sha256((code_digest(*FLOORS) + repr(more)).encode())
    for target in made:
        digest.update(target.name.encode() + getattr(target, "data", b""))
    return digest.hexdigest()


def main() -> int:
    """Run from the command line; 1 where a flip goes unseen."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("out/fuzz"))
    parser.add_argument("--count", type=int, default=1_000_000, help="flips of large packages")
    parser.add_argument("--stride", type=int, default=1, help="of small ones, one bit in so many")
    parser.add_argument("--first", type=int, default=0, help="the first of these")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    options = parser.parse_args()
    folder: Path = options.output
    small = targets(folder / "small", KINDS[::-1]) + messages()
    large = targets(folder / "large", (KINDS[0], KINDS[2], KINDS[4], *KINDS[6:]), LARGE)
    large += messages(LARGE)
    bits = -((options.first - 8 * sum(target.size for target in small)) // options.stride)
    tallies = {}
    sampled = f"bytes of {len(large)} members of larger packages and messages"
    every = "every bit" if options.stride == 1 else f"one bit in {options.stride}"
    for name, title, made, flips, total in (
        ("sampled", sampled, large, sampled_flips(large, options.count), options.count),
        (
            "exhaustive",
            f"{every} of small packages and messages",
            small,
            every_flip(small, options.stride, options.first),
            bits,
        ),
    ):
        mark = _mark(made, *((options.stride, options.first) if name == "exhaustive" else ()))
        note = folder / f"{name}.json"
        tallies[name] = run(title, flips, total, note, mark, made, options.jobs)
    for name, tally in tallies.items():
        print(f"{name}: {tally.done:,} flips, {len(tally.faults)} unseen")
        for code, count in tally.codes.most_common():
            print(f"  {count:>9,}  {code}")
        for line in tally.faults[:20]:
            print(f"  UNSEEN {line}")
    return int(any(tally.faults for tally in tallies.values()))


if __name__ == "__main__":
    sys.exit(main())
