"""Quantised tensors of one frame: from the stream to tensors (clauses 7.2.2 and 12.3)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from nmc.coding.arithmetic.tensors import CoderError
from nmc.coding.quantised.grid import GridError, Quantised, matrix_shape, words_of
from nmc.coding.quantised.payload import Target
from nmc.coding.state import Tensor
from nmc_format.issues import refuse
from nmc_format.segment import UPDATE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np

    from nmc.coding.arithmetic import History
    from nmc.coding.quantised.grid import Grid, Integers
    from nmc.coding.state import State
    from nmc_format.manifest.tensor_table import TensorRow
    from nmc_format.plan import PlannedTensor
    from nmc_format.segment import Segment, Stream


def decode_quantised(
    tensors: Sequence[PlannedTensor],
    table: Sequence[TensorRow],
    segment: Segment,
    before: State,
    history: History,
    threads: int = 1,
) -> dict[int, Tensor]:
    """Decode the tensors of the modes `quantised` and `update`; history moves on.

    Parts of them are decoded by so many threads; the tensors are the same.

    Raises
    ------
    FormatError
        If the stream is malformed.
    """
    stream = segment.bins
    if stream is None:
        return {}
    from nmc.coding.quantised import coder

    bases = {t.row: _quantised(before[t.row]) for t in tensors if t.mode == UPDATE}
    targets = [
        Target(t.row, matrix_shape(t.shape), bases[t.row].grid if t.row in bases else None)
        for t in tensors
    ]
    shapes = {t.row: t.shape for t in tensors}
    return tensors_of(
        lambda: coder.decode(stream.data, targets, bases, history.quantised, threads),
        shapes,
        table,
        stream,
        segment.file,
    )


def tensors_of(
    decode: Callable[[], Sequence[tuple[Grid, Integers]]],
    shapes: Mapping[int, tuple[int, ...]],
    table: Sequence[TensorRow],
    stream: Stream,
    file: str,
) -> dict[int, Tensor]:
    """Return the tensors of a stream of bins, by row.

    Parameters
    ----------
    decode : callable
        Decodes the stream: the grid and the bins of each tensor.
    shapes : mapping of int to tuple of int
        Shapes of the tensors, by row.
    table : sequence of TensorRow
        The tensor table.
    stream : Stream
        Where they are, for messages.
    file : str
        Name for messages.

    Raises
    ------
    FormatError
        If the stream is malformed.
    """
    try:
        return {
            row: Tensor(
                table[row].dtype,
                shape,
                words_of(bins, grid, table[row].dtype),
                None,
                Quantised(grid, bins, 0.0),
            )
            for (row, shape), (grid, bins) in zip(shapes.items(), decode(), strict=True)
        }
    except (CoderError, GridError) as error:
        raise refuse(
            "segment/bins",
            file=file,
            offset=stream.offset,
            stream=stream.name,
            reason=str(error),
        ) from None


def _quantised(tensor: Tensor) -> Quantised:
    assert tensor.quantised is not None
    return tensor.quantised


def with_bounds(
    state: dict[int, Tensor],
    rows: Sequence[int],
    bounds: np.ndarray[tuple[int], np.dtype[np.float32]] | None,
) -> dict[int, Tensor]:
    """Return a state whose quantised tensors have their declared errors (clause 12.6.1)."""
    if bounds is None:
        return state
    return state | {
        row: with_bound(state[row], float(bound))
        for row, bound in zip(rows, bounds.tolist(), strict=True)
    }


def with_bound(tensor: Tensor, bound: float) -> Tensor:
    """Return a quantised tensor with a declared error; the very object if it has that one."""
    quantised = _quantised(tensor)
    if quantised.bound == bound:
        return tensor
    changed = replace(quantised, bound=bound, coded=None)
    return replace(tensor, known_digest=tensor.digest_so_far, quantised=changed)
