"""How much of the errors of a model is seen by cameras, from gradients: :class:`nmc.Curvature`.

For a small error e of the weights, what is seen is off by J e, and the square of that is
e @ (J^T J) @ e: the Gauss-Newton matrix. Gradients of the output times random signs have J^T J as
their second moment (Hutchinson 1990). Of a linear map the rows share one matrix over its inputs, as
in K-FAC (Martens and Grosse 2015, equation 1): inputs weighed by the squared gradients of outputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

import nmc
from nmc_framework.models.views import RayModel, Rays

if TYPE_CHECKING:
    from nmc_framework.cameras import Camera

#: Of cameras so many rays are taken at a time, so many times.
RAYS, PROBES = 2048, 8
#: Weight of what an earlier pass sees. With none a small NeRF stays below 46 dB at any step, as its
#: coarse network falls apart; with 1 it takes twice the bytes at 45 dB.
EARLIER = 1 / 30
#: A linear map of more inputs is measured element by element: its matrix would be too large.
WIDEST = 2048


class _Maps(TorchFunctionMode):
    """Takes notice of the inputs and outputs of linear maps by weights that are known."""

    def __init__(self, names: Mapping[int, str]) -> None:
        super().__init__()
        self._names = names
        self.used: list[tuple[str, Tensor, Tensor]] = []

    def __torch_function__(  # type: ignore[no-untyped-def]
        self, func, types, args=(), kwargs=None
    ):
        found = func(*args, **(kwargs or {}))
        is_map = func is nn.functional.linear and len(args) > 1 and id(args[1]) in self._names
        if is_map and found.requires_grad and args[1].shape[1] <= WIDEST:
            self.used.append((self._names[id(args[1])], args[0].detach(), found))
        return found


def curvature(
    seen: Callable[[int], Tensor], tensors: Mapping[str, Tensor], *, probes: int = PROBES
) -> nmc.Curvature:
    """Measure what errors of a model's tensors do to what is seen.

    Parameters
    ----------
    seen
        The number of a probe to what is seen then, of any shape; other rays each time.
    tensors
        The model's tensors by name, which ``seen`` works with, and which need gradients. Of weights
        of :func:`torch.nn.functional.linear` the columns are measured, of others each element.
    probes
        How often it is called.

    Raises
    ------
    ValueError
        If a gradient is no finite number.
    """
    names = {id(tensor): name for name, tensor in tensors.items()}
    columns: dict[str, Tensor] = {}
    elements = {name: _Elements(tensor) for name, tensor in tensors.items()}
    signs = torch.Generator().manual_seed(0)
    count = 0
    for probe in range(probes):
        with torch.enable_grad(), _Maps(names) as maps:
            found = seen(probe)
            sign = torch.randint(0, 2, found.shape, generator=signs) * 2.0 - 1.0
            total = (found * sign.to(found)).sum()
        outputs = [output for _, _, output in maps.used]
        leaves = list(tensors.values())
        slopes = torch.autograd.grad(total, [*leaves, *outputs], allow_unused=True)
        for name, slope in zip(tensors, slopes, strict=False):
            if slope is not None:
                elements[name].add(slope.detach())
        for (name, inputs, _), slope in zip(maps.used, slopes[len(leaves) :], strict=True):
            if slope is not None:
                gram = _gram(inputs, slope.detach())
                columns[name] = columns[name] + gram if name in columns else gram
        count += found.numel()
    kept = {name: each.total() for name, each in elements.items() if name not in columns}
    return nmc.Curvature(
        {name: _array(total / count) for name, total in columns.items()},
        {name: _array(_shared(total) / count) for name, total in kept.items()},
    )


def seen_curvature(
    model: RayModel, cameras: Sequence[Camera], *, rays: int = RAYS, probes: int = PROBES
) -> nmc.Curvature:
    """Measure a model by rays of cameras, taken at random; the same ones each time.

    Errors of earlier passes count a little: what nobody sees of a coarse network still says where
    the fine one looks.

    Raises
    ------
    ValueError
        If a gradient is no finite number.
    """
    model.eval()
    device = next(model.parameters()).device
    all_rays = [Rays.of(camera, device) for camera in cameras]
    origins, directions = (
        torch.cat([getattr(each, of) for each in all_rays]) for of in ("origins", "directions")
    )
    random = torch.Generator().manual_seed(0)

    def seen(_: int) -> Tensor:
        chosen = torch.randint(len(origins), (rays,), generator=random).to(device)
        passes = model.passes(Rays(origins[chosen], directions[chosen]))
        weighed = torch.cat([passes[:-1] * EARLIER**0.5, passes[-1:]])
        return weighed * math.sqrt(len(passes))  # a mean over passes as their sum

    tensors = {name: p for name, p in model.named_parameters() if p.numel()}
    return curvature(seen, tensors, probes=probes)


class _Elements:
    """Squared gradients of the elements of one tensor, and in how many probes they had any."""

    def __init__(self, tensor: Tensor) -> None:
        self._sum = torch.zeros_like(tensor, dtype=torch.float64)
        self._probes = torch.zeros_like(tensor, dtype=torch.int32)

    def add(self, slope: Tensor) -> None:
        self._sum += slope.double().square()
        self._probes += slope != 0

    def total(self) -> Tensor:
        """Return the sums, with what was missed spread over what was seen once or never.

        What a probe sees that no other one does is what the next one would find anew: a hash table
        has more rows than a few rays touch (Good 1953, "The population frequencies of species").
        """
        rare = self._probes <= 1
        missed = float(self._sum[self._probes == 1].sum())
        return self._sum + rare * (missed / max(int(rare.sum()), 1))


def _gram(inputs: Tensor, slope: Tensor) -> Tensor:
    """Return the second moment of inputs, weighed by the mean squared gradient of the outputs."""
    inputs, slope = inputs.flatten(0, -2), slope.flatten(0, -2)
    weighed = inputs * slope.square().mean(1, keepdim=True)
    return weighed.double().T @ inputs.double()


def _shared(elements: Tensor) -> Tensor:
    """Return rows of a table with their mean: its features are interpolated alike."""
    if elements.ndim < 2:
        return elements
    mean = elements.flatten(1).mean(1)
    return mean.view(-1, *[1] * (elements.ndim - 1)).expand_as(elements)


def _array(values: Tensor) -> Any:
    if not bool(torch.isfinite(values).all()):
        raise ValueError("a gradient of what is seen is not finite")
    return values.contiguous().cpu().numpy()
