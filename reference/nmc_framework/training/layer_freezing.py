"""Freezing layers before a frame is fine-tuned (clause 5.3, tables 5-1 and 5-2).

The standard says two things. Table 5-1: ``exclude_layers`` are the layers *to be frozen*. The code
of table 5-2 backs up exactly those layers, freezes everything and puts them back, which leaves them
the only ones that learn. Both readings are offered here; what is recorded is always the table's.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from torch import nn

if TYPE_CHECKING:
    from nmc_framework.models import ChainModel

Reading = Literal["table", "code"]


class FreezingError(ValueError):
    """A layer index that does not exist or repeats, or a choice that leaves nothing to learn."""


@dataclass(frozen=True)
class Freezing:
    """What a call of :func:`freeze` did.

    ``requires_grad`` says for each parameter, by name, whether it learns: the authority.
    ``exclude_layers`` are the frozen layers, ascending: table 5-1's meaning whatever was asked.
    """

    requires_grad: dict[str, bool]
    exclude_layers: tuple[int, ...]


def freeze(
    model: nn.Module,
    layers: Sequence[nn.Module],
    exclude_layers: Iterable[int],
    reading: Reading = "table",
) -> Freezing:
    """Set ``requires_grad`` of every parameter of ``model``; build the optimiser afterwards.

    Parameters
    ----------
    model
        Any torch model; parameters that belong to no layer learn in the table's reading and are
        frozen in the code's, as the code freezes ``model.parameters()``.
    layers
        The modules that the indices count. A parameter shared by two layers is frozen as soon as
        one of them is.
    exclude_layers
        Indices from 0; negative ones count from the end.
    reading
        ``"table"``: these layers are frozen. ``"code"``: these are the only ones that learn.

    Raises
    ------
    FreezingError
        When an index is out of range or given twice, or no parameter is left to learn.
    """
    chosen = _indices(exclude_layers, len(layers))
    frozen = chosen if reading == "table" else set(range(len(layers))) - chosen
    held = {id(p) for i in frozen for p in layers[i].parameters()}
    if reading == "code":
        inside = {id(p) for layer in layers for p in layer.parameters()}
        held |= {id(p) for p in model.parameters() if id(p) not in inside}
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) not in held)
        parameter.grad = None
    requires_grad = {name: p.requires_grad for name, p in model.named_parameters()}
    if not any(requires_grad.values()):
        raise FreezingError(
            f"exclude_layers {sorted(chosen)} in the {reading}'s reading freezes all parameters: "
            "nothing is left to learn"
        )
    return Freezing(requires_grad, tuple(sorted(frozen)))


def front(layers: Sequence[nn.Module], count: int) -> tuple[int, ...]:
    """Return the indices of the first ``count`` layers, what clause 5.3 freezes."""
    return tuple(range(_bounded(count, len(layers))))


def back(layers: Sequence[nn.Module], count: int) -> tuple[int, ...]:
    """Return the indices of the last ``count`` layers."""
    return tuple(range(len(layers) - _bounded(count, len(layers)), len(layers)))


def matching(model: nn.Module, layers: Sequence[nn.Module], pattern: str) -> tuple[int, ...]:
    """Return the indices of the layers whose module name matches a shell pattern.

    Raises
    ------
    FreezingError
        When no layer's name matches; the names are listed.
    """
    names = {id(module): name for name, module in model.named_modules()}
    own = [names.get(id(layer), "") for layer in layers]
    found = tuple(i for i, name in enumerate(own) if fnmatch.fnmatchcase(name, pattern))
    if not found:
        raise FreezingError(f"no layer is named like {pattern!r}; there are {', '.join(own)}")
    return found


@dataclass(frozen=True)
class LayerChoice:
    """Layers as people name them: by number, by how many in front or at the back, or by name.

    At most one member is given; none chooses no layer.
    """

    numbers: tuple[int, ...] | None = None
    front: int | None = None
    back: int | None = None
    like: str | None = None

    def __post_init__(self) -> None:
        given = (self.numbers, self.front, self.back, self.like)
        if sum(member is not None for member in given) > 1:
            raise FreezingError("layers are chosen by numbers, from the front, the back or by name")

    def of(self, model: ChainModel) -> tuple[int, ...]:
        """Return the indices of the layers that are chosen in a model.

        Raises
        ------
        FreezingError
            When the model has not so many layers, or none of such a name. Numbers are returned as
            they are: :func:`freeze` checks them.
        """
        layers = model.layers()
        if self.front is not None:
            return front(layers, self.front)
        if self.back is not None:
            return back(layers, self.back)
        if self.like is not None:
            return matching(model, layers, self.like)
        return self.numbers or ()


def _bounded(count: int, available: int) -> int:
    if not 0 <= count <= available:
        raise FreezingError(f"cannot take {count} of {available} layers")
    return count


def _indices(exclude_layers: Iterable[int], count: int) -> set[int]:
    found: set[int] = set()
    for index in exclude_layers:
        if not -count <= index < count:
            raise FreezingError(
                f"exclude_layers names layer {index}, but the model has layers 0 to {count - 1}"
            )
        if index % count in found:
            raise FreezingError(f"exclude_layers names layer {index % count} twice")
        found.add(index % count)
    return found
