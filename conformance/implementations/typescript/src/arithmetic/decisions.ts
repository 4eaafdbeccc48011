// Decisions, slots and mixing (clauses 8.5.2, 8.5.3 and 8.5.8).
import { malformed } from "./bits.js";

export class Decisions {
  private span = 4294967295;
  private low: number;
  private place = 2;

  constructor(private readonly code: Uint16Array) {
    if (code.length < 2) malformed("there are fewer than two code words");
    this.low = code[0] * 65536 + code[1];
    if (this.low >= this.span) malformed("the code begins with FFFF FFFF");
  }

  decode(chance: number): number {
    const bound = Math.floor((this.span * chance) / 65536);
    let bit: number;
    if (this.low < bound) {
      bit = 1;
      this.span = bound;
    } else {
      bit = 0;
      this.low -= bound;
      this.span -= bound;
    }
    if (this.span < 65536) {
      const { place, code } = this;
      this.span *= 65536;
      this.low *= 65536;
      if (place < code.length) this.low += code[place];
      else if (place > code.length) malformed("the code words run out");
      this.place = place + 1;
    }
    return bit;
  }

  end(): void {
    if (this.place !== this.code.length) malformed("the code words are not read exactly");
  }
}

const rates = Int32Array.from({ length: 256 }, (_, n) => Math.floor(131072 / (2 * n + 3)));

/** A run of slots: probabilities of 22 bits and numbers of decisions seen. */
export class Slots {
  readonly p: Int32Array;
  readonly n: Uint8Array;

  constructor(size: number) {
    this.p = new Int32Array(size).fill(2 ** 21);
    this.n = new Uint8Array(size);
  }

  learn(i: number, bit: number): void {
    const n = this.n[i];
    const p = this.p[i];
    this.p[i] = p + Math.floor(((bit === 1 ? 4194303 - p : -p) * rates[n]) / 65536);
    if (n < 255) this.n[i] = n + 1;
  }

  decide(i: number, decisions: Decisions): number {
    const bit = decisions.decode((this.p[i] >> 6) | 1);
    this.learn(i, bit);
    return bit;
  }
}

/** The binary logarithm in 1/256, rounded down step by step. */
export function lg(a: number): number {
  let n = 31 - Math.clz32(a);
  let f = Math.floor((a * 65536) / 2 ** n);
  for (let i = 0; i < 8; i++) {
    f = Math.floor((f * f) / 65536);
    n *= 2;
    if (f >= 131072) {
      f = Math.floor(f / 2);
      n += 1;
    }
  }
  return n;
}

function makeStretch(): Int32Array {
  return Int32Array.from({ length: 4096 }, (_, a) => lg(Math.max(a, 1)) - lg(4096 - Math.max(a, 1)));
}

function makeSquash(): Int32Array {
  const out = new Int32Array(8191);
  const logarithms = Int32Array.from({ length: 65536 }, (_, q) => (q === 0 ? 0 : lg(q)));
  let q = 0;
  for (let a = -4095; a <= 4095; a++) {
    while (q < 65535 && logarithms[q + 1] - logarithms[65535 - q] <= a) q += 1;
    out[a + 4095] = Math.max(32, Math.min(65504, q));
  }
  return out;
}

let shared: { stretch: Int32Array; squash: Int32Array } | null = null;

const inputLimit = 8;
const weightLimit = 2 ** 24;

function clip(a: number, low: number, high: number): number {
  return a < low ? low : a > high ? high : a;
}

/** The tables and weights of one predictor. */
export class Mixer {
  readonly tables: readonly Slots[];
  private readonly coarse = new Int32Array(18 * inputLimit).fill(20000);
  private readonly fine = new Int32Array(296 * inputLimit).fill(20000);
  private readonly inputs = new Int32Array(inputLimit);
  private readonly stretch: Int32Array;
  private readonly squash: Int32Array;

  constructor(sizes: readonly number[]) {
    shared ??= { stretch: makeStretch(), squash: makeSquash() };
    this.stretch = shared.stretch;
    this.squash = shared.squash;
    this.tables = sizes.map((n) => new Slots(n));
  }

  /** Slot `at` of `slots`, with slot places[k] of table first + k for each k. */
  mix(slots: Slots, at: number, first: number, places: Int32Array, coarseSet: number, fineSet: number, decisions: Decisions): number {
    const { inputs, coarse, fine, stretch, squash, tables } = this;
    const others = places.length;
    inputs[0] = stretch[slots.p[at] >> 10];
    for (let k = 0; k < others; k++) inputs[k + 1] = stretch[tables[first + k].p[places[k]] >> 10];
    inputs[others + 1] = 256;
    const count = others + 2;
    const c = coarseSet * inputLimit;
    const f = fineSet * inputLimit;
    let sumA = 32768;
    let sumB = 32768;
    for (let k = 0; k < count; k++) {
      sumA += coarse[c + k] * inputs[k];
      sumB += fine[f + k] * inputs[k];
    }
    const a = clip(Math.floor(sumA / 65536), -4095, 4095);
    const b = clip(Math.floor(sumB / 65536), -4095, 4095);
    const bit = decisions.decode(squash[((a + b) >> 1) + 4095]);
    const ea = (bit << 16) - squash[a + 4095];
    const eb = (bit << 16) - squash[b + 4095];
    for (let k = 0; k < count; k++) {
      coarse[c + k] = clip(coarse[c + k] + ((inputs[k] * ea + 32768) >> 16), -weightLimit, weightLimit);
      fine[f + k] = clip(fine[f + k] + ((inputs[k] * eb + 32768) >> 16), -weightLimit, weightLimit);
    }
    slots.learn(at, bit);
    for (let k = 0; k < others; k++) tables[first + k].learn(places[k], bit);
    return bit;
  }
}

/** Clause 12.4.4: slot places[k] of slots[k] for each k, and weights from `first` on. */
export function blend(slots: readonly Slots[], places: Int32Array, weights: Int32Array, first: number, decisions: Decisions): number {
  shared ??= { stretch: makeStretch(), squash: makeSquash() };
  const { stretch, squash } = shared;
  const count = slots.length;
  let sum = 32768 + weights[first + count] * 256;
  for (let k = 0; k < count; k++) sum += weights[first + k] * stretch[slots[k].p[places[k]] >> 10];
  const chance = squash[clip(Math.floor(sum / 65536), -4095, 4095) + 4095];
  const bit = decisions.decode(chance);
  const error = (bit << 16) - chance;
  for (let k = 0; k <= count; k++) {
    const input = k < count ? stretch[slots[k].p[places[k]] >> 10] : 256;
    weights[first + k] = clip(weights[first + k] + ((input * error + 8192) >> 14), -weightLimit, weightLimit);
  }
  for (let k = 0; k < count; k++) slots[k].learn(places[k], bit);
  return bit;
}
