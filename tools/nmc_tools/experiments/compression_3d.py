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
from nmc_framework.evaluation.pictures import pictures_psnr
from nmc_tools.bench_rd import nncodec_peer
from nmc_tools.bench_rd.coded import Coded
from nmc_tools.bench_rd.ours import package
from nmc_tools.experiments.films import Film, Pictures, Report, seen_of_group, trained_group
from nmc_tools.experiments.kept import Kept, State, Wanted
from nmc_tools.experiments.results_page import Results
from nmc_tools.experiments.rows import Row

if TYPE_CHECKING:
    from nmc_framework.distributed import Executor

FAMILIES = ("dynerf", "mixvoxels")
#: Quantisation parameters of NNCodec, and qualities of our coder: 8 points halve the step.
PARAMETERS, QUALITIES = (-48, -43, -38, -33, -28), (64, 56, 48, 40, 32, 24)
PLAIN, PEER, OURS = "32-bit floats", "NNCodec", "nmc lossy"
_VERSION = 1

_Code = Callable[[State, Path], Coded]


@dataclass(frozen=True)
class Request:
    """What is asked for: a film, families, a share of the usual iterations.

    ``nncodec`` is the Python that has NNCodec, None where it is left out; ``executor`` works
    several things out at a time, where there is one.
    """

    film: Film
    folder: Path
    families: Sequence[str] = FAMILIES
    share: float = 1.0
    nncodec: Path | None = None
    executor: Executor | None = None


def run(request: Request, report: Report, machine: str) -> Results:
    """Train the models, code each at every setting, and return what was measured."""
    kept = Kept(request.folder / "kept")
    film = request.film
    coders = list(_coders(request))
    if request.executor is not None:
        _ahead(request, kept, coders, request.executor)
    total = len(request.families) * (1 + len(coders))
    rows: list[Row] = []
    done = 0
    pictures = {}
    for name in request.families:
        report(done, total, f"{name} next")
        for found in _of_family(request, kept, name, coders):
            rows += found
            done += 1
            row = found[0]
            told = f"{name} {row.coder} {row.setting}: {row.size:,.0f} bytes, {row.psnr:.2f} dB"
            report(done, total, told)
    middle = len(film.views) // 2
    for where in (_truth(film), _uncoded(film)):
        pictures[where] = film.truth[middle, 0]
    return Results(
        name="compression-3d",
        title="3D compression: models of moving scenes, coded",
        subtitle=(
            f"{film.name}, {len(film.views)} frames of {len(film.training)} cameras, "
            f"{request.share:g} of the usual iterations; bits a pixel of these. "
            + ("" if request.nncodec else "NNCodec could not be had and is left out. ")
        ),
        rows=rows,
        pictures=pictures,
        anchor=PEER if request.nncodec else OURS,
        machine=machine,
    )


def _truth(film: Film) -> str:
    return f"{film.name}, against the truth"


def _uncoded(film: Film) -> str:
    return f"{film.name}, against the model before it is coded"


def _coders(request: Request) -> Iterator[tuple[str, str, _Code]]:
    if request.nncodec is not None:
        codec = nncodec_peer.codecs(request.nncodec, PARAMETERS)[1]
        for setting, value in codec.settings.items():
            yield PEER, setting, partial(_by_peer, codec.code, value)
    for quality in QUALITIES:
        yield OURS, f"quality {quality}", partial(_by_quality, quality)


def _by_peer(code: Callable[..., Coded], value: Any, state: State, folder: Path) -> Coded:
    return code([state], value, folder)


def _by_quality(quality: float, state: State, folder: Path) -> Coded:
    quantisation = nmc.Quantisation(quality=quality)
    return package([state], {"profile": "lossy", "quantisation": quantisation}, folder)


def _of_family(
    request: Request, kept: Kept, name: str, coders: Sequence[tuple[str, str, _Code]]
) -> Iterator[list[Row]]:
    film, inputs = request.film, _inputs(request, name)
    state, shown = _uncoded_model(request, kept, name)
    raw = sum(array.nbytes for array in state.values())
    plain = _row(film, _truth(film), name, (PLAIN, "float32"), raw, _psnr(shown, film.truth))
    yield [plain]
    for coder, setting, code in coders:
        work = partial(_measured, film, name, state, shown, code)
        size, *psnr = kept.values(_told(inputs, coder, setting), work)
        yield [
            _row(film, where, name, (coder, setting), size, value)
            for where, value in zip((_truth(film), _uncoded(film)), psnr, strict=True)
        ]


def _inputs(request: Request, name: str) -> dict[str, Any]:
    """Return what a model's weights follow from."""
    return {
        "experiment": "compression-3d",
        "version": _VERSION,
        "film": request.film.content,
        "family": name,
        "share": request.share,
    }


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
    return trained_group(film, film.model(name), share)


def _shown(film: Film, name: str, state: State) -> State:
    return {"pictures": _pictures(film, name, state)}


def _ahead(
    request: Request,
    kept: Kept,
    coders: Sequence[tuple[str, str, _Code]],
    executor: Executor,
) -> None:
    """Have models trained, and then coded, several at a time; what NNCodec codes stays here."""
    film = request.film
    kept.ahead(
        executor,
        [
            Wanted(_inputs(request, name), partial(_trained, film, name, request.share), state=True)
            for name in request.families
        ],
    )
    wanted = []
    for name in request.families:
        state, shown = _uncoded_model(request, kept, name)
        wanted += [
            Wanted(
                _told(_inputs(request, name), coder, setting),
                partial(_measured, film, name, state, shown, code),
            )
            for coder, setting, code in coders
            if coder != PEER
        ]
    kept.ahead(executor, wanted)


def _measured(
    film: Film, name: str, state: State, shown: Pictures, code: _Code
) -> tuple[float, float, float]:
    """Return bytes, PSNR against the truth and against the model before it is coded."""
    with tempfile.TemporaryDirectory() as folder:
        coded = code(state, Path(folder))
    seen = _pictures(film, name, {**state, **dict(coded.states[0])})
    return coded.frames[0], _psnr(seen, film.truth), _psnr(seen, shown)


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
