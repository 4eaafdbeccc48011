"""The adaptive and the mixed variant of the lossless coder, in plain integers (clause 8.5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from writers.package_writer import count

from arithmetic.coder_chances import Predictor, RangeCoder, learn, squash, stretch
from arithmetic.coder_words import (
    Bits,
    Change,
    CodedTensor,
    History,
    Past,
    change_of,
    clip,
    past_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from arithmetic.coder_chances import Slot

ADAPTIVE, MIXED = 2, 3

FAR = 32
"""Exponents from the expected one at which a flip says its exponent as it is (clause 8.5.5)."""


@dataclass
class Trend:
    """What a row has learnt of the size of its changes (clause 8.5.4)."""

    weights: list[int]
    mean: int
    slow: int

    def copy(self) -> Trend:
        """Return a copy."""
        return Trend(list(self.weights), self.mean, self.slow)


def _move(a: int, b: int) -> int:
    return a + ((b - a) >> 3)


@dataclass
class _Average:
    """A mean of extents in 1/16, and how many went into it (clause 8.5.7)."""

    average: int = 0
    seen: int = 0

    def above(self, here: int) -> int:
        return clip((self.average >> 4) - here, -64, 64) if self.seen else 0

    def follow(self, size: int) -> None:
        self.average += (16 * size - self.average) * (131072 // (2 * self.seen + 3)) >> 16
        self.seen = min(self.seen + 1, 127)


@dataclass
class _Column(_Average):
    run: int = 0
    direction: int = 0
    up: int = 0
    drift: int = 0
    turn: int = 0


@dataclass
class _Line(_Average):
    left: int = 0
    left_zero: int = 0
    left_direction: int = 0
    corner: int = 0
    drift: int = 0
    turn: int = 0


@dataclass
class _Word:
    """Everything that is known of a word before it is coded."""

    x: int
    past: Past
    features: list[int]
    forecast: int
    depth: int
    zone: int
    contexts: tuple[int, ...]


class TensorEncoder:
    """Encodes the words of one tensor."""

    def __init__(
        self,
        p: CodedTensor,
        variant: int,
        predictor: Predictor,
        trend: Trend,
        code: RangeCoder,
        raw: Bits,
    ) -> None:
        self._p, self._mixed, self._predictor, self._trend = p, variant == MIXED, predictor, trend
        self._code, self._raw = code, raw
        self._columns = [_Column() for _ in range(p.columns)]

    def run(self, entries: list[int], words: range) -> None:
        """Encode some words, which begin a line, and put their entries in place."""
        line = _Line()
        for i in words:
            x, z = self._p.old[i], self._p.new[i]
            j = i % self._p.columns
            if j == 0:
                line = _Line()
            column = self._columns[j]
            word = self._before(x, past_of(entries[i]), column, line)
            change = change_of(self._p, i)
            self._encode(word, z, change, column, line)
            self._after(word, change, column, line)
            entries[i] = change.entry

    def _before(self, x: int, past: Past, c: _Column, line: _Line) -> _Word:
        p, trend = self._p, self._trend
        here = trend.mean >> 4
        near = [
            c.above(here),
            *(0 if v == 0 else clip(v - here, -64, 64) for v in (line.left, past.previous, c.up)),
            clip((trend.slow >> 4) - here, -64, 64),
            32,
            line.above(here),
        ]
        total = sum(w * f for w, f in zip(trend.weights, near, strict=True))
        forecast = clip(here + (total >> 24), 0, 32767)
        exponent = p.exponent(x)
        gap = (forecast - 8 * exponent) >> 1
        zone = 14 + min(gap, 255) // 8 if gap >= 16 else max(gap + 16, 0) // 2

        def rel(a: int, s: int, h: int) -> int:
            return clip(((a - 8 * exponent) >> s) + 1, 1, h) if a > 0 else 0

        contexts = (
            (past.past * 2 + line.left_zero) * 128 + rel(past.previous, 2, 127),
            rel(c.up, 3, 31) * 32 + rel(line.left, 3, 31),
            rel(c.average >> 4, 1, 255) * 4 + c.run,
            (exponent & 127) * 4 + (p.row & 3),
        )
        return _Word(x, past, near, forecast, clip(gap, 0, 255), zone, contexts)

    def _decide(self, bit: int, name: tuple[object, ...]) -> None:
        slot = self._predictor.slots[name]
        self._code.encode(bit, (slot[0] >> 6) | 1)
        learn(slot, bit)

    def _mix(
        self, bit: int, name: tuple[object, ...], others: Sequence[Slot], coarse: int, fine: int
    ) -> None:
        slots = [self._predictor.slots[name], *others]
        inputs = [*(stretch(s[0] >> 10) for s in slots), 256]
        sets = self._predictor.coarse[coarse], self._predictor.fine[fine]
        a, b = (
            clip((sum(w * v for w, v in zip(ws, inputs, strict=False)) + 32768) >> 16, -4095, 4095)
            for ws in sets
        )
        self._code.encode(bit, squash((a + b) >> 1))
        for ws, value in zip(sets, (a, b), strict=True):
            error = (bit << 16) - squash(value)
            for k, v in enumerate(inputs):
                ws[k] = clip(ws[k] + ((v * error + 32768) >> 16), -(1 << 24), 1 << 24)
        for slot in slots:
            learn(slot, bit)

    def _size(
        self, bit: int, name: tuple[object, ...], word: _Word, node: int, coarse: int, fine: int
    ) -> None:
        """Decide about the extent of a change: mixed with four tables, or not."""
        if not self._mixed:
            self._decide(bit, name)
            return
        tables = [self._predictor.tables[k, c, node] for k, c in enumerate(word.contexts)]
        self._mix(bit, name, tables, coarse + word.past.past, fine)

    def _number(
        self,
        value: int,
        centre: int,
        lowest: int,
        highest: int,
        decide: Callable[[int, int, int], None],
    ) -> None:
        """Encode a number in steps from a centre; decide takes bit, step and v (clause 8.5.6)."""
        v = centre
        up = int(value > centre)
        if centre < highest:
            decide(up, 0, v)
        if up:
            v, step = v + 1, 1
            while v < highest:
                decide(int(value > v), step, v)
                if value == v:
                    break
                v, step = v + 1, min(step + 1, 7)
            return
        step = 8
        while v > lowest:
            decide(int(value < v), step, v)
            if value == v:
                break
            v, step = v - 1, min(step + 1, 15)

    def _encode(self, word: _Word, z: int, change: Change, c: _Column, line: _Line) -> None:
        p, past, depth = self._p, word.past, word.depth
        name: tuple[object, ...] = ("ZERO", past.past, line.left_zero, c.run, word.zone)
        self._size(int(change.equal), name, word, 0, 0, 200 + word.zone)
        if change.equal:
            return
        if p.e:
            self._size(int(change.flip), ("FLIP", depth), word, 1, 3, 248 + (depth >> 3))
        if change.flip:
            self._flip(word, z, change)
        else:
            self._moved(word, change, c, line)

    def _flip(self, word: _Word, z: int, change: Change) -> None:
        p = self._p
        limit = (1 << p.e) - 1
        centre = clip((word.forecast >> 3) - p.m - 1, 0, limit)
        kind = (word.forecast >> 1) & 3

        def decide(bit: int, step: int, _: int) -> None:
            self._decide(bit, ("EXPONENT", kind, step))

        exponent = p.magnitude(z) >> p.m
        lowest, highest = max(centre - FAR, 0), min(centre + FAR, limit)
        near = clip(exponent, lowest, highest)
        if change.far:
            near = centre + change.far * FAR
            assert lowest <= near <= highest
        self._number(near, centre, lowest, highest, decide)
        if abs(near - centre) == FAR:
            self._raw.put(exponent, p.e)
        self._raw.put(z & ((1 << p.m) - 1), p.m)

    def _moved(self, word: _Word, change: Change, c: _Column, line: _Line) -> None:
        p, depth, length = self._p, word.depth, change.d.bit_length()

        def decide(bit: int, step: int, v: int) -> None:
            first = 2 if step == 0 else 67 if step < 8 else 131
            coarse = 6 if step == 0 else 9 if step < 8 else 12
            self._size(bit, ("LENGTH", depth, step), word, first + v, coarse, first + v)

        self._number(length, clip(depth >> 2, 1, p.top), 1, p.top, decide)
        self._sign(word, change, length, c, line)
        surplus = clip(depth - 4 * length + 16, 0, 31)
        n, node = length - 1, 0
        for _ in range(2):
            if n > 0:
                n -= 1
                bit = change.d >> n & 1
                self._decide(bit, ("TOP", surplus, node))
                node = 1 + bit
        self._raw.put(change.d & ((1 << n) - 1), n)

    def _sign(self, word: _Word, change: Change, length: int, c: _Column, line: _Line) -> None:
        p, past = self._p, word.past
        exponent = p.exponent(word.x)
        nearness = 0
        if past.previous > 0:
            nearness = clip(((past.previous - 8 * (length + exponent)) >> 3) + 4, 0, 7)
        heading = past.heading
        name = ("SIGN", heading, c.direction, (line.drift + 256) >> 6, nearness)
        if not self._mixed:
            self._decide(change.down, name)
            return
        surprise = clip(word.depth - 4 * length + 8, 0, 15)
        turn = ((line.turn + 256) >> 4) * 32 + ((c.turn + 256) >> 4) if heading > 0 else 0
        contexts = (
            heading * 64 + ((line.drift + 256) >> 3),
            heading * 64 + ((c.drift + 256) >> 3),
            heading * 27 + (line.left_direction * 3 + c.direction) * 3 + line.corner,
            turn,
            heading * 256 + (nearness * 16 + surprise) * 2 + p.sign(word.x),
        )
        tables = [self._predictor.tables[4 + k, value, 0] for k, value in enumerate(contexts)]
        self._mix(change.down, name, tables, 15 + heading, 280 + surprise)

    def _after(self, word: _Word, change: Change, c: _Column, line: _Line) -> None:
        """Learn from a word (clause 8.5.7)."""
        line.corner = c.direction
        trend = self._trend
        if change.equal:
            bound = 8 * self._p.exponent(word.x) - 4
            if bound < word.forecast < bound + 32:
                trend.mean += (16 * bound - trend.mean) >> 4
                for place in (line, c):
                    if place.seen:
                        place.follow(bound)
            line.left, line.left_zero, line.left_direction = 0, 1, 0
            c.direction, c.run, c.up = 0, min(c.run + 1, 3), 0
            return
        size, down = change.size, change.down
        error = clip(size - word.forecast, -32, 32) << 4
        for k, f in enumerate(word.features):
            trend.weights[k] = clip(trend.weights[k] + error * f, -(1 << 28), 1 << 28)
        for place in (line, c):
            if not place.seen:
                place.average = word.forecast << 4
            place.follow(size)
        trend.mean += ((size << 4) - trend.mean) >> 4
        trend.slow += ((size << 4) - trend.slow) >> 10
        toward = 256 if down else -256
        line.drift, c.drift = _move(line.drift, toward), _move(c.drift, toward)
        if word.past.heading > 0:
            kept = 256 if down == word.past.heading - 1 else -256
            line.turn, c.turn = _move(line.turn, kept), _move(c.turn, kept)
        line.left, line.left_zero, line.left_direction = size, 0, 1 + down
        c.direction, c.run, c.up = 1 + down, 0, size


@dataclass(frozen=True)
class Share:
    """Words of a tensor that are coded one after the other."""

    tensor: CodedTensor
    words: range


def encode(
    tensors: Sequence[CodedTensor],
    history: History,
    variant: int,
    fill: int = 0,
    *,
    rounded: bool = False,
) -> bytes:
    """Return the body of variant 2 or 3 (clause 8.5.1), bits without meaning as given."""
    shares = [Share(p, range(len(p.old))) for p in tensors]
    return encode_shares(shares, history, variant, 0, fill, rounded=rounded)


def encode_shares(
    shares: Sequence[Share],
    history: History,
    variant: int,
    portion: int,
    fill: int = 0,
    *,
    rounded: bool = False,
) -> bytes:
    """Return the body of some words, with the slots of a portion (clause 8.5.1)."""
    code, raw = RangeCoder(), Bits()
    latest: dict[tuple[int, int, int], Trend] = {}
    for share in shares:
        p = share.tensor
        entries = history.entries_of(p)
        if not share.words:
            continue
        predictor = history.predictors.setdefault((portion, variant, p.word_format), Predictor())
        assert isinstance(predictor, Predictor)
        first = share.words[0]
        trend = None if first else history.trends.get(p.row)
        if trend is None:
            trend = first_trend(p, latest.get(p.word_format), first)
        if not first:
            history.trends[p.row] = trend
        assert isinstance(trend, Trend)
        TensorEncoder(p, variant, predictor, trend, code, raw).run(entries, share.words)
        latest[p.word_format] = trend
    words, bits = code.words(rounded=rounded), raw.bytes(fill)
    body = count(len(words)) + count(len(bits))
    return body + b"".join(word.to_bytes(2, "little") for word in words) + bits


def first_trend(p: CodedTensor, latest: Trend | None, word: int = 0) -> Trend:
    """Return the trend of a row before its first word (clause 8.5.4)."""
    if latest is not None:
        return latest.copy()
    octave = (p.w >> 1) + p.exponent(p.old[word])
    return Trend([250 << 14, 0, 94 << 14, 0, 0, 0, 0], octave << 7, octave << 7)
