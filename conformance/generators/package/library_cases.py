"""Vectors of clauses 5.3.1 and 5.3.2: manifests that the HDF5 library lays out."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from bases import ONE, PAIR
from chain import Edits, scalar_text

from package.manifest_cases import put_all
from package.object_cases import again

if TYPE_CHECKING:
    from collections.abc import Callable

    from cases import Case
    from chain import Objects

CONFIGURATION = "/model@configuration"

LIBRARY: dict[str, Any] = {"library": "hdf5", "requires": ("hdf5",)}
"""What a vector says whose manifest is in another form than the compact one."""


def _library(write: Callable[[h5py.File, Objects], None], **options: Any) -> Edits:
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
    edits = _library(_chunked(compression="gzip", compression_opts=9))
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
        edits = _library(_extendable if name == "chunked" else write, **options)
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
    return made


def _extendable(file: h5py.File, objects: Objects) -> None:
    for path, array in sorted(objects.items()):
        if "@" in path or not array.ndim:
            write_plain(file, {path: array})
        else:
            write_plain(file, {path: array}, maxshape=(None,) * array.ndim, chunks=True)


def _external(file: h5py.File, path: str) -> None:
    file.create_dataset(path, (1,), "u1", external=[("/dev/zero", 0, 1)])


def _virtual(file: h5py.File, path: str) -> None:
    layout = h5py.VirtualLayout((1,), "u1")
    layout[:] = h5py.VirtualSource("other.h5", "data", (1,))
    file.create_virtual_dataset(path, layout)


def _enumeration(file: h5py.File, path: str) -> None:
    kind = h5py.enum_dtype({"key": 0, "delta": 1}, basetype="u1")
    file.create_dataset(path, data=np.zeros(1, "u1"), dtype=kind)


def _boolean(file: h5py.File, path: str) -> None:
    file.create_dataset(path, data=np.zeros(1, bool))


def _compound(file: h5py.File, path: str) -> None:
    file.create_dataset(path, data=np.zeros(1, [("a", "u1")]))


def _nothing(file: h5py.File, path: str) -> None:
    file.create_dataset(path, data=h5py.Empty("u1"))


def _other_filter(file: h5py.File, path: str) -> None:
    file.create_dataset(path, data=np.zeros(1, "u1"), chunks=(1,), scaleoffset=0)


def _soft(file: h5py.File) -> None:
    file["alias"] = h5py.SoftLink("/model")


def _hard(file: h5py.File) -> None:
    file["alias"] = file["/model"]


def _at_sign(file: h5py.File) -> None:
    file.create_group("ex@tra")


def _attribute(name: str) -> Callable[[h5py.File], None]:
    def write(file: h5py.File) -> None:
        file["frames"].attrs[name] = np.uint8(1)

    return write


def _cycle(file: h5py.File) -> None:
    file["model/root"] = file["/"]


def _named(file: h5py.File) -> None:
    file["kind"] = np.dtype("<f8")


def _unknown_enumeration(file: h5py.File) -> None:
    kind = h5py.enum_dtype({"a": 0}, basetype="u1")
    file.create_dataset("extra", data=np.zeros(1, "u1"), dtype=kind)


def _huge(file: h5py.File, path: str) -> None:
    file.create_dataset(path, (1, 1 << 26), "<f8", chunks=(1, 1 << 16))
    file.create_dataset("/quality/view", (1 << 26,), "S1", chunks=(1 << 16,))


def _forbidden() -> list[Case]:
    """Return manifests that use what HDF5 has and a manifest shall not."""

    def refused(
        name: str,
        what: str,
        code: str | tuple[str, ...],
        change: Callable[[h5py.File, Objects], None],
        seen: Objects | None = None,
        place: str = "",
    ) -> Case:
        more = replace(ONE, **LIBRARY)
        edits = replace(_library(change), seen=seen or {})
        return more.reject(
            f"05-package/hdf5-{name}",
            f"{what} is rejected",
            "5.3.2",
            code,
            edits,
            place={"pointer": place} if place else None,
        )

    def then(change: Callable[[h5py.File], None]) -> Callable[[h5py.File, Objects], None]:
        def write(file: h5py.File, objects: Objects) -> None:
            write_plain(file, objects)
            change(file)

        return write

    def swap(
        path: str, make: Callable[[h5py.File, str], None]
    ) -> Callable[[h5py.File, Objects], None]:
        def write(file: h5py.File, objects: Objects) -> None:
            write_plain(file, {name: array for name, array in objects.items() if name != path})
            make(file, path)

        return write

    coding, kind = "/frames/coding", "manifest/object-type"
    notes = {f"/@note{i:03d}": np.array(i, "u1") for i in range(240)}
    storage = "manifest/external-storage"
    return [
        refused(
            "library-soft-link",
            "a soft link in a manifest of the library",
            "manifest/link",
            then(_soft),
            again("alias"),
        ),
        refused(
            "library-second-link",
            "a second hard link in a manifest of the library",
            "manifest/link",
            then(_hard),
            again("alias"),
        ),
        replace(ONE, **LIBRARY).reject(
            "05-package/hdf5-library-objects",
            "a manifest of the library with more than 256 objects is rejected",
            "5.3.2",
            "manifest/object-count",
            replace(put_all(notes), writer=_library(write_plain).writer),
        ),
        refused(
            "name-at",
            "a group with an @ in its name",
            ("manifest/unreadable", "manifest/link", "manifest/value"),
            then(_at_sign),
        ),
        refused(
            "attribute-at",
            "an attribute with an @ in its name",
            ("manifest/value", "manifest/unreadable"),
            then(_attribute("no@te")),
            {"/frames@no@te": np.array(1, "u1")},
        ),
        refused(
            "attribute-stroke",
            "an attribute with a stroke in its name",
            ("manifest/value", "manifest/unreadable"),
            then(_attribute("no/te")),
            {"/frames@no/te": np.array(1, "u1")},
        ),
        replace(ONE, **LIBRARY).reject(
            "05-package/hdf5-user-block",
            "a manifest behind a user block is rejected",
            "5.3.1",
            "manifest/unreadable",
            _library(write_plain, userblock_size=512),
        ),
        refused("cycle", "a group that contains itself", "manifest/link", then(_cycle)),
        refused("named-type", "a link to a named type", kind, then(_named)),
        refused(
            "external-storage",
            "a dataset whose data is in another file",
            storage,
            swap(coding, _external),
            place=coding,
        ),
        refused("virtual", "a virtual dataset", storage, swap(coding, _virtual), place=coding),
        refused(
            "filter", "another filter", "manifest/filter", swap(coding, _other_filter), place=coding
        ),
        refused(
            "enumeration",
            "an enumeration in place of an integer",
            kind,
            swap(coding, _enumeration),
            place=coding,
        ),
        refused(
            "boolean",
            "a boolean type in place of an integer",
            kind,
            swap(coding, _boolean),
            {coding: np.zeros(1, bool)},
        ),
        refused("compound", "a compound type", kind, swap(coding, _compound), place=coding),
        refused(
            "no-values",
            "a dataset without a dataspace of values",
            "manifest/object-shape",
            swap(coding, _nothing),
            place=coding,
        ),
        refused(
            "unknown-type",
            "an object of a type that has no digest",
            kind,
            then(_unknown_enumeration),
            {"/extra": np.zeros(1, "u1")},
        ),
        refused(
            "values-too-large",
            "a manifest of more than 256 MiB of values",
            ("manifest/too-large",),
            swap("/quality/psnr", _huge),
        ),
    ]


def _longest() -> list[Case]:
    """Return configurations of 2^24 characters, one of which has two UTF-16 units, and of more."""

    def of(characters: int) -> Edits:
        value = '{"x":"' + "\U0001f600" + "y" * (characters - 9) + '"}'
        assert len(value) == characters
        return replace(
            _library(_variable_texts), objects=put_all({CONFIGURATION: scalar_text(value)}).objects
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
    return [*_forms(), *_forbidden(), *_longest()]
