"""Reads a checkpoint of any supported format, recognised by its content."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from nmc_tools.checkpoints.checkpoint import Checkpoint, CheckpointError, Refusal, narrow, plain
from nmc_tools.checkpoints.tensorflow_table import MAGIC as TABLE_MAGIC
from nmc_tools.checkpoints.unreadable import HEAD_BYTES, TAIL_BYTES, foreign_kind, refuse_foreign

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nmc_tools.checkpoints.torch_files import Keep

_BY_SUFFIX = {
    ".safetensors": "safetensors",
    ".pt": "",
    ".pth": "",
    ".ckpt": "",
    ".tar": "",
    ".bin": "",
    ".jit": "",
    ".th": "",
    ".npz": "zip",
    ".h5": "keras",
    ".hdf5": "keras",
    ".keras": "zip",
    ".ply": "ply",
    ".msgpack": "snapshot",
    ".ingp": "snapshot",
    ".index": "tensorflow",
    ".onnx": "onnx",
    ".splat": "splat",
    ".spz": "spz",
    ".glb": "gltf",
    ".gltf": "gltf",
    ".zip": "",
}
"""How to read a file whose content does not tell, by its ending; empty where it has to tell."""

READABLE_SUFFIXES = tuple(_BY_SUFFIX)
"""File endings under which checkpoints are looked for; what is in a file is told by its content."""

_OF_FILE_ALONE = {
    "onnx": "onnx_files.read_onnx",
    "ply": "ply_files.read_ply",
    "splat": "splat_files.read_splat",
    "spz": "spz_files.read_spz",
    "gltf": "gltf_files.read_gltf",
}
"""Readers that ask for nothing but the open file, by what they read."""

_GAUSSIANS = {"ply": (b"ply\n", b"ply\r\n"), "spz": (b"NGSP",), "gltf": (b"glTF",)}
"""How files of Gaussians begin, where that tells."""

_NEVER_ZERO = {"snapshot", "onnx", "spz", "gltf"}
"""What is read as a whole, and begins with no zero: a sparse file of gigabytes is not."""

_HDF5 = b"\x89HDF\r\n\x1a\n"
_GZIP = b"\x1f\x8b"


def read(
    path: str | Path, *, key: str | Sequence[str] | None = None, keep: Keep = "weights"
) -> Checkpoint:
    """Read the weights of a checkpoint; nothing in the file is ever executed.

    Formats: safetensors; PyTorch (zip, TorchScript, and the form before 1.6), without PyTorch;
    .npz; Keras (.h5, .hdf5, .keras); 3DGS .ply; instant-ngp snapshots (.msgpack, .ingp);
    TensorFlow checkpoints (.index, or the one file of version 1) and SavedModels; ONNX
    initializers; .splat, .spz and glTF with KHR_gaussian_splatting (.glb); agents of
    Stable-Baselines3 (.zip). Of a training checkpoint all weights are taken, and what else it holds
    is listed in ``skipped``; `trees` has the rule.

    Parameters
    ----------
    path : str or Path
        The file.
    key : str or sequence of str, optional
        Dotted path of the part to take, ``"model_fine_state_dict"`` or ``"ema.encoder"``; it is
        dropped from the names. Of several, all are taken, and they stay in the names.
    keep : {"weights", "all"}
        Whether all else of a training checkpoint is taken too: optimizer state, nesting and
        scalars, so that the script that wrote it can go on from it (`nesting`). Formats that hold
        nothing but tensors are the same either way.

    Returns
    -------
    Checkpoint
        The tensors in file order.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, hostile, of another kind, or holds no tensors.
    """
    path = Path(path)
    try:
        keys = [key] if isinstance(key, str) else list(key or ())
        checkpoint = _read(path, [k for k in keys if k], keep)
        _check_names(checkpoint)
    except Refusal as refusal:
        raise CheckpointError(path, refusal.reason, refusal.hint) from None
    except OSError as error:
        raise CheckpointError(path, f"cannot be read: {error.strerror or plain(error)}") from None
    except MemoryError:
        hint = "free some memory, or use a larger machine"
        raise CheckpointError(path, "takes more memory than there is", hint) from None
    except Exception as error:  # a malformed file never shows as another kind of error
        reason = f"is malformed: {type(error).__name__}: {plain(error)}"
        raise CheckpointError(path, reason, "the file is damaged; copy it again") from error
    return checkpoint


def _check_names(checkpoint: Checkpoint) -> None:
    for name in checkpoint.state:
        try:
            name.encode("utf-8")
        except UnicodeEncodeError:
            raise Refusal(f"the name {plain(name)} of a tensor is not valid text") from None
    if not checkpoint.state:
        notes = "; ".join(checkpoint.skipped[:3])
        raise Refusal("holds no tensors" + (f", only {notes}" if notes else ""))


def _read(path: Path, keys: Sequence[str], keep: Keep) -> Checkpoint:
    if path.name == "saved_model.pb" or (path / "saved_model.pb").is_file():
        from nmc_tools.checkpoints.tensorflow_files import read_saved_model

        return narrow(read_saved_model(path, whole=keep == "all"), keys)
    if (path / "manifest.h5").is_file():
        raise refuse_foreign("package")
    if path.is_dir():
        raise Refusal("is a directory, expected one file", "use expand() to list its checkpoints")
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        size = file.seek(0, 2)
        file.seek(max(0, size - TAIL_BYTES))
        tail = file.read(TAIL_BYTES)
        if not head:
            raise Refusal("is empty", "copy the file again")
        kind = _kind(path, head, tail, size)
        return _read_kind(kind, path, file, keys, keep)


def _kind(path: Path, head: bytes, tail: bytes, size: int) -> str:
    """Return how to read a file, by its first bytes, and by its ending where those do not tell."""
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if head.startswith(_HDF5):
        return "keras"
    for kind, magics in _GAUSSIANS.items():
        if head.startswith(magics):
            return kind
    # Before pickles, since a header of 0x280 bytes begins as one of protocol 2 does.
    named = path.suffix.lower() == ".safetensors"
    if head[8:9] == b"{" and (named or int.from_bytes(head[:8], "little") <= size):
        return "safetensors"
    if head.startswith(b"\x80") and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "torch-legacy"
    kind = _BY_SUFFIX.get(path.suffix.lower(), "")
    if tail == TABLE_MAGIC:
        return "tensorflow" if kind == "tensorflow" else "tensorflow-1"
    if head.startswith(_GZIP) and kind in ("snapshot", "spz"):
        return kind
    foreign = foreign_kind(path, head)
    if foreign is not None:
        raise refuse_foreign(foreign)
    if kind in _NEVER_ZERO and not head.strip(b"\0"):
        raise Refusal("begins with zeros only, perhaps a download that never began", "get it again")
    if not kind:
        raise Refusal(
            f"is not a checkpoint that can be read; it begins with {plain(head[:8])}",
            f"readable are {' '.join(READABLE_SUFFIXES)}",
        )
    return kind


def _read_kind(
    kind: str, path: Path, file: BinaryIO, keys: Sequence[str], keep: Keep
) -> Checkpoint:
    if kind == "zip":
        return _read_zip(file, keys, keep)
    if kind == "torch-legacy":
        from nmc_tools.checkpoints.torch_files import read_legacy

        return read_legacy(file, keys, keep)
    if kind == "safetensors":
        from nmc_tools.checkpoints.safetensors_files import read_safetensors

        return narrow(read_safetensors(path, file), keys)
    if kind == "keras":
        from nmc_tools.checkpoints.keras_files import read_hdf5

        return narrow(read_hdf5(path, whole=keep == "all"), keys)
    if kind in ("tensorflow", "tensorflow-1"):
        from nmc_tools.checkpoints import tensorflow_files

        whole = keep == "all"
        if kind == "tensorflow":
            return narrow(tensorflow_files.read_index(path, file, whole=whole), keys)
        return narrow(tensorflow_files.read_version_1(file, whole=whole), keys)
    if kind == "snapshot":
        from nmc_tools.checkpoints.msgpack_files import read_snapshot

        return narrow(read_snapshot(file, whole=keep == "all"), keys)
    module, _, name = _OF_FILE_ALONE[kind].partition(".")
    reader = getattr(import_module(f"nmc_tools.checkpoints.{module}"), name)
    return narrow(reader(file), keys)


def _read_zip(file: BinaryIO, keys: Sequence[str], keep: Keep) -> Checkpoint:
    from nmc_tools.checkpoints import keras_files, npz_files, torch_files
    from nmc_tools.checkpoints.bounded_zip import open_archive

    archive = open_archive(file)
    members = archive.members
    if any(name == "data.pkl" or name.endswith("/data.pkl") for name in members):
        return torch_files.read_zip(archive, keys, keep)
    if "policy.pth" in members:
        from nmc_tools.checkpoints.baselines_files import read_baselines

        return read_baselines(archive, keys, keep)
    if "model.weights.h5" in members:
        return narrow(keras_files.read_keras_zip(archive, whole=keep == "all"), keys)
    if any(name.endswith(".npy") for name in members):
        return narrow(npz_files.read_npz(archive), keys)
    if "manifest.h5" in members:
        raise refuse_foreign("package")
    if any(
        name.endswith(("/archive_format", "serialized_exported_program.json")) for name in members
    ):
        raise refuse_foreign("exported")
    raise Refusal(
        "is a zip that holds no PyTorch data.pkl, model.weights.h5, policy.pth or .npy arrays",
        "unpack it if the checkpoint lies inside",
    )
