"""Builds of the TypeScript decoder before the vectors: a process each, without the runner's stages.

It is quick and coarse: for mutants by the thousand, and to find which vector fails a program. The
verdicts that count are those of the runner.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmc_conformance.staging import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nmc_conformance.vectors import Vector

HERE = Path(__file__).resolve().parent
TYPESCRIPT = HERE.parents[1] / "implementations" / "typescript"
EDITOR = HERE.parents[1] / "selftest" / "edited_typescript.mjs"
CHILD_FILES = frozenset({"h5scan.ts", "h5library.ts", "objects.ts", "bytes.ts", "errors.ts"})
"""Files of the process that has the HDF5 library: its answers are not replayed for their edits."""

_PATIENCE = 30.0


@dataclass(frozen=True)
class Verdict:
    """What became of one build.

    Attributes
    ----------
    fate : str
        ``"killed"``, ``"noticed"`` (by a code alone) or ``"survived"``.
    vector, detail : str
        By which vector, and what was wrong.
    """

    fate: str
    vector: str = ""
    detail: str = ""


class Room:
    """The vectors, laid out once, and what is remembered of those that kill."""

    def __init__(self, vectors: Sequence[Vector], work: Path, cache: Path) -> None:
        self._work, self._cache = work, cache
        self._killers: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()
        self._tests = [_test(vector, work) for vector in vectors]

    def face(self, folder: Path, file: str, first: Sequence[str] = ()) -> Verdict:
        """Have the build in a folder sit the vectors, those that killed edits of the file first."""
        with self._lock:
            killers = {vector: -n for (of, vector), n in self._killers.items() if of == file}

        def turn(test: dict[str, Any]) -> tuple[bool, int, int]:
            return test["id"] not in first, killers.get(test["id"], 0), test["size"]

        tests = sorted(self._tests, key=turn)
        wanted = folder / "tests.json"
        wanted.write_text(json.dumps({"tests": tests, "work": str(self._work)}))
        verdict = _face(folder, wanted, "" if file in CHILD_FILES else str(self._cache))
        if verdict.fate == "killed" and verdict.vector:
            with self._lock:
                self._killers[file, verdict.vector] += 1
        return verdict


def _face(folder: Path, tests: Path, cache: str) -> Verdict:
    words = ["node", str(HERE / "sit.mjs"), str(folder), str(tests), cache]
    last = ["", ""]
    process = subprocess.Popen(  # noqa: S603
        words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    timer = threading.Timer(_PATIENCE, process.kill)
    timer.start()
    for line in process.stdout:
        last = line.rstrip("\n").split("\t")
        timer.cancel()
        timer = threading.Timer(_PATIENCE, process.kill)
        timer.start()
    timer.cancel()
    process.wait()
    if last[0] in {"killed", "noticed", "survived"}:
        return Verdict(last[0], last[1], last[2])
    return Verdict("killed", last[1], "it ended or hung")


def _test(vector: Vector, work: Path) -> dict[str, Any]:
    expected = vector.expected
    where = str(vector.input)
    if vector.prepare:
        stage = Stage(work)
        stage.put(vector)
        where = str(stage.input)
    size = sum(p.stat().st_size for p in [vector.input, *vector.input.rglob("*")] if p.is_file())
    return {
        "id": vector.id,
        "do": vector.request,
        "input": where,
        "frames": list(vector.frames),
        "maxLevel": vector.max_level,
        "signedBy": list(vector.signed_by),
        "key": vector.key,
        "accept": expected.outcome == "accept",
        "stage": expected.stage,
        "digests": list(expected.state_digests),
        "orUnsupported": expected.or_unsupported,
        "codes": list(expected.codes),
        "size": size,
    }


@contextmanager
def room(vectors: Sequence[Vector], cache: Path) -> Iterator[Room]:
    """Yield the vectors, laid out in a folder that is removed at the end."""
    fast = Path("/dev/shm")  # noqa: S108 - memory, where there is some
    parent = fast if fast.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="sitting-", dir=parent) as work:
        yield Room(vectors, Path(work), cache)


@contextmanager
def builds(edits: Sequence[tuple[str, str, str]]) -> Iterator[list[Path]]:
    """Yield a build for each (name, file, text): the decoder with that file in place of its own."""
    parent = TYPESCRIPT / "dist" / "wrong"  # below its node_modules, which it imports from
    parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=parent))
    try:
        folders = [made / name for name, _, _ in edits]
        listed = [
            {"folder": str(folder), "file": file, "text": text}
            for folder, (_, file, text) in zip(folders, edits, strict=True)
        ]
        (made / "edits.json").write_text(json.dumps(listed))
        subprocess.run(["node", str(EDITOR), str(made / "edits.json")], check=True)  # noqa: S603, S607
        yield folders
    finally:
        shutil.rmtree(made, ignore_errors=True)
