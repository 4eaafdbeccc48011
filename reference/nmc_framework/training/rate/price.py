"""What a byte is worth while a chain is trained for rate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

#: What is trained for rate learns so many times as long: more iterations cost no bytes, and what
#: bytes buy is otherwise bought dearly.
TIMES: Final = 2
#: A later key frame learns so many times as long as the frames between: it renews all weights.
KEY_TIMES: Final = 4
#: Bits in a kilobyte of 1000 bytes.
_KILOBYTE = 8000


class RateError(ValueError):
    """A price that is none, or a state that lies on no grid."""


@dataclass(frozen=True)
class Rate:
    """The price of bytes: lambda of the loss that training for rate minimises.

    That loss is 10·log10(L) + price·(kilobytes), L being the family's own: for a family whose loss
    is a squared error this is the price in dB of PSNR, whatever the scene and its brightness.

    Parameters
    ----------
    price
        Decibels that each kilobyte (1000 bytes) of a delta frame has to bring; 0 leaves only the
        steps to be learned.
    key_share
        Key frames pay this share of it: what they learn serves the frames after them as well.
    key_every
        Every so many frames the chain has a key frame, which sends all buffers anew; 0: only the
        first is one. Buffers that a model may choose change freely there alone.

    Raises
    ------
    RateError
        If the price is negative or no finite number, the share is not above 0 and finite, or the
        distance of key frames is negative.
    """

    price: float
    key_share: float = 0.3
    key_every: int = 10

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

    def of_bit(self, loss: float, *, key: bool) -> float:
        """Return what a bit of a key frame, or of another one, costs.

        In units of a loss that is ``loss`` at the time.
        It is the price times the derivative of the loss by its decibels.
        """
        share = self.key_share if key else 1.0
        return share * self.price / _KILOBYTE * max(loss, 0.0) * math.log(10) / 10

    def is_key(self, frame: int) -> bool:
        """Return whether a frame will be a key frame."""
        return frame == 0 or (self.key_every > 0 and frame % self.key_every == 0)
