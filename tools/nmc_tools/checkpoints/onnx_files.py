"""Reads the initializers of an ONNX model; its graph is left out.

Layout: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto (ModelProto and what it holds).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from nmc_format.dtypes import DTYPES, byte_size, from_words, word_dtype
from nmc_tools.checkpoints.budget import Budget
from nmc_tools.checkpoints.checkpoint import (
    Checkpoint,
    Refusal,
    buffers_by_convention,
    capped,
    plain,
)
from nmc_tools.checkpoints.protobuf import fields, inner, numbers, text

if TYPE_CHECKING:
    from nmc_format.dtypes import Array

_DTYPES = {
    1: "F32", 2: "U8", 3: "I8", 4: "U16", 5: "I16", 6: "I32", 7: "I64", 9: "BOOL", 10: "F16",
    11: "F64", 12: "U32", 13: "U64", 14: "C64", 16: "BF16", 17: "F8_E4M3", 18: "F8_E4M3FNUZ",
    19: "F8_E5M2", 20: "F8_E5M2FNUZ",
}  # fmt: skip
_TEXT = 8
_FLOATS = (4, 10)
_INTEGERS = (5, 7, 11)
_EXTERNAL = 14
_RAW = 9
_MAX_DEPTH = 16


def read_onnx(file: BinaryIO) -> Checkpoint:
    """Read the initializers of a model and of the graphs within its nodes.

    Names are those of the model; in a graph within a node they are only unique there, and have the
    name of the node before them.

    Parameters
    ----------
    file : binary file
        Seekable.

    Raises
    ------
    Refusal
        If it is malformed, or its weights are in another file.
    """
    size = file.seek(0, 2)
    file.seek(0)
    budget = Budget(size)
    state: dict[str, Array] = {}
    notes: list[str] = []
    for number, value in fields(memoryview(file.read()), budget):
        if number == 7:
            _graph(inner(value), "", state, notes, budget, 0)
    return Checkpoint(state, buffers_by_convention(state), "onnx", skipped=capped(notes))


def _graph(
    graph: memoryview,
    prefix: str,
    state: dict[str, Array],
    notes: list[str],
    budget: Budget,
    depth: int,
) -> None:
    if depth > _MAX_DEPTH:
        raise Refusal(f"its graphs nest over {_MAX_DEPTH} deep")
    for number, value in fields(graph, budget):
        if number == 5:
            name, array = _tensor(inner(value), budget)
            budget.spend(len(prefix))
            if prefix + name in state:
                raise Refusal(f"two tensors have the name {plain(prefix + name)!r}")
            if array is None:
                notes.append(f"{plain(prefix + name)}: text, not a tensor")
            else:
                state[prefix + name] = array
        elif number == 1:
            _node(inner(value), prefix, state, notes, budget, depth)


def _node(
    node: memoryview,
    prefix: str,
    state: dict[str, Array],
    notes: list[str],
    budget: Budget,
    depth: int,
) -> None:
    name, outputs, attributes = "", [], []
    for number, value in fields(node, budget):
        if number == 3:
            name = text(value)
        elif number == 2:
            outputs.append(text(value))
        elif number == 5:
            attributes.append(inner(value))
    for attribute in attributes:
        label = ""
        for number, value in fields(attribute, budget):
            if number == 1:
                label = text(value)
            elif number == 6:  # a graph: a branch of an If, the body of a Loop
                own = name or (outputs[0] if outputs else "")
                if len(prefix) + len(own) + len(label) > 2**16:
                    raise Refusal("a name of its graphs has over 65536 characters")
                _graph(inner(value), f"{prefix}{own}.{label}.", state, notes, budget, depth + 1)
            elif number == 5 and label == "value" and outputs:  # a node "Constant"
                _, array = _tensor(inner(value), budget)
                budget.spend(len(prefix))
                if array is not None and array.shape:
                    if prefix + outputs[0] in state:
                        raise Refusal(f"two tensors have the name {plain(outputs[0])!r}")
                    state[prefix + outputs[0]] = array


def _tensor(message: memoryview, budget: Budget) -> tuple[str, Array | None]:
    name, number = "", 0
    shape: list[int] = []
    parts: list[tuple[int, memoryview | int]] = []
    for field, value in fields(message, budget):
        if field == 1:
            shape += numbers(value)
        elif field == 2 and isinstance(value, int):
            number = value
        elif field == 8:
            name = text(value)
        elif field in (_RAW, *_FLOATS, *_INTEGERS):
            parts.append((field, value))
        elif field == _EXTERNAL and value:
            raise Refusal(
                f"{plain(name) or 'a tensor'!r} lies in another file",
                "save the model in one file: onnx.save(…, save_as_external_data=False)",
            )
    if number == _TEXT:
        return name, None
    if number not in _DTYPES:
        raise Refusal(
            f"{plain(name)!r} has ONNX element type {number}, which cannot be stored",
            "convert the tensor and save again",
        )
    dtype = DTYPES[_DTYPES[number]]
    words = word_dtype(dtype)
    if len(shape) > 32 or not all(0 <= side < 2**62 for side in shape):
        raise Refusal(f"{plain(name)!r} has no shape of at most 32 dimensions")
    pieces = []
    for field, value in parts:
        if field in (_RAW, *_FLOATS):
            data = inner(value)
            if len(data) % words.itemsize:
                raise Refusal(f"{plain(name)!r} has no whole number of elements")
            pieces.append(np.frombuffer(data, words))
        else:
            found = numbers(value)
            budget.spend(40 * len(found))
            pieces.append(np.array([n & (2 ** (8 * words.itemsize) - 1) for n in found], words))
    flat = np.concatenate(pieces) if pieces else np.empty(0, words)
    size = byte_size(dtype, tuple(shape))
    if flat.nbytes != size:
        raise Refusal(f"{plain(name)!r} of shape {shape} has {flat.nbytes} bytes, expected {size}")
    return name, from_words(flat, dtype, tuple(shape))
