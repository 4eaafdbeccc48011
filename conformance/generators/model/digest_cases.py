"""Vectors of clause 4.5: leaves of tensors, and digests that were made in another way."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

from blake3 import blake3
from cases import Case
from chain import DELTA, INTEGER, KEY, RAW, SKIP, Cell, Chain, Edits, Frame, Row, shape_of
from writers.package_writer import state_preimage, tensor_head

from model.model_cases import SEED, random_bytes, stepped

MISMATCH = "decoding/state-digest-mismatch"
LEAF = 1024
PERIOD = 251
"""A prime, so that no two leaves of a tensor are alike, and an archive packs them well."""

BLOCKS = (0, 1, 63, 64, 65, 127, 128, 129, LEAF - 1, LEAF)
"""Bytes of tensors of one leaf."""
LEAVES = (1025, 2047, 2048, 2049, 3071, 3072, 3073, 4096, 4097, 5120, 5121, 6145, 7169, 8192, 8193)
"""Bytes of tensors of a few leaves: halves that are alike and halves that are not."""
MANY = (16_384, 16_385, 31_744, 65_536 + 1, 102_400)
"""Bytes of tensors of many leaves: wide instructions take them 4, 8 or 16 at a time."""


def _tensors(sizes: tuple[int, ...]) -> Chain:
    """Return a key frame and a delta frame of one tensor for each number of bytes."""
    rows = tuple(Row(f"of-{size}", "U8", (size,)) for size in sizes)
    first = tuple(Cell(RAW, bytes((i + size) % PERIOD for i in range(size))) for size in sizes)
    last = tuple(Cell(INTEGER, stepped("U8", c.data[:-1]) + c.data[-1:]) for c in first)
    return Chain(rows, (Frame(KEY, first), Frame(DELTA, last)))


def _sizes() -> list[Case]:
    def made(name: str, what: str, sizes: tuple[int, ...]) -> Case:
        case = Case(f"04-model/{name}", what, ("4.5.3", "4.5.1"), _tensors(sizes), seed=SEED)
        return replace(case, inflate=max(sizes) > LEAF)

    return [
        made("leaf-one", "tensors of no bytes up to a whole leaf", BLOCKS),
        made("leaf-few", "tensors of a few leaves, a byte more and a byte less", LEAVES),
        made("leaf-many", "tensors of many leaves", MANY),
    ]


def _one() -> Case:
    """Return a package of a tensor of four leaves, one of two, and one of none."""
    rows = (Row("four", "F32", (1024,)), Row("two", "F16", (4, 256)), Row("zero", "U8", (0,)))
    first = tuple(Cell(RAW, random_bytes(n, n)) for n in (4096, 2048, 0))
    second = (Cell(INTEGER, stepped("F32", first[0].data)), Cell(SKIP, first[1].data), first[2])
    chain = Chain(rows, (Frame(KEY, first), Frame(DELTA, second)))
    summary = "a tensor of four leaves, one of two and one without bytes"
    return Case("04-model/leaf-whole", summary, ("4.5.1", "4.5.3"), chain, seed=SEED)


Content = Callable[[bytes], bytes]


def _digests(chain: Chain, t: int, tensor: Callable[[bytes, bytes], bytes]) -> bytes:
    """Return the digest of a state whose tensors are hashed in another way, head and bytes."""
    found = {}
    for i, cell in enumerate(chain.frames[t].cells):
        assert cell is not None
        row = chain.rows[i]
        found[row.name] = tensor(tensor_head(row.dtype, shape_of(chain, i, cell)), cell.data)
    return hashlib.sha256(state_preimage(found)).digest()


def _content(content: Content) -> Callable[[bytes, bytes], bytes]:
    return lambda head, data: hashlib.sha256(head + content(data)).digest()


def _leaves(data: bytes) -> list[bytes]:
    return [data[i : i + LEAF] for i in range(0, len(data), LEAF)]


def _swapped(data: bytes) -> bytes:
    """Return leaves with the first two of them in the other order."""
    leaves = _leaves(data)
    return b"".join([*leaves[1::-1], *leaves[2:]])


def _flat(data: bytes) -> bytes:
    """Return the hash of the hashes of all leaves, without a tree."""
    return blake3(b"".join(blake3(leaf).digest() for leaf in _leaves(data))).digest()


WAYS: dict[str, tuple[str, Callable[[bytes, bytes], bytes]]] = {
    "serial": (
        "digests of tensors as one SHA-256 over head and bytes",
        lambda head, data: hashlib.sha256(head + data).digest(),
    ),
    "sha-256": (
        "the SHA-256 of the bytes of a tensor in place of its BLAKE3",
        _content(lambda data: hashlib.sha256(data).digest()),
    ),
    "order": ("leaves in the other order", _content(lambda data: blake3(_swapped(data)).digest())),
    "last-missing": (
        "the last leaf of each tensor left out",
        _content(lambda data: blake3(b"".join(_leaves(data)[:-1])).digest()),
    ),
    "flat": ("leaves hashed by themselves and joined without a tree", _content(_flat)),
    "blake3-outside": (
        "the BLAKE3 of head and bytes as the tensor digest",
        lambda head, data: blake3(head + data).digest(),
    ),
}
"""Other ways to make tensor digests, each of which somebody takes for this one."""


def _other_ways() -> list[Case]:
    whole = _one()

    def bad(name: str) -> Case:
        what, tensor = WAYS[name]
        chain = whole.chain
        made = [_digests(chain, t, tensor) for t in range(len(chain.frames))]
        return whole.reject(
            f"04-model/leaf-{name}",
            f"{what}: rejected",
            "4.5.3" if name in {"order", "last-missing", "flat"} else "4.5.1",
            MISMATCH,
            Edits(digests=lambda _: made),
            stage="frame",
            frame=0,
        )

    return [whole, *map(bad, WAYS)]


def cases() -> list[Case]:
    """Return the cases of this clause."""
    return [*_sizes(), *_other_ways()]
