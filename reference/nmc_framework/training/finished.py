"""What training a frame says while it goes on, when it is finished, and when it cannot go on."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nmc_framework.models import State
from nmc_framework.training.colour import Matrices
from nmc_framework.training.layer_freezing import Freezing
from nmc_framework.training.rate import Steps


class TrainingError(RuntimeError):
    """Training that cannot go on; names the frame and the iteration."""


@dataclass(frozen=True)
class Progress:
    """Where training stands: frame, iteration of so many, loss (mean squared error), step size.

    ``held_out`` is the PSNR in dB, the last time it was taken, of pixels that no batch has.
    """

    frame: int
    iteration: int
    iterations: int
    loss: float
    learning_rate: float = math.nan
    held_out: float = math.nan

    @property
    def psnr(self) -> float:
        """PSNR in dB of the last batch."""
        return -10 * math.log10(max(self.loss, 1e-12))

    @property
    def quality(self) -> float:
        """PSNR in dB of the pixels kept back, of the last batch before these are looked at."""
        return self.held_out if math.isfinite(self.held_out) else self.psnr


@dataclass(frozen=True, eq=False)
class TrainedFrame:
    """One finished frame: its state, and how it came about.

    ``seconds`` is wall time of training; ``loss`` the mean of the last tenth of the batches;
    ``colour`` the affine map (3, 4) of each training view, where these were learned. ``steps`` are
    the grids that the weights lie on exactly, where the frame was trained for rate, and ``bits``
    what its weights take by the estimate that training had: in frame 0 all, later their moves.
    """

    index: int
    time: float
    state: State
    freezing: Freezing
    iterations: int
    seconds: float
    loss: float
    colour: Matrices | None = None
    steps: Steps | None = None
    bits: float = math.nan
