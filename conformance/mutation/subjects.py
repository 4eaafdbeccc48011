"""The implementation of this process, put to the vectors in several ways."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nmc_conformance.process import Ending
from nmc_conformance.runner import Trial, checker_trial, decoder_trial
from nmc_conformance.staging import Stage
from nmc_conformance.subject import Answer, Description, Subject, checked_report

DECODER, CHECKER, ALONE = "decoder", "checker", "decoder without the HDF5 library"
"""How the vectors are put: a decoder, a checker, a decoder that reads the compact form only."""

BY_TENSORS = "decoder of one tensor at a time"
"""One that reads what a tensor is coded by, and nothing else, with two threads."""

TRIALS: Mapping[str, Trial] = {
    ALONE: decoder_trial,
    BY_TENSORS: decoder_trial,
    DECODER: decoder_trial,
    CHECKER: checker_trial,
}
_MAX_LEVEL = 4
_CRASHED = "signal"


class InProcess(Subject):
    """The implementation of this process, called as ``serve`` calls it."""

    def __init__(self) -> None:
        super().__init__("nmc")

    def decode(
        self,
        stage: Stage,
        frames: Sequence[int],
        max_level: int | None,
        signed_by: Sequence[str] = (),
        key: str = "",
    ) -> Answer:
        """Ask for frames of the input of a stage."""
        from nmc_tools.commands import codec

        level = _MAX_LEVEL if max_level is None else max_level
        keys, secret = codec.keys_of(signed_by), bytes.fromhex(key) or None
        return _answer(stage, lambda: self._decoded(stage, list(frames), level, keys, secret))

    def _decoded(
        self, stage: Stage, frames: list[int], level: int, keys: Any, secret: bytes | None
    ) -> tuple[int, Any]:
        from nmc_tools.commands import codec

        return codec.run_decode(stage.input, frames, stage.output, level, keys, secret)

    def apply(self, stage: Stage, frames: Sequence[int], max_level: int | None) -> Answer:
        """Ask for the states of the messages in the input of a stage."""
        from nmc_tools.commands import codec

        level = _MAX_LEVEL if max_level is None else max_level
        return _answer(
            stage, lambda: codec.run_apply(stage.input, list(frames), stage.output, level)
        )

    def check(self, stage: Stage) -> Answer:
        """Ask for a check of the input of a stage."""
        import nmc

        def call() -> tuple[int, Any]:
            report = nmc.check(stage.input, max_level=_MAX_LEVEL)
            return int(not report.accepted), report

        return _answer(stage, call)


class ByTensors(InProcess):
    """The same, one tensor at a time."""

    def _decoded(
        self, stage: Stage, frames: list[int], level: int, keys: Any, secret: bytes | None
    ) -> tuple[int, Any]:
        import nmc
        from nmc_format.report import Report
        from nmc_tools.checkpoints.safetensors_files import write_safetensors

        stage.output.mkdir(parents=True, exist_ok=True)
        with nmc.open(
            stage.input, max_level=level, require_signature=keys, threads=2, key=secret
        ) as sequence:
            for t in frames:
                state = {name: sequence.tensor(t, name) for name in sequence.names(t)}
                with (stage.output / f"frame_{t:08d}.safetensors").open("wb") as file:
                    write_safetensors(file, state, None)
        return 0, Report(str(stage.input), len(sequence), len(frames), ())


def _answer(stage: Stage, call: Callable[[], tuple[int, Any]]) -> Answer:
    try:
        code, report = call()
        made = checked_report(report.to_json())
    except Exception as error:
        ending = Ending(_CRASHED, stderr=f"{type(error).__name__}: {error}")
        return Answer(ending, None, stage.trespass())
    return Answer(Ending("exit", int(code)), made, stage.trespass())


def described() -> Description:
    """Return what the implementation says of itself."""
    from nmc_tools.commands import codec

    said = codec.description()
    return Description(
        said["name"],
        said["version"],
        frozenset(said["profiles"]),
        frozenset(said["levels"]),
        frozenset(said["features"]),
    )


@contextmanager
def library(there: bool) -> Iterator[None]:
    """Have the HDF5 library, or not: what only it reads is answered with *unsupported* then."""
    if there:
        yield
        return
    import nmc_format.manifest.read as room
    from nmc_format.issues import refuse

    def refused(path: Path) -> Any:
        del path
        raise refuse("input/unsupported", pointer="/", reason="it is not in compact form")

    kept, room.read_sandboxed = room.read_sandboxed, refused
    try:
        yield
    finally:
        room.read_sandboxed = kept
