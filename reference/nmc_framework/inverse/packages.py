"""Networks of inverse graphics in packages: written, checked, and opened again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import nmc
from nmc.writing.repack import repack
from nmc_framework.models import ChainModel, ModelError, build
from nmc_framework.training import PackageStore, TrainedFrame

Kind = TypeVar("Kind", bound=ChainModel)


def write_package(
    path: Path, model: ChainModel, frames: Iterable[TrainedFrame], *, overwrite: bool = False
) -> None:
    """Write a chain of trained frames, and check what was written.

    Raises
    ------
    ModelError
        When the checker does not accept the package.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with nmc.Writer(path, overwrite=overwrite, **model.in_package()) as writer:
        store = PackageStore(writer)
        for frame in frames:
            store.append(frame)
    _require_accepted(path)


def write_state(path: Path, model: ChainModel, *, overwrite: bool = False) -> None:
    """Write a model that was trained elsewhere as a chain of one frame, and check it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with nmc.Writer(path, overwrite=overwrite, **model.in_package()) as writer:
        writer.append(model.save())
    _require_accepted(path)


@contextmanager
def extended(
    source: Path, path: Path, model: ChainModel, *, overwrite: bool = False
) -> Iterator[PackageStore]:
    """Write the frames of a package into a new one, and yield where further ones go.

    The package is checked when the block ends.

    Raises
    ------
    ModelError
        When the checker does not accept what was written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        nmc.open(source) as sequence,
        nmc.Writer(path, overwrite=overwrite, **model.in_package()) as writer,
    ):
        repack(sequence, writer)
        yield PackageStore(writer)
    _require_accepted(path)


def _require_accepted(path: Path) -> None:
    report = nmc.check(path)
    if not report.accepted:
        first = next(found for found in report.findings if found.severity == "error")
        raise ModelError(f"{path.name} was not written as it should be: {first.message}")


def open_model(path: Path, kind: type[Kind], frame: int = -1) -> Kind:
    """Return the model of one frame of a package, -1 for the last.

    Raises
    ------
    ModelError
        When the package holds models of another family, or has no such frame.
    """
    with nmc.open(path) as sequence:
        family = sequence.family
        if family != kind.family:
            raise ModelError(
                f"{path.name} holds a model of the family {family or 'that it does not name'}, "
                f"where {kind.family} is needed"
            )
        count = len(sequence)
        if not -count <= frame < count:
            raise ModelError(f"{path.name} has frames 0 to {count - 1}, not {frame}")
        model = build(family, sequence.configuration)
        assert isinstance(model, kind)
        model.load(sequence[frame % count])
    model.eval()
    return model
