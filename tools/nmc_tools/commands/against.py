"""A package beside its originals: whether declared errors hold, and the rest is the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import nmc
from nmc_format.dtypes import PackedArray, dtype_of, to_words
from nmc_tools import checkpoints
from nmc_tools.checkpoints import Keep
from nmc_tools.terminal import counted

if TYPE_CHECKING:
    from nmc.coding.state import Tensor
    from nmc_format.dtypes import Array


@dataclass(frozen=True)
class Compared:
    """One tensor of one frame beside its original.

    Attributes
    ----------
    frame : int
    tensor : str
    error : float or None
        How far its farthest element is from the original; None where that is no number.
    declared : float or None
        Its declared error; None where it is lossless.
    fault : str
        What is wrong; empty where all is as the package says.
    stop : int
        At which stop of the frame; 0 is the base (clause 12.7).
    """

    frame: int
    tensor: str
    error: float | None
    declared: float | None
    fault: str = ""
    stop: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return vars(self)


class Originals:
    """The states that a package was made from: a package, or checkpoints as ``nmc pack`` has them.

    Parameters
    ----------
    paths : list of str
        One package, or checkpoints, folders and globs.
    keys, keep
        As of ``nmc pack``.
    """

    def __init__(self, paths: list[str], keys: list[str], keep: Keep) -> None:
        self._keys, self._keep = keys, keep
        self._sequence: nmc.ChainSequence | None = None
        self._sources: tuple[checkpoints.FrameSource, ...] = ()
        if len(paths) == 1 and is_package(Path(paths[0])):
            self._sequence = nmc.open(paths[0], max_level=4)
        else:
            self._sources = tuple(checkpoints.select(paths, "auto").sources)

    def __len__(self) -> int:
        return len(self._sequence) if self._sequence is not None else len(self._sources)

    def __getitem__(self, t: int) -> Mapping[str, Array]:
        if self._sequence is not None:
            return self._sequence[t]

        def load(path: Path) -> checkpoints.Checkpoint:
            return checkpoints.read(path, key=self._keys, keep=self._keep)

        return checkpoints.read_source(self._sources[t], load).state

    def close(self) -> None:
        """Release the files."""
        if self._sequence is not None:
            self._sequence.close()


def is_package(path: Path) -> bool:
    """Whether a path is meant as a package: by its name, or by its manifest."""
    return path.suffix == ".nmc" or (path / "manifest.h5").is_file()


@contextmanager
def originals_of(paths: list[str], keys: list[str], keep: Keep) -> Iterator[Originals]:
    """Open originals."""
    found = Originals(paths, keys, keep)
    try:
        yield found
    finally:
        found.close()


def compared(
    sequence: nmc.ChainSequence, t: int, original: Mapping[str, Any]
) -> Iterator[Compared]:
    """Compare a frame, at the stop of the sequence, with its original, tensor by tensor."""
    stop, rows = sequence.stop, sequence.manifest.tensors
    state = {rows[row].name: tensor for row, tensor in sequence.state(t).items()}
    for name in [*state, *(name for name in original if name not in state)]:
        if name not in state:
            yield Compared(t, name, None, None, "it is in the original only", stop)
        elif name not in original:
            yield Compared(t, name, None, None, "it is not in the original", stop)
        else:
            yield replace(_tensor(t, name, state[name], _array(original[name])), stop=stop)


def _array(value: Any) -> Array:
    from nmc.writing.tensor_input import as_array

    return as_array("original", value)


def _tensor(t: int, name: str, tensor: Tensor, original: Array) -> Compared:
    declared = tensor.quantised.bound if tensor.quantised is not None else None
    fact = Compared(t, name, None, declared)
    if dtype_of(original) != tensor.dtype or tuple(original.shape) != tensor.shape:
        shapes = f"{tensor.dtype.name} {list(tensor.shape)}", list(original.shape)
        return replace(
            fact, fault=f"it is {shapes[0]}, the original {dtype_of(original).name} {shapes[1]}"
        )
    changed = int((tensor.words != to_words(original)).sum())
    error = _distance(tensor, original) if changed else 0.0
    fact = replace(fact, error=error)
    if declared is None:
        return replace(
            fact, fault=f"it is lossless, and {counted(changed, 'word')} differ" if changed else ""
        )
    if error is None:
        return replace(fact, fault="the original has NaN or infinity")
    if error > declared:
        return replace(
            fact, fault=f"an error of {error:.6g}, more than the declared {declared:.6g}"
        )
    return fact


def _distance(tensor: Tensor, original: Array) -> float | None:
    """Return the largest absolute difference, as an encoder computes it; None where it is none."""
    array = tensor.array()
    if isinstance(array, PackedArray) or isinstance(original, PackedArray):
        return None
    if array.dtype.kind not in "fVui":
        return None
    with np.errstate(all="ignore"):
        gap = np.abs(array.astype(np.float64) - original.astype(np.float64))
    largest = float(gap.max(initial=0.0))
    return largest if np.isfinite(largest) else None


def worst_of(facts: list[Compared]) -> dict[str, Compared]:
    """Return the comparison of each tensor that is nearest to its limit, or beyond it."""
    worst: dict[str, Compared] = {}
    for fact in facts:
        known = worst.get(fact.tensor)
        if known is None or _badness(fact) > _badness(known):
            worst[fact.tensor] = fact
    return worst


def _badness(fact: Compared) -> tuple[bool, float]:
    return bool(fact.fault), fact.error or 0.0
