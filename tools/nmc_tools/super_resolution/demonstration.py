"""``nmc sr demo``: the whole way on a film of an embedded scene, without any data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nmc
from nmc_framework.super_resolution.criteria import criterion
from nmc_framework.super_resolution.self_transfer import FineTuning
from nmc_tools.super_resolution.material import base_network, embedded_film
from nmc_tools.super_resolution.training import read_network
from nmc_tools.super_resolution.transmission import Wanted, transmit

#: Iterations of pre-training and of a scene, patches a batch, and side of a patch.
_FIRST, _LATER, _BATCH, _PATCH = 300, 120, 8, 24
#: Peak learning rate of a scene: there are few iterations.
_RATE = 2e-3
_QUALITY = 24


def demonstrate(
    folder: Path, share: float, first: Callable[..., None], later: Callable[..., None]
) -> dict[str, Any]:
    """Film, pre-train, fine-tune and pack; return what is told of it as JSON values.

    Parameters
    ----------
    folder
        Where ``film.mp4``, ``base.nmc`` and ``film.nmc`` go; the first two are kept.
    share
        Of the usual iterations.
    first, later
        Told how far pre-training and fine-tuning are.
    """
    film = embedded_film(folder / "film.mp4")
    base = base_network(folder / "base.nmc", max(1, round(share * _FIRST)), first)
    wanted = Wanted(video=film, output=folder / "film.nmc", quality=_QUALITY, force=True)
    tuning = FineTuning(
        criterion("l1"),
        iterations=max(1, round(share * _LATER)),
        batch=_BATCH,
        patch=_PATCH,
        learning_rate=_RATE,
    )
    told = transmit(wanted, read_network(base), tuning, later)
    report = nmc.check(wanted.output)
    return told | {"accepted": report.accepted, "package": str(wanted.output), "film": str(film)}
