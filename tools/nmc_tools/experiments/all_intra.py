"""The experiment ``all-intra``: single pictures as INRIC models, and what their weights take.

As the 2D exploration of MPEG INVR (all-intra mode): five sizes of network, each coded at several
settings. NNCodec is run at the quantisation parameters -54 to -42, among them -50 to -46.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

import nmc
from nmc_framework.evaluation.clip_scores import clip_psnr
from nmc_framework.models import build
from nmc_framework.models.pictures import played
from nmc_framework.models.pictures.inric import QUALITIES, Inric
from nmc_framework.training import ClipPixels, Schedule, train_on
from nmc_tools.bench_rd import nncodec_peer
from nmc_tools.bench_rd.ours import package
from nmc_tools.experiments.inputs import learned
from nmc_tools.experiments.kept import Kept, State, Wanted
from nmc_tools.experiments.peer import LeftOut, Peer
from nmc_tools.experiments.results_page import Results
from nmc_tools.experiments.rounding import learned_state, range_steps
from nmc_tools.experiments.rows import Row

if TYPE_CHECKING:
    from nmc_framework.distributed import Executor
    from nmc_tools.bench_rd.coded import Coded

Picture = npt.NDArray[np.uint8]
Report = Callable[[int, int, str], None]

#: Quantisation parameters of NNCodec.
PARAMETERS = (-54, -52, -50, -49, -48, -47, -46, -44, -42)
#: Bits of learned rounding, and qualities of our lossy coder: 8 points halve the step.
BITS, OUR_QUALITIES = (8, 7), (64, 56, 48, 44, 40, 36, 32, 28, 24, 20)
#: Counted up whenever the same inputs would give other results.
_VERSION = 2
#: Of learned rounding: iterations for one of training.
_ROUNDING = 0.25
ANCHOR = "8 bits, AdaRound and QAT"
NAMES = {"none": "32-bit floats", "nncodec": "NNCodec", "ours": "nmc lossy"}


@dataclass(frozen=True)
class Request:
    """What is asked for.

    ``pictures`` are (height, width, 3) uint8 by name; ``nncodec`` is None where it is
    left out; ``executor`` works several models out at a time, where there is one.
    """

    pictures: dict[str, Picture]
    folder: Path
    qualities: Sequence[str] = tuple(QUALITIES)
    iterations: int = 1500
    nncodec: Peer | None = None
    executor: Executor | None = None


def run(request: Request, report: Report) -> Results:
    """Train the models, code each at every setting, and return what was measured."""
    kept = Kept(request.folder / "kept", one_thread=True)
    rows = []
    coders = list(_coders(request))
    left_out = LeftOut()
    if request.executor is not None:
        _ahead(request, kept, coders, request.executor, report)
    each = 1 + len(coders)
    total = len(request.pictures) * len(request.qualities) * each
    done = 0
    for name, picture in request.pictures.items():
        for quality in request.qualities:
            for place, row in _of_model(request, kept, name, picture, quality, coders, left_out):
                rows.append(row)
                told = f"{name} {quality} {row.coder} {row.setting}: {row.bits_per_pixel:.2f}"
                report(done + place + 1, total, f"{told} bits a pixel, {row.psnr:.2f} dB")
            done += each
    return Results(
        name="all-intra",
        title="All-intra: pictures as networks",
        subtitle=_setting(request),
        rows=rows,
        pictures=request.pictures,
        anchor=ANCHOR,
        machine=kept.spent.machine,
        spent=kept.spent,
        notes=left_out.notes,
    )


def _setting(request: Request) -> str:
    sizes = dict.fromkeys(f"{p.shape[1]}x{p.shape[0]}" for p in request.pictures.values())
    peer = f"NNCodec {nncodec_peer.VERSION} at QP {PARAMETERS[0]} to {PARAMETERS[-1]}"
    return (
        f"Pictures of {', '.join(sizes)} as INRIC models {', '.join(request.qualities)}, "
        f"{request.iterations} iterations; {peer if request.nncodec else 'NNCodec is left out'}; "
        f"{' and '.join(str(bits) for bits in BITS)} bits with {_ROUNDING:g} of these for AdaRound "
        f"and as many for QAT; our coder at qualities {OUR_QUALITIES[0]} to {OUR_QUALITIES[-1]}."
    )


@dataclass(frozen=True)
class _Coder:
    name: str
    setting: str
    code: Callable[[_Trained, Path], Coded]


@dataclass(frozen=True, eq=False)
class _Trained:
    configuration: dict[str, Any]
    picture: Picture
    state: State
    iterations: int


def _coders(request: Request) -> Iterator[_Coder]:
    if request.nncodec is not None:
        for parameter in PARAMETERS:
            code = partial(_by_peer, request.nncodec, parameter)
            yield _Coder(NAMES["nncodec"], f"QP {parameter}", code)
    for bits in BITS:
        yield _Coder(f"{bits} bits, AdaRound and QAT", f"{bits} bits", partial(_by_bits, bits))
    for quality in OUR_QUALITIES:
        yield _Coder(NAMES["ours"], f"quality {quality}", partial(_by_quality, quality))


def _by_peer(peer: Peer, parameter: int, trained: _Trained, folder: Path) -> Coded:
    weights = {n: a for n, a in trained.state.items() if a.dtype.kind == "f"}
    return peer.code(parameter, weights, folder)


def _by_quality(quality: float, trained: _Trained, folder: Path) -> Coded:
    quantisation = nmc.Quantisation(quality=quality)
    return package([trained.state], {"profile": "lossy", "quantisation": quantisation}, folder)


def _by_bits(bits: int, trained: _Trained, folder: Path) -> Coded:
    model = played(build("inric", trained.configuration))
    steps = range_steps(trained.state, bits)
    iterations = max(1, round(_ROUNDING * trained.iterations))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        examples = ClipPixels(model, trained.picture[None])
        state = learned_state(model, examples, trained.state, steps, iterations)
    options = {"profile": "lossy", "quantisation": steps.quantisation()}
    return package([state], options, folder)


def _of_model(
    request: Request,
    kept: Kept,
    name: str,
    picture: Picture,
    quality: str,
    coders: Sequence[_Coder],
    left_out: LeftOut,
) -> Iterator[tuple[int, Row]]:
    """Yield the rows of a model, and which of its settings each is."""
    height, width = picture.shape[:2]
    configuration, inputs = _inputs(request, picture, quality)
    state = kept.state(inputs, partial(_train, configuration, picture, request.iterations))
    trained = _Trained(configuration, picture, state, request.iterations)
    raw = sum(array.nbytes for array in state.values() if array.dtype.kind == "f")

    def row(coder: str, setting: str, size: float, psnr: float) -> Row:
        return Row(name, quality, coder, setting, size, 8 * size / (height * width), psnr)

    psnr = kept.values(inputs | {"judged": True}, lambda: _judged(trained, state))
    yield 0, row(NAMES["none"], "float32", raw, psnr)
    for place, coder in enumerate(coders, start=1):
        try:
            size, psnr = kept.values(_told(inputs, coder), partial(_coded, trained, coder))
        except nncodec_peer.PeerError as error:
            left_out.add(f"{name}, {quality} at {coder.setting}", error)
        else:
            yield place, row(coder.name, coder.setting, size, psnr)


def _inputs(
    request: Request, picture: Picture, quality: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a model's options, and all that its weights follow from."""
    height, width = picture.shape[:2]
    configuration = {"quality": quality, "pictures": 1, "width": width, "height": height}
    inputs: dict[str, Any] = {
        "experiment": "all-intra",
        "version": _VERSION,
        "picture": hashlib.sha256(picture.tobytes()).hexdigest(),
    }
    return configuration, inputs | learned("inric", configuration, _schedule(request.iterations))


