"""Held-out views far below those trained with are not passed over."""

import math

import pytest

from nmc_framework.evaluation.doubt import doubt


def test_too_few_cameras_are_doubted():
    """Of three cameras about a person: rays at 22 dB, the fourth camera at 12.9."""
    assert "9 dB below" in doubt(10**-2.2, 12.9)


@pytest.mark.parametrize(
    ("loss", "psnr"),
    # The embedded room; a scene of thin things; nothing to compare.
    [(10**-3.1, 29.2), (10**-2.7, 22.7), (0.0, 20.0), (math.nan, 20.0), (0.01, math.nan)],
)
def test_what_generalises_is_not(loss, psnr):
    assert doubt(loss, psnr) is None
