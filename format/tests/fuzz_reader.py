"""Damages valid packages at random, and looks at what the reader makes of them.

Run as ``python format/tests/fuzz_reader.py --count N --seed S``; case I of a run is repeated with
``--only I``. The damage is that of ``fuzz_damage``. Two things are asserted of every case: nothing
but ``FormatError`` is raised, and a state that is returned was written once.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np
from blake3 import blake3
from fuzz_damage import FRAMES, Source, damaged, put
from fuzz_progress import Run

import nmc
from nmc_format.dtypes import dtype_of, to_words
from nmc_format.manifest.read import read_objects

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 30
"""A case that takes longer hangs."""


def digest(state) -> bytes:
    """Return the digest of a state, from the text of clause 4.5."""

    def framed(text: str) -> bytes:
        return struct.pack("<I", len(text.encode())) + text.encode()

    entries = []
    for name, array in state.items():
        shape = tuple(array.shape)
        head = framed(dtype_of(array).name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        head += blake3(to_words(array).tobytes()).digest()
        entries.append((name.encode(), hashlib.sha256(b"nmc tensor 1\0" + head).digest()))
    body = b"".join(struct.pack("<I", len(n)) + n + d for n, d in sorted(entries))
    return hashlib.sha256(b"nmc state 1\0" + struct.pack("<I", len(entries)) + body).digest()


def chain(seed: int) -> list[dict[str, np.ndarray]]:
    """Return states with all that a segment can say: changed, frozen, late, lost, reshaped."""
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(24, 16)).astype("f4")
    half = rng.normal(size=60).astype(ml_dtypes.bfloat16)
    states = []
    for t in range(FRAMES):
        state = {
            "weight": weight,
            "half": half,
            "frozen": np.arange(300, dtype="f8"),
            "steps": np.array(t, "i8"),
            "empty": np.zeros((0, 4), "u1"),
        }
        if t != 1:
            state["sometimes"] = np.full(3 + t % 2, t, "f2")
        states.append(state)
        weight = weight + (1e-3 * rng.normal(size=weight.shape)).astype("f4")
        half = (half.astype("f4") * 1.01).astype(ml_dtypes.bfloat16)
    return states


def make_sources(folder: Path) -> tuple[list[Source], set[bytes]]:
    """Write the packages to damage; return them, and the digests of all their states."""
    sources, known = [], set()
    for i, (profile, entropy, effort) in enumerate(
        [
            ("baseline", "none", "fast"),
            ("main", "zstd", "fast"),
            ("main", "nmc", "fast"),
            ("main", "nmc", "strong"),
            ("main", "nmc", "max"),
            ("lossy", "nmc", "strong"),
        ]
    ):
        states = chain(i)
        lossy = {"weight": 0.01} if profile == "lossy" else None
        path = folder / f"{i}.nmc"
        with nmc.Writer(
            path,
            directory=True,
            profile=profile,
            entropy=entropy,
            effort=effort,
            key_every=3,
            layers={"weight": 0, "half": 1, "frozen": 2},
            buffers=["steps", "empty"],
            detect_frozen=True,
            quantisation=nmc.Quantisation(lossy) if lossy else None,
        ) as writer:
            for state in states:
                writer.append(state)
                known.add(digest(writer.last_state))
                assert lossy or digest(state) == digest(writer.last_state)
        members = {
            p.relative_to(path).as_posix(): p.read_bytes() for p in path.rglob("*") if p.is_file()
        }
        sources.append(Source(members, read_objects(members["manifest.h5"])))
    return sources, known


class Wrong(AssertionError):
    """The reader did what it must never do."""


def judge(path: Path, known: set[bytes]) -> str:
    """Read a package in every way there is; return the code it is refused for, or ``accepted``.

    Raises
    ------
    Wrong
        If a state is returned that was never written, or a report contradicts the reader.
    """
    report = nmc.check(path)
    if not all(str(finding).isprintable() for finding in report.findings):
        raise Wrong("a finding that is not printable")
    readable = 0
    try:
        with nmc.open(path) as sequence:
            count = len(sequence)
            for t in sorted(range(min(count, 20)), key=lambda t: -t % 7):
                try:
                    state = sequence[t]
                except nmc.FormatError:
                    continue
                readable += 1
                if digest(state) not in known:
                    raise Wrong(f"frame {t} is a state that was never written")
                if digest(state) != sequence.frames[t].state_digest:
                    raise Wrong(f"frame {t} is not the state that the manifest names")
    except nmc.FormatError:
        count = 0
    if report.accepted and not 0 < count == readable:
        raise Wrong(f"accepted, yet {readable} of {count} frames can be read")
    errors = [finding.code for finding in report.findings if finding.severity == "error"]
    return errors[0] if errors else "accepted"


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """End a block that hangs, where this system can."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def ring(*_: object) -> None:
        raise Wrong(f"it took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def run_case(seed: int, number: int, sources: list[Source], known: set[bytes], path: Path) -> str:
    """Make one case at a path and judge it."""
    rng = random.Random(f"{seed}/{number}")
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    put(rng, damaged(rng, sources), path)
    with time_limit(SECONDS):
        return judge(path, known)


def run(
    count: int,
    seed: int,
    *,
    only: int | None = None,
    keep: Path | None = None,
    note: Path | None = None,
) -> dict[str, int]:
    """Run many cases; return how often each code was met.

    Raises
    ------
    Wrong
        For the first case that fails, with how to repeat it.
    """
    progress = Run("packages with damaged structures", count, note, f"reader {seed}")
    with tempfile.TemporaryDirectory() as folder:
        sources, known = make_sources(Path(folder))
        for number in range(progress.tally.done, count) if only is None else [only]:
            path = Path(folder) / "case.nmc"
            try:
                code = run_case(seed, number, sources, known, path)
            except Exception as error:
                if keep is not None and path.exists():
                    kept = keep / f"case-{seed}-{number}.nmc"
                    (shutil.copytree if path.is_dir() else shutil.copy)(path, kept)
                    print(f"kept as {kept}")
                raise Wrong(
                    f"case {number}: repeat it with --seed {seed} --only {number}\n"
                    + "".join(traceback.format_exception(error))
                ) from None
            progress.tally.add(code)
            progress.tick()
    progress.save()
    return dict(progress.tally.codes)


def main() -> int:
    """Run as a program."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="repeat one case")
    parser.add_argument("--keep", type=Path, help="a folder for the package that fails")
    parser.add_argument("--note", type=Path, help="a file to go on from, and to keep up")
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
