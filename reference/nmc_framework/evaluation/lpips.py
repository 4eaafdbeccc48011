"""LPIPS, the learned perceptual distance (Zhang et al. 2018, arXiv 1801.03924, eq. 1).

Features of an image classification network, scaled to unit length at every place, are compared at
several depths; the published linear heads weigh their squared differences. The weights are the
user's to supply: those of the network from torchvision's model zoo, the heads from the authors'
project, PerceptualSimilarity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch
from torch import Tensor, nn

from nmc_framework.metrics import Image, MetricError, unit

Net = Literal["alex", "vgg", "squeeze"]

#: Mean and spread of the network's training images for values in -1..1, by the authors' program.
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)
#: The authors' guard against places where all features are 0.
_TINY = 1e-10


class Fire(nn.Module):
    """SqueezeNet's block (Iandola et al. 2016, arXiv 1602.07360): squeeze, then expand twice."""

    def __init__(self, channels: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return both expansions, one behind the other."""
        x = self.squeeze(x).relu()
        return torch.cat([self.expand1x1(x).relu(), self.expand3x3(x).relu()], dim=1)


@dataclass(frozen=True)
class Trunk:
    """A network's convolutional part.

    ``taps`` are the ends of the parts after which features are taken, ``channels`` their numbers of
    features, ``least`` the smallest side of an image that reaches the last tap.
    """

    title: str
    taps: tuple[int, ...]
    channels: tuple[int, ...]
    least: int


TRUNKS: Mapping[Net, Trunk] = {
    "alex": Trunk("AlexNet", (2, 5, 8, 10, 12), (64, 192, 384, 256, 256), 31),
    "vgg": Trunk("VGG16", (4, 9, 16, 23, 30), (64, 128, 256, 512, 512), 16),
    "squeeze": Trunk(
        "SqueezeNet 1.1", (2, 5, 8, 10, 11, 12, 13), (64, 128, 256, 384, 384, 512, 512), 17
    ),
}


class Lpips(nn.Module):
    """The distance; small is alike.

    Parameters
    ----------
    net
        ``"alex"``, ``"vgg"`` or ``"squeeze"``.
    backbone
        The network's state by torchvision's names, such as ``features.0.weight``; what belongs to
        its classifier is passed over.
    heads
        The linear heads by the authors' names, such as ``lin0.model.1.weight``: (1, C, 1, 1) each.

    Raises
    ------
    MetricError
        When a tensor is missing or of another shape; it is named.
    """

    def __init__(
        self, net: Net, backbone: Mapping[str, Tensor], heads: Mapping[str, Tensor]
    ) -> None:
        super().__init__()
        self.net = net
        self.trunk = TRUNKS[net]
        self.features = _features(net)
        _fill(self.features, backbone, "features.", f"weights of {self.trunk.title}")
        for k, channels in enumerate(self.trunk.channels):
            head = _head(heads, k, channels)
            self.register_buffer(f"head{k}", head)
        self.register_buffer("shift", torch.tensor(_SHIFT).reshape(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(_SCALE).reshape(1, 3, 1, 1))
        self.eval().requires_grad_(False)

    def forward(self, image: Tensor, truth: Tensor) -> Tensor:
        """Return the distance (N,) of images (N, 3, height, width) with values in -1..1."""
        distance = torch.zeros(len(image), device=image.device)
        pairs = zip(self._at_taps(image), self._at_taps(truth), strict=True)
        for k, (a, b) in enumerate(pairs):
            difference = (_to_unit_length(a) - _to_unit_length(b)) ** 2
            head = cast("Tensor", getattr(self, f"head{k}"))
            distance = distance + nn.functional.conv2d(difference, head).mean(dim=(1, 2, 3))
        return distance

    def distance(self, image: Image, truth: Image) -> float:
        """Return the distance of two images of one shape, (height, width, 3) uint8 or 0..1 floats.

        Raises
        ------
        MetricError
            When the shapes differ, or the images are too small for the network.
        """
        if image.shape != truth.shape:
            raise MetricError(f"images of unequal shape: {image.shape} and {truth.shape}")
        if image.ndim != 3 or image.shape[2] != 3 or min(image.shape[:2]) < self.trunk.least:
            raise MetricError(
                f"LPIPS by {self.trunk.title} needs (height, width, 3) with sides of at least "
                f"{self.trunk.least}, got {image.shape}"
            )
        device = cast("Tensor", self.shift).device
        a, b = (
            torch.from_numpy((2 * unit(x) - 1).astype(np.float32)).permute(2, 0, 1)[None]
            for x in (image, truth)
        )
        with torch.no_grad():
            return float(self(a.to(device), b.to(device)))

    def _at_taps(self, images: Tensor) -> list[Tensor]:
        x = (images - cast("Tensor", self.shift)) / cast("Tensor", self.scale)
        layers, found = list(self.features), []
        for start, stop in pairwise((0, *self.trunk.taps)):
            for layer in layers[start:stop]:
                x = layer(x)
            found.append(x)
        return found


def read_lpips(net: Net, backbone: Path | None, heads: Path | None) -> Lpips:
    """Build LPIPS from files of weights.

    Parameters
    ----------
    net
        Which network.
    backbone
        Its weights: ``.pth`` as torchvision saves them, or safetensors with the same names.
    heads
        The linear heads: ``alex.pth``, ``vgg.pth`` or ``squeeze.pth`` of the authors' project,
        version 0.1, or safetensors with the same names; those that torchmetrics brings if None.

    Raises
    ------
    MetricError
        When a file is not given or not there (with where to get it), cannot be read without
        executing anything in it, or holds another network's weights.
    """
    if net not in TRUNKS:
        raise MetricError(f"LPIPS has no network {net!r}; there are {', '.join(TRUNKS)}")
    backbone = _there(
        backbone,
        f"the weights of {TRUNKS[net].title}",
        "torchvision's model zoo has them, IMAGENET1K_V1; nmc brings none",
    )
    heads = _there(
        heads or _brought(net),
        "the linear heads of LPIPS",
        f"{net}.pth of version 0.1 in the project richzhang/PerceptualSimilarity",
    )
    return Lpips(net, _read(backbone), _read(heads))


def _brought(net: Net) -> Path | None:
    """Return the linear heads that lie in torchmetrics, some kilobytes; None where they do not."""
    from importlib.util import find_spec

    spec = find_spec("torchmetrics.functional.image")
    folders = spec.submodule_search_locations if spec else None
    paths = [Path(folder) / "lpips_models" / f"{net}.pth" for folder in folders or ()]
    return next((path for path in paths if path.is_file()), None)


def _there(path: Path | None, what: str, where: str) -> Path:
    if path is None:
        raise MetricError(f"LPIPS is not measured without {what}: a file that you supply ({where})")
    if not path.is_file():
        raise MetricError(f"{path}: no such file; it should hold {what} ({where})")
    return path


def _read(path: Path) -> Mapping[str, Tensor]:
    """Read tensors by name; nothing in the file is executed."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            found: object = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise MetricError(f"{path.name} holds no weights that can be read: {reason}") from None
    if not isinstance(found, Mapping):
        raise MetricError(f"{path.name} holds no tensors by name")
    return {str(name): value for name, value in found.items() if isinstance(value, Tensor)}


def _fill(module: nn.Module, state: Mapping[str, Tensor], prefix: str, what: str) -> None:
    wanted = module.state_dict()
    for name, own in wanted.items():
        given = state.get(prefix + name)
        if given is None:
            raise MetricError(f"the {what} lack {prefix + name!r}; are they another network's?")
        if given.shape != own.shape:
            raise MetricError(
                f"the {what}: {prefix + name!r} is {tuple(given.shape)}, "
                f"expected {tuple(own.shape)}"
            )
    module.load_state_dict({name: state[prefix + name].float() for name in wanted})


def _head(heads: Mapping[str, Tensor], index: int, channels: int) -> Tensor:
    # "model.1" where the authors trained with dropout before the layer, "model.0" without.
    names = [f"lin{index}.model.{place}.weight" for place in (1, 0)]
    given = next((heads[name] for name in names if name in heads), None)
    if given is None:
        raise MetricError(f"the linear heads lack {names[0]!r}; are they those of LPIPS?")
    if tuple(given.shape) != (1, channels, 1, 1):
        raise MetricError(
            f"the linear heads: {names[0]!r} is {tuple(given.shape)}, "
            f"expected {(1, channels, 1, 1)}; are they another network's?"
        )
    return given.float()


def _to_unit_length(features: Tensor) -> Tensor:
    return features / (features.square().sum(dim=1, keepdim=True).sqrt() + _TINY)


def _features(net: Net) -> nn.Sequential:
    """Return the layers up to the last tap, under torchvision's numbers."""
    layers = {"alex": _alexnet, "vgg": _vgg16, "squeeze": _squeezenet}[net]()
    return nn.Sequential(*layers)


def _alexnet() -> list[nn.Module]:
    """AlexNet in one column (Krizhevsky 2014, arXiv 1404.5997), to its last rectifier."""
    return [
        nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(),
    ]  # fmt: skip


def _vgg16() -> list[nn.Module]:
    """VGG16 (Simonyan and Zisserman 2015, arXiv 1409.1556, column D), to its last rectifier."""
    layers: list[nn.Module] = []
    channels = 3
    for block in ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3):
        layers += [nn.MaxPool2d(2)] if layers else []
        for count in block:
            layers += [nn.Conv2d(channels, count, 3, padding=1), nn.ReLU()]
            channels = count
    return layers


def _squeezenet() -> list[nn.Module]:
    """SqueezeNet 1.1, to its last fire module."""

    def pool() -> nn.Module:
        return nn.MaxPool2d(3, 2, ceil_mode=True)

    return [
        nn.Conv2d(3, 64, 3, stride=2), nn.ReLU(),
        pool(), Fire(64, 16, 64), Fire(128, 16, 64),
        pool(), Fire(128, 32, 128), Fire(256, 32, 128),
        pool(), Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), Fire(512, 64, 256),
    ]  # fmt: skip
