"""Damages valid packages at random, and looks at what the reader makes of them.

Run as ``python format/tests/fuzz_reader.py --count N --seed S``; case I of a run is repeated with
``--only I``. The packages are those of ``fuzz_packages``, the damage that of ``fuzz_damage``. Of
every case is asserted: nothing but ``FormatError`` is raised, a state that is returned was written
once, up to each stop and each tensor alone, and what passes for signed is what was signed.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

from fuzz_damage import damaged, put
from fuzz_packages import MEDIA, Source, digest, make_sources
from fuzz_progress import Run, code_digest, judged, time_limit

import nmc

FLOORS = ("spec/nmc_spec", "format", "reference/nmc")
"""What is judged."""

SECONDS = 30
"""A case that takes more processor time hangs."""


class Wrong(AssertionError):
    """The reader did what it must never do."""


def judge(path: Path, known: set[bytes], source: Source, original: bytes) -> str:
    """Read a package in every way there is; return the code it is refused for, or ``accepted``.

    Parameters
    ----------
    path : Path
        What was damaged.
    known : set of bytes
        Digests of all states that were ever written.
    source : Source
        What it was before: its key, and who signed it.
    original : bytes
        The manifest then.

    Raises
    ------
    Wrong
        If a state is returned that was never written, a report contradicts the reader, or another
        manifest passes for the one that was signed.
    """
    report = nmc.check(path, key=source.key)
    if not all(str(finding).isprintable() for finding in report.findings):
        raise Wrong("a finding that is not printable")
    _read(path, known, source, 0)
    readable = _read(path, known, source, None)
    if source.signer is not None:
        _judge_signed(path, source, original)
    if report.accepted and not 0 < len(readable) == sum(readable):
        raise Wrong(f"accepted, yet {sum(readable)} of {len(readable)} frames can be read")
    if not _media_are_whole(path, source) and report.accepted:
        raise Wrong("accepted, yet a medium cannot be read")
    errors = [finding.code for finding in report.findings if finding.severity == "error"]
    return errors[0] if errors else "accepted"


def _read(path: Path, known: set[bytes], source: Source, stop: int | None) -> list[bool]:
    """Return which frames can be read, up to a stop; the manifest names the states of stop 0."""
    readable: list[bool] = []
    try:
        with nmc.open(path, stop=stop, key=source.key) as sequence:
            readable = [False] * len(sequence)
            for t in sorted(range(min(len(sequence), 20)), key=lambda t: -t % 7):
                try:
                    state = sequence[t]
                except nmc.FormatError:
                    continue
                readable[t] = True
                found = digest(state)
                if found not in known:
                    raise Wrong(f"frame {t} is a state that was never written")
                if stop == 0 and found != sequence.frames[t].state_digest:
                    raise Wrong(f"frame {t} is not the state that the manifest names")
                name = next(iter(state))
                if sequence.tensor(t, name).tobytes() != state[name].tobytes():
                    raise Wrong(f"{name} of frame {t} is another one when it is read alone")
    except nmc.FormatError:
        pass
    return readable


def _media_are_whole(path: Path, source: Source) -> bool:
    """Read every medium; return whether all can be read."""
    whole = True
    try:
        with nmc.open(path, key=source.key) as sequence:
            for name, medium in sequence.media.items():
                try:
                    if medium.read() not in MEDIA:
                        raise Wrong(f"{name!r} is a medium that was never written")
                except nmc.FormatError:
                    whole = False
    except nmc.FormatError:
        return True  # said of the package
    return whole


def _judge_signed(path: Path, source: Source, original: bytes) -> None:
    try:
        with (
            nmc.open(path, require_signature=[source.signer]) as sequence,
            sequence.detached() as package,
        ):
            if package.manifest() != original:
                raise Wrong("a manifest that was not signed passes for the one that was")
    except nmc.FormatError:
        pass


def run_case(seed: int, number: int, sources: list[Source], known: set[bytes], path: Path) -> str:
    """Make one case at a path and judge it."""
    rng = random.Random(f"{seed}/{number}")
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    source = rng.choice(sources)
    put(rng, damaged(rng, source, sources), path)
    with time_limit(SECONDS, lambda: Wrong(f"it took more than {SECONDS} s")):
        return judge(path, known, source, source.members["manifest.h5"])


def run(
    count: int,
    seed: int,
    *,
    only: int | None = None,
    keep: Path | None = None,
    note: Path | None = None,
    jobs: int = 1,
) -> dict[str, int]:
    """Run many cases; return how often each code was met.

    Raises
    ------
    Wrong
        For the first case that fails, with how to repeat it.
    """
    mark = f"reader {seed} {code_digest(*FLOORS)}"
    progress = Run("packages with damaged structures", count, note, mark)
    with tempfile.TemporaryDirectory() as folder:
        sources, known = make_sources(Path(folder))

        def judge_case(number: int) -> tuple[str, str]:
            path = Path(folder) / f"case-{os.getpid()}.nmc"
            try:
                return run_case(seed, number, sources, known, path), ""
            except Exception as error:
                if keep is not None and path.exists():
                    kept = keep / f"case-{seed}-{number}.nmc"
                    (shutil.copytree if path.is_dir() else shutil.copy)(path, kept)
                    print(f"kept as {kept}")
                again = f"case {number}: repeat it with --seed {seed} --only {number}\n"
                return "", again + "".join(traceback.format_exception(error))

        numbers = range(progress.tally.done, count) if only is None else [only]
        for code, fault in judged(judge_case, numbers, jobs):
            if fault:
                raise Wrong(fault)
            progress.tally.add(code)
            progress.tick()
    progress.finish()
    return dict(progress.tally.codes)


def main() -> int:
    """Run as a program."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="repeat one case")
    parser.add_argument("--keep", type=Path, help="a folder for the package that fails")
    parser.add_argument("--note", type=Path, help="a file to go on from, and to keep up")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}")
    start = time.perf_counter()
    try:
        codes = run(
            arguments.count,
            arguments.seed,
            only=arguments.only,
            keep=arguments.keep,
            note=arguments.note,
            jobs=arguments.jobs,
        )
    except Wrong as error:
        print(error)
        return 1
    for code, number in sorted(codes.items(), key=lambda item: -item[1]):
        print(f"{number:8d}  {code}")
    print(f"{sum(codes.values())} cases in {time.perf_counter() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
