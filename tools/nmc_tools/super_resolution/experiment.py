"""``nmc sr experiment``: what fine-tuning gains, by its options; and beside H.264 and HEVC."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from nmc_framework.pipeline.content import content_digest
from nmc_framework.super_resolution.coding import Codec, code_video
from nmc_framework.super_resolution.criteria import Criterion, criterion
from nmc_framework.super_resolution.footage import Footage, look_through
from nmc_framework.super_resolution.luma import luma_psnr
from nmc_framework.super_resolution.resampling import Pictures, reduced
from nmc_framework.super_resolution.scenes import FrameChoice
from nmc_framework.super_resolution.self_transfer import FineTuning
from nmc_tools.experiments.kept import Kept
from nmc_tools.experiments.results_page import Results
from nmc_tools.experiments.rows import Row
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
}
#: Changes to how a network learns.
_LEARNED: dict[str, dict[str, Any]] = {
    "without the original, augmented": {"augment": True},
    "last layer": {"last": 1},
    "last 2 layers": {"last": 2},
    "last 4 layers": {"last": 4},
    "augmentation": {"augment": True},
    "L2": {"criterion": criterion("l2")},
}
VARIANTS = tuple(dict.fromkeys((*_SENT, *_LEARNED)))
_REFERENCE = VARIANTS[0]
#: Variants of videos that are not taken through all of them.
_BRIEFLY = 2
#: Rate factors of whole films, and of small ones that are enlarged.
FACTORS, SMALL_FACTORS = (23, 27, 31, 35, 39, 43), (18, 23, 28, 33)
CODERS: dict[str, Codec] = {"H.264 (x264)": "h264", "HEVC (x265)": "hevc"}
ANCHOR = "HEVC (x265)"
#: Counted up whenever the same inputs would give other results.
_VERSION = 2


@dataclass(frozen=True)
class Request:
    """What is asked for.

    ``videos`` are paths by name; ``size`` what each is reduced to, ``limit`` its pictures;
    ``quality`` of the lossy coder; ``every`` so many pictures are scored; ``perceptual`` a loss
    with the user's weights. ``sweeps`` so many videos go through all variants and rates, the
    others through the first variants alone.
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
    perceptual: Criterion | None = None


@dataclass(frozen=True)
class Gain:
    """What a variant reached on a video: means by way, bytes of the networks after the first.

    ``low`` and ``first`` are the bytes of the small video and of the network as pre-trained.
    """

    video: str
    variant: str
    scenes: int
    bicubic: float
    pretrained: float
    tuned: float
    ssim: tuple[float, float, float]
    low: int
    first: int
    networks: int
    seconds: float


@dataclass(frozen=True)
class Found:
    """All that was measured."""

    gains: list[Gain] = field(default_factory=list)
    rates: Results | None = None


