"""NVP's latents through an image and a video codec, as its authors send them.

After Kim et al. 2022 (NVP, section 3.3): the learned planes are cut into 256 levels and coded as
JPEG, the sparse grid as HEVC. What is left, the network, goes through our lossy coder. Each
channel has its own range, which is sent as two 32-bit floats.
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

import nmc
from nmc_tools.bench_rd.ours import package
from nmc_tools.experiments import video_codecs
from nmc_tools.experiments.kept import State

Levels = npt.NDArray[np.uint8]

#: Qualities of JPEG for the planes, each with the rate factor of HEVC for the grid.
SETTINGS = ((95, 8), (85, 16), (70, 22), (50, 28), (30, 34), (15, 40))
#: Of our coder, for the network: a step that hardly shows.
_NETWORK_QUALITY = 40
_LEVELS = 255
_RANGE_BYTES = 8
_PLANE, _GRID = 4, 5
"""Axes of the tensors of planes, (1, features, h, w), and of the grid, (1, features, t, h, w)."""
#: Of the film: x265 has no pictures without colour that are safe.
_FORMAT, _GREY, _RATE = "yuv420p", 128, 25
#: What x265 takes at least, in pixels.
_LEAST = 16


def through_codecs(state: State, quality: int, factor: int) -> tuple[float, State]:
    """Return the bytes of a coded NVP model, and its state as it is decoded.

    Parameters
    ----------
    state
        Of the family ``nvp``.
    quality
        Of JPEG, 1 to 95.
    factor
        Rate factor of HEVC.
    """
    found = dict(state)
    size = 0.0
    for name, values in state.items():
        if values.ndim not in {_PLANE, _GRID} or values.dtype != np.float32:
            continue
        levels, low, high = _levelled(values[0])
        coded, seen = (
            _as_jpeg(levels, quality) if values.ndim == _PLANE else _as_video(levels, factor)
        )
        size += coded + _RANGE_BYTES * len(low)
        found[name] = (low + seen * ((high - low) / _LEVELS)).astype(np.float32)[None]
    rest = {name: values for name, values in state.items() if values.ndim < _PLANE}
    options = {
        "profile": "lossy",
        "quantisation": nmc.Quantisation(quality=_NETWORK_QUALITY),
    }
    with tempfile.TemporaryDirectory() as folder:
        network = package([rest], options, Path(folder))
    return size + network.frames[0], found | dict(network.states[0])


def _levelled(values: npt.NDArray[Any]) -> tuple[Levels, npt.NDArray[Any], npt.NDArray[Any]]:
    """Return channels (F, ...) as 256 levels each, and the ends of their ranges (F, 1, ...)."""
    axes = tuple(range(1, values.ndim))
    low, high = values.min(axis=axes, keepdims=True), values.max(axis=axes, keepdims=True)
    scale = _LEVELS / np.maximum(high - low, 1e-12)
    return np.rint((values - low) * scale).astype(np.uint8), low, high


def _as_jpeg(levels: Levels, quality: int) -> tuple[int, Levels]:
    """Code channels (F, h, w) as one grey picture, one below the other."""
    channels, height, width = levels.shape
    file = io.BytesIO()
    Image.fromarray(levels.reshape(channels * height, width)).save(
        file, "JPEG", quality=quality, optimize=True
    )
    size = file.tell()
    file.seek(0)
    with Image.open(file) as picture:
        return size, np.asarray(picture).reshape(levels.shape)


def _as_video(levels: Levels, factor: int) -> tuple[int, Levels]:
    """Code channels (F, t, h, w) as a grey film of t pictures, channels side by side."""
    channels, count, height, width = levels.shape
    rows = levels.transpose(1, 2, 0, 3).reshape(count, height, channels * width)
    pad = [(0, 0), *((0, max(n + n % 2, _LEAST) - n) for n in rows.shape[1:])]
    padded = np.pad(rows, pad, mode="edge")
    size, seen = _hevc(padded, factor)
    shown = seen[:, :height, : channels * width].reshape(count, height, channels, width)
    return size, np.ascontiguousarray(shown.transpose(2, 0, 1, 3))


def _hevc(pictures: Levels, factor: int) -> tuple[int, Levels]:
    """Return the bytes of a grey film, and the decoded pictures."""
    # Colour that is grey everywhere takes next to nothing.
    whole = [np.pad(p, [(0, len(p) // 2), (0, 0)], constant_values=_GREY) for p in pictures]
    size, shown = video_codecs.coded(
        whole,
        video_codecs.X265,
        pixels=_FORMAT,
        given=_FORMAT,
        rate=_RATE,
        options={"crf": str(factor), "preset": "slow"},
    )
    return size, shown[:, : pictures.shape[1]]
