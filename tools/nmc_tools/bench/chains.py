"""The chains of the benchmark: trained ones that are at hand, and recipes of made ones.

What is made is drawn from fixed seeds, from a file that the caller names, or from numbers of the
same kind where there is none. Nothing of such a file is kept.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Array: TypeAlias = "np.ndarray[Any, Any]"
State: TypeAlias = "dict[str, Array]"
Words: TypeAlias = "np.ndarray[tuple[int], np.dtype[np.unsignedinteger[Any]]]"

CHURN = 0.01
"""Share of splats that are pruned, and added, in each frame."""
_DRIFT = 1e-5
_FINE_TUNING_RATE = 1e-5
_STEPS_A_FRAME = 10
_BETAS = 0.9, 0.999


@dataclass(frozen=True)
class Chain:
    """A chain as arrays.

    Attributes
    ----------
    name : str
        Its name.
    frames : tuple of mapping of str to array
        The states, in order; their elements have 2 or 4 bytes, the same for all.
    flats : tuple of flat array
        All words of each frame; the tensors of the frames are parts of these. So no method pays
        for an array in the form that it takes.
    """

    name: str
    frames: tuple[Mapping[str, Array], ...]
    flats: tuple[Words, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        flats = tuple(_laid_out(frame) for frame in self.frames)
        parts = (_parts(flat, frame) for flat, frame in zip(flats, self.frames, strict=True))
        object.__setattr__(self, "flats", flats)
        object.__setattr__(self, "frames", tuple(parts))

    def words(self, t: int) -> list[Words]:
        """Return the words of one frame, one flat array for each tensor."""
        return [_words_of(array) for array in self.frames[t].values()]

    def flat(self, t: int) -> Words:
        """Return all words of one frame as one array; none is made."""
        return self.flats[t]

    @property
    def changes_shape(self) -> bool:
        """Whether a frame has another number of words than the one before."""
        return len({self.flat(t).size for t in range(len(self.frames))}) > 1


def _words_of(array: Array) -> Words:
    return np.ascontiguousarray(array).reshape(-1).view(f"<u{array.itemsize}")


def _laid_out(frame: Mapping[str, Array]) -> Words:
    return np.concatenate([_words_of(array) for array in frame.values()])


def _parts(flat: Words, frame: Mapping[str, Array]) -> State:
    """Return the tensors of a frame as parts of its words."""
    ends = np.cumsum([array.size for array in frame.values()])
    return {
        name: flat[end - array.size : end].view(array.dtype).reshape(array.shape)
        for (name, array), end in zip(frame.items(), ends, strict=True)
    }


@dataclass(frozen=True)
class Source:
    """Where a chain lies.

    Attributes
    ----------
    folder : Path
        A folder with one safetensors file for each frame; its name is that of the chain.
    about : str
        What it is.
    made : bool
        Whether it was made here; what is slow and known to be behind is not measured on it.
    """

    folder: Path
    about: str
    made: bool = True


@dataclass(frozen=True)
class Sizes:
    """How much is made.

    Attributes
    ----------
    side : int
        Rows and columns of each of five matrices of BF16 weights.
    splats, frames : int
        Splats of a frame, and frames of every other chain.
    """

    side: int = 1024
    splats: int = 20_000
    frames: int = 4


SMALL = Sizes(side=96, splats=400, frames=3)
"""Enough to see that every row runs."""


def shared(part: str) -> Path:
    """Return a folder or file of the data of others; it need not be there."""
    data = os.environ.get("NMC_SHARED_DATA") or Path(__file__).parents[3].parent / "shared" / "data"
    return Path(data) / part


def load(folder: Path) -> Chain:
    """Read a chain of checkpoints, in natural order."""
    from nmc_tools import checkpoints

    paths = checkpoints.expand([folder])
    states = tuple(checkpoints.read(path).state for path in paths)
    return Chain(folder.name, states)  # type: ignore[arg-type]


def sources(folder: Path, sizes: Sizes, ply: Path | None, checkpoint: Path | None) -> list[Source]:
    """Return all chains of the benchmark; those that are made are put into a folder.

    Parameters
    ----------
    folder : Path
        Where made chains are put.
    sizes : Sizes
        How much is made.
    ply : Path or None
        A file of splats that those of the benchmark are like; None: drawn ones.
    checkpoint : Path or None
        A checkpoint that is trained on from; None: a drawn one.
    """
    trained = [] if sizes == SMALL else sorted(shared("chains").glob("*/"))
    found = [Source(path, "trained", made=False) for path in trained]
    if trained:
        states = list(rounded(load(trained[-1])))
        name = f"{trained[-1].name}_bf16"
        found.append(_stored(folder / name, states, f"`{trained[-1].name}`, rounded to BF16"))
    for percent, step in SPARSE_STEPS.items():
        name = f"sparse_bf16_{percent}"
        states = list(sparse_weights(sizes, step))
        changed = _share_changed(states)
        about = f"BF16 weights of which {changed:.2f} % change in a frame, drawn"
        found.append(_stored(folder / name, states, about))
    first, origin = _splats(sizes.splats, ply)
    for name, frame_after, what in (
        ("splats_in_place", _moved, "in place"),
        ("splats_pruned", _pruned, "1 % pruned and as many added in each frame"),
        ("splats_shuffled", _shuffled, "1 % pruned and as many added, all in another order"),
    ):
        states = list(_walk(first, frame_after, sizes.frames))
        found.append(_stored(folder / name, states, f"{sizes.splats:,} splats {origin}, {what}"))
    states, origin = _trained_on(checkpoint, sizes.frames)
    found.append(_stored(folder / "checkpoint", states, f"weights and moments of Adam, {origin}"))
    return found


def _stored(folder: Path, states: list[State], about: str) -> Source:
    from nmc_tools import checkpoints

    folder.mkdir()
    for t, state in enumerate(states):
        checkpoints.write(folder / f"frame_{t}.safetensors", state, to="safetensors")
    return Source(folder, about)


SPARSE_STEPS = {1: 2.4e-7, 3: 8.8e-7, 8: 3e-6}
"""By per cent of the words that change, the mean length of a step of the weights."""


def sparse_weights(sizes: Sizes, step: float) -> Iterator[State]:
    """Yield BF16 weights whose FP32 master copy moves by steps of one length, as Adam's do."""
    import ml_dtypes

    rng = np.random.default_rng(1)
    shape = (sizes.side, sizes.side)
    masters = [np.float32(0.02) * rng.standard_normal(shape, dtype="f4") for _ in range(5)]
    for _ in range(3):
        yield {f"layer.{i}": master.astype(ml_dtypes.bfloat16) for i, master in enumerate(masters)}
        masters = [m + np.float32(step) * rng.standard_normal(shape, dtype="f4") for m in masters]


