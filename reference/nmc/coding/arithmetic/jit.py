"""Compilation of the kernels, and the few machine operations numpy has no name for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core.errors import RequireLiteralValue
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from nmc.machine_code import compiled

# Numbers inside kernels are typed by the compiler; to the type checker they are anything.
Array = Any
U64: Any = np.uint64
I64: Any = np.int64

Function = TypeVar("Function", bound=Callable[..., Any])

# Without the runtime's reference counts: a kernel owns nothing, its caller keeps every array
# alive, and counting in the inner loops would halve the speed.
_OPTIONS: dict[str, Any] = {"nogil": True, "_nrt": False, "error_model": "numpy"}


def kernel(function: Function) -> Function:
    """Compile a function that Python calls; the machine code is kept on disk where it can be."""
    return cast(Function, compiled(**_OPTIONS)(function))


def exact_kernel(function: Function) -> Function:
    """Compile a function of numbers that are exact in binary64: sums in any order are the same."""
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    return cast(Function, compiled(fastmath={"reassoc", "contract"}, **options)(function))


def inline(function: Function) -> Function:
    """Compile a function into the kernels that call it."""
    return cast(Function, numba.njit(forceinline=True, **_OPTIONS)(function))


def _machine(function: Callable[..., Any]) -> Any:
    """Make an operation of generated machine code."""
    return intrinsic(function)


def _element(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [index])


def routine(function: Function) -> Function:
    """Compile a function that kernels call; too large to be copied to every place it is used."""
    return cast(Function, numba.njit(**_OPTIONS)(function))


@_machine
def bit_length(_typing: Any, word: Any) -> Any:
    """Bits needed for an unsigned 64-bit word: 0 for 0, 64 for 2**63 and above."""
    del word

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        zeros = builder.ctlz(arguments[0], ir.Constant(ir.IntType(1), 0))
        return builder.sub(ir.Constant(ir.IntType(64), 64), zeros)

    return types.uint64(types.uint64), generate


@_machine
def bits_of(_typing: Any, array: Any) -> Any:
    """Bits of an element of an array, as a number that is known when the kernel is compiled."""

    def generate(context: Any, _builder: Any, signature: Any, _arguments: Any) -> Any:
        return context.get_constant(types.uint64, signature.args[0].dtype.bitwidth)

    return types.uint64(array), generate


@_machine
def get(_typing: Any, array: Any, index: Any) -> Any:
    """Element of an unsigned array as uint64; the caller vouches for the index."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value = builder.load(_element(context, builder, signature.args[0], *arguments))
        if value.type.width < 64:
            value = builder.zext(value, ir.IntType(64))
        return value

    return types.uint64(array, index), generate


@_machine
def put(_typing: Any, array: Any, index: Any, value: Any) -> Any:
    """Store the low bits of a uint64 in an unsigned array; the caller vouches for the index."""
    del value

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _element(context, builder, signature.args[0], arguments[0], arguments[1])
        kept = arguments[2]
        if array.dtype.bitwidth < 64:
            kept = builder.trunc(kept, ir.IntType(array.dtype.bitwidth))
        builder.store(kept, pointer)
        return context.get_dummy_value()

    return types.void(array, index, types.uint64), generate


@_machine
def elements(_typing: Any, like: Any, address: Any, count: Any) -> Any:
    """Array of the type of another one at an address; the caller vouches for its memory."""
    del address, count

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.return_type
        array = context.make_array(kind)(context, builder)
        width = context.get_constant(types.intp, kind.dtype.bitwidth // 8)
        populate_array(  # type: ignore[no-untyped-call]
            array,
            data=builder.inttoptr(arguments[1], array.data.type),
            shape=[arguments[2]],
            strides=[width],
            itemsize=width,
            meminfo=None,
        )
        return array._getvalue()  # noqa: SLF001 - numba has no other name for it

    return like(like, types.int64, types.int64), generate


@_machine
def word_at(_typing: Any, address: Any, index: Any) -> Any:
    """Element of a uint32 array at an address, as uint64; the caller vouches for its memory."""
    del address, index

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        pointer = builder.inttoptr(arguments[0], ir.IntType(32).as_pointer())
        return builder.zext(builder.load(builder.gep(pointer, [arguments[1]])), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), generate


@_machine
def prefetch(_typing: Any, array: Any, index: Any, written: Any) -> Any:
    """Fetch the cache line of an element, which need not be there; to be written, if that is 1."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _element(context, builder, signature.args[0], arguments[0], arguments[1])
        octet, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [octet, number, number, number])
        function = builder.module.declare_intrinsic("llvm.prefetch", [octet], kind)
        constants = [number(written.literal_value), number(3), number(1)]
        builder.call(function, [builder.bitcast(pointer, octet), *constants])
        return context.get_dummy_value()

    if not isinstance(written, types.IntegerLiteral):
        raise RequireLiteralValue("written")
    return types.void(array, index, written), generate


def _load(octets: Any, index: Any, bits: int) -> Any:
    """Return what reads so many bits at any offset, as uint64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _element(context, builder, signature.args[0], *arguments)
        value = builder.load(builder.bitcast(pointer, ir.IntType(bits).as_pointer()), align=1)
        return builder.zext(value, ir.IntType(64))

    return types.uint64(octets, index), generate


def _store(octets: Any, index: Any, bits: int) -> Any:
    """Return what writes so many low bits of a uint64 at any offset."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _element(context, builder, signature.args[0], arguments[0], arguments[1])
        value = builder.trunc(arguments[2], ir.IntType(bits))
        builder.store(value, builder.bitcast(pointer, ir.IntType(bits).as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(octets, index, types.uint64), generate


@_machine
def load64(_typing: Any, octets: Any, index: Any) -> Any:
    """Read eight bytes of a uint8 array, least significant first, at any offset."""
    return _load(octets, index, 64)


@_machine
def load32(_typing: Any, octets: Any, index: Any) -> Any:
    """Read four bytes of a uint8 array, least significant first, at any offset."""
    return _load(octets, index, 32)


@_machine
def store32(_typing: Any, octets: Any, index: Any, value: Any) -> Any:
    """Write four bytes of a uint8 array, least significant first, at any offset."""
    del value
    return _store(octets, index, 32)


@_machine
def store64(_typing: Any, octets: Any, index: Any, value: Any) -> Any:
    """Write eight bytes of a uint8 array, least significant first, at any offset."""
    del value
    return _store(octets, index, 64)
