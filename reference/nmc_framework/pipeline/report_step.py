"""The last step of a run: one page with all that it made, for others to look at (clause 5.1)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmc_framework.pipeline.chain_steps import PACKAGE, open_frames
from nmc_framework.pipeline.step import Task
from nmc_framework.pipeline.work_folder import WorkFolder

if TYPE_CHECKING:
    from nmc_framework.evaluation import Figure, Verdict

PAGE = "report.html"
#: The parts of a configuration that the page lists, and in this order.
_SECTIONS = ("source", "cameras", "training", "package", "render", "evaluate")


def report(task: Task) -> Mapping[str, Any]:
    """Write the page of a run: film, pictures, curves, cameras, settings."""
    from nmc_framework.evaluation import Evidence, Table, write_report
    from nmc_framework.evaluation.held_out import read_scores

    work = WorkFolder(task.configuration.work)
    scored = task.made_by("evaluate") if task.configuration.has("evaluate") else None
    frames = open_frames(task.made_by("cameras"))
    settings = [
        Table(f"Configuration: {name}", task.configuration.lasting(name) or {})
        for name in _SECTIONS
    ]
    times = {
        name: f"{done.seconds:.1f} s"
        for name in ("capture", "cameras", "train", "package", "check", "render", "evaluate")
        if (done := work.done(name)) is not None
    }
    evidence = Evidence(
        scores=[] if scored is None else read_scores(scored / "scores.csv"),
        trained=frames.training,
        films=_films(task, scored),
        pictures=_pictures(scored),
        losses=_losses(task.made_by("train")),
        verdicts=_verdicts(work),
        tables=[*settings, Table("Time of each step", times)],
    )
    written = write_report(task.folder / PAGE, task.made_by("package") / PACKAGE, evidence)
    return {"page": str(written[0].relative_to(task.configuration.work))}


def _films(task: Task, scored: Path | None) -> list[Figure]:
    from nmc_framework.evaluation import Figure

    films = []
    if task.configuration.has("render"):
        path = task.made_by("render") / "video.mp4"
        films.append(Figure(path, "What a user sees who moves while the chain plays"))
    if scored is not None and (scored / "compared.mp4").is_file():
        films.append(Figure(scored / "compared.mp4", "A camera of the rig: truth and rendering"))
    return films


def _pictures(scored: Path | None) -> list[Figure]:
    from nmc_framework.evaluation import Figure

    if scored is None:
        return []
    shown = json.loads((scored / "scores.json").read_text(encoding="utf-8"))["pictures"]
    figures = [Figure(scored / name, caption) for name, caption in shown.items()]
    if len(figures) > 1:
        figures.append(Figure(scored / "pictures" / "contact.png", "contact sheet", wide=True))
    return figures


def _losses(checkpoints: Path) -> dict[int, float]:
    from nmc_framework.models import build
    from nmc_framework.training import CheckpointFolder

    head = json.loads((checkpoints / "chain.json").read_text(encoding="utf-8"))
    store = CheckpointFolder(checkpoints, build(head["family"], head["configuration"]))
    records = (store.record(index) for index in range(len(store)))
    return {record["index"]: record["loss"] for record in records if "loss" in record}


def _verdicts(work: WorkFolder) -> list[Verdict]:
    """Return what is said of the cameras and of the package."""
    from nmc_framework.evaluation import Verdict

    found = []
    cameras, check = work.done("cameras"), work.done("check")
    if cameras is not None:
        result = dict(cameras.result)
        given = result.pop("verdict", None)
        if result.get("method") == "estimated":
            word, good = _word(given)
            found.append(Verdict("Structure from motion", word, good, _reasons(result)))
        else:
            found.append(Verdict("Cameras", str(result.get("method", "given")), None))
    if check is not None:
        told = f"accepted, {check.result.get('decoded')} frames decoded and right"
        found.append(Verdict("Package", told, good=True))
    return found


def _word(verdict: Any) -> tuple[str, bool | None]:
    """Return a verdict in a word, and whether it is good; of older runs there is none."""
    if isinstance(verdict, Mapping):
        verdict = verdict.get("verdict")
    if not isinstance(verdict, str):
        return "no verdict was given", None
    return verdict, verdict == "sound"


def _reasons(result: Mapping[str, Any]) -> list[str]:
    told = result.get("reasons")
    reasons = [_reason(reason) for reason in told] if isinstance(told, list) else []
    if "reprojection_px" in result:
        reasons.append(f"mean reprojection error {result['reprojection_px']:.2f} px")
    if "points" in result:
        reasons.append(f"{result['points']} points, {result['cameras']} cameras")
    if result.get("missing"):
        reasons.append(f"not registered: {', '.join(result['missing'])}")
    return reasons


def _reason(reason: Any) -> str:
    if not isinstance(reason, Mapping):
        return str(reason)
    figure = reason.get("figure")
    value = f"{figure:.3g}" if isinstance(figure, int | float) else "unknown"
    where = reason.get("where") or []
    place = f", {', '.join(map(str, where[:3]))}" if reason.get("verdict") != "sound" else ""
    named = reason.get("meaning") or reason.get("name")
    return f"{named}: {value} ({reason.get('verdict')}{place})"
