"""The steps of ``nmc run`` in their order, as data: the boxes of figure 5-1 and what joins them."""

from __future__ import annotations

from nmc_framework.pipeline import chain_steps, footage_steps, report_step, result_steps
from nmc_framework.pipeline.step import Step

STEPS = (
    Step("capture", 1, (), ("source",), footage_steps.capture),
    Step("cameras", 5, ("capture",), ("cameras",), footage_steps.cameras),
    Step("train", 3, ("cameras",), ("model", "training"), chain_steps.train, resumable=True),
    Step("package", 1, ("cameras", "train"), ("package",), chain_steps.package),
    Step("check", 1, ("package",), ("check",), chain_steps.check),
    Step("render", 1, ("package",), ("render",), result_steps.render, optional="render"),
    Step(
        "evaluate",
        2,
        ("cameras", "package"),
        ("evaluate",),
        result_steps.evaluate,
        optional="evaluate",
    ),
    Step(
        "report",
        1,
        ("cameras", "train", "package", "check", "render", "evaluate"),
        ("source", "cameras", "training", "package", "render", "evaluate", "report"),
        report_step.report,
        optional="report",
    ),
)
