"""How near the pictures of a decoded model are to those of the original one: *fidelity*, in dB.

``fidelity(original)`` returns a callable: a state in, the PSNR between its rendering and that of
the original out. It is what a search over rate and distortion asks again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch

from nmc_framework.metrics import psnr
from nmc_tools.bench_rd import hash_chain, nerf_chain
from nmc_tools.bench_rd.encodings import RING

if TYPE_CHECKING:
    from torch import Tensor

    from nmc_tools.bench_rd.ring import Ring

State: TypeAlias = Mapping[str, np.ndarray[Any, Any]]
Distortion: TypeAlias = Callable[[State], float]
Pictures: TypeAlias = Callable[[State], np.ndarray[Any, Any]]


def fidelity(original: State, *, every: int = 4, ring: Ring = RING) -> Distortion:
    """Return the PSNR in dB, against the original, as a function of a state.

    Parameters
    ----------
    original
        A state of the chain ``nerf_all`` or ``hash_all``; names and shapes tell which.
    every
        One of so many pixels is rendered.
    ring
        The cameras: those that judge, or those that measure.

    Raises
    ------
    ValueError
        If the state is of neither chain.
    """
    render = pictures(original, every=every, ring=ring)
    truth = render(original)

    def against(state: State) -> float:
        return psnr(render(state), truth)

    return against


def pictures(original: State, *, every: int = 1, ring: Ring = RING) -> Pictures:
    """Return pictures (N, 3), 0 to 1, as a function of a state; the held-out ones of ``RING``.

    The parameters are those of :func:`fidelity`.
    """
    names = set(original)
    if names >= nerf_chain.NAMES:
        return _of_arrays(nerf_chain.NerfChain(every=every, ring=ring))
    if names >= hash_chain.NAMES:
        return _of_arrays(hash_chain.HashChain(_tensors(original), every=every, ring=ring))
    raise ValueError("no renderer is known for a state of these tensors")


def _of_arrays(render: Callable[[Mapping[str, Tensor]], Tensor]) -> Pictures:
    def rendered(state: State) -> np.ndarray[Any, Any]:
        with torch.no_grad():
            colours: np.ndarray[Any, Any] = render(_tensors(state)).numpy()
        return colours

    return rendered


def _tensors(state: State) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array.astype(np.float32)) for name, array in state.items()}
