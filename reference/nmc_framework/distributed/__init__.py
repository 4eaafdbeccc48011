"""Training and rendering that are shared out: groups of frames and runs of images as tasks."""

from nmc_framework.distributed.executor import (
    DistributionError,
    Done,
    Event,
    Executor,
    Item,
    LocalExecutor,
    Lost,
)
from nmc_framework.distributed.groups import (
    ClipMaterial,
    GroupJob,
    InstantsMaterial,
    Material,
    ViewMaterial,
    train_group,
)
from nmc_framework.distributed.sharing import train_shared

__all__ = [
    "ClipMaterial",
    "DistributionError",
    "Done",
    "Event",
    "Executor",
    "GroupJob",
    "InstantsMaterial",
    "Item",
    "LocalExecutor",
    "Lost",
    "Material",
    "ViewMaterial",
    "train_group",
    "train_shared",
]
