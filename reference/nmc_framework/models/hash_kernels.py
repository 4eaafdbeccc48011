"""CPU kernels of the multiresolution grid: interpolation, its transpose, and ray marching.

numba without its own threads: the kernels release the GIL and a small pool of ours splits the work,
so that they live beside any other numba code and give the same bits for every number of threads.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
import torch

#: Primes of Müller et al. 2022 (Instant-NGP), equation 4; the first is 1.
PRIMES = (1, 2654435761, 805459861)

_P1, _P2 = PRIMES[1], PRIMES[2]


@functools.lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="nmc-grid")


def spread(task: Callable[..., Any], arguments: Iterable[tuple[Any, ...]]) -> None:
    """Run ``task`` on each tuple of arguments, on as many threads as torch uses."""
    threads = torch.get_num_threads()
    jobs = list(arguments)
    if threads == 1 or len(jobs) == 1:
        for job in jobs:
            task(*job)
        return
    list(_pool(threads).map(lambda job: task(*job), jobs))


@numba.njit(nogil=True, cache=True, fastmath=True)
def interpolate(points, table, cells, hashed, out, column):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Write the trilinear mix of the 8 corner features of each point to ``out[:, column:]``."""
    size, width = table.shape
    side = cells + 1
    mask = size - 1
    scale = np.float32(cells)
    for n in range(points.shape[0]):
        x, y, z = points[n, 0] * scale, points[n, 1] * scale, points[n, 2] * scale
        i = min(max(int(x), 0), cells - 1)
        j = min(max(int(y), 0), cells - 1)
        k = min(max(int(z), 0), cells - 1)
        fx, fy, fz = np.float32(x - i), np.float32(y - j), np.float32(z - k)
        for f in range(width):
            out[n, column + f] = 0
        for corner in range(8):
            a, b, c = corner & 1, (corner >> 1) & 1, corner >> 2
            w = (
                (fx if a else np.float32(1) - fx)
                * (fy if b else np.float32(1) - fy)
                * (fz if c else np.float32(1) - fz)
            )
            if hashed:
                h = ((i + a) ^ ((j + b) * _P1) ^ ((k + c) * _P2)) & mask
            else:
                h = ((k + c) * side + j + b) * side + i + a
            for f in range(width):
                out[n, column + f] += w * table[h, f]


@numba.njit(nogil=True, cache=True, fastmath=True)
def deposit(points, gradient, cells, hashed, out, column):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Add each point's share of ``gradient[:, column:]`` to its 8 corners (the transpose)."""
    size, width = out.shape
    side = cells + 1
    mask = size - 1
    scale = np.float32(cells)
    for n in range(points.shape[0]):
        x, y, z = points[n, 0] * scale, points[n, 1] * scale, points[n, 2] * scale
        i = min(max(int(x), 0), cells - 1)
        j = min(max(int(y), 0), cells - 1)
        k = min(max(int(z), 0), cells - 1)
        fx, fy, fz = np.float32(x - i), np.float32(y - j), np.float32(z - k)
        for corner in range(8):
            a, b, c = corner & 1, (corner >> 1) & 1, corner >> 2
            w = (
                (fx if a else np.float32(1) - fx)
                * (fy if b else np.float32(1) - fy)
                * (fz if c else np.float32(1) - fz)
            )
            if hashed:
                h = ((i + a) ^ ((j + b) * _P1) ^ ((k + c) * _P2)) & mask
            else:
                h = ((k + c) * side + j + b) * side + i + a
            for f in range(width):
                out[h, f] += w * gradient[n, column + f]


@numba.njit(nogil=True, cache=True)
def march(origins, directions, near, far, offset, step, grid, lower, scale, out, count):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Write the distances of the samples of each ray that lie in occupied cells.

    ``out`` (N, S) takes them front to back, ``count`` (N,) says how many; sample s of ray n lies at
    ``near[n] + (s + offset[n]) * step``.
    """
    side = grid.shape[0]
    room = out.shape[1]
    for n in range(origins.shape[0]):
        found = 0
        t = near[n] + offset[n] * step
        while t < far[n] and found < room:
            i = int((origins[n, 0] + t * directions[n, 0] - lower[0]) * scale * side)
            j = int((origins[n, 1] + t * directions[n, 1] - lower[1]) * scale * side)
            k = int((origins[n, 2] + t * directions[n, 2] - lower[2]) * scale * side)
            i, j, k = min(max(i, 0), side - 1), min(max(j, 0), side - 1), min(max(k, 0), side - 1)
            if grid[k, j, i]:
                out[n, found] = t
                found += 1
            t += step
        count[n] = found
