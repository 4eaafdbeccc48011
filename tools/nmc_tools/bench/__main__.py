"""``python -m nmc_tools.bench``: measures everything and leaves a table, a plot and the figures."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nmc_tools.bench import result_tables
from nmc_tools.bench.packages import measure_opening, measure_package
from nmc_tools.bench.peers import METHODS, MODULES
from nmc_tools.bench.published import machine, put_into
from nmc_tools.bench.worker import load_chain
from nmc_tools.terminal import err, out, progress_bar

if TYPE_CHECKING:
    from collections.abc import Iterator

_ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "PCODEC_NUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
}


def _chains(given: list[Path], folder: Path) -> Iterator[Path]:
    """Yield the chains that are named, or those of the shared data, or a made one."""
    if given:
        yield from given
        return
    data = os.environ.get("NMC_SHARED_DATA") or Path(__file__).parents[3].parent / "shared" / "data"
    shared = sorted(Path(data).glob("chains/*/"))
    if shared:
        yield from shared
        return
    err.print("no trained chains found (NMC_SHARED_DATA); a made one says little about sizes")
    yield _made_chain(folder / "made")


def _made_chain(folder: Path) -> Path:
    from nmc_tools import checkpoints

    folder.mkdir()
    rng = np.random.default_rng(0)
    state = {f"layer.{i}": rng.standard_normal((256, 256), dtype=np.float32) for i in range(6)}
    for t in range(4):
        checkpoints.write(folder / f"frame_{t}.safetensors", state, to="safetensors")
        for name, array in state.items():
            step = rng.standard_normal(array.shape, dtype=np.float32)
            state[name] = array + step * np.float32(1e-3)
    return folder


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
    return method not in MODULES or importlib.util.find_spec(MODULES[method]) is not None


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--chain", type=Path, action="append", default=[], help="a directory")
    parser.add_argument("-o", "--output", type=Path, default=Path("out/bench"))
    parser.add_argument("--only", action="append", default=[], help="a method; may be repeated")
    parser.add_argument("--into", type=Path, help="put the tables between the marks of a file")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    wanted = arguments.only or list(METHODS)
    missing = [method for method in wanted if not _installed(method)]
    methods = [method for method in wanted if method not in missing]
    with tempfile.TemporaryDirectory() as folder:
        paths = list(_chains(arguments.chain, Path(folder)))
        coders: dict[str, dict[str, dict[str, float]]] = {path.name: {} for path in paths}
        packages: dict[str, dict[str, Any]] = {path.name: {} for path in paths}
        with progress_bar("measuring", unit="steps") as progress:
            steps = len(paths) * (len(methods) + 3)
            done = 0
            for path in paths:
                for method in methods:
                    coders[path.name][method] = _measure(method, path)
                    done += 1
                    progress(done, steps)
                chain = load_chain(path)
                for effort in ("fast", "strong", "max"):
                    packages[path.name][effort] = measure_package(chain, effort)
                    done += 1
                    progress(done, steps)
        opening = measure_opening()
    text = _write(arguments.output, coders, packages, opening, missing)
    if arguments.into:
        put_into(arguments.into, "bench", text)


def _write(
    folder: Path,
    coders: dict[str, dict[str, dict[str, float]]],
    packages: dict[str, dict[str, Any]],
    opening: dict[str, Any],
    missing: list[str],
) -> str:
    text = "\n".join(
        [
            "Lossless coders, mean of the delta frames, MB/s of raw model on one core; memory is",
            "what coding and decoding a chain adds to the chain itself, all coded frames kept.",
            "",
            *(line for chain, methods in coders.items() for line in _coder_lines(chain, methods)),
            *(f"{method} is left out: {MODULES[method]} is not installed." for method in missing),
            *([""] if missing else []),
            "Whole packages: files, digests of segments and states, verified reading.",
            "",
            result_tables.package_table(packages),
            "",
            _opening_text(opening),
            "",
            f"Measured on {machine(_peers_here(), 'one thread used')}.",
            "",
        ]
    )
    (folder / "bench.md").write_text(text, encoding="utf-8")
    figures = {"coders": coders, "packages": packages, "opening": opening}
    (folder / "bench.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    result_tables.plot(coders, folder / "bench.png")
    out.print(text, markup=False)
    out.print(f"{folder}: bench.md, bench.json, bench.png", markup=False)
    return text


def _peers_here() -> tuple[str, ...]:
    return tuple(name for name in result_tables.PEERS_VERSIONS if importlib.util.find_spec(name))


def _coder_lines(chain: str, methods: dict[str, dict[str, float]]) -> list[str]:
    return [f"Chain `{chain}`:", "", result_tables.coder_table(methods), ""]


def _opening_text(opening: dict[str, Any]) -> str:
    file, folder = (1e3 * opening["seconds"][form] for form in ("file", "directory"))
    return (
        f"Opening a package of {opening['frames']:,} frames: {file:.1f} ms as a file, "
        f"{folder:.1f} ms as a directory; a seek into its middle: "
        f"{1e3 * opening['seek_seconds']:.1f} ms."
    )


if __name__ == "__main__":
    main()
