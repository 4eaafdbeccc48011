"""How near a depth map is to the true one: the metrics of the field (Eigen et al. 2014).

All are of the pixels whose true depth is known; a picture without any has no score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import numpy.typing as npt

from nmc_framework.depth.errors import DepthError

Depths = npt.NDArray[np.floating]

#: The least depth that is compared, in metres: nothing is divided by less.
LEAST: Final = 1e-3


@dataclass(frozen=True)
class DepthScore:
    """Scores of one picture, or means over several.

    ``absrel`` mean of abs(d - d*) / d*; ``rmse`` root mean square error in metres; ``log10`` mean
    error of the decimal logarithm; ``delta1`` to ``delta3`` shares of pixels whose ratio to the
    truth, or its inverse, is below 1.25, 1.25² and 1.25³.
    """

    absrel: float
    rmse: float
    log10: float
    delta1: float
    delta2: float
    delta3: float

    def as_json(self) -> dict[str, float]:
        """Return the scores by name."""
        return {field.name: float(getattr(self, field.name)) for field in fields(self)}


def known_depth(truth: Depths, bounds: tuple[float, float]) -> npt.NDArray[np.bool_]:
    """Return where the truth is a finite number within bounds, in metres."""
    nearest, farthest = max(bounds[0], LEAST), bounds[1]
    with np.errstate(invalid="ignore"):
        return np.isfinite(truth) & (truth >= nearest) & (truth <= farthest)


def depth_score(
    predicted: Depths, truth: Depths, known: npt.NDArray[np.bool_], *, aligned: bool = False
) -> DepthScore | None:
    """Return the scores of a depth map; None where no depth is known.

    Parameters
    ----------
    predicted, truth
        (height, width), metres.
    known
        (height, width): pixels that count.
    aligned
        Whether the prediction is first multiplied by the ratio of the medians: the scale of a
        place that is not known is not judged then.

    Raises
    ------
    DepthError
        When the maps differ in size, or the prediction is no positive number somewhere.
    """
    if predicted.shape != truth.shape or known.shape != truth.shape:
        raise DepthError(
            f"depth maps of unequal size: {predicted.shape} predicted, {truth.shape} true"
        )
    found = predicted[known].astype(np.float64)
    true = truth[known].astype(np.float64)
    if not len(true):
        return None
    if not np.isfinite(found).all() or found.min() <= 0:
        raise DepthError("a predicted depth is not a positive number")
    if aligned:
        found = found * (np.median(true) / np.median(found))
    ratio = np.maximum(found / true, true / found)
    return DepthScore(
        absrel=float((np.abs(found - true) / true).mean()),
        rmse=float(np.sqrt(((found - true) ** 2).mean())),
        log10=float(np.abs(np.log10(found) - np.log10(true)).mean()),
        delta1=float((ratio < 1.25).mean()),
        delta2=float((ratio < 1.25**2).mean()),
        delta3=float((ratio < 1.25**3).mean()),
    )


def mean_score(scores: Sequence[DepthScore]) -> DepthScore:
    """Return the means over pictures, each of which counts alike.

    Raises
    ------
    DepthError
        When there are none.
    """
    if not scores:
        raise DepthError("no picture has a depth that is known and within bounds")
    names = [field.name for field in fields(DepthScore)]
    return DepthScore(
        **{name: float(np.mean([getattr(score, name) for score in scores])) for name in names}
    )


def better(score: Mapping[str, float] | DepthScore, than: DepthScore) -> float:
    """Return by which share the AbsRel of a score is below another one's."""
    absrel = score.absrel if isinstance(score, DepthScore) else score["absrel"]
    return 1 - absrel / than.absrel if than.absrel else 0.0
