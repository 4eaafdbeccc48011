"""Vectors of clauses 5.3.1 and 5.3.2: what HDF5 has, and a manifest may not use."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import h5py
import numpy as np
from bases import ONE

from package.library_cases import LIBRARY, laid_out, write_plain
from package.manifest_cases import put_all
from package.object_cases import again

if TYPE_CHECKING:
    from collections.abc import Callable

    from cases import Case
    from chain import Objects


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


def _unknown_filter(file: h5py.File) -> None:
    file.create_dataset("more", data=np.zeros(9), chunks=(9,), compression="lzf")


def _references(file: h5py.File, path: str) -> None:
    references = np.array([file["frames"].ref], dtype=h5py.ref_dtype)
    file.create_dataset(path, data=references, dtype=h5py.ref_dtype)


def _lists(file: h5py.File, path: str) -> None:
    values = np.empty(1, object)
    values[0] = np.arange(3, dtype="<i4")
    group, _, name = path.partition("@")
    file[group].attrs.create(name, values, dtype=h5py.vlen_dtype("<i4"))


def _endless(file: h5py.File, path: str) -> None:
    file.create_dataset(path, (1 << 60,), "u1", chunks=(1 << 20,))


def _huge(file: h5py.File, path: str) -> None:
    file.create_dataset(path, (1, 1 << 26), "<f8", chunks=(1, 1 << 16))
    file.create_dataset("/quality/view", (1 << 26,), "S1", chunks=(1 << 16,))


def cases() -> list[Case]:
    """Return the cases of these clauses."""

    def refused(
        name: str,
        what: str,
        code: str | tuple[str, ...],
        change: Callable[[h5py.File, Objects], None],
        seen: Objects | None = None,
        place: str = "",
    ) -> Case:
        more = replace(ONE, **LIBRARY)
        edits = replace(laid_out(change), seen=seen or {})
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
            replace(put_all(notes), writer=laid_out(write_plain).writer),
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
            laid_out(write_plain, userblock_size=512),
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
            "filter-unknown",
            "another filter in an object that the table does not have",
            "manifest/filter",
            then(_unknown_filter),
            {"/more": np.zeros(9)},
        ),
        refused(
            "references",
            "references in place of integers",
            kind,
            swap(coding, _references),
            place=coding,
        ),
        refused(
            "lists",
            "lists in an attribute in place of a text",
            kind,
            swap("/model@family", _lists),
            place="/model@family",
        ),
        refused(
            "values-2-60",
            "a column of 2^60 values, none of which are stored,",
            ("manifest/too-large", "manifest/object-shape"),
            swap(coding, _endless),
            place=coding,
        ),
        refused(
            "values-too-large",
            "a manifest of more than 256 MiB of values",
            ("manifest/too-large",),
            swap("/quality/psnr", _huge),
        ),
    ]
