"""What a model of a group adds to one that cameras see: it is seen at one of several instants.

A group is a run of instants of footage; a package's frame is one group, shown until the next begins
(decision 0087). A renderer asks for a camera and a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from nmc_framework.models.chained import ChainModel, ModelError
from nmc_framework.models.radiance.marched import MARCHING, MARCHING_MEANINGS, MarchedField
from nmc_framework.models.radiance.sampling import Samples
from nmc_framework.models.views import RayBatch, RayModel

#: The option that says of how many instants a group is.
INSTANTS: dict[str, Any] = {"instants": 8}
#: Options that every marched family of groups has.
GROUP: dict[str, Any] = MARCHING | INSTANTS
#: What they say.
GROUP_MEANINGS: dict[str, str] = MARCHING_MEANINGS | {
    "instants": "instants of a group; --group sets it"
}
#: Most instants of a group.
_MOST = 1 << 16
#: Instants at which the density of a place is looked up, to tell whether it is ever matter.
_LOOKED_AT = 4


@dataclass(frozen=True)
class Drawing:
    """How pixels of a group are drawn at a stage of training.

    ``instants`` are those that are learned from, all where None. ``by`` says what the pixels are
    weighted by that a share of each batch is drawn for: how far they are from their median over the
    group ("median"), or from the instants before and after ("change").
    """

    instants: tuple[int, ...] | None = None
    by: Literal["median", "change"] = "median"


@dataclass(frozen=True, eq=False)
class GroupBatch(RayBatch):
    """Pixels of a group; ``varies`` (N,) float32 in 0..1 is by how much each does over the group.

    It is the largest difference of a channel from its median, at whatever instant that is.
    """

    varies: Tensor | None = field(default=None, kw_only=True)


class GroupModel(RayModel):
    """A model of what cameras see at several instants; ``instants`` is among its options.

    The buffer ``length`` says how many of them there are: the last group of footage may be shorter.
    """

    length: Tensor

    # From group to group everything moves: nothing is spared.
    damping: ClassVar[float] = 0.0
    betas: ClassVar[tuple[float, float]] = (0.9, 0.99)
    #: Iterations of a group, as multiples of those of one instant and of a usual later frame.
    times: ClassVar[tuple[float, float]] = (2.0, 6.0)
    #: Whether it learns from what single pixels do over time: cameras have to stand still for it.
    watches_pixels: ClassVar[bool] = False

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        super().__init__(configuration)
        count = self.configuration["instants"]
        if not 1 <= count <= _MOST:
            raise ModelError(f"{self.family}: a group has 1 to {_MOST} instants, not {count}")
        self.register_buffer("length", torch.tensor(int(count), dtype=torch.int64))

    @property
    def instants(self) -> int:
        """Instants of a group."""
        return int(self.configuration["instants"])

    def prepare(self, examples: Any) -> None:
        """Take over how many instants the group has."""
        super().prepare(examples)
        self.length.fill_(int(getattr(examples, "length", self.instants)))

    @property
    def drawing(self) -> Drawing:
        """How pixels are to be drawn now; ``progress`` says how far training is."""
        return Drawing()

    def share_of(self, times: Tensor) -> Tensor:
        """Return instants, counted from 0, as shares 0..1 of the group."""
        return times / max(1, self.instants - 1)


class MarchedGroup(MarchedField, GroupModel):
    """A field in a cuboid, or around one, that changes with time; what is ever matter is open.

    Its points are (N, 4): places in the unit cube, and the time as a share 0..1 of the group.
    """

    def _points(self, samples: Samples, times: Tensor | None) -> Tensor:
        share = torch.zeros(len(samples.starts) - 1) if times is None else self.share_of(times)
        share = share.to(samples.unit.device)
        return torch.cat([samples.unit, share[samples.ray, None]], dim=1)

    def density(self, unit: Tensor) -> Tensor:
        """Return the largest of the densities (N,) that places (N, 3) have at some random times."""
        found = torch.zeros(len(unit), device=unit.device)
        for k in range(min(_LOOKED_AT, self.instants)):
            share = torch.rand(len(unit), 1, device=unit.device)
            spread = (k + share) / min(_LOOKED_AT, self.instants)
            points = torch.cat([unit, spread], dim=1)
            found = torch.maximum(found, self._density(self.field(self.encoded(points))[0]))
        return found


def of_group(model: ChainModel) -> GroupModel:
    """Return a model of a group.

    Raises
    ------
    ModelError
        When the model's family is of another kind.
    """
    if isinstance(model, GroupModel):
        return model
    raise ModelError(f"a {model.family} model is of one instant: it is not one of a group")
