"""The manifest as structures (clauses 5.3 to 5.6): typed columns, without any HDF5 in them."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

import nmc_spec
from nmc_format.digest import framed
from nmc_format.dtypes import DTYPES, Dtype, byte_size
from nmc_format.issues import Finding, finding
from nmc_format.json_object import parse_object

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nmc_format.hdf5 import RawObjects

KEY_FRAME = 0
DELTA_FRAME = 1

PARAMETER = 0
BUFFER = 1

NO_LAYER = -1
"""Layer of a tensor that belongs to none (clause 5.4.3)."""

MAX_ELEMENTS = 2**48
"""The product of the dimensions of a tensor, zeros left out, lies below this (clause 5.4.3)."""

_NUMPY_TYPES = {"u1": "|u1", "u4": "<u4", "u8": "<u8", "i4": "<i4", "i8": "<i8", "f8": "<f8"}


@dataclass(frozen=True)
class TensorRow:
    """One row of the tensor table (clause 5.4.3).

    Attributes
    ----------
    name : str
        Name of the tensor, unique in every state.
    dtype : Dtype
        Element type.
    role : int
        ``PARAMETER`` or ``BUFFER``.
    layer : int
        Index of its layer, or ``NO_LAYER``.
    shape : tuple of int
        Shape, unless a segment gives another one.
    first_frame : int
        The first frame whose segment has a mode for this row.
    """

    name: str
    dtype: Dtype
    role: int = PARAMETER
    layer: int = NO_LAYER
    shape: tuple[int, ...] = ()
    first_frame: int = 0


@dataclass(frozen=True)
class FrameRecord:
    """One frame as the manifest describes it (clauses 5.4.4 and 5.5).

    Attributes
    ----------
    index : int
        Position in the sequence.
    coding : str
        ``"key"`` or ``"delta"``.
    presentation_time : int
        In ticks of the timescale.
    segment_length : int
        Bytes of the segment on disk.
    segment_sha256, state_digest : bytes
        32 bytes each.
    state_bytes : int
        Bytes of all tensors of the decoded state.
    trained_from : int or None
        The frame whose weights training began with; None where it began with none, or is unknown.
    iterations : int or None
        Training iterations.
    seconds : float or None
        Training time in seconds.
    requires_grad : tuple of bool or None
        One for each row of the tensor table; False for buffers. None where it was not recorded.
    exclude_layers : tuple of int or None
        Indices of the frozen layers. None where it was not recorded.
    source_name : str
        Name of the file that it came from; empty where it was not recorded.
    extras_text : str
        What else the source said of it, as JSON; empty where nothing was recorded.
    """

    index: int
    coding: str
    presentation_time: int
    segment_length: int
    segment_sha256: bytes
    state_digest: bytes
    state_bytes: int
    trained_from: int | None = None
    iterations: int | None = None
    seconds: float | None = None
    requires_grad: tuple[bool, ...] | None = None
    exclude_layers: tuple[int, ...] | None = None
    source_name: str = ""
    extras_text: str = ""

    @property
    def extras(self) -> dict[str, Any]:
        """What else the source said of the frame, such as an epoch; empty where nothing."""
        return parse_object(self.extras_text) if self.extras_text else {}


@dataclass(frozen=True, eq=False)
class Manifest:
    """The manifest of a package.

    Attributes
    ----------
    columns : dict of str to numpy.ndarray
        The columns of ``/frames``, ``/training``, ``/cameras`` and ``/quality`` by path, each as
        typed in the manifest layout (``nmc_spec.manifest_layout``).
    texts : dict of str to str
        The text attributes by path.
    level, timescale : int
        Level, and ticks of the presentation time in a second.
    tensors : tuple of TensorRow
        The tensor table.
    """

    texts: dict[str, str]
    level: int
    timescale: int
    tensors: tuple[TensorRow, ...]
    columns: dict[str, np.ndarray[Any, Any]] = field(repr=False)

    @property
    def profile(self) -> str:
        """Name of the profile."""
        return self.texts["/@profile"]

    @property
    def must_understand(self) -> tuple[str, ...]:
        """Names of the features a reader has to know, parted by one space (clause 5.4.1)."""
        text = self.texts["/@must_understand"]
        return tuple(text.split(" ")) if text else ()

    def __len__(self) -> int:
        return len(self.columns["/frames/coding"])

    def frame(self, index: int) -> FrameRecord:
        """Return the record of one frame, 0 ≤ index < len."""
        column = self.columns
        return FrameRecord(
            index=index,
            coding="delta" if column["/frames/coding"][index] == DELTA_FRAME else "key",
            presentation_time=int(column["/frames/presentation_time"][index]),
            segment_length=int(column["/frames/segment_length"][index]),
            segment_sha256=column["/frames/segment_sha256"][index].tobytes(),
            state_digest=column["/frames/state_digest"][index].tobytes(),
            state_bytes=int(column["/frames/state_bytes"][index]),
            trained_from=self._known("/training/trained_from", index),
            iterations=self._known("/training/iterations", index),
            seconds=self._known("/training/seconds", index),
            requires_grad=self.requires_grad(index),
            exclude_layers=self.exclude_layers(index),
            source_name=self._text("/frames/source_name", index),
            extras_text=self._text("/frames/extras", index),
        )

    def _text(self, path: str, index: int) -> str:
        column = self.columns.get(path)
        return "" if column is None else column[index].decode("utf-8")

    def _known(self, path: str, index: int) -> Any:
        column = self.columns.get(path)
        if column is None or column[index] < 0:
            return None
        return column[index].item()

    def requires_grad(self, index: int) -> tuple[bool, ...] | None:
        """Return the flags of one frame for each row of the tensor table, or None."""
        known = self.columns.get("/training/requires_grad_known")
        if known is None or not known[index]:
            return None
        bits = np.unpackbits(self.columns["/training/requires_grad"][index], bitorder="little")
        return tuple(bool(b) for b in bits[: len(self.tensors)])

    def exclude_layers(self, index: int) -> tuple[int, ...] | None:
        """Return the frozen layers of one frame, or None."""
        counts = self.columns.get("/training/exclude_layers_count")
        if counts is None or counts[index] < 0:
            return None
        end = int(self._layer_ends[index])
        values = self.columns["/training/exclude_layers"][end - int(counts[index]) : end]
        return tuple(int(v) for v in values)

    @cached_property
    def _layer_ends(self) -> np.ndarray[Any, Any]:
        """Where the list of each frame ends in the lists of all frames (clause 5.5)."""
        counts = self.columns["/training/exclude_layers_count"]
        ends: np.ndarray[Any, Any] = np.maximum(counts, 0).cumsum(dtype=np.int64)
        return ends

    @cached_property
    def _key_frames(self) -> np.ndarray[Any, Any]:
        return np.flatnonzero(self.columns["/frames/coding"] == KEY_FRAME)

    def key_frame_before(self, index: int) -> int:
        """Return the last key frame at or before a frame."""
        return int(self._key_frames[np.searchsorted(self._key_frames, index, side="right") - 1])


def manifest_digest(objects: dict[str, np.ndarray[Any, Any]]) -> bytes:
    """Return the manifest digest (clause 5.3.4): SHA-256 over every object by path."""
    digest = hashlib.sha256(b"nmc manifest 1\0")
    for path in sorted(set(objects) - {"/@manifest_digest"}, key=str.encode):
        array = objects[path]
        kind = array.dtype.kind
        code = "str" if kind == "S" else f"{kind}{array.dtype.itemsize}"
        digest.update(framed(path) + framed(code) + array.ndim.to_bytes(4, "little"))
        digest.update(b"".join(d.to_bytes(8, "little") for d in array.shape))
        if code == "str":
            for text in array.reshape(-1).tolist():
                digest.update(len(text).to_bytes(4, "little") + text)
        else:
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.digest()


def first_index(mask: np.ndarray[Any, Any]) -> int | None:
    """Return the first index where a mask holds, or None."""
    hits = np.flatnonzero(mask)
    return int(hits[0]) if len(hits) else None


def type_findings(objects: RawObjects) -> Iterator[Finding]:
    """Compare what a manifest holds with the manifest layout: presence, types and dimensions."""
    layout = nmc_spec.manifest_layout()
    for path in sorted(set(objects) - set(layout)):
        yield finding("manifest/object-unknown", pointer=path)
    sizes = _common_sizes(objects)
    for path, column in layout.items():
        array = objects.get(path)
        if array is None:
            if column.required or _half_there(path, objects):
                yield finding("manifest/object-missing", pointer=path)
            continue
        actual = "str" if array.dtype.kind == "S" else array.dtype.str
        if actual != _NUMPY_TYPES.get(column.type, "str"):
            yield finding("manifest/object-type", pointer=path, actual=actual, expected=column.type)
            continue
        expected = [
            int(dim) if dim.isdigit() else sizes.get(dim, size)
            for dim, size in zip(column.dims, array.shape, strict=False)
        ]
        if list(array.shape) != expected or array.ndim != len(column.dims):
            wanted = " x ".join(str(sizes.get(d, d)) for d in column.dims) or "scalar"
            yield finding(
                "manifest/object-shape", pointer=path, actual=list(array.shape), expected=wanted
            )
        elif column.type == "f8" and not np.isfinite(array).all() and "/quality/" not in path:
            count = int((~np.isfinite(array)).sum())
            yield finding("manifest/not-a-number", pointer=path, count=count)
        elif column.type == "str":
            yield from _text_findings(path, array)


def _common_sizes(objects: RawObjects) -> dict[str, int]:
    """Return the size of each symbolic dimension: that of most objects, so that one is blamed."""
    found: dict[str, Counter[int]] = {}
    for path, column in nmc_spec.manifest_layout().items():
        array = objects.get(path)
        if array is not None and array.ndim == len(column.dims):
            for dim, size in zip(column.dims, array.shape, strict=True):
                found.setdefault(dim, Counter())[size] += 1
    return {dim: counts.most_common(1)[0][0] for dim, counts in found.items()}


_TOGETHER = (
    {"/training/requires_grad", "/training/requires_grad_known"},
    {"/training/exclude_layers", "/training/exclude_layers_count"},
    {"/training/colour_view", "/training/colour"},
    {
        "/cameras/name",
        "/cameras/size",
        "/cameras/intrinsics",
        "/cameras/camera_to_world",
        "/cameras@convention",
        "/cameras@normalisation",
    },
    {"/cameras/distortion_model", "/cameras/distortion"},
)


def _half_there(path: str, objects: RawObjects) -> bool:
    """Whether other objects of the same record are there, so that this one has to be."""
    if path == "/quality/view":
        return any(p.startswith("/quality/") for p in objects.keys() & nmc_spec.manifest_layout())
    return any(path in together and together & set(objects) for together in _TOGETHER)


def _text_findings(path: str, array: np.ndarray[Any, Any]) -> Iterator[Finding]:
    for i, raw in enumerate(array.reshape(-1).tolist()):
        try:
            raw.decode("utf-8")
        except UnicodeDecodeError:
            reason = "the text is not UTF-8"
        else:
            reason = "the text holds a NUL" if b"\0" in raw else ""
        if reason:
            place = f"{path}/{i}" if array.ndim else path
            yield finding("manifest/value", pointer=place, reason=reason)
            return


def build(objects: RawObjects) -> Manifest:
    """Build the structures of objects in which :func:`type_findings` found no error."""
    layout = nmc_spec.manifest_layout()
    texts = {
        path: objects[path].item().decode("utf-8")
        for path, column in layout.items()
        if column.type == "str" and not column.dims and path in objects
    }
    columns = {
        path: array
        for path, array in objects.items()
        if path in layout and not path.startswith("/model") and path not in texts
    }
    return Manifest(
        texts=texts,
        level=int(objects["/@level"]),
        timescale=int(objects["/frames@timescale"]),
        tensors=_tensor_rows(objects),
        columns=columns,
    )


def _tensor_rows(objects: RawObjects) -> tuple[TensorRow, ...]:
    path = "/model/tensors/"
    count = len(objects[path + "name"])
    first = objects.get(path + "first_frame", np.zeros(count, "<u4"))
    return tuple(
        TensorRow(
            name=name.decode("utf-8"),
            dtype=DTYPES.get(dtype.decode("utf-8"), _UNKNOWN_DTYPE),
            role=role,
            layer=layer,
            shape=tuple(d for d in shape if d >= 0),
            first_frame=first_frame,
        )
        for name, dtype, role, layer, shape, first_frame in zip(
            objects[path + "name"].tolist(),
            objects[path + "dtype"].tolist(),
            objects[path + "role"].tolist(),
            objects[path + "layer"].tolist(),
            objects[path + "shape"].tolist(),
            first.tolist(),
            strict=True,
        )
    )


_UNKNOWN_DTYPE = Dtype("?", 8, 1, 0, 0, "uint8")
"""Stands for a dtype that the table of clause 4.3 lacks, until the check refuses it."""


def layers_of(rows: Sequence[TensorRow]) -> dict[int, list[int]]:
    """Return the rows of the parameters of each layer (clause 9.3.1)."""
    layers: dict[int, list[int]] = {}
    for i, row in enumerate(rows):
        if row.role == PARAMETER and row.layer != NO_LAYER:
            layers.setdefault(row.layer, []).append(i)
    return layers


def row_bytes(row: TensorRow, shape: tuple[int, ...]) -> int:
    """Return the bytes of a tensor of this row.

    Raises
    ------
    ValueError
        If the elements do not fill whole bytes, or the dimensions are absurd (clause 5.4.3).
    """
    if prod(d for d in shape if d) >= MAX_ELEMENTS:
        raise ValueError(f"shape {list(shape)} has 2^48 elements or more")
    return byte_size(row.dtype, shape)
