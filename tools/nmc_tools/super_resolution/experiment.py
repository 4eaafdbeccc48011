"""``nmc sr experiment``: what fine-tuning gains, by its options; and beside H.264 and HEVC."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

import nmc
from nmc_framework.pipeline.content import content_digest
from nmc_framework.super_resolution.coding import Codec, code_video
from nmc_framework.super_resolution.criteria import Perceptual, criterion
from nmc_framework.super_resolution.footage import Footage, look_through
from nmc_framework.super_resolution.luma import luma_psnr
from nmc_framework.super_resolution.resampling import Pictures, reduced
from nmc_framework.super_resolution.scenes import FrameChoice
from nmc_framework.super_resolution.self_transfer import FineTuning, judged
from nmc_tools.experiments.kept import Kept
from nmc_tools.experiments.results_page import Results
from nmc_tools.experiments.rows import Row
from nmc_tools.super_resolution.gains import WAYS, Film, Gain, Gains, film_of
from nmc_tools.super_resolution.scoring import evaluate
from nmc_tools.super_resolution.training import read_network
from nmc_tools.super_resolution.transmission import Wanted, transmit

Report = Callable[[int, int, str], None]

#: Changes to how a film is sent, by what tables call them.
_SENT: dict[str, dict[str, Any]] = {
    "all layers, all pictures": {},
    "without the original, augmented": {"original": False},
    "without the original": {"original": False},
    "small video without loss": {"factor": 0},
    "2 pictures a second": {"frames": FrameChoice(a_second=2)},
    "I-frames": {"frames": FrameChoice(intra=True)},
    "a network a second": {"clip": 1.0},
    "one network, cuts or not": {"clip": None, "by_cuts": False},
    "deltas at cuts": {"key_at_cuts": False},
    "without the original, by NIQE": {"original": False},
    "without the original, base of coded pictures": {"original": False},
}
#: Changes to how a network learns.
_LEARNED: dict[str, dict[str, Any]] = {
    "without the original, augmented": {"augment": True},
    "without the original, by NIQE": {"augment": True, "by_niqe": True},
    "without the original, base of coded pictures": {"augment": True},
    "last layer": {"last": 1},
    "last 2 layers": {"last": 2},
    "last 4 layers": {"last": 4},
    "augmentation": {"augment": True},
    "L2": {"criterion": criterion("l2")},
}
#: Of a film that is shorter: the share of its pictures.
_SHARES = {"a quarter of the film": 0.25, "half of the film": 0.5}
#: Variants that begin with a network of coded pictures, and that enlarged pictures may be too
#: small for.
_OF_CODED = ("base of coded pictures", "without the original, base of coded pictures")
_BY_NIQE = ("without the original, by NIQE",)
VARIANTS = tuple(dict.fromkeys((*_SENT, *_LEARNED, *_SHARES, *_OF_CODED)))
_REFERENCE = VARIANTS[0]
#: Variants of videos that are not taken through all of them.
_BRIEFLY = 2
#: Rate factors of whole films, and of small ones that are enlarged.
FACTORS, SMALL_FACTORS = (23, 27, 31, 35, 39, 43), (18, 23, 28, 33)
CODERS: dict[str, Codec] = {"H.264 (x264)": "h264", "HEVC (x265)": "hevc"}
ANCHOR = "HEVC (x265)"
#: Counted up whenever the same inputs would give other results.
_VERSION = 3


@dataclass(frozen=True)
class Request:
    """What is asked for.

    ``videos`` are paths by name, ``kinds`` what they show; ``sizes`` what each is reduced to,
    ``limit`` its pictures; ``quality`` of the lossy coder; ``every`` so many pictures are scored;
    ``perceptual`` a loss with the user's weights, by which LPIPS is measured too. ``coded_base`` is
    a network like ``base`` that learned from coded pictures; without it two variants are left out.
    ``sweeps`` so many videos go through all variants and rates, the others through the first
    variants alone.
    """

    videos: dict[str, Path]
    base: Path
    folder: Path
    sizes: dict[str, tuple[int, int] | None]
    limit: int | None = None
    iterations: int = 200
    batch: int = 8
    patch: int = 24
    learning_rate: float | None = None
    quality: float = 16
    every: int = 4
    variants: Sequence[str] = VARIANTS
    sweeps: int | None = None
    rates: bool = True
    perceptual: Perceptual | None = None
    coded_base: Path | None = None
    kinds: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """All that was measured."""

    gains: Gains = field(default_factory=Gains)
    rates: Results | None = None


def run(request: Request, report: Report, machine: str) -> Found:
    """Train every variant, code every video, and return what was measured."""
    kept = Kept(request.folder / "kept")
    variants = [*request.variants, *(["perceptual loss"] if request.perceptual else [])]
    if request.coded_base is None:
        variants = [variant for variant in variants if variant not in _OF_CODED]
    scale = read_network(request.base).scale
    rated = (len(CODERS) * len(FACTORS) + 4 * len(SMALL_FACTORS)) if request.rates else 0
    swept = list(request.videos)[: request.sweeps]
    briefly = variants[:_BRIEFLY]
    total = len(swept) * (len(variants) + rated)
    total += (len(request.videos) - len(swept)) * len(briefly)
    gains: list[Gain] = []
    films: list[Film] = []
    rows: list[Row] = []
    shown: dict[str, Pictures] = {}
    for name, path in request.videos.items():
        inputs = _inputs(request, name, path)
        video = look_through(path, size=request.sizes[name], limit=request.limit)
        films.append(film_of(name, request.kinds.get(name, ""), video))
        for variant in variants if name in swept else briefly:
            if variant in _BY_NIQE and not judged(video.size):
                total -= 1
                continue
            told = inputs | {"variant": variant}
            if variant in _OF_CODED and request.coded_base is not None:
                told |= {"base": content_digest(request.coded_base)}
            values = kept.values(told, partial(_gained, request, name, path, variant))
            gains.append(Gain(name, variant, **values))
            place = f"{name}, {variant}: {gains[-1].gain:+.2f} dB"
            report(len(gains) + len(rows), total, place)
        if request.rates and name in swept:
            shown[name] = video.chosen([len(video) // 2])[0]
            for row in chain(
                _coded(kept, inputs, name, video, scale),
                _sent(kept, request, inputs, name, scale),
            ):
                rows.append(row)
                place = f"{name} {row.coder} {row.setting}"
                report(len(gains) + len(rows), total, f"{place}: {row.size:.0f} B, {row.psnr:.2f}")
    rates = None
    if rows:
        rates = Results(
            name="rates",
            title="Super-resolution beside H.264 and HEVC",
            subtitle="PSNR of the brightness over bits a pixel of the large video.",
            rows=rows,
            pictures=shown,
            anchor=ANCHOR,
            machine=machine,
        )
    return Found(Gains(films, gains), rates)


def _inputs(request: Request, name: str, path: Path) -> dict[str, Any]:
    """Return what everything about a video follows from."""
    return {
        "experiment": "super-resolution",
        "version": _VERSION,
        "video": content_digest(path),
        "base": content_digest(request.base),
        "size": request.sizes[name],
        "limit": request.limit,
        "iterations": request.iterations,
        "batch": [request.batch, request.patch],
        "rate": request.learning_rate,
        "quality": request.quality,
        "every": request.every,
    }


def _made(
    request: Request, name: str, path: Path, variant: str, folder: Path, **more: Any
) -> tuple[Path, Footage, Footage, dict[str, Any]]:
    """Send a film; return the package, the small video, the original, and what is told of them."""
    size = request.sizes[name]
    limit = request.limit
    original = look_through(path, size=size, limit=limit)
    if variant in _SHARES:
        limit = max(2, round(_SHARES[variant] * len(original)))
        original = look_through(path, size=size, limit=limit)
    output = folder / "film.nmc"
    learning = _LEARNED.get(variant, {})
    if variant == "perceptual loss":
        learning = {"criterion": request.perceptual}
    sent = _SENT.get(variant, {}) | more
    wanted = Wanted(
        video=path,
        output=output,
        size=size,
        limit=limit,
        quality=request.quality,
        clip=10.0,
        beside=True,
    )
    tuning = FineTuning(
        criterion("l1"),
        iterations=request.iterations,
        batch=request.batch,
        patch=request.patch,
        learning_rate=request.learning_rate,
    )
    base = request.coded_base if variant in _OF_CODED else None
    model = read_network(base or request.base)
    if not sent.get("original", True):
        small = _small_of(original, model.scale, folder / "small.mp4", wanted)
        wanted = replace(wanted, video=small, size=None, limit=None)
    told = transmit(
        replace(wanted, **sent), model, replace(tuning, **learning), lambda *_, **__: None
    )
    return output, look_through(Path(told["low"]["path"])), original, told


def _small_of(original: Footage, scale: int, path: Path, wanted: Wanted) -> Path:
    code_video(
        path,
        (reduced(picture[None], scale)[0] for picture in original.pictures()),
        [moment.ticks for moment in original.moments],
        original.timescale,
        codec=wanted.codec,
        factor=wanted.factor,
    )
    return path


def _gained(request: Request, name: str, path: Path, variant: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        package, low, original, told = _made(request, name, path, variant, Path(folder))
        scores = _scores(request, package, low, original)
        with nmc.open(package) as sequence:
            keys = sum(frame.coding.name == "KEY" for frame in sequence.frames[1:])
    return {
        "pictures": len(original),
        "scenes": len(told["scenes"]),
        "keys": keys,
        "scores": scores,
        "low": told["low"]["bytes"],
        "first": told["frames"][0],
        "networks": sum(told["frames"][1:]),
        "seconds": told["seconds"],
    }


def _scores(
    request: Request, package: Path, low: Footage, original: Footage
) -> dict[str, dict[str, float]]:
    lpips = request.perceptual.lpips.distance if request.perceptual else None
    found = evaluate(package, low, original, every=request.every, lpips=lpips)
    return {scores.name: scores.means() for scores in found}


def _coded(
    kept: Kept, inputs: dict[str, Any], name: str, video: Footage, scale: int
) -> Iterator[Row]:
    """Code the large video as it is."""
    pixels = len(video) * video.size[0] * video.size[1]
    for coder, codec in CODERS.items():
        for factor in FACTORS:
            told = inputs | {"codec": codec, "factor": factor}
            work = partial(_coded_once, video, codec, factor, scale, inputs["every"])
            size, psnr = kept.values(told, work)
            yield Row(name, coder, coder, f"CRF {factor}", size, 8 * size / pixels, psnr)


def _coded_once(
    video: Footage, codec: Codec, factor: int, border: int, every: int
) -> tuple[int, float]:
    """Return bytes and PSNR, of the pictures and without the border that enlarged ones have."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "coded.mp4"
        ticks = [moment.ticks for moment in video.moments]
        code_video(path, video.pictures(), ticks, video.timescale, codec=codec, factor=factor)
        width, height = video.size
        seen = (picture[:height, :width] for picture in look_through(path).pictures())
        pairs = islice(zip(seen, video.pictures(), strict=True), None, None, every)
        scores = [luma_psnr(a, b, border) for a, b in pairs]
        return path.stat().st_size, float(np.mean(scores))


