"""Damages journals and checkpoints at random: what a stranger may hand to ``recover`` and ``pack``.

Run as ``python reference/tests/fuzz_inputs.py --count N --seed S``; case I is repeated with
``--only I``. A damaged journal recovers to a package that passes the check, or is refused; a
damaged checkpoint is read, or refused as one. Nothing else may come of either: no other exception,
no more than a bounded memory, no hanging.
"""

from __future__ import annotations

import argparse
import json
import pickle
import random
import resource
import shutil
import signal
import sys
import tempfile
import traceback
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from safetensors.numpy import save_file

import nmc
from nmc_format.issues import FormatError
from nmc_tools.checkpoints import CheckpointError, read

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "format" / "tests"))

from fuzz_progress import Run

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

SECONDS = 30
MEMORY = 6 * 2**30
"""Bytes of address space that a run may use."""

ODD: list[Any] = [None, True, -1, 0, 2**63, -(2**63) - 1, 1e308, "", "\0", "\ud800", [], {}, [[]]]
"""Values that no writer writes at most places."""


class Wrong(AssertionError):
    """A case that ended as none may."""


def _ring(*_: object) -> None:
    raise Wrong(f"it took more than {SECONDS} s")


def journal_sources(folder: Path) -> list[Path]:
    """Leave packages unfinished, in both forms."""
    made = []
    for directory in (False, True):
        path = folder / ("d" if directory else "f.nmc")
        writer = nmc.Writer(path, directory=directory, layers={"a": 0})
        for t in range(3):
            state = {"a": np.full((4, 5), t, "f4"), "b": np.arange(t + 1)}
            colour = {"v": np.eye(3, 4)}
            writer.append(state, source_name=f"{t}.pth", extras={"t": t}, colour=colour)
        writer.set_quality(nmc.Quality(["v"], {"psnr": np.ones((3, 1))}))
        del writer
        made.append(path if directory else folder / "f.nmc.partial")
    return made


def _summed(text: bytes) -> bytes:
    return f"{zlib.crc32(text):08x} ".encode() + text


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    made = []
    for name, below in inner:
        made.append((*at, name))
        if isinstance(below, dict | list):
            made += _places(below, (*at, name))
    return made


def _odd_value(rng: random.Random, line: bytes) -> bytes:
    """Put an odd value somewhere into a line, and leave its checksum right."""
    content = json.loads(line[9:])
    *way, last = rng.choice(_places(content))
    node = content
    for name in way:
        node = node[name]
    if rng.random() < 0.2:
        del node[last]
    else:
        node[last] = rng.choice([*ODD, rng.getrandbits(70)])
    return _summed(json.dumps(content).encode())


def damage_journal(rng: random.Random, data: bytes) -> bytes:
    """Return a journal with lines changed, left out, doubled, exchanged or torn."""
    lines = data.split(b"\n")[:-1]
    for _ in range(rng.randrange(1, 4)):
        if not lines:
            break
        i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
        match rng.randrange(7):
            case 0:
                del lines[i]
            case 1:
                lines.insert(i, lines[j])
            case 2:
                lines[i], lines[j] = lines[j], lines[i]
            case 3:
                lines[i] = lines[i][: rng.randrange(len(lines[i]) + 1)]
            case 4:
                lines[i] = damage_bytes(rng, lines[i])
            case 5:
                lines[i] = _summed(damage_bytes(rng, lines[i][9:]))
            case _:
                try:
                    lines[i] = _odd_value(rng, lines[i])
                except (ValueError, IndexError, TypeError, AttributeError):
                    continue  # damaged before
    return b"".join(line + b"\n" for line in lines)


def damage_bytes(rng: random.Random, data: bytes) -> bytes:
    """Return bytes with a few changed, cut out, doubled or filled with one value."""
    made = bytearray(data)
    for _ in range(rng.randrange(1, 5)):
        if not made:
            break
        at, size = rng.randrange(len(made)), rng.choice([1, 1, 2, 4, 8, 64])
        match rng.randrange(5):
            case 0 | 1:
                made[at] ^= 1 << rng.randrange(8)
            case 2:
                made[at : at + size] = bytes([rng.choice([0, 255, 127, 128])]) * size
            case 3:
                del made[at : at + size]
            case _:
                made[at:at] = made[at : at + size]
    return bytes(made)


