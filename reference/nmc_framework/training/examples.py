"""What a frame is learned from, whatever the model is of: batches of what is known of it.

Pixels of pictures are one kind (:class:`~nmc_framework.training.PixelPool`). A model of another
kind brings its own, with any batches that its ``loss`` understands.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch


class Examples(Protocol):
    """All that one frame is learned from."""

    def draw(self, count: int, generator: torch.Generator, focus: float | None = None) -> Any:
        """Return a batch of ``count`` examples, drawn by a CPU ``generator`` alone.

        ``focus`` is the share 0..1 of them to draw where the frame differs from the one before, for
        who knows where that is.
        """

    def kept_back(self, seed: int) -> Any | None:
        """Return a batch of examples that ``draw`` does not give from now on; None: there are none.

        They judge training while it goes on.
        """
