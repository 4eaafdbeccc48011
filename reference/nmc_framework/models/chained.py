"""What any model has to offer to be chained, whatever it is a model of (clauses 5.1 to 5.3).

A family is one class in one file: how it is built from a configuration, which modules are its
layers, in order, how it saves and loads its state, and what loss it is trained on. What cameras
see of it is in :mod:`nmc_framework.models.views`, for the families that they see. Nothing else in
the framework knows a family by name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

State = dict[str, np.ndarray[Any, Any]]


class ModelError(ValueError):
    """A configuration, a state or a layer index that does not fit the model."""


class ChainModel(nn.Module, ABC):
    """Base class of all families; every tensor of the state is a parameter or a buffer."""

    #: The name in the registry and in the package's manifest.
    family: ClassVar[str]
    #: What each option says, in a few words; ``nmc models NAME`` and the documents show it.
    meanings: ClassVar[Mapping[str, str]] = {}
    #: Peak learning rates that serve the family: from random weights, and fine-tuning.
    learning_rates: ClassVar[tuple[float, float]] = (1e-2, 5e-3)
    #: What later frames damp the moves of weights by, see
    #: :class:`~nmc_framework.training.fine_tuning.DampedAdam`.
    damping: ClassVar[float] = 2.0
    #: Decay rates of the moments of later frames' optimiser.
    betas: ClassVar[tuple[float, float]] = (0.2, 0.95)
    #: Share 0..1 of a frame's iterations that are done, while it is trained.
    progress: float = 1.0

    @classmethod
    @abstractmethod
    def defaults(cls) -> dict[str, Any]:
        """Return the full default configuration, plain JSON values."""

    @classmethod
    def build(cls, configuration: Mapping[str, Any] | None = None, *, seed: int = 0) -> ChainModel:
        """Build the model with random weights drawn from ``seed``.

        Raises
        ------
        ModelError
            When the configuration has a member that the family does not know, or a value of another
            kind than its default, or one that no model can be built with.
        """
        given = dict(configuration or {})
        known = cls.defaults()
        unknown = sorted(set(given) - set(known))
        if unknown:
            raise ModelError(
                f"{cls.family} knows no option {', '.join(unknown)}; it has {', '.join(known)}"
            )
        for name, value in given.items():
            if not _alike(value, known[name]):
                raise ModelError(
                    f"{cls.family} has {name} such as {known[name]!r}; it cannot be {value!r}"
                )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            try:
                return cls(known | given)
            except (TypeError, ValueError, ArithmeticError, LookupError, RuntimeError) as error:
                if isinstance(error, ModelError):
                    raise
                told = ", ".join(f"{name} {value!r}" for name, value in given.items())
                reason = str(error).splitlines()[0] if str(error) else type(error).__name__
                raise ModelError(
                    f"{cls.family} cannot be built with {told or 'its defaults'}: {reason}"
                ) from error

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        super().__init__()
        self.configuration: dict[str, Any] = dict(configuration)

    @abstractmethod
    def layers(self) -> Sequence[nn.Module]:
        """Return the modules that ``exclude_layers`` counts, from input to output."""

    @abstractmethod
    def loss(self, batch: Any) -> Tensor:
        """Return the scalar to minimise for a batch of what the family learns from.

        A batch is what :meth:`nmc_framework.training.Examples.draw` returns.
        """

    def parameter_groups(
        self,
        learning_rate: float,
        *,
        later: bool = False,  # noqa: ARG002 - for families whose parts differ in it
    ) -> list[dict[str, Any]]:
        """Return the trainable parameters as groups for the optimiser.

        ``later`` tells fine-tuning from the frame before from training from random weights.
        """
        trainable = [p for p in self.parameters() if p.requires_grad]
        return [{"params": trainable, "lr": learning_rate}]

    def prepare(self, examples: Any) -> None:
        """Look at what a frame is to be learned from, before any layer is frozen for it.

        ``examples`` is a :class:`nmc_framework.training.Examples`.
        """

    def begin_frame(self, index: int) -> None:
        """Prepare for frame ``index``; called before its first iteration."""

    def after_step(self, iteration: int) -> bool | None:
        """Keep house after iteration ``iteration`` of a frame, counted from 0.

        Returns whether it put other values into parameters, such as those of a finer lattice: an
        optimiser that keeps weights of its own takes them over.
        """

    def end_frame(self) -> None:
        """Put the weights into the form that is saved; called after a frame is trained."""

    def settle(self, before: Mapping[str, Tensor]) -> None:
        """Take back what the frame changed in buffers and is not worth its bytes.

        Called after a frame that was trained for rate, unless a key frame sends all buffers anew.
        ``before`` has the buffers, by name, as they were before the frame.
        """

    def layer_of(self) -> dict[str, int]:
        """Return the layer index of every parameter that belongs to a layer, by its name."""
        names = {id(p): name for name, p in self.named_parameters()}
        return {
            names[id(p)]: index
            for index, layer in enumerate(self.layers())
            for p in layer.parameters()
        }

    def in_package(self) -> dict[str, Any]:
        """Return what a package says of the model, as arguments of :class:`nmc.Writer`.

        Its family and configuration, the layers of its parameters, and which tensors are buffers.
        """
        parameters = {name for name, _ in self.named_parameters()}
        return {
            "family": self.family,
            "configuration": self.configuration,
            "layers": self.layer_of(),
            "buffers": [name for name in self.state_dict() if name not in parameters],
        }

    def save(self) -> State:
        """Return a copy of the state: name to array, in the model's own order and dtypes."""
        return {
            name: tensor.detach().cpu().numpy().copy() for name, tensor in self.state_dict().items()
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Take over a state.

        Raises
        ------
        ModelError
            When a name, shape or dtype is not this model's; the first difference is named.
        """
        own = self.state_dict()
        for verb, names in (("lacks", set(own) - set(state)), ("has also", set(state) - set(own))):
            if names:
                raise ModelError(f"the state is of another architecture: it {verb} {min(names)!r}")
        tensors = {name: torch.as_tensor(np.array(value)) for name, value in state.items()}
        for name, tensor in tensors.items():
            if tensor.shape != own[name].shape or tensor.dtype != own[name].dtype:
                raise ModelError(
                    f"the state is of another architecture: {name!r} is "
                    f"{tuple(tensor.shape)} {tensor.dtype}, "
                    f"expected {tuple(own[name].shape)} {own[name].dtype}"
                )
        self.load_state_dict(tensors)


def _alike(value: Any, default: Any) -> bool:
    """Whether a value is of its default's kind; None, or a word such as "auto", says nothing."""
    if default is None or value is None or isinstance(default, str):
        return True
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, int):
        return isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(default, float):
        return isinstance(value, int | float)
    if isinstance(default, list | tuple):
        return isinstance(value, list | tuple)
    return isinstance(value, type(default))
