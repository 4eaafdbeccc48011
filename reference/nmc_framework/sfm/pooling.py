"""One set of features a camera: what stands still from frame to frame counts once.

A camera that stands still sees the static part of a scene at the same pixels in every frame. Were
each frame's features taken as new ones, a wall would weigh as often as there are frames, and every
point of it would be found as often. Here a feature that is where an earlier one was, and looks like
it, is that one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nmc_framework.sfm.features import CameraFeatures, Features

#: Pixels within which a feature counts as staying where it was, and how alike it then has to be.
_STILL, _ALIKE = 0.75, 0.8
#: So many of a frame's features are compared at once.
_BLOCK = 1024

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PooledFeatures:
    """A camera's features over all frames.

    ``keypoints`` (N, 4) float32 and ``colours`` (N, 3) uint8 are pooled; ``frames`` are those of
    each frame, and ``indices`` say which pooled feature each of them is.
    """

    name: str
    size: tuple[int, int]
    digests: tuple[str, ...]
    keypoints: npt.NDArray[np.float32]
    colours: npt.NDArray[np.uint8]
    frames: tuple[Features, ...]
    indices: tuple[Indices, ...]


def pool(camera: CameraFeatures) -> PooledFeatures:
    """Pool a camera's features over its frames."""
    whole = camera.frames[0]
    indices: list[Indices] = [np.arange(len(whole))]
    for frame in camera.frames[1:]:
        index = _same(whole, frame)
        new = np.flatnonzero(index < 0)
        index[new] = len(whole) + np.arange(len(new))
        whole = Features(
            np.concatenate([whole.keypoints, frame.keypoints[new]]),
            np.concatenate([whole.descriptors, frame.descriptors[new]]),
            np.concatenate([whole.colours, frame.colours[new]]),
        )
        indices.append(index)
    return PooledFeatures(
        camera.name,
        camera.size,
        camera.digests,
        whole.keypoints,
        whole.colours,
        camera.frames,
        tuple(indices),
    )


def _same(whole: Features, frame: Features) -> Indices:
    """Return for each feature of a frame which earlier one it is, or -1, (N,)."""
    index = np.full(len(frame), -1, dtype=np.int64)
    if not len(whole) or not len(frame):
        return index
    pairs = []
    for start in range(0, len(frame), _BLOCK):
        block = frame.keypoints[start : start + _BLOCK]
        rows, columns = np.nonzero(_apart(whole.keypoints, block) <= _STILL)
        pairs.append((rows, columns + start))
    before, now = np.concatenate(pairs, axis=1)
    alike = _cosine(whole.descriptors[before], frame.descriptors[now])
    # Each takes the most alike, and of equal ones the nearest in place, scale and orientation.
    apart = np.linalg.norm(whole.keypoints[before] - frame.keypoints[now], axis=1)
    order = np.lexsort((apart, -np.round(alike, 3)))
    order = order[alike[order] >= _ALIKE]
    _, first = np.unique(now[order], return_index=True)
    order = order[first]
    index[now[order]] = before[order]
    return index


def _apart(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the distances in pixels between keypoints, (N, M)."""
    apart: npt.NDArray[np.float32] = np.hypot(a[:, None, 0] - b[:, 0], a[:, None, 1] - b[:, 1])
    return apart


def _cosine(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return how alike descriptors are that go together by index, (N,): 1 where they are equal."""
    x, y = a.astype(np.float32), b.astype(np.float32)
    lengths = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    return np.asarray((x * y).sum(axis=1) / np.maximum(lengths, 1e-9), dtype=np.float32)
