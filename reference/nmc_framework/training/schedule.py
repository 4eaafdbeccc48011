"""How long, how fast and under which conditions each frame of a chain learns (clause 5.2)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

from nmc_framework.training.auto import AutoFreezing
from nmc_framework.training.colour import Colour
from nmc_framework.training.layer_freezing import FreezingError, Reading
from nmc_framework.training.rate import BITS, KEY_TIMES, Rate, RateError

Precision = Literal["single", "mixed"]

#: Share of the iterations after which the learning rate begins to fall.
PLATEAU: Final = 0.3
#: dB by which a later frame may be worse than the frame before was, and iterations that each dB
#: more is worth, as a multiple of those of a later frame.
_FORGIVEN, _EACH = 1.5, 1.0
#: Share of a tensor's squared change that nothing shows the loss of, in any family measured.
HOLD: Final = 0.003


@dataclass(frozen=True)
class Schedule:
    """How long and how fast each frame learns.

    Parameters
    ----------
    first, later
        Iterations of frame 0 and of every later frame.
    most_later
        Iterations of a later frame at most, where after ``later`` of them it falls short of what
        the frame before had reached; ``later`` where None.
    rays, later_rays
        Rays a batch: in frame 0, and in later frames where that is given.
    learning_rate, later_learning_rate
        Peak rates, the family's own where None; each frame decays to ``final_share`` of it along a
        cosine.
    focus, last_focus
        Share of a later frame's rays that go to pixels which changed since the frame before, as
        they are drawn in DyNeRF (Li et al. 2022, section 4.3): at first, and in the last iteration.
    betas, damping
        Later frames' optimiser, the family's own where None; see
        :class:`~nmc_framework.training.fine_tuning.DampedAdam`.
    first_seconds, later_seconds
        How long frame 0 and later frames may take, in place of ``first`` and ``later``.
    colour
        Whether each view's exposure and white balance are learned beside the scene, see
        :class:`~nmc_framework.training.colour.ColourMaps`. With ``auto`` frame 0 decides it for
        all of the chain.
    exclude_layers, reading
        What later frames freeze; see :func:`~nmc_framework.training.layer_freezing.freeze`.
    auto
        Picks what each later frame freezes, in place of ``exclude_layers``.
    hold
        Share of a tensor's squared change that later frames give back, so that weights which
        hardly moved stay as they were and cost nothing; see
        :func:`~nmc_framework.training.holding.hold_still`. Has no use where ``rate`` is given.
    rate
        The price of bytes, where the chain is trained for rate: every weight then lies on a grid.
    bits
        Of a weight, where training heeds quantisation; see
        :class:`~nmc_framework.training.rate.BitsAdam`. In place of ``rate``.
    precision
        ``"mixed"``: products of matrices and convolutions in bfloat16, sums and weights in float32.
        Meant for CUDA; families that are drawn by kernels of the CPU need ``"single"`` there.
    seed
        Everything random in frame t follows from (seed, t) alone.
    """

    first: int = 400
    later: int = 70
    most_later: int | None = None
    rays: int = 2048
    later_rays: int | None = None
    learning_rate: float | None = None
    later_learning_rate: float | None = None
    final_share: float = 0.1
    focus: float = 0.7
    last_focus: float = 0.1
    betas: tuple[float, float] | None = None
    damping: float | None = None
    first_seconds: float | None = None
    later_seconds: float | None = None
    colour: Colour = "off"
    exclude_layers: tuple[int, ...] = ()
    reading: Reading = "table"
    auto: AutoFreezing | None = None
    hold: float = HOLD
    rate: Rate | None = None
    bits: int | None = None
    precision: Precision = "single"
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.hold < 1:
            raise FreezingError(f"a frame holds a share of 0 to below 1, not {self.hold}")
        if self.bits is not None and not (BITS[0] <= self.bits <= BITS[1] and self.rate is None):
            raise RateError(
                f"weights have {BITS[0]} to {BITS[1]} bits, or a price of bytes; not {self.bits}"
                + (" and a price" if self.rate else "")
            )
        if self.auto and (self.exclude_layers or self.reading != "table"):
            raise FreezingError(
                "a policy picks what is frozen: exclude_layers and the code's reading do not apply"
            )

    def iterations_of(self, frame: int) -> int:
        """Return how many iterations a frame learns."""
        if frame and self.rate and self.rate.is_key(frame):
            return KEY_TIMES * self.later
        return self.later if frame else self.first

    def more_of(self, frame: int, short: float) -> int:
        """Return how many more iterations a frame learns that is so many dB short of a goal."""
        if not frame or self.most_later is None or not short > _FORGIVEN:
            return 0
        return min(round(_EACH * short * self.later), self.most_later - self.later)

    def seconds_of(self, frame: int) -> float | None:
        """Return how long a frame may take, where its time is limited."""
        return self.later_seconds if frame else self.first_seconds

    def iterations_before(self, frame: int) -> int:
        """Return how many iterations all frames before this one learn."""
        return sum(self.iterations_of(index) for index in range(frame))

    def rays_of(self, frame: int) -> int:
        """Return the rays a batch of a frame."""
        return self.later_rays or self.rays if frame else self.rays

    def share_of_rate(self, progress: float) -> float:
        """Return the share of the peak learning rate at a share 0..1 of a frame's iterations."""
        if progress <= PLATEAU:
            return 1.0
        falling = min((progress - PLATEAU) / (1 - PLATEAU), 1.0)
        final = self.final_share
        return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * falling))

    def focus_at(self, progress: float) -> float:
        """Return the share of changed pixels at a share 0..1 of a later frame's iterations."""
        falling = min(max((progress - PLATEAU) / (1 - PLATEAU), 0.0), 1.0)
        return self.focus + (self.last_focus - self.focus) * falling
