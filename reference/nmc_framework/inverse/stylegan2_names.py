"""Generators of StyleGAN2 under the names that two programs give their parameters.

stylegan2-ada-pytorch of the authors (``synthesis.b8.conv0.weight``), whose names are ours, and
rosinality's stylegan2-pytorch (``convs.0.conv.weight``). Architecture and size follow from the
shapes; what is not StyleGAN2 with skip connections is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from nmc_framework.inverse.generator import StyleGenerator
from nmc_framework.models.chained import ModelError

#: Noise by which the mean code is found where a file has none.
_DRAWN = 4096
#: Parts of a checkpoint that the generator may stand under, the average of its weights first.
PARTS = ("G_ema", "g_ema", "G", "g")

Arrays = Mapping[str, np.ndarray[Any, Any]]


def generator_of(state: Arrays) -> StyleGenerator:
    """Return the generator that a checkpoint holds.

    Parameters
    ----------
    state
        Arrays by name; those of a discriminator and the like are passed over.

    Raises
    ------
    ModelError
        When there is none, or one of another architecture; the first difference is named.
    """
    own = _of_authors(_generator(state))
    _refuse_other(own)
    sides = sorted({int(m[1]) for name in own if (m := re.match(r"synthesis\.b(\d+)\.", name))})
    if sides != [4 << k for k in range(len(sides))] or len(sides) < 2:
        raise ModelError(f"a generator's maps have sides of 4, 8, 16 and so on; there are {sides}")
    model = _built(own, sides)
    blocks = {f"synthesis.b{side}.resample_filter" for side in sides}
    given = {name: np.asarray(value, np.float32) for name, value in own.items()}
    mean = given.pop("mapping.w_avg", None)
    fitting = {name: value for name, value in given.items() if name not in blocks}
    fitting["mapping.w_avg"] = np.zeros(int(model.configuration["code"]), "f4")
    if mean is not None:
        fitting["mapping.w_avg"] = mean
    for name, value in model.save().items():
        if name.endswith("resample_filter"):
            fitting.setdefault(name, value)
            if not np.allclose(fitting[name], value, atol=1e-6):
                raise ModelError(f"{name} is another filter than [1, 3, 3, 1], which is not built")
    model.load(fitting)
    if mean is None:
        with torch.no_grad():
            noise = torch.randn(
                _DRAWN,
                int(model.configuration["noise"]),
                generator=torch.Generator().manual_seed(0),
            )
            model.mapping.w_avg.copy_(model.mapping(noise).mean(dim=0))
    return model.eval()


def _generator(state: Arrays) -> dict[str, np.ndarray[Any, Any]]:
    for prefix in (*(f"{part}." for part in PARTS), ""):
        part = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        if "synthesis.b4.const" in part or "input.input" in part:
            return part
    raise ModelError(
        "it holds no generator of StyleGAN2: neither synthesis.b4.const (stylegan2-ada-pytorch) "
        "nor input.input (stylegan2-pytorch); checkpoints of TensorFlow are converted by "
        "stylegan2-ada-pytorch's legacy.py"
    )


def _refuse_other(own: Arrays) -> None:
    if any(name.startswith("mapping.embed") for name in own):
        raise ModelError("it is a generator of classes, which is not built; take one without")
    if any(".skip." in name for name in own) or "synthesis.b4.torgb.weight" not in own:
        raise ModelError("its generator has no skip connections to colours, which is not built")
    colours = own["synthesis.b4.torgb.weight"].shape[0]
    if colours != 3:
        raise ModelError(f"its pictures have {colours} channels, expected 3")


def _built(own: Arrays, sides: list[int]) -> StyleGenerator:
    """Build the generator whose parameters have these shapes."""

    def shape(name: str) -> tuple[int, ...]:
        if name not in own:
            raise ModelError(f"its generator lacks {name}")
        return tuple(own[name].shape)

    layers, channels = [], []
    for side in sides:
        block = f"synthesis.b{side}."
        numbers = [n for n in range(64) if f"{block}conv{n}.weight" in own]
        layers.append(len(numbers))
        channels.append(shape(f"{block}torgb.weight")[1])
    depth = 0
    while f"mapping.fc{depth}.weight" in own:
        depth += 1
    if not depth:
        raise ModelError("its generator lacks mapping.fc0.weight")
    code, noise = shape("mapping.fc0.weight")
    told: dict[str, Any] = {"noise": noise, "code": code, "mapping": depth}
    told |= {"sides": sides, "layers": layers, "channels": channels}
    model = StyleGenerator.build(told)
    assert isinstance(model, StyleGenerator)
    return model


def _of_authors(part: dict[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
    """Return parameters under the authors' names."""
    if "input.input" not in part:
        return part
    found = {"synthesis.b4.const": part["input.input"][0]}
    for name, value in part.items():
        layer = re.fullmatch(r"style\.(\d+)\.(weight|bias)", name)
        if layer:
            found[f"mapping.fc{int(layer[1]) - 1}.{layer[2]}"] = value
            continue
        place, _, rest = name.partition(".")
        if place in ("convs", "to_rgbs"):
            number, _, rest = rest.partition(".")
            told = _place(place, int(number) if number.isdecimal() else 0)
        elif place in ("conv1", "to_rgb1"):
            told = "synthesis.b4." + ("conv1" if place == "conv1" else "torgb")
        elif place == "noises":
            told, rest = _place("noises", int(re.sub(r"\D", "", rest) or 0)), "noise"
        else:
            continue
        known = _NAMES.get(rest)
        if known:
            kept = value[0] if rest == "conv.weight" else value
            kept = kept.reshape(-1) if rest == "bias" else kept
            kept = kept.reshape(()) if rest == "noise.weight" else kept
            found[f"{told}.{known}"] = kept.reshape(kept.shape[-2:]) if rest == "noise" else kept
    return found


#: Names within a layer: of stylegan2-pytorch, and of stylegan2-ada-pytorch.
_NAMES = {
    "conv.weight": "weight",
    "conv.modulation.weight": "affine.weight",
    "conv.modulation.bias": "affine.bias",
    "noise.weight": "noise_strength",
    "activate.bias": "bias",
    "bias": "bias",
    "noise": "noise_const",
}


def _place(kind: str, number: int) -> str:
    """Return where a numbered layer stands: two convolutions and one of colours a block."""
    if kind == "to_rgbs":
        return f"synthesis.b{8 << number}.torgb"
    if kind == "noises":
        if not number:
            return "synthesis.b4.conv1"
        number -= 1
    return f"synthesis.b{8 << number // 2}.conv{number % 2}"
