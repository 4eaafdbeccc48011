"""Measures every codec on every chain, goes on where it stopped, and leaves tables and a plot."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from nmc_tools.bench_rd import (
    aim,
    baselines,
    chains,
    drift,
    learned_rounding,
    nncodec_peer,
    ours,
    packaged,
    sensitivity,
    small,
    trained,
)
from nmc_tools.bench_rd.page import write_page
from nmc_tools.bench_rd.plotting import plot
from nmc_tools.bench_rd.points import PointFile, measure, missing, remembering
from nmc_tools.bench_rd.presentation import markdown
from nmc_tools.bench_rd.versions import content_of

if TYPE_CHECKING:
    from nmc_tools.bench_rd.chains import BenchChain
    from nmc_tools.bench_rd.coded import Codec
    from nmc_tools.bench_rd.points import Point

#: Told what is measured, how many points are done, and of how many.
Progress = Callable[[str, int, int], None]

_TRAINED = {"nerf_all": 12, "hash_all": 4}
_EMBEDDED = {"demo": "room", "dome": "dome"}
FRAMES = 10


@dataclass(frozen=True)
class Request:
    """What is to be measured.

    Attributes
    ----------
    output : Path
        Folder of all results, and of what was trained.
    shared : Path
        Folder whose ``chains`` hold the trained chains ``nerf_all`` and ``hash_all``.
    names : sequence of str
        Chains by name, and paths of packages; all chains where empty.
    codecs : sequence of str
        Codecs; all where empty.
    again : bool
        Whether points that are there are measured again.
    quick : bool
        A chain of a few numbers in place of all chains: tries the code only.
    nncodec : bool
        Whether NNCodec is measured.
    trained : sequence of Path
        Packages that were trained for rate on the scene of the one chain in ``names``.
    train : bool
        Whether embedded scenes are trained for rate, where their packages are missing.
    """

    output: Path
    shared: Path
    names: Sequence[str] = ()
    codecs: Sequence[str] = ()
    again: bool = False
    quick: bool = False
    nncodec: bool = True
    trained: Sequence[Path] = ()
    train: bool = True


@dataclass(frozen=True)
class Report:
    """What was measured, and what was left out."""

    text: str
    chains: Sequence[tuple[BenchChain, Sequence[Point]]]
    notes: Sequence[str]
    files: Sequence[Path] = field(default=())
    drifts: Sequence[drift.Drift] = field(default=())


_SENSITIVE = (ours.SENSITIVE, "uniform by sensitivity, order-0 entropy")
_SMALL, _LARGE, _DRIFT = "mlp", "mlp-large", "drift"
CHAINS = (*_TRAINED, *_EMBEDDED, _SMALL, _LARGE, "splats", _DRIFT)


def run(request: Request, report: Progress = lambda *_: None) -> Report:
    """Measure what is asked for; points that are there already are kept.

    Raises
    ------
    ValueError
        If a chain or a codec is asked for that there is not, or a package does not go with it.
    """
    if request.trained and len(request.names) != 1 and not request.quick:
        raise ValueError("packages that were trained for rate go with one chain")
    request.output.mkdir(parents=True, exist_ok=True)
    notes: list[str] = []
    peers = _peers(request, notes)
    found: list[tuple[BenchChain, Sequence[Point]]] = []
    drifts: list[drift.Drift] = []
    for chain in _chains(request, notes):
        if chain.name == _DRIFT:
            drifts += drift.measured(chain, request.output, report)
            continue
        uniform = [*ours.lossy(chain.exponents), *baselines.codecs(chain.exponents)]
        if chain.teacher is not None:
            uniform.append(learned_rounding.codec(chain.teacher))
        codecs = _chosen([ours.lossless(), *peers, *uniform], request)
        codecs += _by_sensitivity(chain, request)
        codecs += _by_curvature(chain, request)
        codecs += _trained_for_rate(chain, request, report)
        points = _measured(chain, codecs, request, report, notes)
        if _at_the_aim(chain, request, points, report):
            points = _kept(chain, request)
        found.append((chain, points))
    more = [drift.table(_DRIFT, drifts)] if drifts else []
    text = markdown(found, notes, more)
    folder = request.output
    files = [folder / f"bench-rd.{kind}" for kind in ("md", "png", "html", "json")]
    files[0].write_text(text, encoding="utf-8")
    plot(found, files[1])
    write_page(files[2], found, notes, files[1])
    done = Report(text, found, notes, files, drifts)
    files[3].write_text(json.dumps(figures(done), indent=1) + "\n", encoding="utf-8")
    return done


def figures(report: Report) -> dict[str, object]:
    """Return every point, by chain, and what was left out, as JSON has it."""
    points = {
        chain.name: [asdict(point) | {"rate": point.rate} for point in measured]
        for chain, measured in report.chains
    }
    drifts = [asdict(row) for row in report.drifts]
    return {"chains": points, "drift": drifts, "notes": list(report.notes)}


def _measured(
    chain: BenchChain,
    codecs: Sequence[Codec],
    request: Request,
    report: Progress,
    notes: list[str],
) -> list[Point]:
    file = PointFile(request.output / f"points-{chain.name}.json", _scale(chain))
    kept = file.read()
    judge = remembering(chain)
    todo = list(missing(codecs, kept, again=request.again))
    for done, (codec, setting) in enumerate(todo):
        report(f"{chain.name}: {codec.name}, {setting}", done, len(todo))
        try:
            file.add(measure(chain, codec, setting, judge))
        except nncodec_peer.PeerError as error:
            notes.append(f"{chain.name}: {codec.name}, {setting} is left out: {error}.")
    return _kept(chain, request)


def _kept(chain: BenchChain, request: Request) -> list[Point]:
    """Return all points of a chain, also those of codecs that are not asked for now."""
    file = PointFile(request.output / f"points-{chain.name}.json", _scale(chain))
    return sorted(file.read().values(), key=_place)


#: Kinds in the order of the tables.
_KINDS = ("ours", "trained", "peer", "baseline", "estimate")


def _place(point: Point) -> tuple[int, str, float]:
    return _KINDS.index(point.kind), point.codec, -point.rate


def _by_sensitivity(chain: BenchChain, request: Request) -> list[Codec]:
    """Return the codecs that take steps from measured sensitivity; it is measured if need be."""
    if request.codecs and not set(request.codecs) & set(_SENSITIVE):
        return []
    found = sensitivity.measured(chain, request.output / f"sensitivity-{chain.name}.json")
    steps = {f"aim {aim:g} dB": found.steps(aim) for aim in chain.aims}
    rows = {label: sensitivity.by_row(parts) for label, parts in steps.items()}
    codecs = [ours.by_sensitivity(found, chain.aims), baselines.by_sensitivity(rows)]
    return [codec for codec in codecs if not request.codecs or codec.name in request.codecs]


def _by_curvature(chain: BenchChain, request: Request) -> list[Codec]:
    """Return the codec that rounds by curvature, which is measured before it is timed."""
    if chain.curvature is None or (request.codecs and ours.CURVED not in request.codecs):
        return []
    known = PointFile(request.output / f"points-{chain.name}.json", _scale(chain)).read()
    labels = [(ours.CURVED, f"aim {aim:g} dB") for aim in chain.aims]
    if all(label in known for label in labels) and not request.again:
        return []
    found = [chain.curvature(t) for t in range(len(chain.states))]
    seen = found[0].sensitivity(chain.states[0], chain.parts)
    return [ours.by_curvature(found, seen, chain.aims)]


def _at_the_aim(
    chain: BenchChain, request: Request, points: Sequence[Point], report: Progress
) -> bool:
    """Measure the aim by curvature that costs just as much as may be; whether there is more."""
    known = [point for point in points if point.codec == ours.CURVED]
    wanted = not request.codecs or ours.CURVED in request.codecs
    truth = any(point.held_out is not None for point in known)
    if chain.curvature is None or not wanted or not truth or aim.is_met(known, chain.loss):
        return False
    file = PointFile(request.output / f"points-{chain.name}.json", _scale(chain))
    found = [chain.curvature(t) for t in range(len(chain.states))]
    seen = found[0].sensitivity(chain.states[0], chain.parts)
    judge = remembering(chain)

    def at(decibels: float) -> Point:
        codec = ours.by_curvature(found, seen, [decibels])
        (setting,) = codec.settings
        report(f"{chain.name}: {codec.name}, {setting}", 0, 1)
        point = measure(chain, codec, setting, judge)
        file.add(point)
        return point

    aim.looked_for(at, known, loss=chain.loss)
    return True


def _trained_for_rate(chain: BenchChain, request: Request, report: Progress) -> list[Codec]:
    """Return what was trained for rate on the scene of a chain; it is trained if need be."""
    if request.codecs and ours.TRAINED not in request.codecs:
        return []
    found = {path.stem: path for path in request.trained}
    scene = _EMBEDDED.get(chain.name, chain.name if chain.name == _SMALL else "")
    if scene and request.train and not found:
        found = trained.packages(request.output, scene, len(chain.states), report)
    return [ours.trained(found)] if found else []


def _scale(chain: BenchChain) -> str:
    """Say what points must agree in."""
    return f"{len(chain.states)} frames, {content_of(chain)}"


def _chosen(codecs: Sequence[Codec], request: Request) -> list[Codec]:
    if not request.codecs:
        return list(codecs)
    known = (
        {codec.name for codec in codecs}
        | set(nncodec_peer.NAMES)
        | {*_SENSITIVE, ours.CURVED, ours.TRAINED, learned_rounding.NAME}
    )
    unknown = [name for name in request.codecs if name not in known]
    if unknown:
        raise ValueError(f"no codec {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    return [codec for codec in codecs if codec.name in request.codecs]


def _peers(request: Request, notes: list[str]) -> list[Codec]:
    if not request.nncodec:
        return []
    if request.codecs and not any(name.startswith("NNCodec") for name in request.codecs):
        return []
    try:
        python = nncodec_peer.environment(request.output / "nncodec-environment")
    except nncodec_peer.PeerError as error:
        notes.append(f"NNCodec is left out: {error}.")
        return []
    return nncodec_peer.codecs(python)


def _chains(request: Request, notes: list[str]) -> Iterator[BenchChain]:
    if request.quick:
        yield chains.toy_chain()
        return
    paths = [name for name in request.names if name not in CHAINS and Path(name).exists()]
    unknown = [name for name in request.names if name not in CHAINS and name not in paths]
    if unknown:
        raise ValueError(
            f"no chain {', '.join(unknown)}; there are {', '.join(CHAINS)}, and packages by path"
        )
    for name in request.names or CHAINS:
        if name in paths:
            yield packaged.packaged_chain(Path(name))
        elif name in _TRAINED:
            folder = request.shared / "chains" / name
            if not folder.is_dir():
                notes.append(
                    f"Chain `{name}` is left out: it is not there (NMC_SHARED_DATA says where)."
                )
                continue
            yield chains.trained_chain(folder, every=_TRAINED[name])
        elif name in (_SMALL, _LARGE, _DRIFT):
            # Rounding is not learned on it: that takes longer than all else.
            yield replace(small.small_chain(name, request.output / name), teacher=None)
        elif name in _EMBEDDED:
            folder = request.output / _EMBEDDED[name]
            yield chains.embedded_chain(name, folder, _EMBEDDED[name], FRAMES)
        else:
            yield chains.splat_chain()
