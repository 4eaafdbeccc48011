"""Checks of the training record of a manifest (clauses 5.5 and 9.1 to 9.3)."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from nmc_format.issues import Finding, finding
from nmc_format.manifest import BUFFER, Manifest, first_index, layers_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOWEST = {
    "/training/iterations": -1,
    "/training/exclude_layers_count": -1,
}
"""The least value of a column that says -1 where nothing was recorded (clause 5.5)."""


_REMEMBERED = 10_000
"""Different records that are remembered at a time; a chain has a few."""


def training_findings(manifest: Manifest) -> Iterator[Finding]:
    """Yield what is wrong with the training record of a manifest (clauses 5.5 and 9.1 to 9.3)."""
    columns = manifest.columns
    yield from _range_findings(columns)
    yield from _colour_findings(columns)
    trained_from = columns.get("/training/trained_from")
    if trained_from is not None:
        previous = np.arange(-1, len(trained_from) - 1)
        t = first_index((trained_from != -1) & (trained_from != previous))
        if t is not None:
            yield finding(
                "freezing/trained-from",
                pointer=f"/frames/{t}/trained_from",
                actual=int(trained_from[t]),
                expected=t - 1,
            )
    flags = columns.get("/training/requires_grad")
    rows = len(manifest.tensors)
    if flags is not None:
        if flags.shape[1] != (rows + 7) // 8:
            yield finding(
                "manifest/object-shape",
                pointer="/training/requires_grad",
                actual=list(flags.shape),
                expected=f"N x {(rows + 7) // 8}",
            )
            return
        yield from _bitmap_findings(manifest, flags)
    if "/training/exclude_layers_count" in columns:
        yield from _layer_findings(manifest)


def _colour_findings(columns: dict[str, np.ndarray[Any, Any]]) -> Iterator[Finding]:
    views = columns["/training/colour_view"].tolist() if "/training/colour_view" in columns else []
    first: dict[bytes, int] = {}
    for k, view in enumerate(views):
        if first.setdefault(view, k) != k:
            reason = f"views {first[view]} and {k} have the same name"
            yield finding("manifest/value", pointer=f"/training/colour_view/{k}", reason=reason)
            return


def _bitmap_findings(manifest: Manifest, flags: np.ndarray[Any, Any]) -> Iterator[Finding]:
    parameters = np.array([row.role != BUFFER for row in manifest.tensors], bool)
    allowed = np.packbits(parameters, bitorder="little")
    unknown = manifest.columns["/training/requires_grad_known"] == 0
    wrong = (flags & ~allowed).any(axis=1) | (flags.any(axis=1) & unknown) | _early(manifest, flags)
    t = first_index(wrong)
    if t is not None:
        yield finding("freezing/requires-grad-bits", pointer=f"/frames/{t}/requires_grad")


def _early(manifest: Manifest, flags: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return for each frame whether a bit is set for a row that is not there yet (9.2.1)."""
    early = np.zeros(len(flags), bool)
    for i, row in enumerate(manifest.tensors):
        if row.first_frame:
            early[: row.first_frame] |= (flags[: row.first_frame, i // 8] >> (i % 8) & 1) != 0
    return early


def _layer_findings(manifest: Manifest) -> Iterator[Finding]:
    counts = np.maximum(manifest.columns["/training/exclude_layers_count"].astype(np.int64), 0)
    listed = manifest.columns["/training/exclude_layers"]
    if counts.sum() != len(listed):
        yield finding(
            "freezing/exclude-layers-count",
            pointer="/training/exclude_layers_count",
            actual=int(counts.sum()),
            expected=len(listed),
        )
        return
    recorded = manifest.columns["/training/exclude_layers_count"] >= 0
    comparison = _LayerComparison(manifest)
    ends = np.cumsum(counts)
    starts = (ends - counts).tolist()
    ends = ends.tolist()
    for t in np.flatnonzero(recorded).tolist():
        for code, layer in comparison.faults(t, listed[starts[t] : ends[t]]):
            yield finding(code, pointer=f"/frames/{t}/exclude_layers", layer=layer)


_Faults: TypeAlias = "tuple[tuple[str, int], ...]"


class _LayerComparison:
    """Compares the two records of table 5-1, whole frames at a time (clause 9.3).

    Most frames have the record of another one: what was found of it is remembered.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._flags = manifest.columns.get("/training/requires_grad")
        known = manifest.columns.get("/training/requires_grad_known")
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
        wrong = first_index(present & (trained == frozen))
        if wrong is not None:
            yield "freezing/exclude-layers-disagree", self._layers[wrong]


def _range_findings(columns: dict[str, np.ndarray[Any, Any]]) -> Iterator[Finding]:
    wrong = {path: columns[path] < lowest for path, lowest in _LOWEST.items() if path in columns}
    seconds = columns.get("/training/seconds")
    if seconds is not None:
        wrong["/training/seconds"] = (seconds < 0) & (seconds != -1)
    known = columns.get("/training/requires_grad_known")
    if known is not None:
        wrong["/training/requires_grad_known"] = known > 1
    for path, mask in wrong.items():
        t = first_index(mask)
        if t is not None:
            value = columns[path][t].item()
            yield finding(
                "manifest/value", pointer=f"{path}/{t}", reason=f"{value} is out of range"
            )
