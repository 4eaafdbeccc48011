"""Vectors of annex D: what the compact form allows at its edges, and what lies just beside it."""

from __future__ import annotations

import struct
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from bases import ONE, PAIR
from chain import Edits
from writers import hdf5_writer
from writers.hdf5_writer import Options

from package.library_cases import LIBRARY, write_plain
from package.manifest_cases import put_all

if TYPE_CHECKING:
    from cases import Case
    from chain import Objects


def _chosen(name: str, what: str, clause: str, **options: Any) -> Case:
    return PAIR.vary(
        f"05-package/hdf5-{name}", what, (clause, "5.3.1"), Edits(options=Options(**options))
    )


def _big_endian(objects: Objects) -> bytes:
    """Return a manifest whose every number is big-endian, and all else as in the compact form."""
    swapped = {
        path: array if array.dtype.kind == "S" else array.astype(array.dtype.newbyteorder(">"))
        for path, array in objects.items()
    }
    return hdf5_writer.write(swapped)


def _sized(size: int) -> Edits:
    """Return the edit that lets the library write addresses of so many bytes."""

    def writer(objects: Objects) -> bytes:
        creation = h5py.h5p.create(h5py.h5p.FILE_CREATE)
        creation.set_sizes(size, min(size, 8))
        access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
        access.set_libver_bounds(h5py.h5f.LIBVER_V18, h5py.h5f.LIBVER_V18)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "manifest.h5"
            made = h5py.h5f.create(str(path).encode(), h5py.h5f.ACC_TRUNC, creation, access)
            with h5py.File(made) as file:
                write_plain(file, objects)
            return path.read_bytes()

    return Edits(writer=writer)


def _wrong_size(size: int) -> Edits:
    """Return the edit that gives the superblock addresses of a size that HDF5 lacks."""

    def change(data: bytes) -> bytes:
        head = data[:9] + bytes([size, 8, 0]) + data[12 : 12 + 4 * size]
        return head + struct.pack("<I", hdf5_writer.lookup3(head)) + data[12 + 4 * size + 4 :]

    return Edits(manifest=change)


def cases() -> list[Case]:
    """Return the cases of this annex."""
    return [
        _chosen("type-version-2", "datatypes of version 2 are read", "D.5", type_version=2),
        _chosen("type-version-3", "datatypes of version 3 are read", "D.5", type_version=3),
        _chosen("header-wide", "the size of an object header in eight bytes", "D.3", wide=True),
        _chosen(
            "header-longest",
            "an object header with the longest prefix that there is",
            "D.3",
            wide=True,
            times=True,
            phase=True,
            order=True,
        ),
        _chosen("link-four", "a link with a length of four bytes", "D.4", link_form="four"),
        _chosen(
            "continuation-empty",
            "a continuation block can be without messages",
            "D.3",
            continuation=True,
            fault="continuation-empty",
        ),
        _chosen("blocks-3", "an object header of three blocks", "D.3", continuation=True, blocks=3),
        _chosen(
            "blocks-256", "an object header of 256 blocks", "D.3", continuation=True, blocks=256
        ),
        PAIR.vary(
            "05-package/hdf5-text-1m",
            "texts of 2^20 bytes each, nearly all of them padding",
            ("D.5", "5.3.1"),
            put_all({"/frames/source_name": np.array([b"a", b"b"], f"S{1 << 20}")}),
            inflate=True,
        ),
        PAIR.vary(
            "05-package/hdf5-big-endian-compact",
            "big-endian numbers in a file that is compact except for them",
            ("D.5", "5.3.1"),
            Edits(writer=_big_endian),
            requires=("hdf5",),
        ),
        *(
            PAIR.vary(
                f"05-package/hdf5-addresses-{size}",
                f"addresses of {size} bytes, as the library writes them",
                ("D.2", "5.3.1"),
                _sized(size),
                **LIBRARY,
            )
            for size in (2, 4)
        ),
        *(
            ONE.reject(
                f"05-package/hdf5-addresses-{size}",
                f"addresses of {size} bytes, which HDF5 does not have, are rejected",
                ("D.2", "5.3.1"),
                "manifest/unreadable",
                _wrong_size(size),
            )
            for size in (1, 3, 5)
        ),
    ]
