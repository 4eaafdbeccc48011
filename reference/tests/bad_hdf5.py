"""Cases of bad input: what HDF5 can do and a manifest may not (clauses 5.3.1 and 5.3.2)."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
from bad_cases import FRAMES, case


def h5(p: Path) -> h5py.File:
    return h5py.File(p / "manifest.h5", "r+")


@case(("manifest/unreadable", "/"))
def manifest_of_garbage(p):
    (p / "manifest.h5").write_bytes(os.urandom(5000))


@case(("manifest/unreadable", "/"))
def manifest_empty(p):
    (p / "manifest.h5").write_bytes(b"")


@case(("manifest/unreadable", "/"))
def manifest_cut_short(p):
    data = (p / "manifest.h5").read_bytes()
    (p / "manifest.h5").write_bytes(data[: len(data) // 2])


@case(("manifest/too-large", "/"))
def manifest_of_300_mb_of_holes(p):
    os.truncate(p / "manifest.h5", 300 * 2**20)


@case(("manifest/link", "/frames/coding"))
def manifest_with_a_soft_link(p):
    with h5(p) as file:
        file.move("frames/coding", "hidden")
        file["frames/coding"] = h5py.SoftLink("/hidden")


@case(("manifest/link", "/frames/more"))
def manifest_with_a_dangling_soft_link(p):
    with h5(p) as file:
        file["frames/more"] = h5py.SoftLink("/no/where")


@case(("manifest/link", "/frames/coding"))
def manifest_with_an_external_link(p):
    with h5py.File(p.parent / "outside.h5", "w") as file:
        file["coding"] = np.zeros(FRAMES, "u1")
    with h5(p) as file:
        del file["frames/coding"]
        file["frames/coding"] = h5py.ExternalLink(str(p.parent / "outside.h5"), "coding")


@case(("manifest/link", "*"))
def manifest_with_a_second_hard_link(p):
    with h5(p) as file:
        file["frames/again"] = file["frames/coding"]


@case(("manifest/link", "*"))
def manifest_with_a_cycle(p):
    with h5(p) as file:
        file["frames/up"] = file["/"]


@case(("manifest/external-storage", "/frames/coding"))
def manifest_with_external_storage(p):
    (p.parent / "raw.bin").write_bytes(bytes(FRAMES))
    with h5(p) as file:
        del file["frames/coding"]
        file["frames"].create_dataset(
            "coding", (FRAMES,), "u1", external=[(str(p.parent / "raw.bin"), 0, FRAMES)]
        )


@case(("manifest/external-storage", "/frames/coding"))
def manifest_with_a_virtual_dataset(p):
    with h5py.File(p.parent / "source.h5", "w") as file:
        file["coding"] = np.zeros(FRAMES, "u1")
    layout = h5py.VirtualLayout((FRAMES,), "u1")
    layout[:] = h5py.VirtualSource(str(p.parent / "source.h5"), "coding", (FRAMES,))
    with h5(p) as file:
        del file["frames/coding"]
        file["frames"].create_virtual_dataset("coding", layout)


@case(("manifest/filter", "/frames/coding"))
def manifest_with_an_alien_filter(p):
    with h5(p) as file:
        values = file["frames/coding"][:]
        del file["frames/coding"]
        file["frames"].create_dataset("coding", data=values, chunks=True, compression="lzf")


@case(("manifest/filter", "/more"))
def manifest_with_an_alien_filter_where_it_is_ignored(p):
    with h5(p) as file:
        file.create_dataset("more", data=np.zeros(9), chunks=True, compression="lzf")


@case(("manifest/too-large", "/frames/coding"))
def manifest_with_a_dataset_of_2_to_the_60_elements(p):
    with h5(p) as file:
        del file["frames/coding"]
        file["frames"].create_dataset("coding", (2**60,), "u1", chunks=(2**20,))


@case(("manifest/too-large", "*"))
def manifest_with_many_large_datasets(p):
    with h5(p) as file:
        for i in range(10):
            file.create_dataset(
                f"more{i}", (40 * 2**20,), "u1", chunks=(2**20,), compression="gzip"
            )


@case(("manifest/too-large", "*"))
def manifest_with_texts_that_are_much_longer_when_padded(p):
    with h5(p) as file:
        texts = ["x" * 2**16] + ["y"] * 8000
        file.create_dataset("more", data=texts, dtype=h5py.string_dtype())


@case(("manifest/object-count", "*"))
def manifest_with_300_objects(p):
    with h5(p) as file:
        for i in range(300):
            file[f"more/{i}"] = i


@case(("manifest/object-count", "*"))
def manifest_with_300_attributes(p):
    with h5(p) as file:
        for i in range(300):
            file["frames"].attrs[f"more{i}"] = i


@case(("manifest/object-count", "*"))
def manifest_with_groups_within_groups(p):
    with h5(p) as file:
        file.create_group("/".join(["deeper"] * 400))


@case(("manifest/object-type", "/type"))
def manifest_with_a_named_type(p):
    with h5(p) as file:
        file["type"] = np.dtype("f8")


@case(("manifest/object-type", "/frames/coding"))
def manifest_with_booleans(p):
    with h5(p) as file:
        del file["frames/coding"]
        file["frames/coding"] = np.zeros(FRAMES, bool)


@case(("manifest/object-type", "/frames/coding"))
def manifest_with_an_enumeration(p):
    kind = h5py.enum_dtype({"key": 0, "delta": 1}, "u1")
    with h5(p) as file:
        del file["frames/coding"]
        file["frames"].create_dataset("coding", data=np.zeros(FRAMES, "u1"), dtype=kind)


@case(("manifest/object-type", "/frames/coding"))
def manifest_with_references(p):
    with h5(p) as file:
        del file["frames/coding"]
        kind = h5py.ref_dtype
        references = np.array([file["frames"].ref] * FRAMES, dtype=kind)
        file["frames"].create_dataset("coding", data=references, dtype=kind)


@case(("manifest/object-type", "/model@family"))
def manifest_with_lists_in_an_attribute(p):
    with h5(p) as file:
        values = np.empty(1, object)
        values[0] = np.arange(3)
        file["model"].attrs.create("family", values, dtype=h5py.vlen_dtype("i4"))


@case(("manifest/object-shape", "/model@family"))
def manifest_with_an_empty_attribute(p):
    with h5(p) as file:
        file["model"].attrs.create("family", h5py.Empty("S1"))


@case(("manifest/value", "/frames@timescale"))
def manifest_with_a_dataset_named_as_an_attribute(p):
    with h5(p) as file:
        file["frames@timescale"] = np.uint32(7)
