"""Rendering a package of clips as tasks, each a frame: all pictures of its clip."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path

import nmc
from nmc_framework.rendering.clips import Picture, Shown, clip_model, package_pictures


@dataclass(frozen=True)
class ClipRun:
    """A frame of a package of clips, that one worker shows at a size (width, height)."""

    package: Path
    frame: int
    size: tuple[int, int] | None
    device: str


def render_clip(run: ClipRun) -> list[tuple[int, int, Picture]]:
    """Return the pictures of a frame: frame, number in the clip, picture."""
    with nmc.open(run.package) as sequence:
        model = clip_model(sequence, run.device)
        return list(package_pictures(sequence, model, [run.frame], size=run.size))


def rendered_clips(
    pool: Executor,
    package: Path,
    frames: Sequence[int],
    *,
    slots: int,
    size: tuple[int, int] | None = None,
    device: str = "cpu",
) -> Shown:
    """Yield the pictures of some frames, in order; ``slots`` frames are in hand at a time."""
    waiting: deque[Future[list[tuple[int, int, Picture]]]] = deque()
    for frame in frames:
        waiting.append(pool.submit(render_clip, ClipRun(package, frame, size, device)))
        if len(waiting) > slots:
            yield from waiting.popleft().result()
    while waiting:
        yield from waiting.popleft().result()
