"""What a run holds in memory: measured, so that it can be shown not to grow with the frames."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path

import torch


def live_bytes() -> int:
    """Return the bytes of all objects that are alive: Python's, numpy's, and torch's tensors.

    Call :func:`tracemalloc.start` before what is to be measured; what existed before it counts in
    no figure, except tensors.
    """
    storages: dict[int, int] = {}
    for found in gc.get_objects():
        # The class is asked, not the instance: lazy modules would import something to answer.
        if issubclass(type(found), torch.Tensor) and found.layout == torch.strided:
            storage = found.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
    return tracemalloc.get_traced_memory()[0] + sum(storages.values())


def resident_bytes() -> int:
    """Return the resident bytes of this process; 0 where the system does not say (not Linux)."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    for line in lines:
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0