def rounded(chain: Chain) -> Iterator[State]:
    """Yield the states of a chain in BF16."""
    import ml_dtypes

    for state in chain.frames:
        yield {name: array.astype(ml_dtypes.bfloat16) for name, array in state.items()}


def _share_changed(states: list[State]) -> float:
    chain = Chain("", tuple(states))
    pairs = ((chain.flat(t - 1), chain.flat(t)) for t in range(1, len(states)))
    return 100 * float(np.mean([np.mean(before != now) for before, now in pairs]))


def _splats(count: int, ply: Path | None) -> tuple[State, str]:
    """Return splats like those of a file: drawn from them, each a little apart from its like."""
    from nmc_tools import checkpoints

    rng = np.random.default_rng(2)
    if ply is None:
        widths = {"xyz": 3, "f_dc": 3, "f_rest": 45, "opacity": 1, "scale": 3, "rotation": 4}
        return {n: rng.standard_normal((count, w), dtype="f4") for n, w in widths.items()}, "drawn"
    state = {n: np.asarray(v).astype("f4") for n, v in checkpoints.read(ply).state.items()}
    chosen = rng.integers(0, len(state["xyz"]), count)
    made = {}
    for name, values in state.items():
        apart = 0.1 * values.std(0) * rng.standard_normal((count, *values.shape[1:]))
        made[name] = (values[chosen] + apart).astype("f4")
    return made, "like those of a real file"


Step: TypeAlias = "Callable[[State, np.random.Generator], State]"


def _walk(state: State, frame_after: Step, frames: int) -> Iterator[State]:
    rng = np.random.default_rng(3)
    for t in range(frames):
        state = frame_after(state, rng) if t else state
        yield state


