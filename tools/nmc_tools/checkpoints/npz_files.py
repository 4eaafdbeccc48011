"""Reads and writes .npz files: a zip of .npy members (numpy.lib.format), never with pickles."""

from __future__ import annotations

import io
import warnings
import zipfile
from math import prod
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from nmc_format.dtypes import dtype_of
from nmc_tools.checkpoints.checkpoint import (
    Checkpoint,
    Refusal,
    buffers_by_convention,
    capped,
    plain,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nmc_format.dtypes import Array
    from nmc_tools.checkpoints.bounded_zip import Archive

_SUFFIX = ".npy"
_TEXT_KINDS = "USMm"


def read_npz(archive: Archive) -> Checkpoint:
    """Read every array of a file.

    Parameters
    ----------
    archive : Archive
        The open zip.

    Raises
    ------
    Refusal
        If it is damaged, exceeds the bounds, or holds an array of objects or of a type that
        cannot be stored.
    """
    state: dict[str, Array] = {}
    notes: list[str] = []
    for member in archive.members:
        name = member.removesuffix(_SUFFIX)
        if name == member:
            notes.append(f"{plain(member)}: not an array")
            continue
        try:
            array = _read_member(archive, member)
        except Refusal as refusal:
            raise Refusal(f"array {plain(name)!r} {refusal.reason}", refusal.hint) from None
        if array is None:
            notes.append(f"{plain(name)}: text or time, not a tensor")
        else:
            state[name] = array
    return Checkpoint(state, buffers_by_convention(state), "npz", skipped=capped(notes))


def _read_member(archive: Archive, member: str) -> np.ndarray[Any, Any] | None:
    data = archive.read(member)
    stream = io.BytesIO(data.data)
    shape, fortran, dtype = _npy_header(stream)
    if dtype.hasobject:
        raise Refusal(
            "holds Python objects, which only a pickle can restore, and none is ever loaded",
            "save it again as an array of numbers",
        )
    if dtype.kind in _TEXT_KINDS:
        return None
    try:
        dtype_of(np.empty(0, dtype))
    except TypeError as error:
        raise Refusal(str(error), "save it as another type, or as .safetensors") from None
    start = stream.tell()
    if prod(shape) * dtype.itemsize != len(data) - start:
        raise Refusal(
            f"has {len(data) - start} bytes; shape {list(shape)} of {dtype} needs "
            f"{prod(shape) * dtype.itemsize}",
            "the file is damaged; copy it again",
        )
    flat = data[start:].copy() if start % dtype.alignment else data[start:]
    array = np.asarray(flat.view(dtype).reshape(shape, order="F" if fortran else "C"))
    return array.astype(dtype.newbyteorder("<"), order="C", copy=False)


def _npy_header(stream: io.BytesIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a header of Python 2 has a harmless "L" in numbers
            version = np.lib.format.read_magic(stream)
            if version == (1, 0):
                return np.lib.format.read_array_header_1_0(stream)
            if version in ((2, 0), (3, 0)):  # (3, 0) differs in the encoding of field names only
                return np.lib.format.read_array_header_2_0(stream)
    except Exception as error:  # a header is a Python literal; its parser raises a dozen kinds
        raise Refusal(f"has a malformed .npy header: {plain(error)}", "copy it again") from None
    raise Refusal(f"has .npy version {version[0]}.{version[1]}, expected 1.0, 2.0 or 3.0")


def write_npz(file: BinaryIO, state: Mapping[str, Array]) -> None:
    """Write tensors as an uncompressed .npz with the same bytes each time.

    Parameters
    ----------
    file : binary file
        Where to write.
    state : mapping of str to Array
        The tensors.

    Raises
    ------
    Refusal
        If numpy by itself has no such type, or a zip no such name.
    """
    for name, array in state.items():
        dtype = dtype_of(array)
        # numpy.save takes the types of ml_dtypes for anonymous bytes, which lose their meaning.
        if not isinstance(array, np.ndarray) or array.dtype.type.__module__ != "numpy":
            raise Refusal(
                f"{plain(name)!r} is {dtype.name}, which .npz cannot hold",
                "write safetensors or pt instead",
            )
        if "\0" in name:
            raise Refusal(f"{plain(name)!r} has a zero byte, which no .npz name can have")
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, array in state.items():
            # A fixed date: the same state is the same file.
            info = zipfile.ZipInfo(f"{name}{_SUFFIX}", date_time=(1980, 1, 1, 0, 0, 0))
            with archive.open(info, "w", force_zip64=True) as member:
                values = np.asarray(array, order="C")
                np.lib.format.write_array(member, values, allow_pickle=False)
