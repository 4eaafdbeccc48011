"""What ``nmc sr`` trains: the network as options say it, or as a file holds it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import nmc
from nmc_framework.models import build, family
from nmc_framework.models.chained import ModelError
from nmc_framework.super_resolution.criteria import Criterion, criterion
from nmc_framework.super_resolution.edsr import Edsr
from nmc_framework.super_resolution.enlarging import network_of
from nmc_framework.super_resolution.upscaler import Upscaler, upscaling
from nmc_tools import checkpoints


def network(
    name: str, scale: int, size: str, settings: Sequence[str] | None, seed: int
) -> Upscaler:
    """Return a network with random weights.

    Raises
    ------
    ModelError
        If the family is none that enlarges, or has no such size or option.
    """
    kind = family(name)
    if not issubclass(kind, Upscaler):
        raise ModelError(f"a {name} model enlarges no pictures; edsr and vdsr do")
    if size not in kind.sizes:
        raise ModelError(f"{name} has no size {size!r}; there are {', '.join(kind.sizes)}")
    options = {"scale": scale, **kind.sizes[size]}
    for setting in settings or ():
        option, equals, text = setting.partition("=")
        try:
            options[option] = json.loads(text)
        except ValueError:
            equals = ""
        if not equals:
            raise ModelError(f"{setting!r}: write such as blocks=16")
    return upscaling(build(name, options, seed=seed))


def read_network(path: Path, scale: int | None = None) -> Upscaler:
    """Return a network with the weights of a file.

    Parameters
    ----------
    path
        A package, whose first frame counts, or a checkpoint of EDSR-PyTorch. Nothing in it is
        executed.
    scale
        The scale that is wanted.

    Raises
    ------
    ModelError
        If it holds another network.
    CheckpointError, FormatError
        If it cannot be read.
    """
    if path.suffix.lower() == ".nmc" or path.is_dir():
        with nmc.open(path) as sequence:
            model = network_of(sequence)
            model.load(sequence[0])
    else:
        model = Edsr.from_foreign(checkpoints.read(path).state, scale)
    if scale is not None and model.scale != scale:
        raise ModelError(f"{path.name} enlarges {model.scale} times, not {scale}")
    return model


def chosen_criterion(
    loss: str, net: str | None, weights: Path | None, device: str = "cpu"
) -> Criterion:
    """Return the loss by name; the perceptual one with the user's weights, on a device.

    Raises
    ------
    ModelError
        If there is no such loss, it lacks its weights, or there are weights that it does not take.
    """
    if loss != "perceptual" and weights is not None:
        raise ModelError(f"the loss {loss} takes no --lpips-backbone; --loss perceptual does")
    if loss == "perceptual" and weights is not None:
        from nmc_framework.evaluation.lpips import read_lpips

        measure = read_lpips(net or "vgg", weights, None)  # type: ignore[arg-type]
        return criterion(loss, measure.to(device))
    return criterion(loss)
