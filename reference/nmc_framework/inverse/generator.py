"""The family ``style_generator``: pictures by layers that each have a code of their own.

StyleGAN2 (Karras et al. 2020, arXiv 1912.04958): a mapping network makes a code w of noise, and
each modulated layer is given one. Of 16 layers, the first four decide the viewpoint and the others
what is seen (Zhang et al. 2021, section 3.1). It is trained against a discriminator, which is no
part of its state.
"""

from __future__ import annotations

from collections.abc import Mapping as Options
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from nmc_framework.inverse.modulated import (
    Discriminator,
    Mapping,
    SynthesisLayer,
    ToRGB,
    doubled,
)
from nmc_framework.models.chained import ChainModel, ModelError

#: Layers whose codes decide the viewpoint.
VIEWPOINT_LAYERS = 4
#: Decay of the moving average of weights that is kept, and of that of codes.
_AVERAGE, _CODES = 0.995, 0.998
#: Share of pictures whose code changes at a random layer (Karras et al. 2019, section 3.1).
_MIXED = 0.7
#: Weight of the gradient penalty R1, and in how many steps it is taken once.
_PENALTY, _LAZY = 2.0, 8
#: Share of a later frame in which only its new discriminator learns.
_ALONE = 1 / 3
#: Step size of the discriminator, as a multiple of that of the generator.
_AGAINST = 1.0


