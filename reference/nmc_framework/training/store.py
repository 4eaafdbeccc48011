"""Where finished frames go: a package, or a folder of checkpoints; both can be taken up again.

Each frame is on disk before the next one begins, so that a killed run loses the frame in hand only
(clause 5.2: the model of frame t-1 and the one made from it are kept side by side).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

import nmc
from nmc_framework.cameras import Camera
from nmc_framework.models import ChainModel, ModelError
from nmc_framework.training.chain import train_chain
from nmc_framework.training.colour import Matrices
from nmc_framework.training.finished import Progress, TrainedFrame, TrainingError
from nmc_framework.training.pixels import FrameViews
from nmc_framework.training.rate import Steps
from nmc_framework.training.schedule import Schedule

FrameSource = Callable[[int], Iterable[FrameViews]]


class Store(Protocol):
    """Finished frames, in order."""

    def __len__(self) -> int: ...

    def last_state(self) -> Mapping[str, Any]:
        """Return the state of the last finished frame."""

    def last_colour(self) -> Matrices | None:
        """Return the colour maps (3, 4) of the last finished frame by view, if it has any."""

    def last_steps(self) -> Steps | None:
        """Return the steps of the last finished frame, where it was trained for rate."""

    def append(self, frame: TrainedFrame) -> None:
        """Put a finished frame on disk."""


class PackageStore:
    """Finished frames in an open :class:`nmc.Writer`; make it with ``resume=True``.

    ``span`` is how many ticks of the writer's timescale a frame is shown: the instants of a group
    that one model is of. ``told`` is what the manifest calls the number of them that a frame has,
    among its extras. ``anew`` are the frames whose weights begin at random: frame 0, and others
    where groups are trained by themselves.
    """

    def __init__(
        self,
        writer: nmc.Writer,
        *,
        span: int = 1,
        told: str | None = None,
        anew: Collection[int] = (0,),
    ) -> None:
        self._writer = writer
        self._span, self._told = span, told
        self._anew = frozenset(anew)

    def __len__(self) -> int:
        return len(self._writer)

    def last_state(self) -> Mapping[str, Any]:
        """Return the state that the writer decoded, or was given, last."""
        return self._writer.last_state

    def last_colour(self) -> Matrices | None:
        """Return the maps that the journal has of the last frame."""
        return self._writer.last_colour

    def last_steps(self) -> Steps | None:
        """Return the steps that the writer has of the last frame, if it was trained for rate."""
        if not len(self):
            return None
        found = {name: parts[0][1] for name, parts in self._writer.last_steps.items()}
        return Steps(found) if found else None

    def append(self, frame: TrainedFrame) -> None:
        """Code the frame; one trained for rate by its levels.

        Raises
        ------
        TrainingError
            If what a decoder will have is not the state that was trained, bit for bit.
        """
        self._writer.append(
            frame.state,
            presentation_time=frame.index * self._span,
            requires_grad=frame.freezing.requires_grad,
            exclude_layers=list(frame.freezing.exclude_layers),
            iterations=frame.iterations,
            seconds=frame.seconds,
            trained_from_previous=frame.index not in self._anew,
            colour=frame.colour,
            quantisation=frame.steps.quantisation() if frame.steps else None,
            extras={self._told: int(frame.state["length"])} if self._told else None,
        )
        if frame.steps:
            _refuse_others(self._writer.last_state, frame)


class CheckpointFolder:
    """One safetensors file a frame, ``frame_00000000.safetensors`` and so on, and ``chain.json``.

    Raises
    ------
    ModelError
        When the folder holds another family's chain, or another configuration's.
    """

    def __init__(self, folder: Path, model: ChainModel) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        head = {"family": model.family, "configuration": model.configuration}
        path = folder / "chain.json"
        if path.exists():
            found = json.loads(path.read_text(encoding="utf-8"))
            if found != json.loads(json.dumps(head)):
                raise ModelError(
                    f"{folder.name} holds a chain of {found.get('family')!r} with another "
                    f"configuration than this {model.family!r} model; choose another folder"
                )
        else:
            _put(path, json.dumps(head, indent=1).encode())

    def __len__(self) -> int:
        count = 0
        while self._path(count).exists():
            count += 1
        return count

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return the state of a frame."""
        path = self._path(index)
        try:
            return dict(load_file(path))
        except (OSError, SafetensorError) as error:
            raise ModelError(f"{path.name} cannot be read: {error}") from error

    def record(self, index: int) -> dict[str, Any]:
        """Return what training a frame took: its index, iterations, seconds, what was frozen."""
        path = self._path(index)
        try:
            with safe_open(path, framework="numpy") as file:
                return dict(json.loads((file.metadata() or {})["frame"]))
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise ModelError(f"{path.name} has no record of its training: {error}") from error

    def last_state(self) -> Mapping[str, Any]:
        """Return the state of the last finished frame."""
        return self[len(self) - 1]

    def last_colour(self) -> Matrices | None:
        """Return the maps in the record of the last finished frame."""
        return self.colour(len(self) - 1)

    def colour(self, index: int) -> Matrices | None:
        """Return the colour maps (3, 4) of a frame by view, where it has any."""
        found = self.record(index).get("colour")
        return found and {view: np.array(rows, np.float64) for view, rows in found.items()}

    def last_steps(self) -> Steps | None:
        """Return the steps in the record of the last finished frame."""
        return self.steps(len(self) - 1)

    def steps(self, index: int) -> Steps | None:
        """Return the steps of a frame, where it was trained for rate."""
        found = self.record(index).get("steps")
        return Steps(found) if found else None

    def append(self, frame: TrainedFrame) -> None:
        """Write the frame under another name first, so that a half-written one never counts."""
        if frame.index != len(self):
            raise ModelError(f"frame {frame.index} does not follow frame {len(self) - 1}")
        record = {
            "index": frame.index,
            "iterations": frame.iterations,
            "seconds": frame.seconds,
            "loss": frame.loss,
            "exclude_layers": list(frame.freezing.exclude_layers),
            "requires_grad": frame.freezing.requires_grad,
            "colour": _plain(frame.colour),
            "steps": dict(frame.steps.of) if frame.steps else None,
        }
        partial = self._path(frame.index).with_suffix(".partial")
        save_file(frame.state, partial, metadata={"frame": json.dumps(record)})
        partial.replace(self._path(frame.index))

    def _path(self, index: int) -> Path:
        return self.folder / f"frame_{index:08d}.safetensors"


