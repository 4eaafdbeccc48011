"""From tensors to quantised tensors: what an encoder does before it codes (chapter 12).

Nothing here binds a decoder. Numbers are binary64, and every result is what a decoder will make.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nmc.coding.quantised.basis import Bases, has_basis
from nmc.coding.quantised.choose import Choice, chosen
from nmc.coding.quantised.curvature import Feedback, TensorCurvature, importance
from nmc.coding.quantised.grid import (
    BIN_LIMIT,
    MANTISSA_LIMIT,
    Grid,
    GridError,
    Integers,
    Part,
    Quantised,
    matrix_shape,
    slices_of,
    words_of,
)
from nmc.coding.quantised.produce import substreams_of
from nmc.coding.quantised.symbols import (
    COEFFICIENT_LIMIT,
    SHIFT_LIMIT,
    TRANSFORM_SHIFT_LIMIT,
    CodedSymbols,
    SymbolError,
    added,
    changes_of,
)
from nmc.coding.state import Tensor
from nmc_format.plan import QUANTISABLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nmc.coding.cursor import Cursor
    from nmc.coding.state import State

    Steps = Sequence[tuple[int, float]]
    """Rows and step of each part of a tensor, in order."""

Reals = NDArray[np.float64]

FINER = 3
"""A grid is this many powers of two finer than its step where a transform has to round into it."""

DEPENDENT_UNIT = 1 / 2
"""Unit of dependent quantisation, in steps: its error is a little below that of such a step."""

RATE = 0.05
"""Weight of a bit, in squared steps, where it is known which elements matter.

