"""Reads the weights of Keras files: HDF5 of any version, and the .keras zip around one.

The HDF5 library crashes on some crafted files, so `keras_sandbox` uses it in a process of its own,
with limits; what that process lists and writes is checked here like any other file.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from nmc_format.dtypes import DTYPES, byte_size, from_words, word_dtype
from nmc_format.isolated import isolated_command, isolated_environment, isolated_folder
from nmc_tools.checkpoints.bounded_zip import (
    BASE_DECODED_BYTES,
    MAX_EXPANSION,
    read_exactly,
)
from nmc_tools.checkpoints.checkpoint import (
    Checkpoint,
    Refusal,
    buffers_by_convention,
    capped,
    plain,
)
from nmc_tools.checkpoints.keras_sandbox import NOT_WEIGHTS

if TYPE_CHECKING:
    from nmc_format.dtypes import Array
    from nmc_tools.checkpoints.bounded_zip import Archive

_SECONDS = 120
_NEEDS = (
    "nmc_spec",
    "nmc_format",
    "nmc_framework",
    "nmc_tools",
    "numpy",
    "h5py",
    "ml_dtypes",
    "natsort",
    "safetensors",
)
_MAX_LISTING_BYTES = 64 * 2**20
_WEIGHTS_MEMBER = "model.weights.h5"


def read_hdf5(path: Path, *, whole: bool) -> Checkpoint:
    """Read the weights of an HDF5 file of Keras, or every numeric dataset of another one.

    Names are the paths in the file: ``dense/dense/kernel:0`` (layer, then weight) where the
    attributes ``layer_names`` and ``weight_names`` list them, in their order, and else
    ``layers/dense/vars/0`` (Keras 3), in natural order.

    Parameters
    ----------
    path : Path
        The file.
    whole : bool
        Take the state of the optimizer and of metrics too, as buffers.

    Raises
    ------
    Refusal
        If the library fails on it, or it uses what a weights file has no need of.
    """
    size = path.stat().st_size
    budget = BASE_DECODED_BYTES + MAX_EXPANSION * size
    command = isolated_command("nmc_tools.checkpoints.keras_sandbox", _NEEDS, path)
    with tempfile.TemporaryFile() as output:
        try:
            done = subprocess.run(  # noqa: S603 - our own interpreter and module
                [*command, str(budget), "all" if whole else "weights"],
                stdout=output,
                stderr=subprocess.DEVNULL,
                stdin=subprocess.DEVNULL,
                timeout=_SECONDS,
                env=isolated_environment(),
                cwd=isolated_folder(),
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Refusal(f"reading it took the HDF5 library over {_SECONDS} s") from None
        if done.returncode > 0:  # it answers to whatever is in a file
            raise Refusal(
                f"the process that reads HDF5 files does not run (exit {done.returncode})",
                "the file is not to blame: install neural-model-chain again, or free some memory",
            )
        if done.returncode != 0:
            raise Refusal(
                "the HDF5 library fails on it",
                "the file is damaged, or made to crash its reader; copy it again",
            )
        output.seek(0)
        return _received(output)


def _received(output: BinaryIO) -> Checkpoint:
    listing: dict[str, Any] = json.loads(output.readline(_MAX_LISTING_BYTES))
    if "refused" in listing:
        raise Refusal(*listing["refused"])
    state: dict[str, Array] = {}
    for name, dtype_name, dimensions in listing["tensors"]:
        dtype, shape = DTYPES[dtype_name], tuple(dimensions)
        data = read_exactly(output, byte_size(dtype, shape), plain(name))
        state[name] = from_words(data.view(word_dtype(dtype)), dtype, shape)
    state_of = tuple(f"{group}/" for group in NOT_WEIGHTS)
    buffers = buffers_by_convention(state) | {n for n in state if n.startswith(state_of)}
    return Checkpoint(state, buffers, "keras", skipped=capped(listing["skipped"]))


def read_keras_zip(archive: Archive, *, whole: bool) -> Checkpoint:
    """Read the weights of a .keras file; its configuration is left out.

    Parameters
    ----------
    archive : Archive
        The open zip.
    whole : bool
        As of `read_hdf5`.

    Raises
    ------
    Refusal
        As `read_hdf5`, and if the zip is damaged or exceeds the bounds.
    """
    data = archive.read(_WEIGHTS_MEMBER)
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder, _WEIGHTS_MEMBER)
        weights.write_bytes(data.data)
        return read_hdf5(weights, whole=whole)
