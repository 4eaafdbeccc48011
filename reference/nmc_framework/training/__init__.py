"""Training chains of models: weight sharing and freezing (clauses 5.2 and 5.3)."""

from nmc_framework.training.auto import AutoFreezing
from nmc_framework.training.chain import train_chain, train_frame, train_on
from nmc_framework.training.clips import ClipPixels, train_clips
from nmc_framework.training.course import Course
from nmc_framework.training.examples import Examples
from nmc_framework.training.fine_tuning import DampedAdam
from nmc_framework.training.finished import Progress, TrainedFrame, TrainingError
from nmc_framework.training.instant_groups import GroupPixels, train_groups
from nmc_framework.training.layer_freezing import (
    Freezing,
    FreezingError,
    LayerChoice,
    back,
    freeze,
    front,
    matching,
)
from nmc_framework.training.pixels import FrameViews, PixelPool, ViewsError
from nmc_framework.training.rate import Rate, RateError, Steps
from nmc_framework.training.schedule import Schedule
from nmc_framework.training.store import CheckpointFolder, PackageStore, Store, train_into

__all__ = [
    "AutoFreezing",
    "CheckpointFolder",
    "ClipPixels",
    "Course",
    "DampedAdam",
    "Examples",
    "FrameViews",
    "Freezing",
    "FreezingError",
    "GroupPixels",
    "LayerChoice",
    "PackageStore",
    "PixelPool",
    "Progress",
    "Rate",
    "RateError",
    "Schedule",
    "Steps",
    "Store",
    "TrainedFrame",
    "TrainingError",
    "ViewsError",
    "back",
    "freeze",
    "front",
    "matching",
    "train_chain",
    "train_clips",
    "train_frame",
    "train_groups",
    "train_into",
    "train_on",
]
