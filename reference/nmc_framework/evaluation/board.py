"""Training as TensorBoard shows it: loss, PSNR and step size, and held-out views now and then."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from nmc_framework.training import Progress

Picture = npt.NDArray[np.uint8]

#: Iterations between two points of a curve; the last one of a frame is always there.
_EVERY = 10


class BoardError(RuntimeError):
    """TensorBoard is not installed."""


class Board:
    """Event files for TensorBoard; a context manager.

    Parameters
    ----------
    folder
        Where they go; made if need be. What a run that is taken up again adds lies beside the rest.
    frames_between
        Frames from one set of held-out images to the next.

    Raises
    ------
    BoardError
        When the package ``tensorboard`` is missing.
    """

    def __init__(self, folder: Path, *, frames_between: int = 1) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ModuleNotFoundError as error:
            raise BoardError(
                "TensorBoard is not installed: pip install 'neural-model-chain[tensorboard]'"
            ) from error
        self._between = max(1, frames_between)
        self._writer: Any = SummaryWriter(str(folder))

    def step(self, progress: Progress, at: int) -> None:
        """Add a point to each curve, every few iterations; ``at`` counts them over all frames."""
        if progress.iteration % _EVERY and progress.iteration != progress.iterations:
            return
        self._writer.add_scalar("training/loss", progress.loss, at)
        self._writer.add_scalar("training/psnr", progress.psnr, at)
        self._writer.add_scalar("training/learning_rate", progress.learning_rate, at)

    def frame(self, index: int, scores: Mapping[str, float], images: Mapping[str, Picture]) -> None:
        """Add a finished frame: ``scores`` by metric, and held-out views, (h, w, 3), by name."""
        for name, value in scores.items():
            self._writer.add_scalar(f"held_out/{name}", value, index)
        if index % self._between == 0:
            for name, image in images.items():
                self._writer.add_image(f"held_out/{name}", image, index, dataformats="HWC")
        self._writer.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()
