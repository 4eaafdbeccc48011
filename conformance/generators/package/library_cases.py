"""Vectors of clauses 5.3.1 and 5.3.2: manifests that the HDF5 library lays out, all allowed."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from bases import ONE, PAIR
from chain import Edits
from columns import scalar_text

from package.manifest_cases import put_all

if TYPE_CHECKING:
    from collections.abc import Callable

    from cases import Case
    from chain import Objects

CONFIGURATION = "/model@configuration"

LIBRARY: dict[str, Any] = {"library": "hdf5", "requires": ("hdf5",)}
"""What a vector says whose manifest is in another form than the compact one."""


def laid_out(write: Callable[[h5py.File, Objects], None], **options: Any) -> Edits:
    """Return the edit that lets the HDF5 library write the manifest."""

    def writer(objects: Objects) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "manifest.h5"
            with h5py.File(path, "w", **options) as file:
                write(file, objects)
            return path.read_bytes()

    return Edits(writer=writer)


def write_plain(file: h5py.File, objects: Objects, **layout: Any) -> None:
    """Write objects as a program does that uses h5py without further thought."""
    for path, array in sorted(objects.items()):
        group, _, attribute = path.partition("@")
        data = array
        if array.dtype.kind == "S":
            data = array.astype(h5py.string_dtype("utf-8", array.dtype.itemsize))
        if attribute:
            file.require_group(group).attrs.create(attribute, data, dtype=data.dtype)
        else:
            chunked = layout if array.ndim and array.size else {}
            file.create_dataset(path, data=data, **chunked)


def _variable_texts(file: h5py.File, objects: Objects) -> None:
    for path, array in sorted(objects.items()):
        group, _, attribute = path.partition("@")
        if array.dtype.kind != "S":
            write_plain(file, {path: array})
        elif attribute:
            file.require_group(group).attrs[attribute] = array.item().decode()
        else:
            texts = [value.decode() for value in array.tolist()]
            file.create_dataset(path, data=texts, dtype=h5py.string_dtype())


def _big_endian(file: h5py.File, objects: Objects) -> None:
    swapped = {
        path: array if array.dtype.kind == "S" else array.astype(array.dtype.newbyteorder(">"))
        for path, array in objects.items()
    }
    write_plain(file, swapped)


def _null_padded_with_spaces(file: h5py.File, objects: Objects) -> None:
    wider = {
        path: array.astype(f"S{array.dtype.itemsize + 9}") if array.dtype.kind == "S" else array
        for path, array in objects.items()
    }
    write_plain(file, wider)


def _chunked(**layout: Any) -> Callable[[h5py.File, Objects], None]:
    return lambda file, objects: write_plain(file, objects, **layout)


def compressed(change: Callable[[Objects], Objects]) -> Edits:
    """Return the edit that changes objects and lets the library deflate the columns."""
    edits = laid_out(_chunked(compression="gzip", compression_opts=9))
    return replace(edits, objects=change)


def _forms() -> list[Case]:
    """Return manifests that the library writes in other forms, all of them allowed."""
    clause = ("5.3.1", "5.3.2")
    writers: list[tuple[str, str, Callable[[h5py.File, Objects], None], dict[str, Any]]] = [
        ("plain", "a manifest that h5py writes by default is read", write_plain, {}),
        (
            "latest",
            "a manifest of the latest version of the library is read",
            write_plain,
            {"libver": "latest"},
        ),
        ("variable-texts", "texts of variable length are read", _variable_texts, {}),
        ("big-endian", "numbers can be big-endian in the file, not in the digest", _big_endian, {}),
        ("padded-texts", "zero bytes after a text are padding", _null_padded_with_spaces, {}),
        (
            "chunked",
            "columns can be chunked and extendable",
            _chunked(maxshape=None, chunks=True),
            {},
        ),
        ("deflate", "the filter deflate can be used", _chunked(compression="gzip"), {}),
        (
            "filters",
            "the filters shuffle, deflate and fletcher32 can be used together",
            _chunked(compression="gzip", shuffle=True, fletcher32=True),
            {},
        ),
    ]
    made = []
    for name, what, write, options in writers:
        edits = laid_out(_extendable if name == "chunked" else write, **options)
        made.append(PAIR.vary(f"05-package/hdf5-{name}", what, clause, edits, **LIBRARY))
    deep = put_all({"/extra/a/b/c/d": np.array([1], "<u4")})
    made.append(
        PAIR.vary(
            "05-package/hdf5-depth-5",
            "a path of five names is not of the compact form, and is read",
            ("D.1", "5.3.1"),
            deep,
            requires=("hdf5",),
            warnings=("manifest/object-unknown",),
        )
    )
    return [*made, _widths()]


def _widths() -> Case:
    """Return numbers of every class and width, which the digest covers though no table has them."""
    codes = ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8")
    extra: Objects = {f"/extra/{code}": np.array([1, 2, 3], f"<{code}") for code in codes}
    edits = replace(laid_out(write_plain), objects=put_all(extra).objects)
    return PAIR.vary(
        "05-package/hdf5-widths",
        "numbers of every class and width are covered by the digest",
        ("5.3.4", "5.3.1"),
        edits,
        warnings=("manifest/object-unknown",),
        **LIBRARY,
    )


def _extendable(file: h5py.File, objects: Objects) -> None:
    for path, array in sorted(objects.items()):
        if "@" in path or not array.ndim:
            write_plain(file, {path: array})
        else:
            write_plain(file, {path: array}, maxshape=(None,) * array.ndim, chunks=True)


def _longest() -> list[Case]:
    """Return configurations of 2^24 characters, one of which has two UTF-16 units, and of more."""

    def of(characters: int) -> Edits:
        value = '{"x":"' + "\U0001f600" + "y" * (characters - 9) + '"}'
        assert len(value) == characters
        return replace(
            laid_out(_variable_texts), objects=put_all({CONFIGURATION: scalar_text(value)}).objects
        )

    full = replace(ONE, **LIBRARY).vary(
        "05-package/configuration-16m",
        "a configuration can have 2^24 characters",
        "5.4.2",
        of(1 << 24),
        inflate=True,
    )
    return [
        full,
        full.reject(
            "05-package/configuration-16m-more",
            "a configuration of more than 2^24 characters is rejected",
            "5.4.2",
            "manifest/value",
            of((1 << 24) + 1),
        ),
    ]


def cases() -> list[Case]:
    """Return the cases of these clauses."""
    return [*_forms(), *_longest()]
