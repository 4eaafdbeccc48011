"""How near a tensor is to that of the frame before: what its encoder looks at before it tries.

All of it looks at some thousand words, and none of it is part of the format.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nmc.coding.state import Tensor
    from nmc_format.dtypes import Words

_SAMPLES = 4096
_FEWEST = 64

FAR = 0.6
"""Spread from which on the slices of a tensor may have gone elsewhere: trained words are nearer."""

NEARER = 0.05
"""How much less a spread has to be for another reference to pay."""

_FEWEST_OF_A_PART = 64
"""Words of a part of a tensor that are enough for a mean."""


def spread(tensor: Tensor, reference: Tensor) -> float:
    """Return how many of the bits of a word a difference has, on average of some thousand words.

    That of the worst eighth of a tensor: where a slice is left out, only those behind it move. It
    is more than all bits where the shapes differ.
    """
    if tensor.shape != reference.shape:
        return 2.0
    stride = max(1, tensor.words.size // _SAMPLES)
    some, before = tensor.words[::stride], reference.words[::stride]
    distance = np.minimum(some - before, before - some).astype(np.float64)
    means = [part.mean() for part in np.array_split(np.frexp(distance)[1], 8) if part.size]
    return float(max(means, default=0.0)) / (8 * tensor.words.itemsize)


def strays(tensor: Tensor, reference: Tensor) -> bool:
    """Return whether slices are as near to those beside their place as to their place.

    So it is for an eighth at least where slices were left out or went elsewhere, in whatever order
    they are. What training moved far is nearer to its own place, and need not be looked for.
    """
    if tensor.shape != reference.shape:
        return True
    count, width = tensor.words.size, tensor.words.size // (tensor.shape or (1,))[0]
    at = np.arange(0, count, max(1, count // _SAMPLES))
    parts = max(1, min(8, at.size // _FEWEST_OF_A_PART))
    some = tensor.words[at]

    def means(places: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the bits of a difference in each part."""
        old = reference.words[places % count]
        bits = np.frexp(np.minimum(some - old, old - some).astype(np.float64))[1]
        return np.array([part.mean() for part in np.array_split(bits, parts)])

    beside = np.minimum(means(at + width), means(at - width))
    return bool((means(at) > beside - NEARER * 8 * tensor.words.itemsize).any())


def is_unrelated(words: Words, reference: Words) -> bool:
    """Whether differences are as large as the words, so that coding them gains nothing.

    Looks at some thousand words: more than half of the differences reach into the upper three
    sixteenths of the bits. Those of a fine-tuned tensor are far below.
    """
    stride = max(1, words.size // _SAMPLES)
    some, before = words[::stride], reference[::stride]
    distance = np.minimum(some - before, before - some)
    limit = 1 << (8 * words.itemsize * 13 // 16)
    return some.size >= _FEWEST and 2 * int((distance >= limit).sum()) > some.size
