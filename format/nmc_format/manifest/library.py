"""Writes manifests that the compact form cannot hold (clause 5.3.1) with the HDF5 library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping


def write_by_library(objects: Mapping[str, np.ndarray[Any, Any]]) -> bytes:
    """Return a file whose long attributes lie in heaps, as the library makes it.

    Parameters
    ----------
    objects : mapping of str to numpy.ndarray
        As for :func:`nmc_format.manifest.compact.writer.write_compact`.
    """
    import h5py

    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_libver_bounds(h5py.h5f.LIBVER_V18, h5py.h5f.LIBVER_V18)
    access.set_fapl_core(block_size=2**16, backing_store=False)
    creation = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    creation.set_obj_track_times(False)
    creation.set_attr_phase_change(64, 0)
    file = h5py.h5f.create(b"manifest", h5py.h5f.ACC_TRUNC, creation, access)
    try:
        groups = {"": file}
        for name, array in objects.items():
            _write_object(groups, name, array)
        h5py.h5f.flush(file)
        return bytes(file.get_file_image())
    finally:
        file.close()


def _write_object(groups: dict[str, Any], path: str, array: np.ndarray[Any, Any]) -> None:
    from h5py import h5a, h5d, h5p, h5s

    parent, _, attribute = path.partition("@")
    parent = parent.rstrip("/") if attribute else parent
    group, name = (parent, attribute) if attribute else tuple(parent.rsplit("/", 1))
    node = _group(groups, group)
    space = h5s.create_simple(array.shape) if array.ndim else h5s.create(h5s.SCALAR)
    array = np.ascontiguousarray(array).reshape(array.shape)
    if attribute:
        target = h5a.create(node, name.encode(), _file_type(array), space)
        target.write(array, _file_type(array))
        return
    creation = h5p.create(h5p.DATASET_CREATE)
    creation.set_obj_track_times(False)
    creation.set_layout(h5d.CONTIGUOUS)
    creation.set_alloc_time(h5d.ALLOC_TIME_EARLY)
    creation.set_fill_time(h5d.FILL_TIME_NEVER)
    dataset = h5d.create(node, name.encode(), _file_type(array), space, creation)
    if array.size:
        dataset.write(h5s.ALL, h5s.ALL, array, _file_type(array))


def _group(groups: dict[str, Any], path: str) -> Any:
    from h5py import h5g, h5p

    if path not in groups:
        parent, name = path.rsplit("/", 1)
        creation = h5p.create(h5p.GROUP_CREATE)
        creation.set_obj_track_times(False)
        groups[path] = h5g.create(_group(groups, parent), name.encode(), None, creation)
    return groups[path]


def _file_type(array: np.ndarray[Any, Any]) -> Any:
    from h5py import h5t

    if array.dtype.kind != "S":
        return h5t.py_create(array.dtype)
    kind = h5t.C_S1.copy()
    kind.set_size(array.dtype.itemsize)
    kind.set_strpad(h5t.STR_NULLPAD)
    kind.set_cset(h5t.CSET_UTF8)
    return kind