def run(request: Request, report: Report, machine: str) -> Found:
    """Train every variant, code every video, and return what was measured."""
    kept = Kept(request.folder / "kept")
    variants = [*request.variants, *(["perceptual loss"] if request.perceptual else [])]
    rated = (len(CODERS) * len(FACTORS) + 4 * len(SMALL_FACTORS)) if request.rates else 0
    swept = list(request.videos)[: request.sweeps]
    briefly = variants[:_BRIEFLY]
    total = len(swept) * (len(variants) + rated)
    total += (len(request.videos) - len(swept)) * len(briefly)
    gains: list[Gain] = []
    rows: list[Row] = []
    shown: dict[str, Pictures] = {}
    for name, path in request.videos.items():
        inputs = _inputs(request, name, path)
        for variant in variants if name in swept else briefly:
            told = inputs | {"variant": variant}
            values = kept.values(told, partial(_gained, request, name, path, variant))
            gains.append(Gain(name, variant, **values | {"ssim": tuple(values["ssim"])}))
            gain = gains[-1].tuned - gains[-1].pretrained
            report(len(gains) + len(rows), total, f"{name}, {variant}: {gain:+.2f} dB")
        if request.rates and name in swept:
            video = look_through(path, size=request.sizes[name], limit=request.limit)
            shown[name] = video.chosen([len(video) // 2])[0]
            for row in chain(_coded(kept, inputs, name, video), _sent(kept, request, inputs, name)):
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
    return Found(gains, rates)


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
    original = look_through(path, size=size, limit=request.limit)
    output = folder / "film.nmc"
    learning = _LEARNED.get(variant, {})
    if variant == "perceptual loss":
        learning = {"criterion": request.perceptual}
    sent = _SENT.get(variant, {}) | more
    wanted = Wanted(
        video=path,
        output=output,
        size=size,
        limit=request.limit,
        quality=request.quality,
        clip=10.0,
        key_at_cuts=False,
        beside=True,
    )
    tuning = FineTuning(
        criterion("l1"),
        iterations=request.iterations,
        batch=request.batch,
        patch=request.patch,
        learning_rate=request.learning_rate,
    )
    model = read_network(request.base)
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
        scores = {s.name: s.means() for s in evaluate(package, low, original, every=request.every)}
    ways = [scores[way] for way in ("bicubic", "pre-trained", "fine-tuned")]
    return {
        "scenes": len(told["scenes"]),
        "bicubic": ways[0]["psnr"],
        "pretrained": ways[1]["psnr"],
        "tuned": ways[2]["psnr"],
        "ssim": [way["ssim"] for way in ways],
        "low": told["low"]["bytes"],
        "first": told["frames"][0],
        "networks": sum(told["frames"][1:]),
        "seconds": told["seconds"],
    }


def _coded(kept: Kept, inputs: dict[str, Any], name: str, video: Footage) -> Iterator[Row]:
    """Code the large video as it is."""
    pixels = len(video) * video.size[0] * video.size[1]
    for coder, codec in CODERS.items():
        for factor in FACTORS:
            told = inputs | {"codec": codec, "factor": factor}
            size, psnr = kept.values(told, partial(_coded_once, video, codec, factor))
            yield Row(name, coder, coder, f"CRF {factor}", size, 8 * size / pixels, psnr)


def _coded_once(video: Footage, codec: Codec, factor: int) -> tuple[int, float]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "coded.mp4"
        ticks = [moment.ticks for moment in video.moments]
        code_video(path, video.pictures(), ticks, video.timescale, codec=codec, factor=factor)
        width, height = video.size
        seen = (picture[:height, :width] for picture in look_through(path).pictures())
        # The same border as enlarged pictures have.
        scores = [luma_psnr(a, b, 2) for a, b in zip(seen, video.pictures(), strict=True)]
        return path.stat().st_size, float(np.mean(scores))


#: What is sent with the small video, and which of the sizes counts for it.
_WAYS = ("bicubic", "pre-trained, known", "fine-tuned, base known", "fine-tuned, all sent")


def _sent(kept: Kept, request: Request, inputs: dict[str, Any], name: str) -> Iterator[Row]:
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
            coder = f"half size, {way}"
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
        scores = {s.name: s.means() for s in evaluate(package, low, original, every=request.every)}
    video, whole = told["low"]["bytes"], told["bytes"]
    later = sum(told["frames"][1:])
    quality = [scores[way]["psnr"] for way in ("bicubic", "pre-trained", "fine-tuned")]
    pixels = len(original) * original.size[0] * original.size[1]
    sizes = [video, video, video + later, video + whole]
    return sizes, [*quality, quality[2]], pixels


def table(found: Found, machine: str) -> str:
    """Return all gains as Markdown."""
    head = (
        "| video | variant | scenes | bicubic dB | pre-trained dB | fine-tuned dB | gain dB | "
        "SSIM of the three | small video B | first network B | later networks B | s |"
    )
    parts = [f"Measured on {machine}.", "", head, "|" + "---|" * 12]
    parts += [
        f"| {g.video} | {g.variant} | {g.scenes} | {g.bicubic:.2f} | {g.pretrained:.2f} | "
        f"{g.tuned:.2f} | {g.tuned - g.pretrained:+.2f} | "
        f"{' / '.join(f'{value:.4f}' for value in g.ssim)} | {g.low:,} | {g.first:,} | "
        f"{g.networks:,} | {g.seconds:.0f} |"
        for g in found.gains
    ]
    return "\n".join(parts) + "\n"
