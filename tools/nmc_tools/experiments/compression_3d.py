"""The experiment ``compression-3d``: models of moving scenes, coded by NNCodec and by our coder.

As the 3D exploration of MPEG INVR: DyNeRF and MixVoxels models of one sequence, coded by NNCodec at
the quantisation parameters -48 to -28; the PSNR of held-out views against the truth, and against
what the model shows before it is coded.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import nmc
from nmc_framework.evaluation.clip_scores import pictures_psnr
from nmc_tools.bench_rd import nncodec_peer
from nmc_tools.bench_rd.coded import Coded
from nmc_tools.bench_rd.ours import package
from nmc_tools.experiments.films import (
    Film,
    Pictures,
    Report,
    group_schedule,
    seen_of_group,
    trained_group,
)
from nmc_tools.experiments.inputs import usual_iterations
from nmc_tools.experiments.kept import Kept, State, Wanted
from nmc_tools.experiments.peer import LeftOut, Peer
from nmc_tools.experiments.results_page import Results
from nmc_tools.experiments.rows import Row

if TYPE_CHECKING:
    from nmc_framework.distributed import Executor

FAMILIES = ("dynerf", "mixvoxels")
#: Quantisation parameters of NNCodec, and qualities of our coder: 8 points halve the step.
PARAMETERS, QUALITIES = (-48, -43, -38, -33, -28), (64, 56, 48, 40, 32, 24)
PLAIN, PEER, OURS = "32-bit floats", "NNCodec", "nmc lossy"
_VERSION = 2

_Code = Callable[[State, Path], Coded]


@dataclass(frozen=True)
class Request:
    """What is asked for: a film, families, a share of the usual iterations.

    ``nncodec`` is None where it is left out; ``executor`` works several things out at a time,
    where there is one.
    """

    film: Film
    folder: Path
    families: Sequence[str] = FAMILIES
    share: float = 1.0
    nncodec: Peer | None = None
    executor: Executor | None = None


@dataclass(frozen=True, eq=False)
class _Point:
    """A coded model: its two rows, and what is seen of it."""

    rows: Sequence[Row]
    picture: Pictures


def run(request: Request, report: Report) -> Results:
    """Train the models, code each at every setting, and return what was measured."""
    kept = Kept(request.folder / "kept", one_thread=True)
    film = request.film
    coders = list(_coders(request))
    if request.executor is not None:
        _ahead(request, kept, coders, request.executor, report)
    total = len(request.families) * (1 + len(coders))
    left_out = LeftOut()
    points: list[_Point] = []
    for number, name in enumerate(request.families):
        report(number * (1 + len(coders)), total, f"{name} next")
        for place, point in _of_family(request, kept, name, coders, left_out):
            points.append(point)
            row = point.rows[0]
            told = f"{name} {row.coder} {row.setting}: {row.size:,.0f} bytes, {row.psnr:.2f} dB"
            report(number * (1 + len(coders)) + place + 1, total, told)
    report(total, total, "")
    pictures, captions = _shown_beside(film, points)
    return Results(
        name="compression-3d",
        title="3D compression: models of moving scenes, coded",
        subtitle=_setting(request),
        rows=[row for point in points for row in point.rows],
        pictures=pictures,
        anchor=PEER if any(p.rows[0].coder == PEER for p in points) else OURS,
        machine=kept.spent.machine,
        spent=kept.spent,
        captions=captions,
        notes=left_out.notes,
    )


def _setting(request: Request) -> str:
    film = request.film
    height, width = film.truth.shape[2:4]
    peer = f"NNCodec {nncodec_peer.VERSION} at QP {PARAMETERS[0]} to {PARAMETERS[-1]}"
    return (
        f"{film.name}, {len(film.views)} frames of {len(film.training)} cameras, {width}x{height}; "
        f"{', '.join(request.families)}, {usual_iterations(request.share)}; "
        f"{peer if request.nncodec else 'NNCodec is left out'}; our coder at qualities "
        f"{QUALITIES[0]} to {QUALITIES[-1]}. Bits a pixel of the pictures to train with."
    )


def _shown_beside(film: Film, points: Sequence[_Point]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the truth, a model and the coded model side by side, pictures for each family."""
    middle = film.truth[len(film.views) // 2, 0]
    pictures, captions = {}, {}
    for name in dict.fromkeys(point.rows[0].model for point in points):
        mine = [point for point in points if point.rows[0].model == name]
        for where, at in ((_truth(film, name), 0), (_uncoded(film, name), -1)):
            shown, told = [middle], ["truth"]
            for coder in dict.fromkeys(point.rows[0].coder for point in mine):
                of_one = [point for point in mine if point.rows[0].coder == coder]
                chosen = of_one[at or len(of_one) // 2]
                row = chosen.rows[0]
                shown.append(chosen.picture)
                told.append(f"{coder}, {row.setting} ({row.size:,.0f} bytes)")
            pictures[where] = np.concatenate(shown, axis=1)
            kind = "settings in the middle" if not at else "the coarsest settings"
            captions[where] = f"{name} coded at {kind}, from left to right: {'; '.join(told)}"
    return pictures, captions


def _truth(film: Film, model: str) -> str:
    return f"{film.name}, {model}, against the truth"


def _uncoded(film: Film, model: str) -> str:
    return f"{film.name}, {model}, against itself before it is coded"


def _coders(request: Request) -> Iterator[tuple[str, str, _Code]]:
    if request.nncodec is not None:
        for parameter in PARAMETERS:
            yield PEER, f"QP {parameter}", partial(request.nncodec.code, parameter)
    for quality in QUALITIES:
        yield OURS, f"quality {quality}", partial(_by_quality, quality)


def _by_quality(quality: float, state: State, folder: Path) -> Coded:
    quantisation = nmc.Quantisation(quality=quality)
    return package([state], {"profile": "lossy", "quantisation": quantisation}, folder)


def _of_family(
    request: Request,
    kept: Kept,
    name: str,
    coders: Sequence[tuple[str, str, _Code]],
    left_out: LeftOut,
) -> Iterator[tuple[int, _Point]]:
    """Yield the points of a model, and which of its settings each is."""
    film, inputs = request.film, _inputs(request, name)
    state, shown = _uncoded_model(request, kept, name)
    raw = sum(array.nbytes for array in state.values())
    plain = _row(film, _truth(film, name), name, (PLAIN, "float32"), raw, _psnr(shown, film.truth))
    yield 0, _Point([plain], _chosen(film, shown))
    for place, (coder, setting, code) in enumerate(coders, start=1):
        work = partial(_measured, film, name, state, shown, code)
        try:
            found = kept.state(_told(inputs, coder, setting), work)
        except nncodec_peer.PeerError as error:
            left_out.add(f"{name} at {setting}", error)
            continue
        size, *psnr = found["figures"].tolist()
        rows = [
            _row(film, where, name, (coder, setting), size, value)
            for where, value in zip((_truth(film, name), _uncoded(film, name)), psnr, strict=True)
        ]
        yield place, _Point(rows, found["picture"])


def _inputs(request: Request, name: str) -> dict[str, Any]:
    """Return what a model's weights follow from."""
    told = {"experiment": "compression-3d", "version": _VERSION}
    return told | request.film.learned(name, group_schedule(request.film, name, request.share))


def _told(inputs: dict[str, Any], coder: str, setting: str) -> dict[str, Any]:
    """Return what a coded model follows from."""
    told = inputs | {"coder": coder, "setting": setting}
    return told | {"peer": nncodec_peer.VERSION} if coder == PEER else told


def _uncoded_model(request: Request, kept: Kept, name: str) -> tuple[State, Pictures]:
    """Return the state of a model and what held-out cameras see of it."""
    film, inputs = request.film, _inputs(request, name)
    state = kept.state(inputs, partial(_trained, film, name, request.share))
    shown = kept.state(inputs | {"coder": PLAIN}, partial(_shown, film, name, state))
    return state, shown["pictures"]


def _trained(film: Film, name: str, share: float) -> State:
    return trained_group(film, film.model(name), group_schedule(film, name, share))


def _shown(film: Film, name: str, state: State) -> State:
    return {"pictures": _pictures(film, name, state)}


def _ahead(
    request: Request,
    kept: Kept,
    coders: Sequence[tuple[str, str, _Code]],
    executor: Executor,
    report: Report,
) -> None:
    """Have models trained, and then coded, several at a time; what NNCodec codes stays here."""
    film = request.film
    kept.ahead(
        executor,
        [
            Wanted(_inputs(request, name), partial(_trained, film, name, request.share), state=True)
            for name in request.families
        ],
        report,
    )
    wanted = []
    for name in request.families:
        state, shown = _uncoded_model(request, kept, name)
        wanted += [
            Wanted(
                _told(_inputs(request, name), coder, setting),
                partial(_measured, film, name, state, shown, code),
                state=True,
            )
            for coder, setting, code in coders
            if coder != PEER
        ]
    kept.ahead(executor, wanted, report)


def _measured(film: Film, name: str, state: State, shown: Pictures, code: _Code) -> State:
    """Return bytes, PSNR against the truth and against the model uncoded, and a picture."""
    with tempfile.TemporaryDirectory() as folder:
        coded = code(state, Path(folder))
    seen = _pictures(film, name, {**state, **dict(coded.states[0])})
    figures = np.array([coded.frames[0], _psnr(seen, film.truth), _psnr(seen, shown)])
    return {"figures": figures, "picture": _chosen(film, seen)}


def _chosen(film: Film, seen: Pictures) -> Pictures:
    """Return the first view of the instant in the middle."""
    return np.ascontiguousarray(seen[len(film.views) // 2, 0])


def _pictures(film: Film, name: str, state: State) -> Pictures:
    model = film.model(name)
    model.load(state)
    return seen_of_group(film, model)


def _psnr(seen: Pictures, truth: Pictures) -> float:
    shape = (-1, *truth.shape[2:])
    return pictures_psnr(seen.reshape(shape), truth.reshape(shape))


def _row(
    film: Film, where: str, model: str, coder: tuple[str, str], size: float, psnr: float
) -> Row:
    return Row(where, model, *coder, size, 8 * float(size) / film.pixels, float(np.float64(psnr)))
