"""A second decoder, written from the text of clause 8 alone, in plain integers.

It shares no code with the coder, and shows that the text is complete and that the coder follows it.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from nmc.coding.arithmetic import History, Plane, encode

LAYOUTS = {
    "I8": (8, 0, 0),
    "F8": (8, 5, 2),
    "BF16": (16, 8, 7),
    "F32": (32, 8, 23),
    "I32": (32, 0, 0),
    "F64": (64, 11, 52),
    "I64": (64, 0, 0),
}


def clip(a, low, high):
    return max(low, min(high, a))


class Layout:  # clauses 8.1.1 and 8.4
    def __init__(self, w, e, m):
        self.w, self.e, self.m = w, e, m
        self.top = w - 1 if e else w
        self.mask = 2**self.top - 1

    def sign(self, x):
        return x >> self.top

    def exponent(self, x):
        return max((x & self.mask) >> self.m, 1) if self.e else 0

    def flipped(self, x, magnitude):
        return (1 - self.sign(x)) << self.top | magnitude & self.mask

    def moved(self, x, d, shrunk):
        magnitude = (x & self.mask) + (-d if shrunk else d)
        return self.sign(x) << self.top | magnitude & self.mask

    def entry(self, x, z):
        def below(a, n):
            return (a >> (n - 4)) & 7 if n >= 4 else (a << (4 - n)) & 7

        if x == z:
            return 0
        if self.e and self.sign(x) != self.sign(z):
            g = max(x & self.mask, z & self.mask)
            return (
                2 * (8 * (max(g >> self.m, 1) + self.m + 1) + below(g, self.m + 1))
                + 1
                - self.sign(x)
            )
        if self.e:
            d, shrunk = abs(z - x), z < x
        else:
            forward, backward = (z - x) & self.mask, (x - z) & self.mask
            d, shrunk = min(forward, backward), backward < forward
        size = 8 * (d.bit_length() + self.exponent(x)) + below(d, d.bit_length())
        return 2 * size + (int(shrunk) ^ self.sign(x))


def seen(h):
    return (h, 0, 0) if h < 2 else (2, h >> 1, 1 + (h & 1))


def lines(shape):
    columns = shape[-1] if shape else 1
    for d in reversed(shape[1:-1]):
        if columns >= 32:
            break
        columns *= d
    return min(columns, 65536)


class Bytes:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        assert self.at + n <= len(self.data)
        self.at += n
        return self.data[self.at - n : self.at]

    def count(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def integers(self, n, size):
        data = self.take(n * size)
        return [int.from_bytes(data[i : i + size], "little") for i in range(0, n * size, size)]


class Bits:  # clauses 8.4.3 and 8.6.3
    def __init__(self, data):
        self.value, self.at, self.size = int.from_bytes(data, "little"), 0, len(data)

    def take(self, n):
        self.at += n
        return (self.value >> (self.at - n)) & ((1 << n) - 1)

    def gamma(self):
        k = 0
        while self.take(1) == 0:
            k += 1
        return 1 << k | self.take(k)

    def end(self):
        assert (self.at + 7) // 8 == self.size


class Memory:
    def __init__(self):
        self.entries, self.trends, self.models = {}, {}, {}


def decode(payload, planes, memory):
    source = Bytes(payload)
    variant = source.take(1)[0]
    for p in planes:
        p.layout, p.new = Layout(p.w, p.e, p.m), []
        if len(memory.entries.get(p.row, [])) != len(p.old):
            memory.entries[p.row] = [1] * len(p.old)
    if variant == 0:
        for p in planes:
            p.new = source.integers(len(p.old), p.w // 8)
    elif variant == 1:
        static(source, planes, memory)
    else:
        adaptive(source, planes, memory, variant == 3)
    assert source.at == len(payload)
    for p in planes:
        memory.entries[p.row] = [p.layout.entry(x, z) for x, z in zip(p.old, p.new, strict=True)]
    return [p.new for p in planes]


# Clause 8.6


def static(source, planes, memory):
    layouts = dict.fromkeys((p.w, p.e, p.m) for p in planes)
    for layout in layouts:
        group = [p for p in planes if (p.w, p.e, p.m) == layout]
        if any(p.old for p in group):
            static_group(source, group, memory)


def static_group(source, group, memory):
    size, words, raw_size = source.count(), source.count(), source.count()
    scales = source.integers(len(group), 2)
    states = source.integers(4, 4)
    tables = read_tables(Bits(source.take(size)))
    code = iter(source.integers(words, 2))
    raw = Bits(source.take(raw_size))
    i = 0
    for p, scale in zip(group, scales, strict=True):
        y = p.layout
        p.new = []
        for x, h in zip(p.old, memory.entries[p.row], strict=True):
            past, previous, heading = seen(h)
            expected = (previous + 7 * scale) >> 3 if past == 2 else scale
            context = 64 * past + clip((expected >> 3) - y.exponent(x), 0, 63)
            s = states[i % 4]
            q = s % 4096
            token, start, frequency = next(r for r in tables[context] if r[1] <= q < r[1] + r[2])
            s = frequency * (s >> 12) + q - start
            if s < 65536:
                s = s << 16 | next(code)
            states[i % 4] = s
            i += 1
            guess = (heading - 1) ^ y.sign(x) if heading else 0
            if token == 0:
                z = x
            elif token <= 2 * y.w:
                n = (token + 1) >> 1
                d = 1 << (n - 1) | raw.take(n - 1)
                z = y.moved(x, d, (token + 1) & 1 ^ guess)
            elif token <= 2 * y.w + 16:
                exponent = ((x & y.mask) >> y.m) + token - 2 * y.w - 9
                z = y.flipped(x, exponent << y.m | raw.take(y.m))
            else:
                z = y.flipped(x, raw.take(y.w - 1))
            p.new.append(z)
    assert states == [65536] * 4
    assert next(code, None) is None
    raw.end()


def read_tables(bits):
    tables, context, table = {}, -1, None
    while True:
        context += bits.gamma()
        if context == 192:
            bits.end()
            return tables
        if table is None or bits.take(1):
            table, token, left = [], -1, 4096
            while left:
                token += bits.gamma()
                n = bits.take(4)
                f = 1 if n == 0 else 1 + (1 << (n - 1) | bits.take(n - 1))
                table.append((token, 4096 - left, f))
                left -= f
        tables[context] = table


# Clause 8.5


def lg(a):
    n = a.bit_length() - 1
    f = (a << 16) >> n
    for _ in range(8):
        f = (f * f) >> 16
        n <<= 1
        if f >= 2**17:
            f, n = f >> 1, n + 1
    return n


STRETCH = [lg(max(a, 1)) - lg(4096 - max(a, 1)) for a in range(4096)]
ODDS = np.array([lg(q) - lg(65536 - q) for q in range(1, 65536)])


def squash(a):
    return clip(int(np.count_nonzero(a >= ODDS)), 32, 65504)


SQUASH = {a: squash(a) for a in range(-4095, 4096)}


class Model:
    def __init__(self):
        self.slots, self.weights = {}, {}

    def slot(self, key):
        return self.slots.setdefault(key, [2**21, 0])

    def set(self, key):
        return self.weights.setdefault(key, [20000] * 8)


class Decoder:
    def __init__(self, code):
        self.code, self.place = code, 2
        self.span, self.low = 2**32 - 1, code[0] << 16 | code[1]

    def decode(self, chance):
        bound = self.span * chance >> 16
        bit = int(self.low < bound)
        if bit:
            self.span = bound
        else:
            self.low, self.span = self.low - bound, self.span - bound
        if self.span < 65536:
            self.span <<= 16
            self.low = self.low << 16 | (
                self.code[self.place] if self.place < len(self.code) else 0
            )
            self.place += 1
        return bit


def learn(slot, bit):
    p, n = slot
    slot[0] = p + ((((2**22 - 1) * bit - p) * (131072 // (2 * n + 3))) >> 16)
    slot[1] = min(n + 1, 255)


def plain(decoder, slot):
    bit = decoder.decode((slot[0] >> 6) | 1)
    learn(slot, bit)
    return bit


def mix(decoder, slot, others, coarse, fine):
    slots = [slot, *others]
    inputs = [STRETCH[s[0] >> 10] for s in slots] + [256]
    a, b = (
        clip((sum(w * i for w, i in zip(side, inputs, strict=False)) + 32768) >> 16, -4095, 4095)
        for side in (coarse, fine)
    )
    bit = decoder.decode(SQUASH[(a + b) >> 1])
    for side, mixed in ((coarse, a), (fine, b)):
        error = (bit << 16) - SQUASH[mixed]
        for k, i in enumerate(inputs):
            side[k] = clip(side[k] + ((i * error + 32768) >> 16), -(2**24), 2**24)
    for s in slots:
        learn(s, bit)
    return bit


def adaptive(source, planes, memory, mixing):
    words, size = source.count(), source.count()
    decoder = Decoder(source.integers(words, 2))
    raw = Bits(source.take(size))
    latest = {}
    for p in planes:
        p.new = []
        if not p.old:
            continue
        key = (p.w, p.e, p.m)
        model = memory.models.setdefault((mixing, key), Model())
        if p.row not in memory.trends:
            if key in latest:
                t = latest[key]
                memory.trends[p.row] = SimpleNamespace(
                    weights=list(t.weights), mean=t.mean, slow=t.slow
                )
            else:
                mean = ((p.w >> 1) + p.layout.exponent(p.old[0])) << 7
                weights = [250 << 14, 0, 94 << 14, 0, 0, 0]
                memory.trends[p.row] = SimpleNamespace(weights=weights, mean=mean, slow=mean)
        latest[key] = memory.trends[p.row]
        adaptive_plane(p, memory.entries[p.row], memory.trends[p.row], model, decoder, raw, mixing)
    assert decoder.place == words
    raw.end()


def adaptive_plane(p, entries, trend, model, decoder, raw, mixing):  # noqa: C901
    y = p.layout
    columns = lines(p.shape)
    fresh = {"average": None, "run": 0, "direction": 0, "up": 0, "drift": 0, "turn": 0}
    column = [SimpleNamespace(**fresh) for _ in range(columns)]
    line = None
    for i, (x, h) in enumerate(zip(p.old, entries, strict=True)):
        j = i % columns
        if j == 0:
            line = SimpleNamespace(left=0, left_zero=0, left_direction=0, corner=0, drift=0, turn=0)
        c = column[j]
        past, previous, heading = seen(h)
        exponent = y.exponent(x)
        here = trend.mean >> 4
        feature = [
            0 if c.average is None else clip((c.average >> 4) - here, -64, 64),
            clip(line.left - here, -64, 64) if line.left else 0,
            clip(previous - here, -64, 64) if previous else 0,
            clip(c.up - here, -64, 64) if c.up else 0,
            clip((trend.slow >> 4) - here, -64, 64),
            32,
        ]
        total = sum(w * f for w, f in zip(trend.weights, feature, strict=True))
        forecast = clip(here + (total >> 24), 0, 32767)
        level = clip((forecast - 8 * exponent) >> 1, 0, 255)

        def rel(a, s, top, exponent=exponent):
            return clip(((a - 8 * exponent) >> s) + 1, 1, top) if a > 0 else 0

        contexts = [
            (past * 2 + line.left_zero) * 128 + rel(previous, 2, 127),
            rel(c.up, 3, 31) * 32 + rel(line.left, 3, 31),
            rel(0 if c.average is None else c.average >> 4, 1, 255) * 4 + c.run,
            (exponent & 127) * 4 + (p.row & 3),
        ]

        def size(slot, node, coarse, fine, contexts=contexts):
            if not mixing:
                return plain(decoder, model.slot(slot))
            others = [model.slot(("table", k, context, node)) for k, context in enumerate(contexts)]
            return mix(
                decoder,
                model.slot(slot),
                others,
                model.set(("coarse", coarse)),
                model.set(("fine", fine)),
            )

        def number(centre, lowest, highest, name, past=past, size=size):
            def step(at, k, first, coarse):
                slot = (*name, k)
                if name[0] == "exponent":
                    return plain(decoder, model.slot(slot))
                return size(slot, first + at, coarse + past, first + at)

            v = centre
            if centre < highest and step(v, 0, 2, 6):
                v, k = v + 1, 1
                while v < highest and step(v, k, 67, 9):
                    v, k = v + 1, min(k + 1, 7)
            else:
                k = 8
                while v > lowest and step(v, k, 131, 12):
                    v, k = v - 1, min(k + 1, 15)
            return v

        if size(("zero", past, line.left_zero, c.run, level >> 3), 0, past, 200 + (level >> 3)):
            p.new.append(x)
            line.left, line.left_zero, line.left_direction = 0, 1, 0
            line.corner, c.direction = c.direction, 0
            c.run, c.up = min(c.run + 1, 3), 0
            continue
        if y.e and size(("flip", level), 1, 3 + past, 232 + (level >> 3)):
            centre = clip((forecast >> 3) - y.m - 1, 0, 2**y.e - 1)
            near = max(centre - 32, 0), min(centre + 32, 2**y.e - 1)
            field = number(centre, *near, ("exponent", (forecast >> 1) & 3))
            if abs(field - centre) == 32:
                field = raw.take(y.e)
            z = y.flipped(x, field << y.m | raw.take(y.m))
        else:
            length = number(clip(level >> 2, 1, y.top), 1, y.top, ("length", level))
            nearness = (
                clip(((previous - 8 * (length + exponent)) >> 3) + 4, 0, 7) if previous else 0
            )
            surprise = clip(level - 4 * length + 8, 0, 15)
            slot = model.slot(("sign", heading, c.direction, (line.drift + 256) >> 6, nearness))
            if mixing:
                signs = [
                    heading * 64 + ((line.drift + 256) >> 3),
                    heading * 64 + ((c.drift + 256) >> 3),
                    heading * 27 + (line.left_direction * 3 + c.direction) * 3 + line.corner,
                    ((line.turn + 256) >> 4) * 32 + ((c.turn + 256) >> 4) if heading else 0,
                    heading * 256 + (nearness * 16 + surprise) * 2 + y.sign(x),
                ]
                others = [model.slot(("table", 4 + k, context)) for k, context in enumerate(signs)]
                down = mix(
                    decoder,
                    slot,
                    others,
                    model.set(("coarse", 15 + heading)),
                    model.set(("fine", 264 + surprise)),
                )
            else:
                down = plain(decoder, slot)
            surplus = clip(level - 4 * length + 16, 0, 31)
            d, n, node = 1, length - 1, 0
            for _ in range(2):
                if n:
                    bit = plain(decoder, model.slot(("top", surplus, node)))
                    d, n, node = d << 1 | bit, n - 1, 1 + bit
            z = y.moved(x, d << n | raw.take(n), down ^ y.sign(x))
        p.new.append(z)
        entry = y.entry(x, z)
        change, down = entry >> 1, entry & 1
        error = clip(change - forecast, -32, 32) << 4
        trend.weights = [
            clip(w + error * f, -(2**28), 2**28)
            for w, f in zip(trend.weights, feature, strict=True)
        ]
        average = forecast << 4 if c.average is None else c.average
        c.average = average + (((change << 4) - average) >> 4)
        trend.mean += ((change << 4) - trend.mean) >> 4
        trend.slow += ((change << 4) - trend.slow) >> 10
        toward = 256 if down else -256
        line.drift += (toward - line.drift) >> 3
        c.drift += (toward - c.drift) >> 3
        if heading:
            kept = 256 if down == heading - 1 else -256
            line.turn += (kept - line.turn) >> 3
            c.turn += (kept - c.turn) >> 3
        line.left, line.left_zero, line.left_direction = change, 0, 1 + down
        line.corner, c.direction = c.direction, 1 + down
        c.run, c.up = 0, change


def chain(seed, specs, length):
    """States of walks, with equal words, flips of the sign and jumps among them."""
    rng = np.random.default_rng(seed)
    state = []
    for name, shape in specs:
        w, e, _ = LAYOUTS[name]
        count = int(np.prod(shape))
        if e:
            values = (rng.normal(size=count) * 0.1).astype(np.float64 if w == 64 else np.float32)
            words = values.view(np.uint64 if w == 64 else np.uint32) >> (32 - w if w < 32 else 0)
        else:
            words = rng.integers(0, 99, count)
        state.append(words.astype(f"u{w // 8}"))
    states = [state]
    for _ in range(length):
        new = []
        for (name, _), words in zip(specs, state, strict=True):
            w = LAYOUTS[name][0]
            step = rng.integers(0, 1 << (w // 2), words.size).astype(words.dtype)
            kind = rng.integers(0, 40, words.size)
            z = np.where(kind < 22, words + step, np.where(kind < 30, words - step // 4, words))
            z = np.where(kind == 39, words ^ words.dtype.type(1 << (w - 1)), z)
            z = np.where(kind == 38, rng.integers(0, 1 << w, words.size, dtype=words.dtype), z)
            new.append(z.astype(words.dtype))
        state = new
        states.append(state)
    return states


@pytest.mark.parametrize("effort", ["fast", "strong", "max"])
def test_a_decoder_written_from_the_text_agrees(effort):
    specs = [
        ("F32", (20, 30)),
        ("BF16", (150, 2)),
        ("F32", (40,)),
        ("I8", (0, 4)),
        ("F64", (9, 4, 5)),
        ("I64", (100,)),
        ("I8", (300,)),
        ("F8", (300,)),
        ("I32", ()),
    ]
    states = chain(6, specs, 4)
    history, memory = History(), Memory()
    variants = set()
    for t in range(1, len(states)):
        rows = [i for i in range(len(specs)) if (t + i) % 4 != 3]
        planes = [Plane(i, *LAYOUTS[specs[i][0]], specs[i][1], states[t - 1][i]) for i in rows]
        payload = encode(planes, [states[t][i] for i in rows], history, effort)
        variants.add(payload[0])
        mine = [
            SimpleNamespace(
                row=p.row,
                w=p.bits,
                e=p.exponent_bits,
                m=p.mantissa_bits,
                shape=p.shape,
                old=p.reference.tolist(),
            )
            for p in planes
        ]
        for i, words in zip(rows, decode(payload, mine, memory), strict=True):
            assert words == states[t][i].tolist()
    assert variants == {["fast", "strong", "max"].index(effort) + 1}
