"""The record of table 5-1 (chapter 9): which parameters were trained, which layers were frozen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nmc_format.issues import Finding, FormatError, finding, refuse
from nmc_format.manifest.columns import REQUIRES_GRAD, frame_pointer
from nmc_format.manifest.tensor_table import BUFFER, PARAMETER, layers_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nmc.coding.cursor import Cursor
    from nmc.coding.state import State
    from nmc_format.manifest.record import Manifest
    from nmc_format.manifest.tensor_table import TensorRow


@dataclass(frozen=True)
class Freezing:
    """What is recorded of one frame.

    Attributes
    ----------
    requires_grad : tuple of bool
        One for each row of the tensor table so far; False for buffers and absent tensors.
    exclude_layers : tuple of int
        Frozen layers, ascending: those of whose parameters none requires a gradient.
    """

    requires_grad: tuple[bool, ...]
    exclude_layers: tuple[int, ...]


def _record(rows: Sequence[TensorRow], trained: set[int]) -> Freezing:
    layers = layers_of(rows)
    return Freezing(
        tuple(i in trained for i in range(len(rows))),
        tuple(sorted(n for n, members in layers.items() if not trained & set(members))),
    )


def detected(state: State, before: State, rows: Sequence[TensorRow]) -> Freezing:
    """Return the record of a frame by comparison: what equals the frame before was frozen.

    For a first frame (``before`` is empty) everything was trained.
    """
    trained = {
        row
        for row, tensor in state.items()
        if rows[row].role == PARAMETER and before.get(row) is not tensor
    }
    return _record(rows, trained)


def declared(
    state: State,
    rows: Sequence[TensorRow],
    requires_grad: Mapping[str, bool] | None,
    exclude_layers: Sequence[int] | None,
    place: str,
) -> Freezing | None:
    """Return the record of a frame as its trainer declares it.

    Parameters
    ----------
    requires_grad : mapping of str to bool or None
        By parameter name. Where it is None, the layers decide.
    exclude_layers : sequence of int or None
        The frozen layers. Where it is None, the flags decide.
    place : str
        Pointer to the frame, for messages.

    Returns
    -------
    Freezing or None
        None where neither is declared.

    Raises
    ------
    FormatError
        If a layer is unknown, a name is not a parameter, or the two disagree.
    """
    if requires_grad is None and exclude_layers is None:
        return None
    layers = layers_of(rows)
    frozen = list(exclude_layers or ())
    for layer in frozen:
        if isinstance(layer, bool) or layer not in layers:
            raise refuse(
                "freezing/exclude-layers-range", pointer=f"{place}/exclude_layers", layer=layer
            )
    if len(set(frozen)) != len(frozen):
        raise refuse("freezing/exclude-layers-order", pointer=f"{place}/exclude_layers")
    parameters = {rows[row].name: row for row in state if rows[row].role != BUFFER}
    if requires_grad is None:
        excluded = {row for layer in frozen for row in layers[layer]}
        return _record(rows, set(parameters.values()) - excluded)
    for name in sorted(requires_grad.keys() ^ parameters.keys()):
        raise refuse(
            "manifest/value",
            pointer=f"{place}/requires_grad",
            reason=f"{name!r} is not flagged, or no parameter: every parameter needs one flag",
        )
    for name, flag in requires_grad.items():
        if not isinstance(flag, bool | np.bool_):
            raise refuse(
                "manifest/value",
                pointer=f"{place}/requires_grad",
                reason=f"the flag of {name!r} is {flag!r}; it shall be a boolean",
            )
    record = _record(rows, {parameters[n] for n, flag in requires_grad.items() if flag})
    if exclude_layers is not None and set(frozen) != set(record.exclude_layers):
        layer = min(set(frozen) ^ set(record.exclude_layers))
        raise refuse(
            "freezing/exclude-layers-disagree", pointer=f"{place}/exclude_layers", layer=layer
        )
    return record


def recorded(
    state: State,
    before: Cursor,
    rows: Sequence[TensorRow],
    declaration: tuple[Mapping[str, bool] | None, Sequence[int] | None],
    t: int,
    *,
    lineage: int | None,
    detect: bool,
) -> Freezing | None:
    """Return the record of frame t: as declared, or where nobody declares it, by comparison.

    Parameters
    ----------
    state : mapping of int to Tensor
        Its state.
    before : Cursor
        The frame before.
    declaration : (requires_grad, exclude_layers)
        As in :func:`declared`.
    t : int
        The frame.
    lineage : int or None
        The frame that it was trained from; what was frozen equals that one.
    detect : bool
        Whether to compare where nothing is declared.

    Raises
    ------
    FormatError
        If the declaration is wrong, or a frozen parameter changed.
    """
    record = declared(state, rows, *declaration, frame_pointer(t))
    if record is None:
        return detected(state, before.state, rows) if detect and before.known else None
    if lineage is not None and before.known:
        check_frozen(record, state, before.state, rows, t)
    return record


def check_frozen(
    record: Freezing, state: State, before: State, rows: Sequence[TensorRow], index: int
) -> None:
    """Check that what was frozen did not change (clause 9.2.2).

    Raises
    ------
    FormatError
        If a parameter with ``requires_grad`` false differs from the frame before.
    """
    for found in _changed(record.requires_grad, state, before, rows, index):
        raise FormatError(found)


def freezing_findings(
    manifest: Manifest, t: int, before: State | None, state: State
) -> Iterator[Finding]:
    """Compare the record of a frame with its state, and what was frozen with frame t-1 (9.2).

    Parameters
    ----------
    manifest : Manifest
        The manifest.
    t : int
        The frame.
    before : State or None
        The state of the frame before, where it is known.
    state : State
        Its state.
    """
    frame = manifest.frame(t)
    flags = frame.requires_grad
    if flags is None:
        return
    if any(flag and row not in state for row, flag in enumerate(flags)):
        yield finding("freezing/requires-grad-bits", pointer=frame_pointer(t, REQUIRES_GRAD))
    if frame.trained_from is not None and before is not None:
        yield from _changed(flags, state, before, manifest.tensors, t)


def _changed(
    flags: Sequence[bool], state: State, before: State, rows: Sequence[TensorRow], t: int
) -> Iterator[Finding]:
    """Yield the parameters without gradient that differ from the frame before (clause 9.2.2)."""
    for row, tensor in state.items():
        if rows[row].role != PARAMETER or flags[row]:
            continue
        reference = before.get(row)
        if reference is tensor or (reference is not None and reference.digest == tensor.digest):
            continue
        yield finding(
            "freezing/frozen-changed",
            pointer=frame_pointer(t, REQUIRES_GRAD),
            name=rows[row].name,
            parent=t - 1,
        )
