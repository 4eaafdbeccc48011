"""Checks of the training record of a manifest (clauses 5.5 and 9.1 to 9.3)."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from nmc_format.issues import Finding, finding
from nmc_format.manifest import columns
from nmc_format.manifest.columns import frame_pointer
from nmc_format.manifest.tensor_table import BUFFER, layers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from nmc_format.manifest.frame_table import Training
    from nmc_format.manifest.record import Manifest

_REMEMBERED = 10_000
"""Different records that are remembered at a time; a chain has a few."""


def training_findings(manifest: Manifest) -> Iterator[Finding]:
    """Yield what is wrong with the training record of a manifest (clauses 5.5 and 9.1 to 9.3)."""
    training = manifest.training
    yield from _range_findings(training)
    yield from _colour_findings(training)
    yield from _lineage_findings(training)
    flags, known = training.requires_grad, training.requires_grad_known
    if flags is not None and known is not None:
        width = (len(manifest.table) + 7) // 8
        if flags.shape[1] != width:
            yield finding(
                "manifest/object-shape",
                pointer=columns.REQUIRES_GRAD,
                actual=list(flags.shape),
                expected=f"N x {width}",
            )
            return
        yield from _bitmap_findings(manifest, flags, known)
    counts, listed = training.exclude_layers_count, training.exclude_layers
    if counts is not None and listed is not None:
        yield from _layer_findings(manifest, counts, listed)


def _lineage_findings(training: Training) -> Iterator[Finding]:
    if training.trained_from is None:
        return
    actual = training.trained_from
    previous = np.arange(-1, len(actual) - 1)
    other = (actual != -1) & (actual != previous)
    if other.any():
        t = int(other.argmax())
        place = frame_pointer(t, columns.TRAINED_FROM)
        yield finding("freezing/trained-from", pointer=place, actual=int(actual[t]), expected=t - 1)


def _colour_findings(training: Training) -> Iterator[Finding]:
    first: dict[str, int] = {}
    for k, view in enumerate(training.colour.views if training.colour else ()):
        if first.setdefault(view, k) != k:
            reason = f"views {first[view]} and {k} have the same name"
            yield finding("manifest/value", pointer=f"{columns.COLOUR_VIEW}/{k}", reason=reason)
            return


def _bitmap_findings(
    manifest: Manifest, flags: NDArray[np.uint8], known: NDArray[np.uint8]
) -> Iterator[Finding]:
    parameters = np.array([row.role != BUFFER for row in manifest.tensors], bool)
    allowed = np.packbits(parameters, bitorder="little")
    unknown = known == 0
    wrong = (flags & ~allowed).any(axis=1) | (flags.any(axis=1) & unknown) | _early(manifest, flags)
    if wrong.any():
        place = frame_pointer(int(wrong.argmax()), columns.REQUIRES_GRAD)
        yield finding("freezing/requires-grad-bits", pointer=place)


def _early(manifest: Manifest, flags: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return for each frame whether a bit is set for a row that is not there yet (9.2.1)."""
    early = np.zeros(len(flags), bool)
    for i, row in enumerate(manifest.tensors):
        if row.first_frame:
            early[: row.first_frame] |= (flags[: row.first_frame, i // 8] >> (i % 8) & 1) != 0
    return early


def _layer_findings(
    manifest: Manifest, recorded: NDArray[np.int32], listed: NDArray[np.int32]
) -> Iterator[Finding]:
    counts = np.maximum(recorded.astype(np.int64), 0)
    if counts.sum() != len(listed):
        yield finding(
            "freezing/exclude-layers-count",
            pointer=columns.EXCLUDE_LAYERS_COUNT,
            actual=int(counts.sum()),
            expected=len(listed),
        )
        return
    comparison = _LayerComparison(manifest)
    ends = np.cumsum(counts)
    starts = (ends - counts).tolist()
    ends = ends.tolist()
    for t in np.flatnonzero(recorded >= 0).tolist():
        for code, layer in comparison.faults(t, listed[starts[t] : ends[t]]):
            yield finding(code, pointer=frame_pointer(t, columns.EXCLUDE_LAYERS), layer=layer)


_Faults: TypeAlias = "tuple[tuple[str, int], ...]"


class _LayerComparison:
    """Compares the two records of table 5-1, whole frames at a time (clause 9.3).

    Most frames have the record of another one: what was found of it is remembered.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._flags = manifest.training.requires_grad
        known = manifest.training.requires_grad_known
        self._known = None if known is None else known.tolist()
        layers = layers_of(manifest.tensors)
        self._layers = list(layers)
        self._index = {layer: i for i, layer in enumerate(self._layers)}
        members = [(row, self._index[layer]) for layer, rows in layers.items() for row in rows]
        members.sort()
        self._rows = np.array([row for row, _ in members], np.int64)
        self._layer_of = np.array([layer for _, layer in members], np.int64)
        # rows are in the order of their first frames (clause 5.4.3)
        self._first = [manifest.tensors[row].first_frame for row, _ in members]
        self._remembered: dict[tuple[bytes, bytes | None, int], _Faults] = {}

    def faults(self, t: int, listed: np.ndarray[Any, Any]) -> _Faults:
        """Return code and layer of what is wrong with the list of one frame."""
        known = self._flags is not None and self._known is not None and self._known[t]
        flags = self._flags[t] if known and self._flags is not None else None
        there = bisect_right(self._first, t)
        key = (listed.tobytes(), None if flags is None else flags.tobytes(), there)
        if key not in self._remembered:
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = tuple(self._find(listed.tolist(), flags, there))
        return self._remembered[key]

    def _find(
        self, excluded: list[int], flags: np.ndarray[Any, Any] | None, there: int
    ) -> Iterator[tuple[str, int]]:
        fall = next((b for a, b in pairwise(excluded) if a >= b), None)
        if fall is not None:
            yield "freezing/exclude-layers-order", fall
        present = np.zeros(len(self._layers), bool)
        present[self._layer_of[:there]] = True
        for layer in excluded:
            index = self._index.get(layer)
            if index is None or not present[index]:
                yield "freezing/exclude-layers-range", layer
                return
        if flags is None:
            return
        bits = np.unpackbits(flags, bitorder="little")
        trained = np.zeros(len(self._layers), bool)
        trained[self._layer_of[bits[self._rows] != 0]] = True
        frozen = np.zeros(len(self._layers), bool)
        frozen[[self._index[layer] for layer in excluded]] = True
        wrong = present & (trained == frozen)
        if wrong.any():
            yield "freezing/exclude-layers-disagree", self._layers[wrong.argmax()]


def _range_findings(training: Training) -> Iterator[Finding]:
    """Yield values that a column does not have: -1 says that nothing was recorded (clause 5.5)."""
    rules: tuple[tuple[str, NDArray[Any] | None, Callable[[NDArray[Any]], NDArray[Any]]], ...] = (
        (columns.ITERATIONS, training.iterations, lambda v: v < -1),
        (columns.EXCLUDE_LAYERS_COUNT, training.exclude_layers_count, lambda v: v < -1),
        (columns.SECONDS, training.seconds, lambda v: (v < 0) & (v != -1)),
        (columns.REQUIRES_GRAD_KNOWN, training.requires_grad_known, lambda v: v > 1),
    )
    for path, values, out_of_range in rules:
        if values is None or not (wrong := out_of_range(values)).any():
            continue
        t = int(wrong.argmax())
        reason = f"{values[t].item()} is out of range"
        yield finding("manifest/value", pointer=f"{path}/{t}", reason=reason)
