"""Training chains of models: weight sharing and freezing (clauses 5.2 and 5.3)."""

from nmc_framework.training.chain import (
    Progress,
    Schedule,
    TrainedFrame,
    TrainingError,
    train_chain,
    train_frame,
)
from nmc_framework.training.freezing import Freezing, FreezingError, back, freeze, front, matching
from nmc_framework.training.pixels import FrameViews, PixelPool, ViewsError

__all__ = [
    "FrameViews",
    "Freezing",
    "FreezingError",
    "PixelPool",
    "Progress",
    "Schedule",
    "TrainedFrame",
    "TrainingError",
    "ViewsError",
    "back",
    "freeze",
    "front",
    "matching",
    "train_chain",
    "train_frame",
]
