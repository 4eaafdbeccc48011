"""Threads for kernels that release the GIL, beside torch's own.

numba without its own threads: a small pool of ours splits the work, so that the kernels live beside
any other numba code and give the same bits for every number of threads.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch


@functools.lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="nmc-grid")


def spread(task: Callable[..., Any], arguments: Iterable[tuple[Any, ...]]) -> list[Any]:
    """Run ``task`` on each tuple of arguments, on as many threads as torch uses.

    Returns what each call returned, in the order of the arguments.
    """
    threads = torch.get_num_threads()
    jobs = list(arguments)
    if threads == 1 or len(jobs) == 1:
        return [task(*job) for job in jobs]
    return list(_pool(threads).map(lambda job: task(*job), jobs))