#: What is sent with the small video, and which of the sizes counts for it.
_SIZES = {2: "half", 3: "third", 4: "quarter"}
_WAYS = ("bicubic", "pre-trained, known", "fine-tuned, base known", "fine-tuned, all sent")


def _sent(
    kept: Kept, request: Request, inputs: dict[str, Any], name: str, scale: int
) -> Iterator[Row]:
    """Code the small video and enlarge it: by the filter, by the networks."""
    path = request.videos[name]
    found = {
        factor: kept.values(
            inputs | {"sent": factor}, partial(_sent_once, request, name, path, factor)
        )
        for factor in SMALL_FACTORS
    }
    for number, way in enumerate(_WAYS):
        for factor, (sizes, quality, pixels) in found.items():
            coder = f"{_SIZES[scale]} size, {way}"
            size = sizes[number]
            setting = f"CRF {factor}"
            yield Row(name, coder, coder, setting, size, 8 * size / pixels, quality[number])


def _sent_once(
    request: Request, name: str, path: Path, factor: int
) -> tuple[list[int], list[float], int]:
    with tempfile.TemporaryDirectory() as folder:
        package, low, original, told = _made(
            request, name, path, _REFERENCE, Path(folder), factor=factor, codec="hevc"
        )
        scores = _scores(request, package, low, original)
    video, whole = told["low"]["bytes"], told["bytes"]
    later = sum(told["frames"][1:])
    quality = [scores[way]["psnr"] for way in WAYS]
    pixels = len(original) * original.size[0] * original.size[1]
    sizes = [video, video, video + later, video + whole]
    return sizes, [*quality, quality[2]], pixels
