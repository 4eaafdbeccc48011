"""Which cameras are compared at all: every two, or of many pictures the likely ones.

Comparing every two grows with the square of their number. Pictures taken in a row have most in
common with their neighbours; and where there is no order, a few of the largest features tell the
pairs that are worth the work (Wu, "Towards Linear-time Incremental Structure from Motion", 3DV
2013, section 3: preemptive matching).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from nmc_framework.sfm.features import Features
from nmc_framework.sfm.nearest import mutual
from nmc_framework.sfm.pooling import PooledFeatures
from nmc_framework.sfm.sfm_options import Pairing

#: Up to so many cameras all are compared with all, unless something else is asked for.
_FEW = 60
#: Neighbours in a row on either side, and beyond these steps that double.
_NEXT = 8
#: Largest features of a picture that a pair is judged by, how many have to agree, and how many of
#: the best partners every picture keeps in any case.
_LARGEST, _AGREE, _PARTNERS = 256, 5, 20

Pairs = list[tuple[int, int]]


def choose_pairs(cameras: Sequence[PooledFeatures], pairing: Pairing) -> Pairs:
    """Return the pairs of cameras by index, ascending, that are to be matched.

    Parameters
    ----------
    cameras
        In the order in which they were taken, where ``pairing`` is ``"sequential"``.
    pairing
        ``"exhaustive"``; ``"sequential"``: neighbours, steps that double, and loops by retrieval;
        ``"retrieval"``: what a few large features have in common; ``"auto"``: exhaustive up to 60
        cameras, by retrieval beyond.
    """
    every = list(combinations(range(len(cameras)), 2))
    if pairing == "exhaustive" or (pairing == "auto" and len(cameras) <= _FEW):
        return every
    chosen = set(_alike(cameras))
    if pairing == "sequential":
        steps = [*range(1, _NEXT + 1)]
        while steps[-1] * 2 < len(cameras):
            steps.append(steps[-1] * 2)
        chosen |= {(a, a + step) for step in steps for a in range(len(cameras) - step)}
    return sorted(chosen)


def _alike(cameras: Sequence[PooledFeatures]) -> Pairs:
    """Return pairs of which large features agree, and the best partners of every camera."""
    largest = [_large(camera.frames[0]).descriptors for camera in cameras]
    counts = np.zeros((len(cameras), len(cameras)), dtype=np.int64)
    for a, b in combinations(range(len(cameras)), 2):
        counts[a, b] = counts[b, a] = len(mutual(largest[a], largest[b]))
    kept = counts >= _AGREE
    best = np.argsort(-counts, axis=1, kind="stable")[:, :_PARTNERS]
    for row, partners in enumerate(best):
        kept[row, partners[counts[row, partners] > 0]] = True
    kept |= kept.T
    return [(int(a), int(b)) for a, b in zip(*np.nonzero(np.triu(kept, 1)), strict=True)]


def _large(found: Features) -> Features:
    order = np.argsort(-found.keypoints[:, 2], kind="stable")[:_LARGEST]
    return Features(found.keypoints[order], found.descriptors[order], found.colours[order])
