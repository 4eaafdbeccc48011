"""What a codec is to the benchmark: a name, settings, and a function from states to states."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

State: TypeAlias = Mapping[str, np.ndarray[Any, Any]]

#: A key frame every so many frames, of every codec that knows key frames.
KEY_EVERY = 10


@dataclass(frozen=True)
class Coded:
    """A chain as a codec leaves it.

    Attributes
    ----------
    frames : tuple of float
        Bytes on disk of each frame; of an estimate, bits of an ideal coder divided by 8.
    rest : float
        Bytes on disk beside the frames: manifest, container.
    states : sequence of mapping of str to array
        The decoded states, in order, of the shapes and dtypes of the originals.
    encode, decode : float
        Seconds of one core's time for the whole chain, which others on the machine do not lengthen;
        NaN of an estimate.
    """

    frames: tuple[float, ...]
    rest: float
    states: Sequence[State]
    encode: float = float("nan")
    decode: float = float("nan")


@dataclass(frozen=True)
class Codec:
    """One way to code a chain, at several settings.

    Attributes
    ----------
    name : str
        As tables name it.
    settings : mapping of str to object
        What a table says of each setting, and what ``code`` takes.
    code : callable
        (states, setting, an empty folder to work in) to :class:`Coded`.
    kind : str
        ``ours``, ``trained``, ``peer``, ``baseline`` or ``estimate``. What was trained anew has no
        fidelity to the original, and an estimate is no file.
    intra : bool
        Whether each frame is coded by itself.
    """

    name: str
    settings: Mapping[str, Any]
    code: Callable[[Sequence[State], Any, Path], Coded]
    kind: str = "baseline"
    intra: bool = False


def raw_bytes(state: State) -> int:
    """Return the bytes of all tensors of a state."""
    return sum(array.nbytes for array in state.values())


def is_key(t: int, *, intra: bool = False) -> bool:
    """Say whether frame t is a key frame."""
    return intra or t % KEY_EVERY == 0
