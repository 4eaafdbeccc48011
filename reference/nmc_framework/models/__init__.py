"""Models behind one protocol: the box that trains in figure 5-1 (clause 5.1).

Any model that can be chained is a :class:`ChainModel`; one that cameras see is a :class:`ViewModel`
too. Most of these are a :class:`RayModel`, which answers for each ray by itself, and of those some
a :class:`RadianceModel`, which renders volumes.
"""

from nmc_framework.models.chained import ChainModel, ModelError, State
from nmc_framework.models.radiance.field import RadianceModel, Rendered
from nmc_framework.models.registry import build, families, family
from nmc_framework.models.views import RayBatch, RayModel, Rays, ViewModel

__all__ = [
    "ChainModel",
    "ModelError",
    "RadianceModel",
    "RayBatch",
    "RayModel",
    "Rays",
    "Rendered",
    "State",
    "ViewModel",
    "build",
    "families",
    "family",
]