def judge_journal(rng: random.Random, source: Path, folder: Path) -> str:
    """Recover a package whose journal was damaged."""
    place = folder / source.name
    shutil.copytree(source, place)
    journal = place / "journal.ndjson"
    journal.write_bytes(damage_journal(rng, journal.read_bytes()))
    path = folder / source.name.removesuffix(".partial")
    try:
        nmc.recover(path)
    except FormatError as refused:
        return f"journal {refused.finding.code}"
    report = nmc.check(path)
    if not report.accepted:
        raise Wrong(f"recovered, and refused by the check: {report.findings[0]}")
    return f"journal recovered, {report.frames} frames"


def checkpoint_sources(folder: Path) -> list[Path]:
    """Write a small checkpoint of each of the usual kinds."""
    import torch

    state = {"w": np.arange(12, dtype="f4").reshape(3, 4), "b": np.ones(3, "f8")}
    tensors = {name: torch.from_numpy(array) for name, array in state.items()}
    whole = {"model": tensors, "epoch": 3, "optimizer": {"state": {0: {"step": 1}}, "lr": [0.1]}}
    save_file(state, folder / "a.safetensors")
    np.savez(folder / "a.npz", **state)
    np.savez_compressed(folder / "c.npz", **state)
    torch.save(whole, folder / "a.pt")
    torch.save(whole, folder / "b.pth", _use_new_zipfile_serialization=False)
    with h5py.File(folder / "a.h5", "w") as file:
        for name, array in state.items():
            file[f"layer/{name}"] = array
    head = "ply\nformat binary_little_endian 1.0\nelement vertex 2\n"
    fields = "".join(f"property float {name}\n" for name in ("x", "y", "z", "opacity"))
    values = np.arange(8, dtype="<f4").tobytes()
    (folder / "a.ply").write_bytes((head + fields + "end_header\n").encode() + values)
    (folder / "plain.pkl").write_bytes(pickle.dumps(state, protocol=4))
    (folder / "plain.pkl").rename(folder / "p.pth")
    return sorted(path for path in folder.iterdir() if path.is_file())


def judge_checkpoint(rng: random.Random, source: Path, folder: Path) -> str:
    """Read a checkpoint that was damaged."""
    path = folder / source.name
    path.write_bytes(damage_bytes(rng, source.read_bytes()))
    try:
        read(path, keep=rng.choice(["weights", "all"]))
    except (CheckpointError, FormatError):
        return f"{source.suffix} refused"
    return f"{source.suffix} read"


def run_case(seed: int, number: int, sources: dict[str, list[Path]]) -> str:
    """Make one case and judge it."""
    rng = random.Random(f"{seed}/{number}")
    kind = ("journal", "checkpoint")[number % 2]
    source = rng.choice(sources[kind])
    judges: dict[str, Callable[[random.Random, Path, Path], str]] = {
        "journal": judge_journal,
        "checkpoint": judge_checkpoint,
    }
    signal.alarm(SECONDS)
    try:
        with tempfile.TemporaryDirectory() as folder:
            return judges[kind](rng, source, Path(folder))
    finally:
        signal.alarm(0)


def run(count: int, seed: int, only: int | None = None, note: Path | None = None) -> Counter[str]:
    """Run many cases; return what came of them.

    Raises
    ------
    Wrong
        For the first case that fails, with how to repeat it.
    """
    signal.signal(signal.SIGALRM, _ring)
    progress = Run("damaged journals and checkpoints", count, note, f"inputs {seed}")
    with tempfile.TemporaryDirectory() as text:
        folders = {kind: Path(text) / kind for kind in ("journal", "checkpoint")}
        for folder in folders.values():
            folder.mkdir()
        sources = {
            "journal": journal_sources(folders["journal"]),
            "checkpoint": checkpoint_sources(folders["checkpoint"]),
        }
        for number in range(progress.tally.done, count) if only is None else [only]:
            try:
                progress.tally.add(run_case(seed, number, sources))
            except Exception as error:
                again = f"case {number}: repeat it with --seed {seed} --only {number}\n"
                raise Wrong(again + "".join(traceback.format_exception(error))) from None
            progress.tick()
    progress.save()
    return progress.tally.codes


def main() -> int:
    """Run from the command line; 1 where a case fails."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="repeat one case")
    parser.add_argument("--note", type=Path, help="a file to go on from, and to keep up")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    try:
        made = run(options.count, options.seed, options.only, options.note)
    except Wrong as error:
        print(error)
        return 1
    for what, number in sorted(made.items()):
        print(f"{number:8,}  {what}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
