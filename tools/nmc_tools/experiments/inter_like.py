"""The experiment ``inter-like``: neural videos beside H.264 and HEVC.

As the 2D exploration of MPEG INVR (inter-like mode): one sequence from a camera that stands still,
one from a camera that moves. Each family is trained in several sizes; its weights are coded by our
lossy coder at several qualities. x264 and x265 code the same pictures at several rate factors.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

import nmc
from nmc_framework.evaluation.clip_scores import pictures_psnr
from nmc_framework.metrics import MS_SSIM_SIDE, ms_ssim
from nmc_framework.models import build, family
from nmc_framework.models.pictures import ClipModel, played
from nmc_framework.rendering.clips import clip_pictures
from nmc_framework.training import ClipPixels, Schedule, train_on
from nmc_tools.bench_rd.ours import package
from nmc_tools.experiments import latents, video_codecs
from nmc_tools.experiments.inputs import learned, usual_iterations
from nmc_tools.experiments.kept import Kept, Wanted
from nmc_tools.experiments.results_page import Results
from nmc_tools.experiments.rows import Row

if TYPE_CHECKING:
    from nmc_framework.distributed import Executor
    from nmc_tools.experiments.kept import State

Clip = npt.NDArray[np.uint8]
Report = Callable[[int, int, str], None]

#: Sizes of each family, as options by what tables call them.
SIZES: dict[str, dict[str, dict[str, Any]]] = {
    "ffnerv": {
        "small": {"channels": 20, "features": 3, "least_channels": 8},
        "large": {"channels": 40, "features": 6},
    },
    "hnerv": {
        "small": {"channels": 16, "embedding": 6, "least_channels": 8},
        "large": {"channels": 32, "embedding": 12},
    },
    "nvp": {
        "small": {"resolutions": [0.125, 0.25], "features": 2, "grid_features": 2, "hidden": 24},
        "large": {"resolutions": [0.125, 0.25, 0.5]},
    },
}
#: Qualities of our lossy coder: 8 points halve the step.
QUALITIES = (40, 32, 24, 20, 16, 12, 8, 4)
#: The family that is trained with weights of few bits too, and how long of its usual iterations.
AWARE, BITS, _TUNING = "ffnerv", (8, 7), 0.3
#: The family whose latents go through image codecs too, as its authors send them.
LATENT = "nvp"
#: x264 and x265 by name, each with its rate factors; one group of pictures, preset "slow".
CODERS = {"H.264 (x264)": video_codecs.X264, "HEVC (x265)": video_codecs.X265}
RATE_FACTORS = (18, 22, 26, 30, 34, 38, 42, 46)
PRESET, GROUP = "slow", 250
ANCHOR = "HEVC (x265)"
_VERSION = 4


@dataclass(frozen=True)
class Request:
    """What is asked for: clips (pictures, height, width, 3) uint8 by name, and how long to train.

    ``share`` is that of the families' usual iterations; ``executor`` works several models out at a
    time, where there is one.
    """

    clips: dict[str, Clip]
    folder: Path
    rate: int
    families: Sequence[str] = tuple(SIZES)
    share: float = 1.0
    executor: Executor | None = None


def run(request: Request, report: Report) -> Results:
    """Train and code every model, code every video, and return what was measured."""
    kept = Kept(request.folder / "kept", ("torch", "av"), one_thread=True)
    rows: list[Row] = []
    more = {AWARE: len(BITS), LATENT: len(latents.SETTINGS)}
    points = {name: len(QUALITIES) + more.get(name, 0) for name in request.families}
    each = sum(len(SIZES[name]) * count for name, count in points.items())
    total = len(request.clips) * (each + len(CODERS) * len(RATE_FACTORS))
    if request.executor is not None:
        _ahead(request, kept, request.executor, report)
    for name, clip in request.clips.items():
        inputs = _inputs(clip)
        coded = _codecs(kept, inputs, name, clip, request.rate)
        for row in chain(coded, _models(request, kept, name, clip)):
            rows.append(row)
            told = f"{name} {row.model} {row.coder} {row.setting}: {row.bits_per_pixel:.3f}"
            report(len(rows), total, f"{told} bits a pixel, {row.psnr:.2f} dB")
    return Results(
        name="inter-like",
        title="Inter-like: videos as networks, beside H.264 and HEVC",
        subtitle=_setting(request),
        rows=rows,
        pictures={name: clip[len(clip) // 2] for name, clip in request.clips.items()},
        anchor=ANCHOR,
        machine=kept.spent.machine,
        spent=kept.spent,
    )


def _setting(request: Request) -> str:
    sizes = dict.fromkeys(f"{c.shape[0]} of {c.shape[2]}x{c.shape[1]}" for c in _clips(request))
    return (
        f"Pictures: {', '.join(sizes)}, {request.rate} a second; {', '.join(request.families)} in "
        f"two sizes, {usual_iterations(request.share)}, our coder at qualities "
        f"{QUALITIES[0]} to {QUALITIES[-1]}; x264 and x265 at 4:4:4 with preset {PRESET}, groups "
        f"of {GROUP} pictures at most, rate factors {RATE_FACTORS[0]} to {RATE_FACTORS[-1]}."
    )


def _clips(request: Request) -> Sequence[Clip]:
    return list(request.clips.values())


def _inputs(clip: Clip) -> dict[str, Any]:
    """Return what everything about a clip follows from."""
    return {
        "experiment": "inter-like",
        "version": _VERSION,
        "clip": hashlib.sha256(clip.tobytes()).hexdigest(),
        "shape": list(clip.shape),
    }


def _ahead(request: Request, kept: Kept, executor: Executor, report: Report) -> None:
    """Have models trained, and then coded and judged, several at a time."""
    models = [(clip, *each) for clip in request.clips.values() for each in _each(request, clip)]
    kept.ahead(
        executor,
        [
            Wanted(told, partial(_train, kind, options, clip, request.share), state=True)
            for clip, kind, _, options, told in models
        ],
        report,
    )
    coded = []
    for clip, kind, _, options, told in models:
        state = kept.state(told, partial(_train, kind, options, clip, request.share))
        coded += [
            Wanted(told | {"quality": q}, partial(_quantised, kind, options, clip, state, q))
            for q in QUALITIES
        ]
        coded += [
            Wanted(
                told | {"bits": bits},
                partial(_aware, kind, options, clip, state, bits, request.share),
            )
            for bits in (BITS if kind == AWARE else ())
        ]
        coded += [
            Wanted(
                told | {"jpeg": jpeg, "crf": factor},
                partial(_as_latents, kind, options, clip, state, jpeg, factor),
            )
            for jpeg, factor in (latents.SETTINGS if kind == LATENT else ())
        ]
    kept.ahead(executor, coded, report)


def _each(
    request: Request, clip: Clip
) -> Iterator[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    """Yield family, size, options, and what the weights follow from, of each model of a clip."""
    pictures, height, width = clip.shape[:3]
    for kind in request.families:
        for size, options in SIZES[kind].items():
            whole = options | {"pictures": pictures, "height": height, "width": width}
            yield kind, size, whole, _inputs(clip) | _learned(kind, whole, request.share)


def _learned(kind: str, configuration: dict[str, Any], share: float) -> dict[str, Any]:
    """Return what weights follow from; of those with few bits, how long they learn on."""
    told = learned(kind, configuration, _schedule(kind, share))
    return told | ({"tuning": _TUNING} if kind == AWARE else {})


def _schedule(kind: str, share: float) -> Schedule:
    found = family(kind)
    assert issubclass(found, ClipModel)
    return Schedule(first=max(1, round(share * found.iterations[0])), rays=found.batch)


def _codecs(kept: Kept, inputs: dict[str, Any], name: str, clip: Clip, rate: int) -> Iterator[Row]:
    for coder, library in CODERS.items():
        for factor in RATE_FACTORS:
            coder_options = {"codec": library, "crf": factor, "preset": PRESET, "group": GROUP}
            told = inputs | coder_options | {"rate": rate}
            size, quality, similar = kept.values(told, partial(_coded, clip, library, factor, rate))
            setting = f"CRF {factor}"
            yield _row(clip, name, PRESET, coder, setting, size, quality, similar)


def _coded(clip: Clip, library: str, factor: int, rate: int) -> tuple[float, float, float | None]:
    packets, shown = video_coded(clip, library, factor, rate)
    return (packets, *_judged(clip, shown))


def video_coded(clip: Clip, library: str, factor: int, rate: int) -> tuple[int, Clip]:
    """Return the bytes of a clip as a bitstream, and the decoded pictures."""
    options = {"crf": str(factor), "preset": PRESET, "g": str(GROUP)}
    if library == video_codecs.X265:
        options["x265-params"] = f"keyint={GROUP}"
    return video_codecs.coded(
        list(clip), library, pixels="yuv444p", given="rgb24", rate=rate, options=options
    )


def _models(request: Request, kept: Kept, name: str, clip: Clip) -> Iterator[Row]:
    for kind, size, configuration, told in _each(request, clip):
        state = kept.state(told, partial(_train, kind, configuration, clip, request.share))
        for quality in QUALITIES:
            bytes_, seen, similar = kept.values(
                told | {"quality": quality},
                partial(_quantised, kind, configuration, clip, state, quality),
            )
            setting = f"{size}, quality {quality}"
            yield _row(clip, name, f"{kind} {size}", kind, setting, bytes_, seen, similar)
        for bits in BITS if kind == AWARE else ():
            bytes_, seen, similar = kept.values(
                told | {"bits": bits},
                partial(_aware, kind, configuration, clip, state, bits, request.share),
            )
            setting = f"{size}, {bits} bits"
            yield _row(clip, name, f"{kind} {size}", f"{kind} QAT", setting, bytes_, seen, similar)
        for jpeg, factor in latents.SETTINGS if kind == LATENT else ():
            bytes_, seen, similar = kept.values(
                told | {"jpeg": jpeg, "crf": factor},
                partial(_as_latents, kind, configuration, clip, state, jpeg, factor),
            )
            setting = f"{size}, JPEG {jpeg}, CRF {factor}"
            coder = f"{kind} through image codecs"
            yield _row(clip, name, f"{kind} {size}", coder, setting, bytes_, seen, similar)


def _train(kind: str, configuration: dict[str, Any], clip: Clip, share: float) -> State:
    model = played(build(kind, configuration))
    return train_on(model, ClipPixels(model, clip), _schedule(kind, share), frame=0).state


def _quantised(
    kind: str, configuration: dict[str, Any], clip: Clip, state: State, quality: float
) -> tuple[float, float, float | None]:
    quantisation = nmc.Quantisation(quality=quality)
    with tempfile.TemporaryDirectory() as folder:
        options = {"profile": "lossy", "quantisation": quantisation}
        coded = package([state], options, Path(folder))
    model = played(build(kind, configuration))
    model.load(coded.states[0])
    return (coded.frames[0], *_judged(clip, np.stack(list(clip_pictures(model)))))


def _as_latents(
    kind: str,
    configuration: dict[str, Any],
    clip: Clip,
    state: State,
    jpeg: int,
    factor: int,
) -> tuple[float, float, float | None]:
    """Send what the family has in planes and in a grid as pictures and as a film."""
    size, decoded = latents.through_codecs(state, jpeg, factor)
    model = played(build(kind, configuration))
    model.load(decoded)
    return (size, *_judged(clip, np.stack(list(clip_pictures(model)))))


def _aware(
    kind: str, configuration: dict[str, Any], clip: Clip, state: State, bits: int, share: float
) -> tuple[float, float, float | None]:
    """Go on with weights of few bits, from a state that was trained, and code them as they are."""
    model = played(build(kind, configuration))
    model.load(state)
    iterations = max(2, round(_TUNING * share * model.iterations[0]))
    rate = model.learning_rates[1]
    schedule = Schedule(first=iterations, rays=model.batch, learning_rate=rate, bits=bits)
    trained = train_on(model, ClipPixels(model, clip), schedule, frame=0)
    assert trained.steps is not None
    with tempfile.TemporaryDirectory() as folder:
        options = {"profile": "lossy", "quantisation": trained.steps.quantisation()}
        coded = package([trained.state], options, Path(folder))
    return (coded.frames[0], *_judged(clip, np.stack(list(clip_pictures(model)))))


def _judged(clip: Clip, shown: Clip) -> tuple[float, float | None]:
    quality = pictures_psnr(shown, clip)
    if min(clip.shape[1:3]) < MS_SSIM_SIDE:
        return quality, None
    return quality, float(np.mean([ms_ssim(a, b) for a, b in zip(shown, clip, strict=True)]))


def _row(
    clip: Clip,
    name: str,
    model: str,
    coder: str,
    setting: str,
    size: float,
    quality: float,
    similar: float | None,
) -> Row:
    pixels = clip.shape[0] * clip.shape[1] * clip.shape[2]
    return Row(name, model, coder, setting, size, 8 * size / pixels, quality, similar)
