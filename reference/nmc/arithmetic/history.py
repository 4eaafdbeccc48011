"""What the coder remembers between the delta frames of one group (clause 8.3)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass
class History:
    """State of the coder inside one group; make a fresh one at each key frame."""

    previous: dict[int, NDArray[np.int32]] = field(default_factory=dict)
