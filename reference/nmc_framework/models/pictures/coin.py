"""The family ``coin``: one narrow, deep network of sines for each picture.

After Dupont et al. 2021 (COIN): a picture is sent as the weights of a network that was made to
overfit it. Here one picture is a clip, and the next one's network is fine-tuned from it.
"""

from __future__ import annotations

from typing import Any, ClassVar

from nmc_framework.models.pictures.clip import SIZE
from nmc_framework.models.pictures.siren import Siren


class Coin(Siren):
    """A deep, narrow network of sines for each picture (COIN): a picture as weights."""

    family: ClassVar[str] = "coin"
    learning_rates: ClassVar[tuple[float, float]] = (1e-3, 5e-4)
    usual: ClassVar[int] = 1

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return the network of table 1 for 0.3 bits a pixel: 10 layers of 28."""
        return SIZE | {
            "pictures": 1,
            "hidden": 28,
            "depth": 10,
            "omega": 30.0,
            "first_omega": 30.0,
        }
