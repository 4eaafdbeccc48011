"""Measuring chains against the truth: the second render mode of clause 5.1."""

from nmc_framework.evaluation.chain_plot import ChainPoint, plot_chain
from nmc_framework.evaluation.chain_report import Evidence, write_report
from nmc_framework.evaluation.gallery import Gallery
from nmc_framework.evaluation.held_out import HeldOut, ViewScore, score_view, write_scores
from nmc_framework.evaluation.page import Figure, Table, Verdict
from nmc_framework.evaluation.panel import CAPTION, above, beside, captioned, enlarged
from nmc_framework.evaluation.score_plot import plot_scores
from nmc_framework.evaluation.scoring import Scoring

__all__ = [
    "CAPTION",
    "ChainPoint",
    "Evidence",
    "Figure",
    "Gallery",
    "HeldOut",
    "Scoring",
    "Table",
    "Verdict",
    "ViewScore",
    "above",
    "beside",
    "captioned",
    "enlarged",
    "plot_chain",
    "plot_scores",
    "score_view",
    "write_report",
    "write_scores",
]
