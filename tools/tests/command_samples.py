"""A small chain that the tests of the commands share, and what is asked of a refusal."""

from __future__ import annotations

import re

import numpy as np

FRAMES = 5


def state(t: int) -> dict[str, np.ndarray]:
    """Return the model of frame ``t``: the first layer changes, the second is frozen."""
    rng = np.random.default_rng(0)
    return {
        "fc1.weight": rng.normal(size=(40, 30)).astype("f4") + np.float32(1e-4 * t),
        "fc2.weight": rng.normal(size=(30, 10)).astype("f4"),
    }


def refused(outcome, code: str) -> str:
    """Check that a command ended with one line that has a code of the catalogue; return it."""
    assert outcome.code == 1, outcome
    assert outcome.out == ""
    assert re.fullmatch(rf"error {code} at .+\n", outcome.err), outcome.err
    return outcome.err
