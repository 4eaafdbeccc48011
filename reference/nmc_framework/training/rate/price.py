"""What a byte is worth while a chain is trained for rate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

#: What is trained for rate learns so many times as long: more iterations cost no bytes, and what
#: bytes buy is otherwise bought dearly.
TIMES: Final = 2
#: A later key frame learns so many times as long as the frames between: it renews all weights.
KEY_TIMES: Final = 4
#: Decibels that a doubling of a key frame has to bring where nobody names a price.
USUAL: Final = 0.5
#: Bits in a kilobyte of 1000 bytes.
_KILOBYTE = 8000
#: A model is thought to have so many bits at least: what is all zeros has no price else.
_FEWEST = 800.0


class RateError(ValueError):
    """A price that is none, or a state that lies on no grid."""


@dataclass(frozen=True)
class Rate:
    """The price of bytes: lambda of the loss that training for rate minimises.

    That loss is 10·log10(L) + price·(kilobytes), L being the family's own: for a family whose loss
    is a squared error this is the price in dB of PSNR, whatever the scene and its brightness.

    A kilobyte buys less where there is more to see, so that each scene has a price of its own; by
    the doubling one price serves scenes of any size.

    Parameters
    ----------
    price
        Decibels that each kilobyte (1000 bytes) of a delta frame has to bring, or twice the bytes
        of a key frame; 0 leaves only the steps to be learned.
    key_share
        Key frames pay this share of it: what they learn serves the frames after them as well.
    key_every
        Every so many frames the chain has a key frame, which sends all buffers anew; 0: only the
        first is one. Buffers that a model may choose change freely there alone.

    per
        What the price is of: ``"kilobyte"``, or ``"doubling"``. Then it is divided by the bits of
        all levels as they are estimated at the time, or were in the frame before.

    Raises
    ------
    RateError
        If the price is negative or no finite number, the share is not above 0 and finite, or the
        distance of key frames is negative.
    """

    price: float
    key_share: float = 0.3
    key_every: int = 10
    per: Literal["kilobyte", "doubling"] = "kilobyte"

    @staticmethod
    def named(price: float | Literal["auto"], key_every: int) -> Rate:
        """Return a price that a user names: decibels of a kilobyte, or ``"auto"``."""
        if price == "auto":
            return Rate(USUAL, key_every=key_every, per="doubling")
        return Rate(price, key_every=key_every)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.price) and self.price >= 0):
            raise RateError(
                f"the price of a kilobyte is a finite number of decibels from 0 on, such as 0.1; "
                f"it cannot be {self.price}"
            )
        if not (math.isfinite(self.key_share) and self.key_share > 0):
            raise RateError(f"key frames pay a share above 0, not {self.key_share}")
        if self.key_every < 0:
            raise RateError(f"key frames come every so many frames, 0 or more: {self.key_every}")

    def of_bit(self, loss: float, bits: float, *, key: bool) -> float:
        """Return what a bit of a key frame, or of another one, costs.

        In units of a loss that is ``loss`` at the time, where all levels have so many ``bits``.
        It is the price times the derivative of the loss by its decibels.
        """
        if self.per == "doubling":
            decibels = self.price / (math.log(2) * max(bits, _FEWEST))
            share = 1.0 if key else 1.0 / self.key_share
        else:
            decibels, share = self.price / _KILOBYTE, self.key_share if key else 1.0
        return share * decibels * max(loss, 0.0) * math.log(10) / 10

    def is_key(self, frame: int) -> bool:
        """Return whether a frame will be a key frame."""
        return frame == 0 or (self.key_every > 0 and frame % self.key_every == 0)
