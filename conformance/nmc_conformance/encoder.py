"""Judges encoders: the package they make is checked, decoded, and compared with what they got."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from nmc_conformance import safetensors_file
from nmc_conformance.digests import state_digest
from nmc_conformance.judge import (
    BROKEN,
    FAIL,
    NOT_SUPPORTED,
    PASS,
    Judgement,
    frame_file,
    judge_decoder,
)
from nmc_conformance.staging import Stage
from nmc_conformance.subject import DONE, REJECTED, UNSUPPORTED

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from nmc_conformance.subject import Answer, Description, Subject
    from nmc_conformance.vectors import Vector


def is_for_encoders(vector: Vector) -> bool:
    """Whether the states of a vector can be given to an encoder: all of them, in order."""
    count = len(vector.expected.state_digests)
    whole = vector.frames == tuple(range(count))
    return vector.expected.outcome == "accept" and whole and not vector.prepare


class EncoderTrial:
    """Gives the states of a vector to an encoder, and its package to a decoder that is trusted.

    Parameters
    ----------
    arbiter : Subject
        The decoder and checker that is trusted. It was judged by the vectors itself.
    description : Description
        What the arbiter says of itself.
    parent : Path
        Folder for the stages.
    """

    def __init__(self, arbiter: Subject, description: Description, parent: Path) -> None:
        self._arbiter = arbiter
        self._description = description
        self._parent = parent

    def __call__(
        self, subject: Subject, description: Description, vector: Vector, stage: Stage
    ) -> tuple[Judgement, Answer | None]:
        """Put one vector to an encoder."""
        if lacking := description.lacks(vector.profile, vector.level, ()):
            return Judgement(NOT_SUPPORTED, lacking), None
        source = stage.work / "states"
        with Stage(self._parent) as first:
            first.put(vector)
            answer = self._arbiter.decode(first, vector.frames, None)
            verdict = judge_decoder(vector, self._description, answer, first.output)
            if verdict.verdict != PASS:
                return Judgement(BROKEN, f"the arbiter cannot decode it: {verdict.detail}"), None
            shutil.copytree(first.output, source)
        stage.seal()
        answer = subject.encode(stage, source, {"profile": vector.profile})
        early = _early(answer, vector, description)
        if early is not None:
            return early, answer
        return self._compared(vector, source, stage), answer

    def _compared(self, vector: Vector, source: Path, stage: Stage) -> Judgement:
        made = stage.output / "made.nmc"
        if not made.exists():
            return Judgement(FAIL, "it made no package")
        with Stage(self._parent) as second:
            copy = shutil.copytree if made.is_dir() else shutil.copyfile
            copy(made, second.input)
            second.seal()
            checked = self._arbiter.check(second)
            if checked.ending.code == REJECTED:
                return Judgement(FAIL, f"its package has errors: {', '.join(checked.codes)}")
            if checked.ending.kind != "exit" or checked.ending.code != DONE:
                return Judgement(BROKEN, f"the arbiter failed: {checked.ending.stderr[-200:]}")
            report = checked.report or {}
            if "profile" not in report:
                return Judgement(BROKEN, "the arbiter's report does not say the profile")
            if other := _another(vector, report):
                return Judgement(FAIL, other)
            answer = self._arbiter.decode(second, vector.frames, None)
            digests = tuple(
                state_digest(safetensors_file.read(source / frame_file(t))) for t in vector.frames
            )
            wanted = replace(vector, expected=replace(vector.expected, state_digests=digests))
            return judge_decoder(wanted, self._description, answer, second.output)


def _another(vector: Vector, report: Mapping[str, Any]) -> str:
    """Return how a package that has no errors is not the one that was asked for."""
    if report["frames"] != len(vector.frames):
        return f"its package has {report['frames']} frames, it was given {len(vector.frames)}"
    if report["profile"] != vector.profile:
        return f"its package is of profile {report['profile']}, not {vector.profile}"
    return ""


def _early(answer: Answer, vector: Vector, description: Description) -> Judgement | None:
    ending = answer.ending
    if ending.kind == "timeout":
        return Judgement("timeout", f"no answer after {ending.seconds:.1f} s")
    if ending.kind != "exit" or ending.code not in range(4):
        return Judgement("crash", f"{ending.kind} {ending.code}: {ending.stderr[-200:]}")
    if answer.trespass:
        return Judgement(FAIL, f"outside of its folder, {answer.trespass}")
    if ending.leftovers:
        return Judgement(FAIL, f"it left {ending.leftovers} processes running")
    if ending.code == UNSUPPORTED:
        said = f"'describe' says that it has {vector.profile} and level {vector.level}"
        assert not description.lacks(vector.profile, vector.level, ())
        return Judgement(FAIL, f"it answered 'unsupported', though {said}")
    if ending.code != DONE:
        return Judgement(FAIL, f"exit code {ending.code}: {ending.stderr.strip()[-200:]}")
    return None
