"""The tensors a PyTorch pickle describes: storage, offset, shape and strides, checked before use.

Layouts are those of torch/_utils.py and torch/_tensor.py (`_rebuild_tensor`, `_rebuild_tensor_v2`,
`_rebuild_tensor_v3`, `_rebuild_parameter`, `_rebuild_from_type_v2`), and of torch/serialization.py
(the persistent identifier of a storage).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from nmc_format.dtypes import DTYPES, numpy_dtype
from nmc_tools.checkpoints.checkpoint import Refusal, plain
from nmc_tools.checkpoints.numpy_objects import NumpyArray
from nmc_tools.checkpoints.pickle_values import Elements, Global, Object, Ordered, as_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nmc_tools.checkpoints.bounded_zip import Bytes
    from nmc_tools.checkpoints.budget import Budget

MAX_DIMENSIONS = 32
"""Dimensions of a tensor; what every version of numpy can hold."""

_MAX_STORAGE_NAME = 256

_STORAGE_DTYPES = {
    "BFloat16Storage": "bfloat16",
    "BoolStorage": "bool",
    "ByteStorage": "uint8",
    "CharStorage": "int8",
    "ComplexDoubleStorage": "complex128",
    "ComplexFloatStorage": "complex64",
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "IntStorage": "int32",
    "LongStorage": "int64",
    "QInt32Storage": "qint32",
    "QInt8Storage": "qint8",
    "QUInt2x4Storage": "quint2x4",
    "QUInt4x2Storage": "quint4x2",
    "QUInt8Storage": "quint8",
    "ShortStorage": "int16",
    "UntypedStorage": "uint8",
}
_BY_TORCH_NAME = {d.numpy_name: d for d in DTYPES.values() if d.numpy_name}
_OTHER_SIZES = {
    "complex128": 16,
    "qint32": 4,
    "qint8": 1,
    "quint2x4": 1,
    "quint4x2": 1,
    "quint8": 1,
}
"""Bytes of elements that NMC cannot hold, by which a reader steps over them."""


@dataclass(frozen=True, eq=False)
class Storage:
    """One run of elements in the file.

    Attributes
    ----------
    key : str
        Its name in the file.
    dtype : str
        Element type, as torch (and numpy) names it.
    count : int
        Elements.
    first : int
        Element of the run ``key`` at which it begins; 0 except for views in old files.
    """

    key: str
    dtype: str
    count: int
    first: int = 0


@dataclass(frozen=True, eq=False)
class Tensor:
    """A strided tensor over a storage; offset and strides count elements of ``dtype``.

    ``parameter`` says whether it was an nn.Parameter, ``requires_grad`` whether it was trained.
    """

    storage: Storage
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    parameter: bool = False
    requires_grad: bool = False


@dataclass(frozen=True, eq=False)
class UnreadableTensor:
    """A tensor that is known to be one, but has no plain elements in the file."""

    why: str


def itemsize(torch_dtype: str) -> int:
    """Return the bytes of one element.

    Raises
    ------
    Refusal
        If NMC has no such type.
    """
    dtype = _BY_TORCH_NAME.get(torch_dtype)
    if dtype is None:
        raise Refusal(
            f"element type {plain(torch_dtype)} cannot be stored; known are "
            f"{', '.join(_BY_TORCH_NAME)}",
            "convert the tensor, for instance with .float(), and save again",
        )
    return dtype.bits // 8


def storage_itemsize(storage: Storage) -> int:
    """Return the bytes of one element of a storage, whether or not NMC has its type.

    Raises
    ------
    Refusal
        If the type is unknown.
    """
    return _OTHER_SIZES.get(storage.dtype) or itemsize(storage.dtype)


def byte_size(tensor: Tensor) -> int:
    """Return the bytes of the elements of a tensor, laid out without gaps."""
    return prod(tensor.shape) * itemsize(tensor.dtype)


def to_array(tensor: Tensor, data: Bytes, *, big_endian: bool) -> np.ndarray[Any, Any]:
    """Return a tensor as a contiguous array; shares the memory of its storage where it can.

    Parameters
    ----------
    tensor : Tensor
        What is described.
    data : numpy.ndarray of uint8
        The bytes of its storage.
    big_endian : bool
        The byte order of ``data``.

    Raises
    ------
    Refusal
        If an element lies outside the storage.
    """
    size = itemsize(tensor.dtype)
    dtype = numpy_dtype(_BY_TORCH_NAME[tensor.dtype])
    last = tensor.offset + sum(
        (d - 1) * s for d, s in zip(tensor.shape, tensor.strides, strict=True)
    )
    if prod(tensor.shape) == 0:
        return np.empty(tensor.shape, dtype)
    if (last + 1) * size > data.nbytes:
        raise Refusal(
            f"a tensor of shape {list(tensor.shape)} reaches byte {(last + 1) * size} of storage "
            f"{plain(tensor.storage.key)!r}, which has {data.nbytes}"
        )
    # A stride along a dimension of one element means nothing, and may be anything.
    steps = zip(tensor.shape, tensor.strides, strict=True)
    strides = tuple(s * size if d > 1 else size for d, s in steps)
    view = np.ndarray(tensor.shape, dtype, data.data, tensor.offset * size, strides)
    if big_endian and size > 1:
        return np.array(view.byteswap(), order="C", copy=True)
    return view if view.flags.c_contiguous else np.array(view, order="C", copy=True)


def storage_of(identifier: Any) -> Storage | Global | Object:
    """Return what a persistent identifier names.

    Raises
    ------
    Refusal
        If it names a storage in a way that is not understood.
    """
    kind = identifier[0] if isinstance(identifier, tuple) and identifier else None
    if kind == "module":  # source text of a module class, in files before PyTorch 1.6
        return identifier[1] if isinstance(identifier[1], Global) else Object("module", ())
    if kind != "storage" or len(identifier) not in (5, 6):
        raise Refusal("its pickle refers to something outside that is not a tensor storage")
    _, class_, key, _, count, *view = identifier
    if not isinstance(class_, Global) or not isinstance(key, str) or len(key) > _MAX_STORAGE_NAME:
        raise Refusal("its pickle names a storage without a known type or key")
    dtype = _STORAGE_DTYPES.get(class_.name.rpartition(".")[2], class_.name)
    if view and view[0] is not None:  # (key of the view, offset, elements): files before 1.6
        _, first, count = view[0]
        return Storage(key, dtype, _natural(count), _natural(first))
    return Storage(key, dtype, _natural(count))


def _natural(value: Any) -> int:
    if not isinstance(value, int) or not 0 <= value < 2**62:
        raise Refusal(f"a tensor has {plain(value)} where a count was expected")
    return value


def _naturals(values: Any) -> tuple[int, ...]:
    if not isinstance(values, tuple | list) or len(values) > MAX_DIMENSIONS:
        raise Refusal(f"a tensor has no shape of at most {MAX_DIMENSIONS} dimensions")
    return tuple(_natural(v) for v in values)


def _tensor(storage: Any, dtype: str, offset: Any, shape: Any, strides: Any) -> Tensor:
    sizes, steps = _naturals(shape), _naturals(strides)
    if not isinstance(storage, Storage) or len(sizes) != len(steps):
        raise Refusal("a tensor is built from something that is not a storage, shape and strides")
    return Tensor(storage, dtype, _natural(offset), sizes, steps)


def _rebuild(
    storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any
) -> Tensor | UnreadableTensor:
    # rest: requires_grad, hooks and, where a bit of the tensor is set, {"conj": True, "neg": True}
    if len(rest) > 2 and isinstance(rest[2], dict) and any(rest[2].values()):
        return UnreadableTensor("a lazily conjugated or negated tensor")
    dtype = storage.dtype if isinstance(storage, Storage) else ""
    tensor = _tensor(storage, dtype, offset, shape, strides)
    return replace(tensor, requires_grad=True) if rest[:1] == (True,) else tensor


def _rebuild_with_dtype(
    storage: Any,
    offset: Any,
    shape: Any,
    strides: Any,
    _requires_grad: Any,
    _hooks: Any,
    dtype: Any,
    *_: Any,
) -> Tensor:
    name = dtype.name.removeprefix("torch.") if isinstance(dtype, Global) else "unknown"
    return _tensor(storage, name, offset, shape, strides)


def _rebuild_from_type(function: Any, _type: Any, args: Any, *_: Any) -> Any:
    # Tensors alone: what else could be named here may copy what its arguments hold.
    name = function.name if isinstance(function, Global) else ""
    build = BUILDERS.get(name) if name.startswith("torch._utils._rebuild_") else None
    if build is None or not isinstance(args, tuple):
        return UnreadableTensor("a tensor of a class of its own")
    return build(*args)


def _unreadable(why: str) -> Callable[..., UnreadableTensor]:
    return lambda *_: UnreadableTensor(why)


def _parameter(data: Any, requires_grad: Any = True, *_: Any) -> Any:
    if not isinstance(data, Tensor):
        return data
    return replace(data, parameter=True, requires_grad=requires_grad is True)


def _pairs(budget: Budget, pairs: Any = ()) -> Ordered:
    # Only protocols 0 and 1 pass the items here; later ones set them one by one.
    return Ordered((as_key(key, budget), value) for key, value in pairs)


def _reconstructor(class_: Any, *_: Any) -> Object:
    return Object(class_.name if isinstance(class_, Global) else "computed class", ())


def builders(budget: Budget) -> Mapping[str, Callable[..., Any]]:
    """Return what the names of a PyTorch pickle build; every other stays an inert `Object`."""
    return {**BUILDERS, "collections.OrderedDict": partial(_pairs, budget)}


BUILDERS: Mapping[str, Callable[..., Any]] = {
    "collections.defaultdict": lambda *_: {},
    "builtins.set": lambda values=(): Elements(values),
    "builtins.frozenset": lambda values=(): Elements(values),
    "__builtin__.set": lambda values=(): Elements(values),
    "__builtin__.frozenset": lambda values=(): Elements(values),
    "builtins.bytearray": lambda data=b"", *_: data if isinstance(data, bytes) else b"",
    "__builtin__.bytearray": lambda data=b"", *_: data if isinstance(data, bytes) else b"",
    # Bytes in protocols 0 to 2, which have no opcode for them.
    "_codecs.encode": lambda text, _codec="latin1": text.encode("latin1"),
    "torch.Size": lambda values=(): values,
    "copy_reg._reconstructor": _reconstructor,
    "copyreg._reconstructor": _reconstructor,
    "torch._utils._rebuild_tensor": _rebuild,
    "torch._utils._rebuild_tensor_v2": _rebuild,
    "torch._utils._rebuild_tensor_v3": _rebuild_with_dtype,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch._tensor._rebuild_from_type_v2": _rebuild_from_type,
    "torch._utils._rebuild_sparse_tensor": _unreadable("a sparse tensor"),
    "torch._utils._rebuild_sparse_csr_tensor": _unreadable("a sparse tensor"),
    "torch._utils._rebuild_qtensor": _unreadable("a quantised tensor"),
    "torch._utils._rebuild_nested_tensor": _unreadable("a nested tensor"),
    "torch._utils._rebuild_meta_tensor_no_storage": _unreadable("a meta tensor, without data"),
    "torch._utils._rebuild_wrapper_subclass": _unreadable("a tensor of a class of its own"),
    "torch._utils._rebuild_device_tensor_from_numpy": _unreadable("a tensor of another device"),
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": lambda data, *_: data,
    "numpy._core.multiarray._reconstruct": lambda *args: NumpyArray("numpy array", args),
    "numpy.core.multiarray._reconstruct": lambda *args: NumpyArray("numpy array", args),
    "numpy._core.numeric._frombuffer": lambda *args: NumpyArray("numpy buffer", args),
    "numpy.core.numeric._frombuffer": lambda *args: NumpyArray("numpy buffer", args),
    "torch.jit._pickle.build_tensor_from_id": _unreadable("a quantised TorchScript tensor"),
}
"""What the names build whose work does not grow with what they are given."""
