"""Rendering a track on several devices or processes, merged in order (clause 5.1).

The standard lets frames be spread over devices in proportion to their number. A worker opens the
package and builds the model once, and then takes one short run of neighbouring images after the
other; within a run each frame is decoded once, whatever the order it is shown in. Images come back
in order, the same bytes for every number of workers, and only a few runs are in hand at a time:
memory does not grow with the length of the track.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.context import BaseContext
from multiprocessing.util import Finalize
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

import nmc
from nmc_framework.cameras import Camera, Viewpoint
from nmc_framework.models import ChainModel, build
from nmc_framework.rendering.image import render_image
from nmc_framework.rendering.track import TrackError, require_length

Picture = npt.NDArray[np.uint8]

#: Most images of a run: enough that a worker seldom waits, few enough to hold some in memory.
_RUN = 8
#: Runs a worker has in hand or waiting, so that it goes on while the merger is busy.
_AHEAD = 2


@dataclass(frozen=True, eq=False)
class Run:
    """Neighbouring images of a track, for one worker to render."""

    package: Path
    camera: Camera
    frames: tuple[int, ...]
    times: tuple[float | None, ...]
    track: tuple[Viewpoint, ...]
    device: str


def render_package(
    package: Path,
    track: Sequence[Viewpoint],
    camera: Camera,
    frames: Sequence[int] | None = None,
    *,
    times: Sequence[float | None] | None = None,
    workers: int = 1,
    devices: Sequence[str] = ("cpu",),
    pool: Executor | None = None,
) -> Iterator[Picture]:
    """Render a track from a package, one image a viewpoint, in order.

    Parameters
    ----------
    package
        A ``.nmc`` file or directory whose family and configuration name the model.
    track, camera, frames
        As in :func:`~nmc_framework.rendering.render_track`.
    times
        Where frames are groups, the instant of its group that each image shows.
    workers
        Processes; 1 renders in this one.
    devices
        Runs of frames are dealt out over these torch devices in turn; where there are several,
        each has one worker of its own.
    pool
        Workers of :func:`worker_pool` to take instead of new ones, ``workers`` of them; they stay.

    Raises
    ------
    TrackError
        When the track is not as long as ``frames``, or a frame is not in the package.
    """
    with nmc.open(package) as sequence:
        count = len(sequence)
        keys = {t for t, frame in enumerate(sequence.frames) if frame.coding == "key"}
    shown = tuple(range(count) if frames is None else frames)
    require_length(track, len(shown))
    for frame in shown:
        if not 0 <= frame < count:
            raise TrackError(f"frame {frame} is not in the package, which has {count}")
    when = (None,) * len(shown) if times is None else tuple(times)
    runs = _deal(package, tuple(track), camera, (shown, when), keys, devices)
    if pool is None and len(set(devices)) > 1:
        yield from _on_devices(runs, devices)
    elif workers <= 1 and pool is None:
        yield from _alone(package, runs)
    elif pool is not None:
        yield from _merged(pool, runs, workers)
    else:
        with worker_pool(workers) as own:
            yield from _merged(own, runs, workers)


def _on_devices(runs: Iterator[Run], devices: Sequence[str]) -> Iterator[Picture]:
    """Render with one worker a device: a device has one model, and nobody waits for another's."""
    with ExitStack() as stack:
        pools = {device: stack.enter_context(worker_pool(1)) for device in dict.fromkeys(devices)}
        yield from _merged(_Dealing(pools), runs, len(pools))


class _Dealing:
    """Gives each run to the worker of its device."""

    def __init__(self, pools: Mapping[str, Executor]) -> None:
        self._pools = pools

    def submit(self, function: Callable[[Run], list[Picture]], run: Run) -> Future[list[Picture]]:
        """Give a run to the worker of its device."""
        return self._pools[run.device].submit(function, run)


def worker_pool(workers: int) -> ProcessPoolExecutor:
    """Return processes that render; use it as a context.

    Where the system has it, they are forked from a small server that has the libraries loaded
    once; no worker inherits this process's threads or memory.
    """
    context: BaseContext = multiprocessing.get_context("spawn")
    if "forkserver" in multiprocessing.get_all_start_methods():
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])
        _start_server()
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_settle)


