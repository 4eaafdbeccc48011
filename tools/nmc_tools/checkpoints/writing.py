"""Writes a state as a checkpoint of another program, whole or not at all."""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypeAlias

from nmc_format.dtypes import dtype_of, to_words
from nmc_format.host import host_refusal
from nmc_tools.checkpoints.checkpoint import CheckpointError, Refusal, plain
from nmc_tools.checkpoints.npz_files import write_npz
from nmc_tools.checkpoints.ply_files import write_ply
from nmc_tools.checkpoints.safetensors_files import Outline, write_safetensors, write_tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import torch

    from nmc_format.dtypes import Array

Target: TypeAlias = Literal["safetensors", "pt", "npz", "ply", "spz", "gltf"]
TARGETS: tuple[Target, ...] = ("safetensors", "pt", "npz", "ply", "spz", "gltf")


KINDS = frozenset({"spz", "gltf"})
"""What readers of Gaussians note in `Checkpoint.extra`, which the other writers need too."""


def write(
    path: str | Path,
    state: Mapping[str, Array],
    *,
    to: Target,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Write a state to a file, which appears only when it is complete.

    Parameters
    ----------
    path : str or Path
        The file; one that is there is replaced.
    state : mapping of str to Array
        The tensors, written in this order.
    to : {"safetensors", "pt", "npz", "ply", "spz", "gltf"}
        The format. ``"pt"`` needs PyTorch, and loads with ``weights_only=True``; ``"npz"`` holds
        no bfloat16 and no 8-bit floats; ``"ply"``, ``"spz"`` and ``"gltf"`` need Gaussians, of
        whatever kind; those of ``"spz"`` are rounded, unless they come from such a file.
    extra : mapping, optional
        `Checkpoint.extra` of the file the state came from: with it a .ply gets the same header
        and property order, and a .safetensors the same metadata.

    Raises
    ------
    CheckpointError
        If the format cannot hold the state.
    FormatError
        If the file cannot be written.
    """
    path = Path(path)
    if to not in TARGETS:
        raise CheckpointError(path, f"unknown format {plain(to)!r}, expected {', '.join(TARGETS)}")

    def body(file: BinaryIO) -> None:
        _check(state)
        _write(file, state, to, extra or {})

    put(path, body)


def write_in_parts(
    path: str | Path,
    outlines: Mapping[str, Outline],
    read: Callable[[list[str]], Mapping[str, Array]],
    most: int,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Write a state that is never at hand as a whole to a safetensors file, as :func:`write` does.

    Parameters
    ----------
    path : str or Path
        The file; one that is there is replaced.
    outlines : mapping of str to (Dtype, shape)
        The tensors, written in this order.
    read : callable
        Returns some of them, by name.
    most : int
        Bytes of those that are asked for at a time, if these are more than one.
    extra : mapping, optional
        As for :func:`write`.

    Raises
    ------
    FormatError
        If the file cannot be written.
    """
    metadata = (extra or {}).get("metadata")
    put(Path(path), lambda file: write_tensors(file, outlines, read, metadata, most))


def write_objects(path: str | Path, content: Any) -> None:
    """Write any objects with ``torch.save``, to a file that appears only when it is complete.

    Raises
    ------
    FormatError
        If the file cannot be written.
    """
    import torch

    put(Path(path), lambda file: torch.save(content, file))


def put(path: Path, body: Callable[[BinaryIO], object]) -> None:
    """Write a file that appears only when it is complete.

    Raises
    ------
    CheckpointError
        If the format cannot hold it.
    FormatError
        If the system fails, by what it says (``host/…``).
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        try:
            # one of this number was killed: in containers numbers come again
            partial.unlink(missing_ok=True)
            with partial.open("xb") as file:
                body(file)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except Refusal as refusal:
        raise CheckpointError(path, refusal.reason, refusal.hint) from None
    except OSError as error:
        error.filename = None  # the file that was asked for, not the one it begins as
        raise host_refusal(error, path) from None


def _check(state: Mapping[str, Array]) -> None:
    if not state:
        raise Refusal("there are no tensors to write")
    for name, array in state.items():
        try:
            name.encode("utf-8")
            dtype_of(array)
        except UnicodeEncodeError:
            raise Refusal(f"the name {plain(name)} of a tensor is not valid text") from None
        except TypeError as error:
            raise Refusal(f"{plain(name)!r}: {error}", "convert the tensor first") from None


def _write(
    file: BinaryIO, state: Mapping[str, Array], to: Target, extra: Mapping[str, Any]
) -> None:
    if to == "safetensors":
        write_safetensors(file, state, extra.get("metadata"))
    elif to == "npz":
        write_npz(file, state)
    elif to == "ply":
        write_ply(file, state if "ply_header" in extra else _as_ply(state, extra), extra)
    elif to == "spz":
        from nmc_tools.checkpoints.spz_files import write_spz

        write_spz(file, state, extra)
    elif to == "gltf":
        from nmc_tools.checkpoints.gltf_files import write_gltf

        write_gltf(file, state, extra)
    else:
        _write_torch(file, state)


def _as_ply(state: Mapping[str, Array], extra: Mapping[str, Any]) -> Mapping[str, Array]:
    """Return the Gaussians of another kind as those of 3DGS; else the state as it is."""
    if {"xyz", "f_dc"} <= state.keys():
        return state
    from nmc_tools.checkpoints.gaussian_kinds import gaussians_of

    try:
        made: Mapping[str, Array] = gaussians_of(state, extra)
    except Refusal:
        if KINDS & extra.keys():
            raise
        return state
    return made


def _write_torch(file: BinaryIO, state: Mapping[str, Array]) -> None:
    torch = torch_to_write()
    torch.save(
        OrderedDict(
            (name, torch_tensor(array, repr(plain(name)))) for name, array in state.items()
        ),
        file,
    )


def torch_to_write() -> Any:
    """Return the module ``torch``.

    Raises
    ------
    Refusal
        If it is not installed.
    """
    try:
        import torch
    except ImportError:
        raise Refusal(
            "writing .pt needs PyTorch, which is not installed",
            "pip install 'neural-model-chain[framework]', or write safetensors",
        ) from None
    return torch


def torch_tensor(array: Array, name: str) -> torch.Tensor:
    """Return a tensor of the same bits, in memory of its own.

    Raises
    ------
    Refusal
        If PyTorch has no such type; says what ``name`` is.
    """
    import torch

    dtype = dtype_of(array)
    torch_dtype = getattr(torch, dtype.numpy_name, None) if dtype.numpy_name else None
    if not isinstance(torch_dtype, torch.dtype):
        raise Refusal(
            f"{name} is {dtype.name}, which PyTorch {torch.__version__} cannot hold",
            "write safetensors instead",
        )
    data = bytearray(to_words(array).view("u1"))
    tensor = (
        torch.frombuffer(data, dtype=torch_dtype) if data else torch.empty(0, dtype=torch_dtype)
    )
    return tensor.reshape(array.shape)
