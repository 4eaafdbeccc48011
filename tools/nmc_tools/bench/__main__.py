"""``python -m nmc_tools.bench``: measures everything and leaves a table, a plot and the figures."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmc_tools.bench import result_tables
from nmc_tools.bench.chains import SMALL, Sizes, Source, load, shared, sources
from nmc_tools.bench.packages import LONG_SEQUENCE, measure_opening, measure_package
from nmc_tools.bench.peers import BEHIND, CHANGING, METHODS, module_of
from nmc_tools.bench.published import machine, put_into
from nmc_tools.bench.usage import (
    TENSORS,
    measure_memory,
    measure_one_tensor,
    measure_start,
    measure_threads,
)
from nmc_tools.terminal import out, progress_bar

if TYPE_CHECKING:
    from collections.abc import Callable

    from nmc.coding.arithmetic import Effort

_PLY = "checkpoints/gs_ply_pc_short/pc_short.ply"
_CHECKPOINT = "checkpoints/nerf_pytorch_ckpt/lego-lowres/checkpoint199999.ckpt"

_ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "PCODEC_NUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
}


def _measure(method: str, chain: Path) -> dict[str, float]:
    command = [sys.executable, "-P", "-m", "nmc_tools.bench.worker", "--method", method]
    done = subprocess.run(  # noqa: S603 - our own interpreter and module
        [*command, "--chain", str(chain)],
        env={**os.environ, **_ONE_THREAD},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{method} failed on {chain}:\n{done.stderr}")
    result: dict[str, float] = json.loads(done.stdout)
    return result


def _installed(method: str) -> bool:
    return importlib.util.find_spec(module_of(method)) is not None


def _methods(source: Source, only: list[str]) -> list[str]:
    """Return the methods for a chain, those that are installed."""
    every = CHANGING if load(source.folder).changes_shape else METHODS
    wanted = only or [method for method in every if not (source.made and method in BEHIND)]
    return [method for method in every if _installed(method) and method in wanted]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make bench",
        description=__doc__,
        epilog="example: python -m nmc_tools.bench --chain run/ --only 'nmc fast' -o out/bench",
    )
    parser.add_argument(
        "--chain", type=Path, action="append", default=[], help="a folder of checkpoints, alone"
    )
    parser.add_argument("--ply", type=Path, help="splats that those of the benchmark are like")
    parser.add_argument("--checkpoint", type=Path, help="with moments of Adam; is trained on from")
    parser.add_argument("--small", action="store_true", help="see that every row runs; no figures")
    parser.add_argument("-o", "--output", type=Path, default=Path("out/bench"))
    parser.add_argument("--only", action="append", default=[], help="a method; may be repeated")
    parser.add_argument("--into", type=Path, help="put the tables between the marks of a file")
    return parser


def _shared_file(given: Path | None, part: str) -> Path | None:
    path = given or shared(part)
    return path if given or path.exists() else None


def main() -> None:
    """Run the benchmark."""
    arguments = _parser().parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        if arguments.chain:
            found = [Source(path, "as given", made=False) for path in arguments.chain]
        else:
            found = sources(
                Path(folder),
                SMALL if arguments.small else Sizes(),
                _shared_file(arguments.ply, _PLY),
                _shared_file(arguments.checkpoint, _CHECKPOINT),
            )
        figures = _measured(found, arguments.only, small=arguments.small)
        with tempfile.TemporaryDirectory() as empty:
            figures["start"] = measure_start(Path(empty))
    text = _write(arguments.output, figures)
    if arguments.into:
        put_into(arguments.into, "bench", text)


def _measured(found: list[Source], only: list[str], *, small: bool) -> dict[str, Any]:
    """Return the figures of all chains, and of packages of made ones."""
    jobs: list[tuple[str, str, str, Callable[[], Any]]] = []
    for source in found:
        name = source.folder.name
        jobs += [
            ("coders", name, method, partial(_measure, method, source.folder))
            for method in _methods(source, only)
        ]
        jobs += [
            ("packages", name, effort, partial(_measure_package, source.folder, effort))
            for effort in (("fast", "strong") if source.made else ("fast", "strong", "max"))
        ]
    figures: dict[str, Any] = {"about": {s.folder.name: s.about for s in found}}
    words = 1 << (16 if small else 23)
    rest: dict[str, Callable[[], Any]] = {
        "opening": lambda: measure_opening(100 if small else LONG_SEQUENCE),
        "threads": lambda: measure_threads(words // 4),
        "memory": lambda: _memory(4 * words),
        "one_tensor": lambda: measure_one_tensor(words),
    }
    steps = len(jobs) + len(rest)
    with progress_bar("measuring", unit="steps") as progress:
        for done, (table, name, row, work) in enumerate(jobs):
            figures.setdefault(table, {}).setdefault(name, {})[row] = work()
            progress(done + 1, steps)
        for done, (table, work) in enumerate(rest.items(), len(jobs)):
            figures[table] = work()
            progress(done + 1, steps)
    return figures


def _memory(words: int) -> dict[str, dict[str, float]]:
    """Return the memory of all codings, and of some with states twice as large."""
    larger = measure_memory(2 * words, ("zstd", "nmc fast", "nmc strong"))
    named = {f"{coding}, states of {8 * words / 1e6:.0f} MB": w for coding, w in larger.items()}
    return measure_memory(words) | named


def _measure_package(folder: Path, effort: Effort) -> dict[str, float]:
    return measure_package(load(folder), effort)


def _write(folder: Path, figures: dict[str, Any]) -> str:
    missing = [method for method in METHODS if not _installed(method)]
    text = "\n".join(
        [
            "Lossless coders, mean of the delta frames, MB/s of raw model on one core; memory is",
            "what coding and decoding a chain adds to the chain itself, all coded frames kept.",
            "Where a row says *package*, files and digests are part of it.",
            "",
            *(
                line
                for chain, methods in figures["coders"].items()
                for line in _coder_lines(chain, figures["about"][chain], methods)
            ),
            *(f"{method} is left out: {module_of(method)} is not installed." for method in missing),
            *([""] if missing else []),
            "*fast* beside pcodec, in this run:",
            "",
            result_tables.beside_table(figures["coders"]),
            "",
            "Whole packages: files, digests of segments and states, verified reading.",
            "",
            result_tables.package_table(figures["packages"]),
            "",
            "Threads: four groups of four frames are checked; two frames, four times as large, are",
            "written and read:",
            "",
            result_tables.thread_table(figures["threads"]),
            "",
            "Memory at peak beside the caller's own state; reading frame 3 by a new handle, and",
            "one of its tensors alone, verified:",
            "",
            result_tables.use_table(figures["memory"], figures["one_tensor"], TENSORS),
            "",
            "Programs; the first package compiles the coder, the second finds it compiled:",
            "",
            result_tables.start_table(figures["start"]),
            "",
            _opening_text(figures["opening"]),
            "",
            f"Measured on {machine(_peers_here(), 'one thread used')}.",
            "",
        ]
    )
    (folder / "bench.md").write_text(text, encoding="utf-8")
    (folder / "bench.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    result_tables.plot(figures["coders"], folder / "bench.png")
    out.print(text, markup=False)
    out.print(f"{folder}: bench.md, bench.json, bench.png", markup=False)
    return text


def _peers_here() -> tuple[str, ...]:
    return tuple(name for name in result_tables.PEERS_VERSIONS if importlib.util.find_spec(name))


def _coder_lines(chain: str, about: str, methods: dict[str, dict[str, float]]) -> list[str]:
    return [f"Chain `{chain}` ({about}):", "", result_tables.coder_table(methods), ""]


def _opening_text(opening: dict[str, Any]) -> str:
    file, folder = (1e3 * opening["seconds"][form] for form in ("file", "directory"))
    return (
        f"Opening a package of {opening['frames']:,} frames: {file:.1f} ms as a file, "
        f"{folder:.1f} ms as a directory; a seek into its middle: "
        f"{1e3 * opening['seek_seconds']:.1f} ms."
    )


if __name__ == "__main__":
    main()