def train_into(
    store: Store,
    model: ChainModel,
    cameras: Sequence[Camera],
    frames: FrameSource,
    schedule: Schedule | None = None,
    *,
    report: Callable[[Progress], None] | None = None,
) -> Iterator[TrainedFrame]:
    """Train a chain into ``store``, going on where it ends; yield each frame once it is on disk.

    Parameters
    ----------
    store
        May hold frames already: these are not trained again, and what follows is bit for bit what
        an uninterrupted run would have made.
    model
        With random weights; a store's last state is loaded into it.
    frames
        Called with the index of the first frame wanted; yields frames from there on.
    cameras, schedule, report
        As in :func:`~nmc_framework.training.train_chain`.

    Raises
    ------
    TrainingError
        When the frames do not begin where they were asked to.
    ModelError
        When the store's state is of another architecture.
    """
    done = len(store)
    views = iter(frames(max(done - 1, 0)))
    before = colour = steps = None
    if done:
        colour, steps = store.last_colour(), store.last_steps()
        model.load(store.last_state())
        before = next(views, None)
        if before is None or before.index != done - 1:
            raise TrainingError(f"the frames were to begin with frame {done - 1}, to go on from it")
    for frame in train_chain(
        model, cameras, views, schedule, before=before, colour=colour, steps=steps, report=report
    ):
        store.append(frame)
        yield frame


def _refuse_others(decoded: Mapping[str, Any], frame: TrainedFrame) -> None:
    for name, array in frame.state.items():
        if decoded[name].tobytes() != array.tobytes():
            raise TrainingError(f"frame {frame.index}: {name!r} was not coded exactly")


def _plain(colour: Matrices | None) -> dict[str, list[list[float]]] | None:
    return {view: m.tolist() for view, m in colour.items()} if colour else None


def _put(path: Path, data: bytes) -> None:
    partial = path.with_suffix(".partial")
    partial.write_bytes(data)
    partial.replace(path)
