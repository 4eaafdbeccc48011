"""Training for rate: chains whose frames are few bytes, and lie on a grid exactly (clause 5.2)."""

from nmc_framework.training.rate.bits import BITS, BitsAdam
from nmc_framework.training.rate.first import SteppedAdam
from nmc_framework.training.rate.later import SparseAdam
from nmc_framework.training.rate.price import KEY_TIMES, TIMES, USUAL, Rate, RateError
from nmc_framework.training.rate.steps import Steps

__all__ = [
    "BITS",
    "KEY_TIMES",
    "TIMES",
    "USUAL",
    "BitsAdam",
    "Rate",
    "RateError",
    "SparseAdam",
    "SteppedAdam",
    "Steps",
]
