"""How much of errors is seen of the models of a chain, by other cameras than those that judge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import nmc
from nmc_framework.evaluation.curvature import curvature
from nmc_tools.bench_rd import hash_chain, nerf_chain
from nmc_tools.bench_rd.encodings import MEASURING

if TYPE_CHECKING:
    from torch import Tensor

#: One of so many pixels is looked at in each probe, another one each time.
_EVERY, _PROBES = 32, 8


def of_trained(state: Mapping[str, np.ndarray[Any, Any]]) -> nmc.Curvature:
    """Return the curvature of a state of the chain ``nerf_all`` or ``hash_all``."""
    tensors = {
        name: torch.tensor(array.astype(np.float32), requires_grad=True)
        for name, array in state.items()
    }
    whole = {name: tensor.detach() for name, tensor in tensors.items()}

    def seen(probe: int) -> Tensor:
        if set(state) >= nerf_chain.NAMES:
            chain = nerf_chain.NerfChain(ring=MEASURING, every=_EVERY, first=probe * 7)
            return chain(tensors)
        return hash_chain.HashChain(whole, ring=MEASURING, every=_EVERY, first=probe * 7)(tensors)

    return curvature(seen, tensors, probes=_PROBES)