class StyleGenerator(ChainModel):
    """Pictures from codes, one a layer, trained against a discriminator (StyleGAN2)."""

    family: ClassVar[str] = "style_generator"
    meanings: ClassVar[dict[str, str]] = {
        "noise": "numbers that a code is made of",
        "code": "numbers of a code",
        "mapping": "layers of the network that makes codes of noise",
        "sides": "pixels of the sides of the maps",
        "layers": "convolutions at each",
        "channels": "channels at each",
    }
    learning_rates: ClassVar[tuple[float, float]] = (2.5e-3, 1e-3)
    betas: ClassVar[tuple[float, float]] = (0.0, 0.99)
    damping: ClassVar[float] = 0.0

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return the configuration of pictures of 64 pixels a side, of 16 modulated layers.

        ``sides`` are those of the maps, ``layers`` the convolutions at each, ``channels`` their
        widths; the sixteenth layer is the last to colours.
        """
        return {
            "noise": 64,
            "code": 64,
            "mapping": 4,
            "sides": [4, 8, 16, 32, 64],
            "layers": [1, 3, 4, 4, 3],
            "channels": [96, 96, 64, 40, 24],
        }

    def __init__(self, configuration: Options[str, Any]) -> None:
        super().__init__(configuration)
        c = self.configuration
        sides, counts, widths = (list(map(int, c[k])) for k in ("sides", "layers", "channels"))
        if sides != [4 << k for k in range(len(sides))] or not 2 <= len(sides) <= 9:
            raise ModelError(f"the sides of a generator's maps are 4, 8, 16 and so on, not {sides}")
        if not len(sides) == len(counts) == len(widths) or min(counts + widths) < 1:
            raise ModelError(
                f"{len(sides)} sides need as many counts of layers and of channels, from 1 on"
            )
        self.mapping = Mapping(int(c["noise"]), int(c["code"]), int(c["mapping"]))
        self.synthesis = nn.Module()
        inputs = widths[0]
        for k, (side, count, width) in enumerate(zip(sides, counts, widths, strict=True)):
            block = nn.Module()
            if not k:
                block.const = nn.Parameter(torch.randn(width, side, side))
            # The first block has no layer that doubles, and numbers from 1, as its authors do.
            first = 0 if k else 1
            for number in range(count):
                up = bool(k) and number == 0
                layer = SynthesisLayer(inputs, width, int(c["code"]), side, up=up)
                block.add_module(f"conv{first + number}", layer)
                inputs = width
            block.torgb = ToRGB(width, 3, int(c["code"]))
            self.synthesis.add_module(f"b{side}", block)
        self._alone = 0.0
        self._against: list[tuple[Discriminator, torch.optim.Optimizer]] = []
        self._average: dict[str, Tensor] = {}
        self._last: tuple[Tensor, Tensor] | None = None

    @property
    def size(self) -> int:
        """Pixels of a picture's sides."""
        return int(self.configuration["sides"][-1])

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        average: Tensor = self.mapping.w_avg
        return average.device

    @property
    def codes(self) -> int:
        """Layers that have a code: all convolutions, and the last to colours."""
        return sum(int(count) for count in self.configuration["layers"]) + 1

    def layers(self) -> Sequence[nn.Module]:
        """Return the mapping network, then each layer with all that its code modulates.

        Layer 1 + k is that of code k; the colours of a block go by the code of the layer after it.
        """
        found: list[list[nn.Module]] = [[] for _ in range(self.codes + 1)]
        found[0].append(self.mapping)
        at = 1
        for side in self.configuration["sides"]:
            block = self.synthesis.get_submodule(f"b{side}")
            if side == 4:
                found[1].append(_Only(block.const))  # type: ignore[arg-type]
            for layer in _convolutions(block):
                found[at].append(layer)
                at += 1
            found[at].append(block.get_submodule("torgb"))
        return [nn.ModuleList(parts) for parts in found]

    def parameter_groups(
        self,
        learning_rate: float,
        *,
        later: bool = False,  # noqa: ARG002 - alike in all frames
    ) -> list[dict[str, Any]]:
        """Return the parameters without momentum, which adversaries chase each other with."""
        own = [p for p in self.parameters() if p.requires_grad]
        return [{"params": own, "lr": learning_rate, "betas": (0.0, 0.99), "eps": 1e-8}]

    def coded(self, noise: Tensor) -> Tensor:
        """Return a code for each layer, (N, codes, width), of noise (N, width): all alike."""
        code: Tensor = self.mapping(noise)
        return code[:, None].expand(-1, self.codes, -1)

    def drawn(self, count: int, generator: torch.Generator, *, truncation: float = 1.0) -> Tensor:
        """Draw codes (count, codes, width), drawn together towards the mean by ``truncation``."""
        noise = torch.randn(count, int(self.configuration["noise"]), generator=generator)
        with torch.no_grad():
            codes = self.coded(noise.to(self.device))
        return self.mapping.w_avg + truncation * (codes - self.mapping.w_avg)

    def forward(self, codes: Tensor, *, noisy: bool = False) -> Tensor:
        """Return pictures (N, 3, size, size), about -1..1, of a code for each layer."""
        values = image = torch.empty(0, device=codes.device)
        at = 0
        for side in self.configuration["sides"]:
            block = self.synthesis.get_submodule(f"b{side}")
            if side == 4:
                values = block.const[None].expand(len(codes), -1, -1, -1)  # type: ignore[index]
            for layer in _convolutions(block):
                values = layer(values, codes[:, at], noisy=noisy)
                at += 1
            colours = block.get_submodule("torgb")(values, codes[:, at])
            taps = next(_convolutions(block)).resample_filter
            image = colours if side == 4 else doubled(image, taps) + colours
        return image

    def begin_frame(self, index: int) -> None:
        """Begin with a new discriminator, and the average at the weights as they are."""
        self._alone = _ALONE if index else 0.0
        widths = list(self.configuration["channels"])[::-1]
        judge = Discriminator(self.size, widths).to(self.device)
        rate = _AGAINST * self.learning_rates[0]
        learner = torch.optim.Adam(judge.parameters(), lr=rate, betas=(0.0, 0.99))
        self._against = [(judge, learner)]
        self._average = {n: p.detach().clone() for n, p in self.named_parameters()}

    def loss(self, batch: Tensor) -> Tensor:
        """Return the generator's loss (Goodfellow et al. 2014, non-saturating); real ones are kept.

        ``batch`` is (N, 3, size, size) in -1..1.
        """
        count, width, device = len(batch), int(self.configuration["noise"]), self.device
        batch = batch.to(device)
        codes = self.coded(torch.randn(count, width, device=device))
        if self.training and next(self.mapping.parameters()).requires_grad:
            with torch.no_grad():
                self.mapping.w_avg.lerp_(codes[:, 0].mean(dim=0), 1 - _CODES)
        other = self.coded(torch.randn(count, width, device=device))
        cut = torch.randint(1, self.codes, (count, 1, 1), device=device)
        cut = torch.where(torch.rand(count, 1, 1, device=device) < _MIXED, cut, self.codes)
        places = torch.arange(self.codes, device=device)
        codes = torch.where(places[None, :, None] < cut, codes, other)
        made = self(codes, noisy=self.training)
        self._last = (made.detach(), batch)
        judge, _ = self._against[0]
        judge.requires_grad_(False)
        if self.progress < self._alone:
            nothing: Tensor = 0 * made.sum()
            return nothing
        return nn.functional.softplus(-judge(made)).mean()

    def after_step(self, iteration: int) -> None:
        """Let the discriminator learn, and move the average."""
        assert self._last is not None
        judge, learner = self._against[0]
        made, real = self._last
        judge.requires_grad_(True)
        for group in learner.param_groups:
            group["lr"] = _AGAINST * self.learning_rates[0] * (1 - 0.8 * self.progress)
        learner.zero_grad(set_to_none=True)
        lazy = iteration % _LAZY == 0
        real = real.clone().requires_grad_(lazy)
        seen = judge(real)
        loss = nn.functional.softplus(judge(made)).mean() + nn.functional.softplus(-seen).mean()
        if lazy:
            (slope,) = torch.autograd.grad(seen.sum(), real, create_graph=True)
            loss = loss + _PENALTY / 2 * _LAZY * slope.square().sum(dim=(1, 2, 3)).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        learner.step()
        with torch.no_grad():
            keep = min(_AVERAGE, (1 + iteration) / (10 + iteration))
            for name, parameter in self.named_parameters():
                if parameter.requires_grad:
                    self._average[name].lerp_(parameter, 1 - keep)

    def end_frame(self) -> None:
        """Take over the average, and forget the discriminator."""
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                parameter.copy_(self._average.get(name, parameter))
        self._against, self._average, self._last = [], {}, None


class _Only(nn.Module):
    """One parameter as a module, to be counted among a layer's."""

    def __init__(self, value: nn.Parameter) -> None:
        super().__init__()
        self.value = value


def _convolutions(block: nn.Module) -> Any:
    """Yield the convolutions of a block, in order."""
    return (layer for layer in block.children() if isinstance(layer, SynthesisLayer))