def _start_server() -> None:
    """Start what forks the workers, so that it imports nothing from the working directory.

    The standard library starts it as ``python -c``, which looks there first, such as in the folder
    of a downloaded package; where it finds this package it is told when a worker starts.
    """
    from multiprocessing import forkserver, resource_tracker

    kept = {name: value for name, value in os.environ.items() if name.startswith("PYTHON")}
    try:
        for name in kept:
            del os.environ[name]
        os.environ["PYTHONSAFEPATH"] = "1"
        resource_tracker.ensure_running()
        forkserver.ensure_running()
    finally:
        os.environ.pop("PYTHONSAFEPATH", None)
        os.environ.update(kept)


def _merged(pool: Executor | _Dealing, runs: Iterator[Run], workers: int) -> Iterator[Picture]:
    waiting: deque[Future[list[Picture]]] = deque()
    try:
        for run in runs:
            waiting.append(pool.submit(_render_in_worker, run))
            if len(waiting) > _AHEAD * workers:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _deal(
    package: Path,
    track: tuple[Viewpoint, ...],
    camera: Camera,
    shown: tuple[tuple[int, ...], tuple[float | None, ...]],
    keys: set[int],
    devices: Sequence[str],
) -> Iterator[Run]:
    """Cut the track into runs, at key frames where one is near: there decoding begins anyway."""
    frames, times = shown
    start = number = 0
    while start < len(frames):
        end = min(start + _RUN, len(frames))
        near = [i for i in range(start + _RUN // 2 + 1, end) if frames[i] in keys]
        if near and end < len(frames):
            end = near[-1]
        device = devices[number % len(devices)]
        part = slice(start, end)
        yield Run(package, camera, frames[part], times[part], track[part], device)
        start, number = end, number + 1


class _Player:
    """An open package, and models of its family on the devices that were asked for."""

    def __init__(self, package: Path) -> None:
        self.sequence = nmc.open(package)
        self._models: dict[str, ChainModel] = {}

    def render(self, run: Run) -> list[Picture]:
        """Return the images of a run, in its order; frames are decoded in theirs."""
        model = self._model(run.device)
        images: dict[int, Picture] = {}
        loaded = None
        for index in sorted(range(len(run.frames)), key=run.frames.__getitem__):
            if run.frames[index] != loaded:
                loaded = run.frames[index]
                model.load(self.sequence[loaded])
            camera = run.camera.at(run.track[index].camera_to_world())
            images[index] = render_image(model, camera, time=run.times[index])
        return [images[index] for index in range(len(run.frames))]

    def _model(self, device: str) -> ChainModel:
        if device not in self._models:
            model = build(self.sequence.family, self.sequence.configuration)
            self._models[device] = model.to(device)
        return self._models[device]


def _alone(package: Path, runs: Iterator[Run]) -> Iterator[Picture]:
    """Render in this process, on one thread like every worker: same sums, same bytes."""
    player = _Player(package)
    with player.sequence:
        for run in runs:
            threads = torch.get_num_threads()
            torch.set_num_threads(1)
            try:
                images = player.render(run)
            finally:
                torch.set_num_threads(threads)
            yield from images


#: What this process, a worker, has open: the last package only.
_open: dict[tuple[Path, int, int], _Player] = {}


def _settle() -> None:
    # Ctrl-C reaches every process of a terminal: the one that has the results ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    # Not atexit: a worker's interpreter is not shut down, its process ends.
    Finalize(None, _close, exitpriority=1)


def _close() -> None:
    while _open:
        _open.popitem()[1].sequence.close()


def _render_in_worker(run: Run) -> list[Picture]:
    facts = run.package.stat()
    key = (run.package, facts.st_mtime_ns, facts.st_size)
    if key not in _open:
        _close()
        _open[key] = _Player(run.package)
    return _open[key].render(run)
