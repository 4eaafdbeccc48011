"""Measuring chains against the truth: the second render mode of clause 5.1."""

from nmc_framework.evaluation.panel import above, beside, captioned, enlarged
from nmc_framework.evaluation.plot import ChainPoint, plot_chain

__all__ = ["ChainPoint", "above", "beside", "captioned", "enlarged", "plot_chain"]
