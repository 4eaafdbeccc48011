"""An encoder of the sparse variant in plain integers (clause 8.7)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from writers.package_writer import count

from arithmetic import coder_static
from arithmetic.coder_words import CodedTensor, History, clip

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

PIECE = 131072
FULL = 49152
FIRST_LANE = 1 << 23
OCTAVES = 32


def chance_of(step: int) -> int:
    """Return the chance that a byte stands for (clause 8.7.3)."""
    if step == 0:
        return 0
    if step > 128:
        return 65536 - chance_of(256 - step)
    return ((8 + (step - 1) % 8) << ((step - 1) // 8)) >> 3


def step_of(share: float) -> int:
    """Return the byte whose chance is nearest to a share, and not 0."""
    return min(range(1, 256), key=lambda step: abs(chance_of(step) - 65536 * share))


Chances = dict[tuple[int, int], dict[int, int]]
"""Bytes of chances by octave, for each pair (follows, past)."""


@dataclass
class Piece:
    """The lane and the code of a piece (clause 8.7.4)."""

    lane: int
    code: bytes
    size: int | None = None

    def serialize(self) -> bytes:
        """Return its bytes; as a fault, another size than that of the code is claimed."""
        size = len(self.code) if self.size is None else self.size
        return count(size) + self.lane.to_bytes(4, "little") + self.code


@dataclass
class Cells:
    """What a payload says of the cells of one tensor (clause 8.7.2); a fault is another field."""

    size: int
    live: list[int] = field(default_factory=list)
    chances: bytes = b""
    pieces: list[Piece] = field(default_factory=list)

    def serialize(self) -> bytes:
        """Return its bytes."""
        made = count(self.size) + b"".join(map(count, self.live))
        return made + self.chances + b"".join(piece.serialize() for piece in self.pieces)


@dataclass
class Body:
    """The body of variant 4 (clause 8.7.1)."""

    cells: list[Cells]
    inner: bytes

    def serialize(self) -> bytes:
        """Return its bytes."""
        return b"".join(cells.serialize() for cells in self.cells) + self.inner


def put_chances(first: int, chances: Chances, ranges: Mapping[int, range] | None = None) -> bytes:
    """Write new chances; a range of octaves can be given for each of the six, in their order."""
    made = b"\x01" + first.to_bytes(2, "little")
    for k in range(6):
        steps = chances.get((k // 3, k % 3), {})
        octaves = range(min(steps), max(steps) + 1) if steps else range(0)
        octaves = (ranges or {}).get(k, octaves)
        made += bytes([octaves.start, len(octaves)])
        made += bytes(steps.get(octave, 0) for octave in octaves)
    return made


def octave_of(p: CodedTensor, x: int, first: int) -> int:
    """Return the octave of a cell whose first word is x."""
    return clip((p.magnitude(x) >> p.m) - first, 0, OCTAVES - 1) if p.e else 0


@dataclass
class Look:
    """The cells of a tensor as both sides see them: for each one its past, its octave."""

    cells: list[tuple[int, int]]
    live: list[bool]

    def places(self) -> list[tuple[int, int, int]]:
        """Return (follows, past, octave) of each cell."""
        before = [False, *self.live[:-1]]
        return [
            (int(before[c] and c % PIECE > 0), past, octave)
            for c, (past, octave) in enumerate(self.cells)
        ]


def look(p: CodedTensor, size: int, ways: Sequence[int], first: int) -> Look:
    """Look at all cells of a tensor."""
    starts = range(0, len(p.old), size)
    return Look(
        [
            (
                max(min(way, 2) for way in ways[i : i + size]),
                octave_of(p, p.old[i], first),
            )
            for i in starts
        ],
        [p.old[i : i + size] != p.new[i : i + size] for i in starts],
    )


def counted(seen: Look) -> Chances:
    """Return chances that are the shares of live cells, roughly."""
    counts: dict[tuple[int, int, int], list[int]] = {}
    for place, live in zip(seen.places(), seen.live, strict=True):
        n = counts.setdefault(place, [0, 0])
        n[0] += 1
        n[1] += live
    made: Chances = {}
    for (follows, past, octave), (cells, live) in sorted(counts.items()):
        if live:
            made.setdefault((follows, past), {})[octave] = step_of(live / cells * 0.9)
    return made


def code_piece(
    places: Sequence[tuple[int, int, int]],
    live: Sequence[bool],
    chances: Chances,
    *,
    last: int = FIRST_LANE,
    shift: int = 0,
) -> Piece:
    """Return a piece. As a fault, its lane ends elsewhere, or can begin too low or too high."""
    symbols, total = [], 0
    left = sum(live)
    for (follows, past, octave), is_live in zip(places, live, strict=True):
        if left == 0:
            break
        chance = chance_of(chances.get((follows, past), {}).get(octave, 0))
        if total > 0 and total + chance > FULL:
            symbols.append((total, 65536 - total))
            total = 0
        if is_live:
            assert chance > 0, "a live cell needs a chance"
            symbols.append((total, chance))
            total, left = 0, left - 1
        else:
            total += chance
    lane, written = last, []
    for k, (first, points) in reversed(list(enumerate(symbols))):
        while lane >= points << (15 + (shift if k == 0 else 0)):
            written.append(lane & 255)
            lane >>= 8
        lane = ((lane // points) << 16) + lane % points + first
    return Piece(lane, bytes(reversed(written)))


def body(
    tensors: Sequence[CodedTensor],
    history: History,
    sizes: Sequence[int] = (1,),
    *,
    first: int | None = None,
    shared: bool = False,
    chances_of: Callable[[Look], Chances] = counted,
    encode_inner: Callable[[list[CodedTensor], History], bytes] | None = None,
    live_of: Callable[[list[bool]], list[bool]] = list,
    ranges: Mapping[int, range] | None = None,
    claimed: int | None = None,
    last: int = FIRST_LANE,
    shift: int = 0,
) -> Body:
    """Return the body of variant 4; the history goes on.

    Parameters
    ----------
    sizes : sequence of int
        Cell sizes of the tensors, in turn; -1 for the words of its last dimension.
    first : int, optional
        The exponent field where octave 0 begins; else the lowest that occurs.
    shared : bool
        Whether the first tensor with live cells has the chances of all.
    chances_of : callable
        Makes chances.
    encode_inner : callable, optional
        Makes the inner payload; else it is static.
    live_of : callable
        Makes more cells live than those in which a word changes.
    ranges : dict of int to range, optional
        Octaves with chances, for each of the six pairs.
    claimed : int, optional
        As a fault, another cell size.
    last, shift
        Faults of every lane.
    """
    looks: list[tuple[CodedTensor, int, Look, int]] = []
    for k, p in enumerate(tensors):
        size = sizes[k % len(sizes)]
        size = (p.shape[-1] if p.shape else 1) if size < 0 else size
        size = min(size, len(p.old))
        lowest = min((p.magnitude(x) >> p.m for x in p.old), default=0) if p.e else 0
        at = lowest if first is None else first
        seen = look(p, size, history.ways_of(p), at) if size else Look([], [])
        seen = replace(seen, live=live_of(seen.live))
        looks.append((p, size, seen, at))
    common: Chances | None = None
    if shared:
        common = {}
        for _, _, seen, _ in looks:
            for key, steps in chances_of(seen).items():
                common.setdefault(key, {}).update(steps)
    cells, inner, kept, told = [], [], [], False
    for p, size, seen, at in looks:
        made = Cells(size if claimed is None else claimed)
        words = range(len(p.old))
        if size:
            live = [c for c, is_live in enumerate(seen.live) if is_live]
            words = [i for c in live for i in range(size * c, min(size * (c + 1), len(p.old)))]  # type: ignore[assignment]
            chances = common if common is not None else chances_of(seen)
            starts = range(0, len(seen.live), PIECE)
            made.live = [sum(seen.live[a : a + PIECE]) for a in starts]
            places = seen.places()
            if live:
                made.chances = b"\0" if shared and told else put_chances(at, chances, ranges)
                told = True
            made.pieces = [
                code_piece(
                    places[a : a + PIECE], seen.live[a : a + PIECE], chances, last=last, shift=shift
                )
                for a, number in zip(starts, made.live, strict=True)
                if number
            ]
        cells.append(made)
        inner.append(
            replace(
                p,
                shape=(len(words),),
                old=tuple(p.old[i] for i in words),
                new=tuple(p.new[i] for i in words),
            )
            if size
            else p
        )
        kept.append(([history.ways_of(p)[i] for i in words], words))
    inside = History({p.row: ways for p, (ways, _) in zip(tensors, kept, strict=True)})
    data = (
        encode_inner(inner, inside) if encode_inner else b"\1" + coder_static.encode(inner, inside)
    )
    for p, part, (_, words) in zip(tensors, inner, kept, strict=True):
        ways = history.ways_of(p)
        ways[:] = [0] * len(ways)
        for i, way in zip(words, inside.ways_of(part), strict=True):
            ways[i] = way
    return Body(cells, data)


def stored(inner: list[CodedTensor], inside: History) -> bytes:
    """Return an inner payload of variant 0."""
    inside.ways.clear()
    return b"\0" + b"".join(z.to_bytes(p.w // 8, "little") for p in inner for z in p.new)
