"""3D reconstruction models behind one protocol: the box that trains in figure 5-1 (clause 5.1)."""

from nmc_framework.models.field import (
    ChainModel,
    ModelError,
    RadianceModel,
    RayBatch,
    Rendered,
    State,
)
from nmc_framework.models.registry import build, families, family

__all__ = [
    "ChainModel",
    "ModelError",
    "RadianceModel",
    "RayBatch",
    "Rendered",
    "State",
    "build",
    "families",
    "family",
]
