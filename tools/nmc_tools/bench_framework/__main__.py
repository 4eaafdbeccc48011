"""``python -m nmc_tools.bench_framework``: measures the framework; tables, a plot, the figures."""

from __future__ import annotations

import os

from nmc_tools.waiting import BRIEFLY

os.environ.setdefault(*BRIEFLY)  # before the imports below load torch

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from nmc_tools.bench.published import put_into
from nmc_tools.bench_framework import measurements, presentation
from nmc_tools.bench_framework.drift import drift
from nmc_tools.bench_framework.photographs import photographs
from nmc_tools.bench_framework.scenes import all_scenes
from nmc_tools.bench_framework.stage import FULL, QUICK, Scale, Stage
from nmc_tools.terminal import err, out, progress_bar

#: Tables that take so long that they are measured only where they are named.
LONG = ("drift",)

Measure = Callable[[], Mapping[str, Any]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark; a table that is there already is not measured again."""
    parser = argparse.ArgumentParser(prog="make bench-framework", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("out/bench-framework"))
    parser.add_argument("--only", action="append", default=[], help="a table; may be repeated")
    parser.add_argument("--again", action="store_true", help="measure what is there already, too")
    parser.add_argument("--quick", action="store_true", help="toy sizes: tries the code only")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--into", type=Path, help="put the tables between the marks of a file")
    parser.add_argument("--fox", type=Path, help="photographs with their cameras: a table of them")
    given = parser.parse_args(arguments)
    scale = QUICK if given.quick else FULL
    folder: Path = given.output
    folder.mkdir(parents=True, exist_ok=True)
    measures = _measures(Stage(scale, folder), scale, given.workers, given.fox)
    unknown = sorted(set(given.only) - set(measures))
    if unknown:
        parser.error(f"no table {', '.join(unknown)}; there are {', '.join(measures)}")
    if "fox" in given.only and given.fox is None:
        parser.error("the table fox is of photographs: --fox FOLDER")
    found: dict[str, Mapping[str, Any]] = {}
    with progress_bar("measuring", unit="tables") as progress:
        for done, (name, measure) in enumerate(measures.items()):
            progress(done, len(measures))
            unasked = name in LONG or (name == "fox" and given.fox is None)
            wanted = name in given.only or not (given.only or unasked)
            figures = _kept(folder, name, scale, measure, wanted=wanted, again=given.again)
            if figures is not None:
                found[name] = figures
    text = presentation.markdown(found)
    (folder / "bench-framework.md").write_text(text, encoding="utf-8")
    presentation.plot(found, folder / "bench-framework.png")
    out.print(text, markup=False)
    out.print(f"{folder}: bench-framework.md, bench-framework.png, a JSON file a table")
    if given.into:
        put_into(given.into, "bench-framework", text)


def _measures(stage: Stage, scale: Scale, workers: int, fox: Path | None) -> dict[str, Measure]:
    measures: dict[str, Measure] = {
        "scenes": partial(all_scenes, quick=not scale.sfm_pixels),
        "fox": partial(photographs, fox or Path(), quick=not scale.sfm_pixels),
        "drift": partial(drift, quick=not scale.sfm_pixels),
        "hash_grid": partial(measurements.hash_grid, stage),
        "sharing": partial(measurements.sharing, stage),
        "freezing": partial(_on_one_thread, partial(measurements.freezing_families, stage)),
        "rendering": partial(measurements.rendering, stage, max(workers, 2)),
        "memory": partial(measurements.memory, stage),
    }
    if scale.sfm_pixels:
        measures["sfm"] = partial(measurements.sfm, stage)
    return measures


def _on_one_thread(measure: Measure) -> Mapping[str, Any]:
    with _threads(1):
        return measure()


@contextmanager
def _threads(count: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _kept(
    folder: Path, name: str, scale: Scale, measure: Measure, *, wanted: bool, again: bool
) -> Mapping[str, Any] | None:
    """Return a table from its file where it is of this scale, else measure it and write it."""
    path = folder / f"{name}.json"
    mark = repr(scale)
    if path.exists() and not (wanted and again):
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["scale"] == mark:
            figures: Mapping[str, Any] = kept["figures"]
            return figures
    if not wanted:
        return None
    err.print(f"measuring {name}", markup=False)
    figures = measure()
    text = json.dumps({"scale": mark, "figures": figures}, indent=1) + "\n"
    path.write_text(text, encoding="utf-8")
    return figures


if __name__ == "__main__":
    main()
