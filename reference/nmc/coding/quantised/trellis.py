"""The trellis of dependent quantisation, as numbers (clause 12.4.5)."""

from __future__ import annotations

from typing import Final

import numpy as np

TRELLIS: Final = np.array([0, 2, 7, 5, 1, 3, 6, 4, 2, 0, 5, 7, 3, 1, 4, 6], np.int64)
"""From a state and the parity of a symbol to the next state."""
