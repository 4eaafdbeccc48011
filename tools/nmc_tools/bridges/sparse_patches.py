"""Sparse weight patches of TRL: one safetensors file for each step, places and new values.

Layout: https://github.com/huggingface/trl (pull request 5937; ``trl/experimental/async_grpo``,
delta_codec.py and delta_engine.py). A *patch* has two tensors for each that changed, ``NAME.idx``
and ``NAME.val``; the metadata says ``format`` sparse_weight_patch, ``model_version`` and
``encoding``: ``raw`` (I32, places in the flat tensor) or ``gap_delta`` (U16 or U32, how many are
left out before each). An *anchor* has whole tensors. A patch does not say what it builds on.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np
from natsort import natsorted

from nmc_format.dtypes import PackedArray, dtype_of, from_words, to_words
from nmc_tools import checkpoints
from nmc_tools.checkpoints.checkpoint import CheckpointError, plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from nmc_format.dtypes import Array

FORMAT: Final = "sparse_weight_patch"
Encoding: TypeAlias = Literal["raw", "gap_delta"]

Places: TypeAlias = "np.ndarray[tuple[int], np.dtype[np.int64]]"


def metadata_of(path: Path) -> dict[str, str]:
    """Return the metadata of a safetensors file; empty where it has none, or is another file."""
    try:
        from safetensors import SafetensorError, safe_open

        with safe_open(path, framework="numpy") as file:
            return dict(file.metadata() or {})
    except (OSError, SafetensorError):
        return {}


def is_chain(folder: Path) -> bool:
    """Whether a folder has patches in it."""
    files = folder.glob("*.safetensors")
    return any(metadata_of(path).get("format") == FORMAT for path in files)


def states_of(folder: Path, base: Mapping[str, Array] | None) -> Iterator[tuple[str, Any]]:
    """Yield name and state of the base, if it is given, and of each patch and anchor.

    Raises
    ------
    CheckpointError
        If a patch is damaged or does not fit, versions are missing, or there is nothing to begin
        from.
    """
    state = dict(base or {})
    if base is not None:
        yield "base", state
    last = None
    for version, path, metadata in _ordered(folder):
        if metadata.get("sparse") != "True":
            state = checkpoints.read(path).state
        elif not state:
            hint = "name the checkpoint that the chain began from with --base"
            raise CheckpointError(path, "is a patch, and nothing comes before it", hint)
        elif last is not None and version != last + 1:
            raise CheckpointError(
                path, f"is version {version}, and comes after version {last}", "fetch what lacks"
            )
        else:
            state = _patched(path, metadata, state)
        last = version
        yield path.stem, state


def _ordered(folder: Path) -> list[tuple[int, Path, dict[str, str]]]:
    found = []
    for path in natsorted(folder.glob("*.safetensors"), key=lambda p: p.name):
        metadata = metadata_of(path)
        if metadata.get("format") != FORMAT:
            raise CheckpointError(path, "is not a patch, as others in its folder are")
        try:
            found.append((int(metadata.get("model_version", "")), path, metadata))
        except ValueError:
            raise CheckpointError(path, "its model_version is not a number") from None
    found.sort(key=lambda entry: entry[0])
    for (a, _, _), (b, path, _) in pairwise(found):
        if a == b:
            raise CheckpointError(path, f"is version {b}, as another file is")
    return found


def _patched(path: Path, metadata: dict[str, str], before: Mapping[str, Array]) -> dict[str, Array]:
    encoding = metadata.get("encoding", "gap_delta")
    if encoding not in ("raw", "gap_delta"):
        hint = "let TRL write gap_delta"
        raise CheckpointError(path, f"its places are coded as {plain(encoding)!r}", hint)
    patch = checkpoints.read(path).state
    state = dict(before)
    names = {name.rpartition(".")[0] for name in patch}
    if len(patch) != 2 * len(names):
        raise CheckpointError(path, "has other tensors than pairs of NAME.idx and NAME.val")
    for name in sorted(names):
        coded, values = patch.get(f"{name}.idx"), patch.get(f"{name}.val")
        old = before.get(name)
        if coded is None or values is None or isinstance(coded, PackedArray):
            raise CheckpointError(path, f"has no {plain(name)}.idx or no {plain(name)}.val")
        if old is None:
            raise CheckpointError(path, f"{plain(name)!r} is not in the state before it")
        kind, wanted = dtype_of(values), dtype_of(old)
        if kind != wanted:
            raise CheckpointError(
                path, f"the values of {plain(name)!r} are {kind.name}, the tensor is {wanted.name}"
            )
        words = to_words(old).copy()
        places = _places(path, name, coded, encoding, words.size)
        if kind.bits != 8 * kind.word_bytes or len(places) != to_words(values).size:
            raise CheckpointError(path, f"{plain(name)!r} has not one value for each place")
        words[places] = to_words(values)
        state[name] = from_words(words, wanted, tuple(old.shape))
    return state


def _places(path: Path, name: str, coded: np.ndarray[Any, Any], encoding: str, size: int) -> Places:
    kinds = ("int32",) if encoding == "raw" else ("uint16", "uint32")
    if coded.dtype.name not in kinds or coded.ndim != 1:
        raise CheckpointError(path, f"{plain(name)}.idx is {coded.dtype}, not {' or '.join(kinds)}")
    wide = coded.astype(np.int64)
    places: Places = wide if encoding == "raw" else np.cumsum(wide + 1) - 1
    if len(places) and (places[0] < 0 or places[-1] >= size or (np.diff(places) <= 0).any()):
        raise CheckpointError(
            path, f"{plain(name)}.idx does not ascend, or goes beyond {size} elements"
        )
    return places


def write_step(
    folder: Path,
    number: int,
    state: Mapping[str, Array],
    before: Mapping[str, Array] | None,
    encoding: Encoding,
) -> None:
    """Write one step: a patch, or an anchor where there is none before it or kinds differ.

    Values keep their dtype. TRL itself makes bfloat16 of all that it sends.

    Raises
    ------
    CheckpointError
        If it cannot be written, or a tensor has too many elements for places of 31 bits.
    """
    patch = None if before is None else _patch(folder, state, before, encoding)
    total = sum(to_words(array).size for array in state.values())
    changed = total
    if patch is not None:
        changed = sum(to_words(patch[name]).size for name in patch if name.endswith(".val"))
    metadata = {
        "format": FORMAT,
        "version": "1",
        "sparse": str(patch is not None),
        "model_version": str(number),
        "num_changed_params": str(len(state) if patch is None else len(patch) // 2),
        "total_changed_elements": str(changed),
        "total_elements": str(total),
        "sparsity": str(1.0 - changed / max(total, 1)),
        "encoding": encoding,
    }
    kind = "anchor" if patch is None else "patch"
    content = dict(state) if patch is None else patch
    target = folder / f"{kind}_{number:06d}.safetensors"
    checkpoints.write(target, content, to="safetensors", extra={"metadata": metadata})


def _patch(
    folder: Path, state: Mapping[str, Array], before: Mapping[str, Array], encoding: Encoding
) -> dict[str, Array] | None:
    """Return the tensors of a patch; None where an anchor is needed."""
    kinds = [
        {name: (dtype_of(a).name, tuple(a.shape)) for name, a in s.items()} for s in (state, before)
    ]
    if kinds[0] != kinds[1]:
        return None
    patch: dict[str, Array] = {}
    for name, array in state.items():
        new, old = to_words(array), to_words(before[name])
        if np.array_equal(new, old):
            continue
        if isinstance(array, PackedArray) or array.dtype.kind == "c":
            return None  # no place in words is one of an element
        if new.size >= 2**31:
            reason = f"{plain(name)!r} has {new.size} elements; places have 31 bits"
            raise CheckpointError(folder, reason)
        places = np.flatnonzero(new != old)
        patch[f"{name}.val"] = np.ascontiguousarray(array).reshape(-1)[places]
        patch[f"{name}.idx"] = coded_places(places, encoding)
    return patch or None


def coded_places(places: Places, encoding: Encoding) -> np.ndarray[Any, Any]:
    """Return ascending places as a patch has them: I32, or the gaps as U16 or U32."""
    if encoding == "raw":
        return places.astype("<i4")
    gaps = np.diff(places, prepend=-1) - 1
    return gaps.astype("<u2" if int(gaps.max(initial=0)) < 2**16 else "<u4")