An octave of the step is a bit, so that a bit is worth 2 ln 2 / 12 squared steps of what is seen at
random. Half of that is what a chain took best: what is put off has a direction (decision 0055).
"""

_SMALLEST_BASIS = 16
_LARGEST_BOUND = float(np.finfo(np.float32).max)
_ASTRAY = 8.0
"""An error of so many steps is none of rounding: the bases do not give back what they took."""
_FEW = 64
"""Elements below which quantising saves nothing."""


@dataclass(frozen=True)
class Tools:
    """What the encoder may use.

    Attributes
    ----------
    dependent : bool
        Dependent quantisation (clause 12.4.5), where bins begin at zero. For updates, which are
        mostly small, it gains nothing.
    transform : bool
        Learnt bases (clause 12.5).
    rate : float
        Weight of the bits in the choice of symbols, in squared steps a bit; 0 rounds to the
        nearest.
    curvatures : mapping of int to TensorCurvature
        By row, how much is seen of errors.
    """

    dependent: bool = True
    transform: bool = True
    rate: float = 0.0
    curvatures: Mapping[int, TensorCurvature] = field(default_factory=dict)


def quantised_state(
    tensors: State,
    before: Cursor,
    steps: Mapping[int, Steps],
    tools: Tools,
    *,
    key: bool,
) -> dict[int, Tensor]:
    """Quantise a state.

    Parameters
    ----------
    tensors : mapping of int to Tensor
        The original state, by row. A tensor that has bins already keeps them.
    before : Cursor
        The frame before, as it is decoded.
    steps : mapping of int to sequence of (int, float)
        By row, rows and step of each part. A row without steps, or one that cannot be quantised,
        stays as it is.
    tools : Tools
    key : bool
        Whether this is to be a key frame.

    Returns
    -------
    mapping of int to Tensor
        What a decoder will have, with the declared errors.
    """
    earlier: State = {} if key or not before.known else before.state
    grids = {
        row: tensor.quantised.grid
        if tensor.quantised is not None
        else _grid(tensor, earlier.get(row), steps[row], tools)
        for row, tensor in tensors.items()
        if tensor.quantised is not None or (row in steps and can_be_quantised(tensor))
    }
    shapes = {row: matrix_shape(tensors[row].shape) for row in grids}
    substreams = substreams_of({row: (grid, shapes[row][1]) for row, grid in grids.items()})
    made = dict(tensors)
    for row, grid in grids.items():
        if tensors[row].quantised is not None:
            continue
        curvature = tools.curvatures.get(row, TensorCurvature())
        each = tuple(s for _, s in steps[row])
        task = _Task(tensors[row], grid, each, substreams[row], tools, curvature)
        made[row] = _quantised(task, row, earlier.get(row), before)
    return made


def can_be_quantised(tensor: Tensor) -> bool:
    """Whether a tensor has a grid at all: finite numbers."""
    if tensor.dtype.name not in QUANTISABLE or not tensor.words.size:
        return False
    return bool(np.isfinite(real(tensor)).all())


def pays(tensor: Tensor) -> bool:
    """Whether quantising a tensor can save anything: it is not small, nor one value throughout."""
    if tensor.words.size < _FEW:
        return False
    return bool((tensor.words != tensor.words[0]).any())


def real(tensor: Tensor) -> Reals:
    """Return the elements of a tensor as float64[R, C]; exact."""
    array = tensor.array()
    values: Reals = np.asarray(array, np.float64).reshape(matrix_shape(tensor.shape))
    return values


def scale_of(step: float) -> tuple[int, int]:
    """Return mantissa and exponent of a step, rounded to 24 bits."""
    fraction, exponent = np.frexp(step)
    mantissa = min(round(float(fraction) * MANTISSA_LIMIT), MANTISSA_LIMIT - 1)
    shift = (mantissa & -mantissa).bit_length() - 1
    return mantissa >> shift, int(exponent) - 24 + shift


@dataclass(frozen=True, eq=False)
class _Task:
    original: Tensor
    grid: Grid
    steps: tuple[float, ...]
    substreams: tuple[int, ...]
    tools: Tools
    curvature: TensorCurvature


def _grid(tensor: Tensor, earlier: Tensor | None, steps: Steps, tools: Tools) -> Grid:
    """Return the grid that is there already if its parts are those of the steps; else a new one."""
    if earlier is not None and earlier.quantised is not None and earlier.shape == tensor.shape:
        known = earlier.quantised.grid
        finest = all(
            s * DEPENDENT_UNIT >= p.scale * 0.75 for p, (_, s) in zip(known, steps, strict=False)
        )
        if [p.rows for p in known] == [n for n, _ in steps] and finest:
            return known
    finer = FINER if len(steps) == 1 and _has_transform(tensor, tools) else 0
    unit = DEPENDENT_UNIT if tools.dependent else 1.0
    return tuple(Part(n, m, e - finer) for n, s in steps for m, e in [scale_of(s * unit)])


def _has_transform(tensor: Tensor, tools: Tools) -> bool:
    rows, columns = matrix_shape(tensor.shape)
    return (
        tools.transform
        and min(rows, columns) >= _SMALLEST_BASIS
        and (has_basis(rows, columns) or has_basis(columns, rows))
    )


def _quantised(task: _Task, row: int, earlier: Tensor | None, before: Cursor) -> Tensor:
    base = None
    if earlier is not None and earlier.shape == task.original.shape and earlier.quantised:
        base = earlier.quantised if earlier.quantised.grid == task.grid else None
    values = real(task.original)
    try:
        exact = _on_grid(values, task)
        if exact is not None:
            return _tensor(task, exact, values, None)
        return _coded(task, row, values, base, before)
    except (SymbolError, GridError):
        return task.original  # out of the range of bins: it stays lossless


def _on_grid(values: Reals, task: _Task) -> Integers | None:
    """Return the bins of elements that lie on the grid as they are, or None."""
    bins = np.empty(values.shape, np.int64)
    for part, rows in slices_of(task.grid):
        found = np.rint(values[rows] / part.scale)
        with np.errstate(over="ignore"):  # a bin beyond the numbers is not the element's own
            same = (found * part.scale == values[rows]).all()
        if not same or np.abs(found).max() >= BIN_LIMIT:
            return None
        bins[rows] = found
    if np.signbit(values[bins == 0]).any():
        return None
    return bins.astype(np.int32)


def _coded(task: _Task, row: int, values: Reals, base: Quantised | None, before: Cursor) -> Tensor:
    single = len(task.grid) == 1
    learning = base is not None and single and _has_transform(task.original, task.tools)
    bases = before.history.quantised.bases.get(row) if learning else None
    if bases is not None:
        # Bases that were learnt from changes of few directions may be far from orthonormal.
        try:
            made = _coded_with(task, row, values, base, before, learning, bases)
        except (SymbolError, GridError):
            made = None
        if made is not None and np.abs(real(made) - values).max() < _ASTRAY * task.steps[0]:
            return made
    return _coded_with(task, row, values, base, before, learning, None)


def _coded_with(
    task: _Task,
    row: int,
    values: Reals,
    base: Quantised | None,
    before: Cursor,
    learning: bool,
    bases: Bases | None,
) -> Tensor:
    columns, elements = task.curvature.columns, task.curvature.elements
    feedback = Feedback.of(columns, bases) if columns is not None else None
    dependent = task.tools.dependent and base is None and feedback is None
    memory = before.history.quantised
    symbols: Integers = np.zeros(values.shape, np.int32)
    nothing: Integers = np.zeros(values.shape, np.int32)
    past = memory.symbols.get(row, nothing) if base is not None else nothing
    shifts: list[int] = []
    limit = TRANSFORM_SHIFT_LIMIT if bases is not None else SHIFT_LIMIT
    for (part, rows), step in zip(slices_of(task.grid), task.steps, strict=True):
        unit = step * (DEPENDENT_UNIT if dependent else 1.0)
        shift = min(max(round(float(np.log2(unit / part.scale))), 0), limit)
        wanted = values[rows] / part.scale
        if base is not None:
            wanted = wanted - base.bins[rows]
        if bases is not None:
            wanted = bases.forward(wanted)
        wanted *= 2.0**-shift
        if feedback is not None:
            symbols[rows] = feedback.chosen(wanted, seen_only=base is not None)
        else:
            known = elements[rows] if elements is not None and bases is None else None
            rate = max(task.tools.rate, 0.0 if known is None else RATE) * (step / unit) ** 2
            weights = None if known is None else importance(known)
            symbols[rows] = chosen(Choice(wanted, past[rows], dependent, rate, weights))
        shifts.append(shift)
    coded = CodedSymbols(
        symbols,
        tuple(shifts),
        task.substreams,
        dependent=dependent,
        transformed=bases is not None,
        learning=learning,
        base=base,
    )
    if bases is not None and int(np.abs(symbols).max()) >= COEFFICIENT_LIMIT // 2:
        raise SymbolError("a coefficient out of range")
    after = added(base.bins if base else None, changes_of(coded, task.grid, bases))
    return _tensor(task, after, values, coded)


def _tensor(task: _Task, bins: Integers, values: Reals, coded: CodedSymbols | None) -> Tensor:
    return tensor_of(task.original, task.grid, bins, values, coded)


def tensor_of(
    original: Tensor,
    grid: Grid,
    bins: Integers,
    values: Reals,
    coded: CodedSymbols | None = None,
) -> Tensor:
    """Return a tensor of some bins, with its declared error.

    Raises
    ------
    GridError
        If an element or the error is beyond the finite numbers.
    """
    words = words_of(bins, grid, original.dtype)
    made = Tensor(original.dtype, original.shape, words)
    error = float(np.abs(real(made) - values).max())
    if error > _LARGEST_BOUND:
        raise GridError("an error that no declared error can say (clause 12.6.1)")
    bound = np.float32(error)
    if float(bound) < error:
        bound = np.nextafter(bound, np.float32(np.inf))
    return replace(made, quantised=Quantised(grid, bins, float(bound), coded))