def _moved(state: State, rng: np.random.Generator) -> State:
    """Return every number a little larger or smaller."""
    return {
        name: (values * (1 + _DRIFT * rng.standard_normal(values.shape))).astype("f4")
        for name, values in state.items()
    }


def _pruned(state: State, rng: np.random.Generator) -> State:
    """Return splats of which some were left out, and as many were cloned far from their parents."""
    count = len(next(iter(state.values())))
    churn = max(1, round(CHURN * count))
    keep = np.sort(rng.permutation(count)[churn // 2 :])  # more are added than pruned
    parents = rng.integers(0, count, churn)
    made = {}
    for name, values in _moved(state, rng).items():
        apart = 0.1 * values.std(0) * rng.standard_normal((churn, *values.shape[1:]))
        made[name] = np.concatenate([values[keep], values[parents] + apart]).astype("f4")
    return made


def _shuffled(state: State, rng: np.random.Generator) -> State:
    made = _pruned(state, rng)
    order = rng.permutation(len(next(iter(made.values()))))
    return {name: values[order] for name, values in made.items()}


def _trained_on(checkpoint: Path | None, frames: int) -> tuple[list[State], str]:
    """Return states of a training that goes on: gradients have the moments of the checkpoint's."""
    weights, means, squares = _drawn_optimizer() if checkpoint is None else _optimizer(checkpoint)
    rng = np.random.default_rng(4)
    noise = {k: np.sqrt(np.maximum(squares[k] - means[k] ** 2, 0)) for k in weights}
    drift = {k: mean.copy() for k, mean in means.items()}
    states = []
    for _ in range(frames):
        states.append(
            weights
            | {f"{k}.exp_avg": v for k, v in means.items()}
            | {f"{k}.exp_avg_sq": v for k, v in squares.items()}
        )
        for _ in range(_STEPS_A_FRAME):
            slopes = {
                k: drift[k] + noise[k] * rng.standard_normal(w.shape, dtype="f4")
                for k, w in weights.items()
            }
            means = {k: _mixed(means[k], g, _BETAS[0]) for k, g in slopes.items()}
            squares = {k: _mixed(squares[k], g * g, _BETAS[1]) for k, g in slopes.items()}
            weights = {
                k: w - np.float32(_FINE_TUNING_RATE) * means[k] / (np.sqrt(squares[k]) + 1e-8)
                for k, w in weights.items()
            }
            weights = {k: w.astype("f4") for k, w in weights.items()}
    origin = "drawn" if checkpoint is None else "of a real checkpoint"
    return states, f"{origin}, {_STEPS_A_FRAME} steps a frame"


def _mixed(old: Array, new: Array, beta: float) -> Array:
    return (beta * old + (1 - beta) * new).astype("f4")


def _optimizer(checkpoint: Path) -> tuple[State, State, State]:
    """Return the weights of a checkpoint, and the first and second moments of its Adam."""
    from nmc_tools import checkpoints

    whole = {n: np.asarray(v) for n, v in checkpoints.read(checkpoint, keep="all").state.items()}
    floats = {n: v.astype("f4") for n, v in whole.items() if v.dtype.kind == "f" and v.ndim}
    first = [v for n, v in floats.items() if n.endswith(".exp_avg")]
    second = [v for n, v in floats.items() if n.endswith(".exp_avg_sq")]
    weights = {n: v for n, v in floats.items() if ".exp_avg" not in n}
    shapes = [[v.shape for v in part] for part in (weights.values(), first, second)]
    if not first or not shapes[0] == shapes[1] == shapes[2]:
        raise SystemExit(f"{checkpoint} has no moments of Adam for each of its weights")
    means = dict(zip(weights, first, strict=True))
    return weights, means, dict(zip(weights, second, strict=True))


def _drawn_optimizer() -> tuple[State, State, State]:
    rng = np.random.default_rng(5)
    shape = (128, 128)
    names = [f"layers.{i}.weight" for i in range(8)]
    weights = {n: np.float32(0.1) * rng.standard_normal(shape, dtype="f4") for n in names}
    means = {n: np.float32(1e-6) * rng.standard_normal(shape, dtype="f4") for n in names}
    sizes = {n: np.exp(rng.normal(-11, 1, shape)).astype("f4") for n in names}
    return weights, means, {n: size * size for n, size in sizes.items()}