def _schedule(iterations: int) -> Schedule:
    return Schedule(first=iterations, rays=Inric.batch)


def _told(inputs: dict[str, Any], coder: _Coder) -> dict[str, Any]:
    """Return all that a coded model follows from."""
    told = inputs | {"coder": coder.name, "setting": coder.setting}
    return told | {"peer": nncodec_peer.VERSION} if coder.name == NAMES["nncodec"] else told


def _ahead(
    request: Request, kept: Kept, coders: Sequence[_Coder], executor: Executor, report: Report
) -> None:
    """Have models trained, and then coded, several at a time; what NNCodec codes stays here."""
    each = [
        (picture, *_inputs(request, picture, quality))
        for picture in request.pictures.values()
        for quality in request.qualities
    ]
    kept.ahead(
        executor,
        [
            Wanted(inputs, partial(_train, options, picture, request.iterations), state=True)
            for picture, options, inputs in each
        ],
        report,
    )
    shared = [coder for coder in coders if coder.name != NAMES["nncodec"]]
    coded = []
    for picture, options, inputs in each:
        state = kept.state(inputs, partial(_train, options, picture, request.iterations))
        trained = _Trained(options, picture, state, request.iterations)
        coded += [Wanted(_told(inputs, c), partial(_coded, trained, c)) for c in shared]
    kept.ahead(executor, coded, report)


def _train(configuration: dict[str, Any], picture: Picture, iterations: int) -> State:
    model = played(build("inric", configuration))
    examples = ClipPixels(model, picture[None])
    return train_on(model, examples, _schedule(iterations), frame=0).state


def _coded(trained: _Trained, coder: _Coder) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        coded = coder.code(trained, Path(folder))
    return coded.frames[0], _judged(trained, dict(coded.states[0]))


def _judged(trained: _Trained, state: State) -> float:
    model = played(build("inric", trained.configuration))
    whole = {name: state.get(name, array) for name, array in trained.state.items()}
    model.load(whole)
    return clip_psnr(model, trained.picture[None])
