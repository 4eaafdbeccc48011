"""``make bench-transmission``: seeking, serving and playing over loopback; a table, the figures."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from nmc_tools.bench.published import machine, put_into
from nmc_tools.bench_transmission import material, measurements
from nmc_tools.bench_transmission.page import page
from nmc_tools.terminal import out, progress_bar

_PACKAGES = ("numpy", "numba", "starlette", "uvicorn", "httptools", "uvloop")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="make bench-transmission", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("out/bench-transmission"))
    parser.add_argument("--demo", type=Path, default=Path("out/demo/scene.nmc"))
    parser.add_argument("--soak", type=float, default=20.0, help="seconds; 600 for the long one")
    parser.add_argument("--quick", action="store_true", help="toy sizes: tries the code only")
    parser.add_argument("--only", action="append", default=[], help="a part; may be repeated")
    parser.add_argument("--into", type=Path, help="put the tables between the marks of a file")
    given = parser.parse_args(arguments)
    folder: Path = given.output
    data = folder / "packages"
    data.mkdir(parents=True, exist_ok=True)
    parts = _parts(given, data, folder)
    unknown = sorted(set(given.only) - set(parts))
    if unknown:
        parser.error(f"no part {', '.join(unknown)}; there are {', '.join(parts)}")
    kept = folder / "bench-transmission.json"
    found: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() and given.only else {}
    with progress_bar("measuring", unit="parts") as progress:
        for done, (name, measure) in enumerate(parts.items()):
            progress(done, len(parts), name)
            if not given.only or name in given.only:
                found[name] = measure()
                kept.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    shared = "shared with the clients"
    if hasattr(os, "getloadavg"):
        shared += f" and whatever else ran (load {os.getloadavg()[1]:.0f})"
    text = page(found) + f"\nMeasured on {machine(_PACKAGES, shared)}.\n"
    (folder / "bench-transmission.md").write_text(text, encoding="utf-8")
    out.print(text, markup=False)
    if given.into:
        put_into(given.into, "bench-transmission", text)


def _parts(given: argparse.Namespace, data: Path, folder: Path) -> dict[str, Callable[[], Any]]:
    quick: bool = given.quick
    frames = 20 if quick else material.FRAMES

    def crowd() -> Any:
        path, words = material.crowd_package(data, given.demo)
        return measurements.crowds(path, folder, 1.0 if quick else 5.0) | {"what": words}

    def soak() -> Any:
        path, words = material.crowd_package(data, given.demo)
        return measurements.soak(path, 2.0 if quick else given.soak, 5) | {"what": words}

    def seeks() -> Any:
        return [
            measurements.seeks(
                material.seek_package(data, share, frames), 5 if quick else 100, threads
            )
            for share in (0.1, 1.0)
            for threads in (1, 2)
        ]

    def sequential() -> Any:
        path = material.seek_package(data, 0.1, 20 if quick else 60)
        return measurements.sequential(path, 2 if quick else 4)

    def adaptive() -> Any:
        document = material.qualities(data, 2 if quick else 20)
        return measurements.adaptive(document, ("falls",) if quick else ("falls", "swings", "walk"))

    return {
        "seeks": seeks,
        "sequential": sequential,
        "crowd": crowd,
        "soak": soak,
        "live": lambda: measurements.live(data, 5 if quick else 20),
        "adaptive": adaptive,
    }


if __name__ == "__main__":
    main()
