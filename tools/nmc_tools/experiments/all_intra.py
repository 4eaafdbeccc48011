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
from nmc_framework.evaluation.pictures import clip_psnr
from nmc_framework.models import build
from nmc_framework.models.pictures import played
from nmc_framework.models.pictures.inric import QUALITIES
from nmc_framework.training import ClipPixels, Schedule, train_on
from nmc_tools.bench_rd import nncodec_peer
from nmc_tools.bench_rd.ours import package
from nmc_tools.experiments.kept import Kept, State, Wanted
from nmc_tools.experiments.results_page import Results
from nmc_tools.experiments.rounding import learned_state, range_steps
from nmc_tools.experiments.rows import Row

if TYPE_CHECKING:
    from nmc_framework.distributed import Executor
    from nmc_tools.bench_rd.coded import Codec, Coded

Picture = npt.NDArray[np.uint8]
Report = Callable[[int, int, str], None]

#: Quantisation parameters of NNCodec.
PARAMETERS = (-54, -52, -50, -49, -48, -47, -46, -44, -42)
#: Bits of learned rounding, and qualities of our lossy coder: 8 points halve the step.
BITS, OUR_QUALITIES = (8, 7), (64, 56, 48, 44, 40, 36, 32, 28, 24, 20)
#: Counted up whenever the same inputs would give other results.
_VERSION = 1
#: Of learned rounding: iterations for one of training.
_ROUNDING = 0.25
ANCHOR = "8 bits, AdaRound and QAT"
NAMES = {"none": "32-bit floats", "nncodec": "NNCodec", "ours": "nmc lossy"}


@dataclass(frozen=True)
class Request:
    """What is asked for.

    ``pictures`` are (height, width, 3) uint8 by name; ``nncodec`` the Python that has NNCodec;
    ``executor`` works several models out at a time, where there is one.
    """

    pictures: dict[str, Picture]
    folder: Path
    qualities: Sequence[str] = tuple(QUALITIES)
    iterations: int = 1500
    nncodec: Path | None = None
    executor: Executor | None = None


def run(request: Request, report: Report, machine: str) -> Results:
    """Train the models, code each at every setting, and return what was measured."""
    kept = Kept(request.folder / "kept")
    rows = []
    coders = list(_coders(request))
    if request.executor is not None:
        _ahead(request, kept, coders, request.executor)
    total = len(request.pictures) * len(request.qualities) * (1 + len(coders))
    done = 0
    for name, picture in request.pictures.items():
        for quality in request.qualities:
            for row in _of_model(request, kept, name, picture, quality, coders):
                rows.append(row)
                done += 1
                told = f"{name} {quality} {row.coder} {row.setting}: {row.bits_per_pixel:.2f}"
                report(done, total, f"{told} bits a pixel, {row.psnr:.2f} dB")
    return Results(
        name="all-intra",
        title="All-intra: pictures as networks",
        subtitle=f"INRIC models of five sizes, {request.iterations} iterations.",
        rows=rows,
        pictures=request.pictures,
        anchor=ANCHOR,
        machine=machine,
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
        codec = nncodec_peer.codecs(request.nncodec, PARAMETERS)[1]
        for setting in codec.settings:
            yield _Coder(NAMES["nncodec"], setting, partial(_by_codec, codec, setting))
    for bits in BITS:
        yield _Coder(f"{bits} bits, AdaRound and QAT", f"{bits} bits", partial(_by_bits, bits))
    for quality in OUR_QUALITIES:
        yield _Coder(NAMES["ours"], f"quality {quality}", partial(_by_quality, quality))


def _by_codec(codec: Codec, setting: str, trained: _Trained, folder: Path) -> Coded:
    weights = {n: a for n, a in trained.state.items() if a.dtype.kind == "f"}
    return codec.code([weights], codec.settings[setting], folder)


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
) -> Iterator[Row]:
    height, width = picture.shape[:2]
    configuration, inputs = _inputs(request, picture, quality)
    state = kept.state(inputs, partial(_train, configuration, picture, request.iterations))
    trained = _Trained(configuration, picture, state, request.iterations)
    raw = sum(array.nbytes for array in state.values() if array.dtype.kind == "f")

    def row(coder: str, setting: str, size: float, psnr: float) -> Row:
        return Row(name, quality, coder, setting, size, 8 * size / (height * width), psnr)

    psnr = kept.values(inputs | {"judged": True}, lambda: _judged(trained, state))
    yield row(NAMES["none"], "float32", raw, psnr)
    for coder in coders:
        size, psnr = kept.values(_told(inputs, coder), partial(_coded, trained, coder))
        yield row(coder.name, coder.setting, size, psnr)


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
        "configuration": configuration,
        "iterations": request.iterations,
    }
    return configuration, inputs


def _told(inputs: dict[str, Any], coder: _Coder) -> dict[str, Any]:
    """Return all that a coded model follows from."""
    told = inputs | {"coder": coder.name, "setting": coder.setting}
    return told | {"peer": nncodec_peer.VERSION} if coder.name == NAMES["nncodec"] else told


def _ahead(request: Request, kept: Kept, coders: Sequence[_Coder], executor: Executor) -> None:
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
    )
    shared = [coder for coder in coders if coder.name != NAMES["nncodec"]]
    coded = []
    for picture, options, inputs in each:
        state = kept.state(inputs, partial(_train, options, picture, request.iterations))
        trained = _Trained(options, picture, state, request.iterations)
        coded += [Wanted(_told(inputs, c), partial(_coded, trained, c)) for c in shared]
    kept.ahead(executor, coded)


def _train(configuration: dict[str, Any], picture: Picture, iterations: int) -> State:
    model = played(build("inric", configuration))
    schedule = Schedule(first=iterations, rays=model.batch)
    return train_on(model, ClipPixels(model, picture[None]), schedule, frame=0).state


def _coded(trained: _Trained, coder: _Coder) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        coded = coder.code(trained, Path(folder))
    return coded.frames[0], _judged(trained, dict(coded.states[0]))


def _judged(trained: _Trained, state: State) -> float:
    model = played(build("inric", trained.configuration))
    whole = {name: state.get(name, array) for name, array in trained.state.items()}
    model.load(whole)
    return clip_psnr(model, trained.picture[None])
