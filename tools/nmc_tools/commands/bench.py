"""``nmc bench``: what is measured of this program, beside its peers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from nmc_tools.commands.framework import (
    IntoOption,
    NNCodecOption,
    ShareOption,
    SizeOption,
    framework,
    parse_device,
    parse_size,
    require_folder,
    require_known,
    require_marks,
)
from nmc_tools.commands.installation import extra
from nmc_tools.terminal import note, out, print_json, progress_bar, say, warn

app = typer.Typer(help="Measure rate, distortion and speed beside the peers.", no_args_is_help=True)

#: Codecs are measured on one core; libraries read these when they are loaded.
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")

_JsonOption = Annotated[bool, typer.Option("--json", help="Print all figures as JSON.")]
_TinyOption = Annotated[
    bool, typer.Option("--quick", help="A chain of a few numbers: tries the code only.")
]


@app.callback()
def _group() -> None:
    """Measure rate, distortion and speed beside the peers."""


@app.command("rd")
def rate_distortion(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the results; what is there is kept.")
    ] = Path("out/bench-rd"),
    chain: Annotated[
        list[str] | None,
        typer.Option(
            help="nerf_all, hash_all, demo, dome, mlp, mlp-large (1.2 million weights), splats, "
            "drift (60 frames from one key frame), or a package; repeatable. All if not given."
        ),
    ] = None,
    codec: Annotated[
        list[str] | None,
        typer.Option(help="A codec by the name of its row; repeatable. All if not given."),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Measure what is there already, too.")
    ] = False,
    quick: _TinyOption = False,
    nncodec: NNCodecOption = True,
    trained: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PACKAGE",
            help="A package trained for rate on the chain's scene; repeatable, with one --chain.",
        ),
    ] = None,
    train: Annotated[
        bool,
        typer.Option(
            help="Train demo, dome and mlp for rate where that is missing: minutes for each price."
        ),
    ] = True,
    into: IntoOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all points as JSON.")] = False,
) -> None:
    """Measure bytes on disk against what is seen: ours, NNCodec, uniform quantisers, half floats.

    Leaves tables (.md), a plot (.png), a page with every point (.html) and the figures (.json).
    Points are kept as they are measured: an interrupted run goes on with the same command. The
    trained chains are looked for in ../shared/data, or where NMC_SHARED_DATA says; the others are
    made. What is absent or cannot be built is left out, and said. A package of yours is judged by
    some of its cameras where its family can be rendered, else by its numbers.

    Examples
    --------
      nmc bench rd -o out/bench-rd

      nmc bench rd --chain demo --codec 'nmc lossless' --codec 'NNCodec differential'

      nmc bench rd --chain demo --trained small.nmc --codec 'nmc trained for rate'

      nmc bench rd --chain mine.nmc --no-nncodec    (any package)

      nmc bench rd --no-nncodec --into BENCHMARKS.md
    """
    _on_one_core()
    require_folder(output)
    with framework(output, output):
        with extra("framework,bench", "bench"):
            import bjontegaard  # noqa: F401 - what the extra brings, asked for before the work
        from nmc_tools.bench_rd.run import Request, figures, run

        beside = Path(__file__).parents[3].parent / "shared" / "data"
        request = Request(
            output=output,
            shared=Path(os.environ.get("NMC_SHARED_DATA") or beside),
            names=chain or (),
            codecs=codec or (),
            again=again,
            quick=quick,
            nncodec=nncodec,
            trained=trained or (),
            train=train,
        )
        with progress_bar("measuring", unit="points", kept=f"points in {output}", resume="") as bar:
            try:
                report = run(request, lambda words, done, total: bar(done, total, words))
            except ValueError as error:
                raise typer.BadParameter(str(error)) from error
        for note in report.notes:
            warn(note)
        _tell("bench-rd", report.text, figures(report), into, as_json=as_json)
        if not as_json:
            say(f"{output}: {', '.join(path.name for path in report.files)}")


@app.command("sync")
def synchronisation(
    changed: Annotated[
        list[str] | None,
        typer.Option(
            help="Per cent of the weights that change in a step: 1, 3 or 8; repeatable. All if "
            "not given."
        ),
    ] = None,
    rounds: Annotated[
        int, typer.Option(min=1, help="How often each chain is sent; the shortest time counts.")
    ] = 5,
    quick: _TinyOption = False,
    into: IntoOption = None,
    as_json: _JsonOption = False,
) -> None:
    """Measure weights on their way from training to inference: messages beside the peers' layouts.

    The chains are BF16 weights whose FP32 master copies move by steps as Adam's; they are made.
    Every state that comes is compared, bit for bit. The methods take turns, on one core.

    Examples
    --------
      nmc bench sync

      nmc bench sync --changed 1 --rounds 20

      nmc bench sync --into BENCHMARKS.md
    """
    _on_one_core()
    from dataclasses import asdict

    from nmc_tools.bench.chains import SPARSE_STEPS

    known = {str(percent): percent for percent in SPARSE_STEPS}
    require_known(changed, known, "--changed")
    from nmc_tools.bench_sync.measure import measured, table

    with progress_bar("measuring", unit="rounds") as progress:
        rows = measured([known[p] for p in changed or known], rounds, quick=quick, report=progress)
    _tell("bench-sync", table(rows), [asdict(row) for row in rows], into, as_json=as_json)


@app.command("families")
def families(
    family: Annotated[
        list[str] | None, typer.Option(help="A family; repeatable. All if not given.")
    ] = None,
    side: Annotated[int, typer.Option(min=8, help="Pixels of a picture's sides.")] = 128,
    share: ShareOption = 1.0,
    device: Annotated[str, typer.Option(help="Torch device, such as cpu or cuda:0.")] = "cpu",
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the results; what is there is kept.")
    ] = Path("out/bench-families"),
    into: IntoOption = None,
    as_json: _JsonOption = False,
) -> None:
    """Train families of models on one embedded scene: weights, quality, seconds, bytes.

    Families of pictures learn the film of one camera, a clip and the next one from it; families of
    views learn two frames of all cameras and are scored on those held out. depth_unet learns from
    pictures with depth, and the families of inverse graphics from objects: 'nmc depth experiment'
    and 'nmc bench inverse' measure those. What was measured is kept: the same command goes on.

    Examples
    --------
      nmc bench families

      nmc bench families --family siren --family nerv --side 64

      nmc bench families --family splats --device cuda

      nmc bench families --into BENCHMARKS.md
    """
    from dataclasses import asdict

    with framework("families"):
        from nmc_framework.models import families as known
        from nmc_tools.bench_families.measure import ELSEWHERE, measured, wanted
        from nmc_tools.bench_families.table import table
        from nmc_tools.experiments.kept import Kept

        require_known(family, known(), "--family")
        require_marks(into, "families")
        require_folder(output)
        chosen = wanted(family or ())
        for name in sorted(set(family or known()) - {name for name, _ in chosen}):
            where = f"'{ELSEWHERE[name]}' measures it" if name in ELSEWHERE else "is left out"
            note(f"{name} learns neither a film nor a scene: {where}")
        used = parse_device(device)
        kept, words = Kept(output), f"what was measured, in {output}"
        with progress_bar("training", unit="families", kept=words, resume="") as progress:
            found = list(measured(chosen, side, share, progress, kept, used))
        text = table(found, f"{kept.spent.machine}, on {used}")
    _tell("families", text, [asdict(each) for each in found], into, as_json=as_json)


@app.command("ray")
def ray(
    workers: Annotated[int, typer.Option(min=1, help="Of a cluster on this machine.")] = 2,
    groups: Annotated[int, typer.Option(min=1, help="Of two frames, all alike.")] = 4,
    iterations: Annotated[int, typer.Option(min=1, help="Of every frame.")] = 100,
    size: SizeOption = None,
    into: IntoOption = None,
    as_json: _JsonOption = False,
) -> None:
    """Measure what sharing the groups of a chain out over workers gains, and compare the bytes.

    The same groups are trained one after the other in this process, on one thread, and on a cluster
    of Ray on this machine. The time until its workers are ready is told apart.

    Examples
    --------
      nmc bench ray

      nmc bench ray --workers 4 --groups 8 --size 192x192
    """
    from dataclasses import asdict

    _on_one_core()
    require_marks(into, "ray")
    with framework("ray"), extra("ray", "bench ray"):
        from nmc_tools.bench.published import machine
        from nmc_tools.bench_ray.measure import measured, table

        wanted = parse_size(size) or (96, 96)
        with progress_bar("training", unit="steps") as progress:
            gain = measured(workers, groups, iterations, wanted, progress)
        text = table(gain, machine(["torch"]))
    figures = asdict(gain) | {"factor": gain.factor}
    _tell("ray", text, figures, into, as_json=as_json)


@app.command("inverse")
def inverse(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of packages and results; kept.")
    ] = Path("out/bench-inverse"),
    size: Annotated[int, typer.Option(min=16, max=128, help="Of the cars' pictures.")] = 64,
    objects: Annotated[int, typer.Option(min=8, help="Cars; a tenth is held out.")] = 220,
    share: ShareOption = 1.0,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="multi-view, single-view, generator, layers, closed, renderer or variants; "
            "repeatable. Steps that one begins with are done first where they are not yet."
        ),
    ] = None,
    into: IntoOption = None,
    as_json: _JsonOption = False,
) -> None:
    """Measure inverse graphics on synthetic cars: IoU, layers, exchanged parts, variants.

    Networks that learn from several views and from single ones, a generator and what its layers
    change, a network that learned from its pictures alone, codes of camera, shape, texture and
    background, and what a variant costs. Every step is kept: the same command goes on.

    Examples
    --------
      nmc bench inverse --into BENCHMARKS.md

      nmc bench inverse --size 32 --share 0.25 --only multi-view --only single-view

      nmc bench inverse --only generator --only layers
    """
    require_marks(into, "inverse")
    require_folder(output)
    with framework("inverse", output):
        from nmc_tools.bench.published import machine
        from nmc_tools.bench_inverse.run import STEPS, Request, run
        from nmc_tools.bench_inverse.table import tables

        require_known(only, STEPS, "--only")
        request = Request(
            output,
            size,
            objects,
            held_out=max(2, objects // 10),
            share=share,
            only=tuple(only or ()),
        )
        kept = f"finished steps are kept in {output}"
        with progress_bar("measuring", unit="steps", kept=kept, resume="") as progress:
            found = run(request, progress)
        text = tables(found, size, machine(["torch"]))
    _tell("inverse", text, found, into, as_json=as_json)


@app.command("transmission")
def transmission(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of packages and results.")
    ] = Path("out/bench-transmission"),
    demo: Annotated[
        Path, typer.Option(help="The package that many clients play, of make demo.")
    ] = Path("out/demo/scene.nmc"),
    soak: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="How long the soak is; 600 for long.")
    ] = 20.0,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="seeks, sequential, crowd, soak, live, adaptive, player or signature; repeatable. "
            "All if not given; what was measured before is kept."
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Measure only what the folder has no figures of."),
    ] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Toy sizes: tries the code only.")] = False,
    into: IntoOption = None,
    as_json: _JsonOption = False,
) -> None:
    """Measure seeking, serving, playing and following over loopback, beside nginx where it is.

    Clients, proxies and servers share this machine. The soak lets clients come and go, and looks
    at the memory of the server and at what it has open. The player is driven in Chromium, where
    that and Playwright are installed. Figures are kept part by part.

    Examples
    --------
      nmc bench transmission

      nmc bench transmission --only soak --soak 600

      nmc bench transmission --only player --only signature

      nmc bench transmission --resume    (after Ctrl-C)

      nmc bench transmission --into BENCHMARKS.md
    """
    _on_one_core()
    require_folder(output)
    with extra("serve", "bench"):
        from nmc_tools.bench_transmission.run import PARTS, Request, run
    require_known(only, PARTS, "--only")
    kept = f"figures of parts that were finished, in {output}"
    with progress_bar("measuring", unit="parts", kept=kept, resume="--resume") as progress:
        results = run(Request(output, demo, soak, only or (), quick, resume), progress)
    _tell("bench-transmission", results.text, results.figures, into, as_json=as_json)


def _on_one_core() -> None:
    for name in _ONE_THREAD:
        os.environ.setdefault(name, "1")


def _tell(mark: str, text: str, figures: Any, into: Path | None, *, as_json: bool) -> None:
    """Put tables between the marks of a file if there is one, and print them or their figures."""
    from nmc_tools.bench.published import put_into

    if into:
        put_into(into, mark, text)
    if as_json:
        print_json(figures)
    else:
        out.print(text, markup=False)
