"""Damages valid packages at random, and looks at what the reader makes of them.

Run as ``python format/tests/fuzz_reader.py --count N --seed S``; case I of a run is repeated with
``--only I``. The packages are those of ``fuzz_packages``, the damage that of ``fuzz_damage``. Of
every case is asserted: nothing but ``FormatError`` is raised, a state that is returned was written
once, up to each stop and each tensor alone, and what passes for signed is what was signed.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

from fuzz_cases import Cases, Wrong, program
from fuzz_damage import damaged, put
from fuzz_packages import MEDIA, Source, digest, make_sources
from fuzz_progress import code_digest, time_limit

import nmc

FLOORS = ("spec/nmc_spec", "format", "reference/nmc")
"""What is judged."""

SECONDS = 30
"""A case that takes more processor time hangs."""


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


def run(cases: Cases) -> Counter[str]:
    """Try cases; return how often each code was met. The first that fails raises `Wrong`."""
    with tempfile.TemporaryDirectory() as folder:
        sources, known = make_sources(Path(folder))

        def place() -> Path:
            return Path(folder) / f"case-{os.getpid()}.nmc"

        def keep(number: int) -> None:
            path = place()
            if cases.keep is not None and path.exists():
                kept = cases.keep / f"case-{cases.seed}-{number}.nmc"
                (shutil.copytree if path.is_dir() else shutil.copy)(path, kept)
                print(f"kept as {kept}")

        return cases.tried(
            "packages with damaged structures",
            f"reader {code_digest(*FLOORS)}",
            lambda number: run_case(cases.seed, number, sources, known, place()),
            keep,
        )


if __name__ == "__main__":
    sys.exit(program(__doc__.splitlines()[0], run, keeps=True))
