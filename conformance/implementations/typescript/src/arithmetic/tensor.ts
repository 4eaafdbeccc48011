// Coded tensors: the words of a tensor before and after, and the changes between them (clauses 8.1 and 8.4).
import type { DType } from "../dtypes.js";
import { malformed, type RawBits } from "./bits.js";

/** Clause 8.1.2. */
export function columnsOf(shape: readonly number[], dtype: DType): number {
  let dims = shape;
  if (dtype.name === "C64") dims = [...shape, 2];
  else if (dtype.parts === 0) dims = [0]; // packed: one dimension, as long as the tensor
  if (dims.length === 0) return 1;
  let columns = dtype.parts === 0 ? 65536 : dims[dims.length - 1];
  for (let k = dims.length - 2; k >= 1 && columns < 32; k--) columns *= dims[k];
  return Math.min(columns, 65536);
}

/** The three bits below bit n − 1 of a. */
function fraction(a: number, n: number): number {
  return (n >= 4 ? a >>> (n - 4) : a << (4 - n)) & 7;
}

function need(condition: boolean): void {
  if (!condition) malformed("a change leaves its range, or is coded the long way");
}

function bitsOf(a: number): number {
  return 32 - Math.clz32(a);
}

export interface CodedTensor {
  readonly row: number;
  readonly dtype: DType;
  /** The word format (w, e, m). */
  readonly wordFormat: string;
  readonly count: number;
  readonly columns: number;
  /** Bits of a magnitude. */
  readonly top: number;
  /** The history: one entry for each word. */
  readonly entries: Uint16Array;
  /** The words of frame t−1, as bytes. */
  readonly old: Uint8Array;
  readonly floating: boolean;
  sign(i: number): number;
  /** The exponent field; 0 of an integer. */
  field(i: number): number;
  exponent(i: number): number;
  /** Each of these makes new word i and gives the extent of the change. */
  move(i: number, prefix: number, n: number, shrunk: number, raw: RawBits): number;
  flip(i: number, exponent: number, raw: RawBits): number;
  flipNear(i: number, step: number, raw: RawBits): number;
  flipWhole(i: number, raw: RawBits): number;
  equal(i: number): void;
  /** Takes the words as bytes and makes the entries. */
  store(bytes: Uint8Array): void;
  result(): Uint8Array;
}

type Narrow = Uint8Array | Uint16Array | Uint32Array;

function narrow(bytes: Uint8Array, width: number): Narrow {
  const n = bytes.length / width;
  if (width === 1) return bytes;
  const even = bytes.byteOffset % width === 0 ? bytes : bytes.slice();
  if (width === 2) return new Uint16Array(even.buffer, even.byteOffset, n);
  return new Uint32Array(even.buffer, even.byteOffset, n);
}

function wordFormatOf({ word, exponent, mantissa }: DType): string {
  return `${word} ${exponent} ${mantissa}`;
}

export class NarrowTensor implements CodedTensor {
  readonly wordFormat: string;
  readonly count: number;
  readonly columns: number;
  readonly top: number;
  private readonly e: number;
  private readonly m: number;
  private readonly mask: number;
  private readonly words: Narrow;
  private readonly made: Narrow;
  private readonly bytes: Uint8Array;

  constructor(
    readonly row: number,
    readonly dtype: DType,
    shape: readonly number[],
    readonly old: Uint8Array,
    readonly entries: Uint16Array,
  ) {
    this.wordFormat = wordFormatOf(dtype);
    this.columns = columnsOf(shape, dtype);
    this.e = dtype.exponent;
    this.m = dtype.mantissa;
    this.top = this.e > 0 ? dtype.word - 1 : dtype.word;
    this.mask = 2 ** this.top - 1;
    this.words = narrow(old, dtype.word / 8);
    this.count = this.words.length;
    this.bytes = new Uint8Array(old.length);
    this.made = narrow(this.bytes, dtype.word / 8);
  }

  sign(i: number): number {
    return this.e > 0 ? this.words[i] >>> this.top : 0;
  }

  get floating(): boolean {
    return this.e > 0;
  }

  field(i: number): number {
    return this.e > 0 ? (this.words[i] & this.mask) >>> this.m : 0;
  }

  exponent(i: number): number {
    return this.e > 0 ? Math.max(this.field(i), 1) : 0;
  }

  equal(i: number): void {
    this.made[i] = this.words[i];
  }

  private moveSize(d: number, exponent: number): number {
    const n = bitsOf(d);
    return 8 * (n + exponent) + fraction(d, n);
  }

  private flipSize(a: number, b: number): number {
    const g = a > b ? a : b;
    return 8 * (Math.max(g >>> this.m, 1) + this.m + 1) + fraction(g, this.m + 1);
  }

  move(i: number, prefix: number, n: number, shrunk: number, raw: RawBits): number {
    const d = prefix * 2 ** n + raw.raw(n);
    const x = this.words[i];
    const sign = this.e > 0 ? x >>> this.top : 0;
    const before = (x & this.mask) >>> 0;
    if (this.e > 0) need(d <= (shrunk === 1 ? before : this.mask - before));
    else need(d <= 2 ** (this.dtype.word - 1) - shrunk);
    const magnitude = ((shrunk === 1 ? x - d : x + d) & this.mask) >>> 0;
    this.made[i] = sign === 1 ? magnitude + this.mask + 1 : magnitude;
    return this.moveSize(d, this.exponent(i));
  }

  private turn(i: number, magnitude: number): number {
    const x = this.words[i];
    this.made[i] = x >>> this.top === 1 ? magnitude : magnitude + this.mask + 1;
    return this.flipSize((x & this.mask) >>> 0, magnitude);
  }

  flip(i: number, exponent: number, raw: RawBits): number {
    return this.turn(i, ((exponent * 2 ** this.m + raw.raw(this.m)) & this.mask) >>> 0);
  }

  flipNear(i: number, step: number, raw: RawBits): number {
    const field = ((this.words[i] & this.mask) >>> this.m) + step;
    need(field >= 0 && field < 2 ** this.e);
    return this.flip(i, field, raw);
  }

  flipWhole(i: number, raw: RawBits): number {
    const magnitude = raw.raw(this.top);
    const step = (magnitude >>> this.m) - ((this.words[i] & this.mask) >>> this.m);
    need(step < -8 || step > 7);
    return this.turn(i, magnitude);
  }

  store(bytes: Uint8Array): void {
    this.bytes.set(bytes);
    const { words: old, made, entries, top, e } = this;
    const modulus = 2 ** this.dtype.word;
    for (let i = 0; i < this.count; i++) {
      const x = old[i];
      const z = made[i];
      if (x === z) {
        entries[i] = 0;
        continue;
      }
      let extent: number;
      let down: number;
      if (e > 0) {
        const sign = x >>> top;
        if (sign !== z >>> top) {
          extent = this.flipSize((x & this.mask) >>> 0, (z & this.mask) >>> 0);
          down = 1 - sign;
        } else {
          extent = this.moveSize(Math.abs(z - x), this.exponent(i));
          down = (z > x ? 0 : 1) ^ sign;
        }
      } else {
        const forward = z > x ? z - x : z - x + modulus;
        const backward = modulus - forward;
        down = backward < forward ? 1 : 0;
        extent = this.moveSize(Math.min(forward, backward), 0);
      }
      entries[i] = 2 * extent + down;
    }
  }

  result(): Uint8Array {
    return this.bytes;
  }
}

function bigBits(a: bigint): number {
  const high = Number(a >> 32n);
  return high !== 0 ? 32 + bitsOf(high) : bitsOf(Number(a));
}

function bigFraction(a: bigint, n: number): number {
  return n >= 4 ? Number((a >> BigInt(n - 4)) & 7n) : (Number(a) << (4 - n)) & 7;
}

/** Words of 64 bits. */
export class WideTensor implements CodedTensor {
  readonly wordFormat: string;
  readonly count: number;
  readonly columns: number;
  readonly top: number;
  private readonly e: number;
  private readonly m: number;
  private readonly mask: bigint;
  private readonly half: bigint;
  private readonly halves: Uint32Array;
  private readonly words: BigUint64Array;
  private readonly made: BigUint64Array;
  private readonly bytes: Uint8Array;

  constructor(
    readonly row: number,
    readonly dtype: DType,
    shape: readonly number[],
    readonly old: Uint8Array,
    readonly entries: Uint16Array,
  ) {
    this.wordFormat = wordFormatOf(dtype);
    this.columns = columnsOf(shape, dtype);
    this.e = dtype.exponent;
    this.m = dtype.mantissa;
    this.top = this.e > 0 ? 63 : 64;
    this.half = 1n << BigInt(this.top);
    this.mask = this.half - 1n;
    const even = old.byteOffset % 8 === 0 ? old : old.slice();
    this.count = even.length / 8;
    this.words = new BigUint64Array(even.buffer, even.byteOffset, this.count);
    this.halves = new Uint32Array(even.buffer, even.byteOffset, 2 * this.count);
    this.bytes = new Uint8Array(old.length);
    this.made = new BigUint64Array(this.bytes.buffer);
  }

  sign(i: number): number {
    return this.e > 0 ? this.halves[2 * i + 1] >>> 31 : 0;
  }

  get floating(): boolean {
    return this.e > 0;
  }

  field(i: number): number {
    return this.e > 0 ? (this.halves[2 * i + 1] & 0x7fffffff) >>> (this.m - 32) : 0;
  }

  exponent(i: number): number {
    return this.e > 0 ? Math.max(this.field(i), 1) : 0;
  }

  equal(i: number): void {
    this.made[i] = this.words[i];
  }

  private moveSize(d: bigint, exponent: number): number {
    const n = bigBits(d);
    return 8 * (n + exponent) + bigFraction(d, n);
  }

  private flipSize(a: bigint, b: bigint): number {
    const g = a > b ? a : b;
    return 8 * (Math.max(Number(g >> BigInt(this.m)), 1) + this.m + 1) + bigFraction(g, this.m + 1);
  }

  move(i: number, prefix: number, n: number, shrunk: number, raw: RawBits): number {
    const d = (BigInt(prefix) << BigInt(n)) | raw.big(n);
    const x = this.words[i];
    const before = x & this.mask;
    if (this.e > 0) need(d <= (shrunk === 1 ? before : this.mask - before));
    else need(d <= (1n << 63n) - BigInt(shrunk));
    const magnitude = (shrunk === 1 ? x - d : x + d) & this.mask;
    this.made[i] = this.sign(i) === 1 ? magnitude + this.half : magnitude;
    return this.moveSize(d, this.exponent(i));
  }

  private turn(i: number, magnitude: bigint): number {
    this.made[i] = this.sign(i) === 1 ? magnitude : magnitude + this.half;
    return this.flipSize(this.words[i] & this.mask, magnitude);
  }

  flip(i: number, exponent: number, raw: RawBits): number {
    return this.turn(i, (BigInt(exponent) * (1n << BigInt(this.m)) + raw.big(this.m)) & this.mask);
  }

  flipNear(i: number, step: number, raw: RawBits): number {
    const field = Number((this.words[i] & this.mask) >> BigInt(this.m)) + step;
    need(field >= 0 && field < 2 ** this.e);
    return this.flip(i, field, raw);
  }

  flipWhole(i: number, raw: RawBits): number {
    const magnitude = raw.big(this.top);
    const step = Number(magnitude >> BigInt(this.m)) - Number((this.words[i] & this.mask) >> BigInt(this.m));
    need(step < -8 || step > 7);
    return this.turn(i, magnitude);
  }

  store(bytes: Uint8Array): void {
    this.bytes.set(bytes);
    for (let i = 0; i < this.count; i++) {
      const x = this.words[i];
      const z = this.made[i];
      if (x === z) {
        this.entries[i] = 0;
        continue;
      }
      const sign = this.sign(i);
      let extent: number;
      let down: number;
      if (this.e > 0 && sign !== Number(z >> 63n)) {
        extent = this.flipSize(x & this.mask, z & this.mask);
        down = 1 - sign;
      } else if (this.e > 0) {
        extent = this.moveSize(z > x ? z - x : x - z, this.exponent(i));
        down = (z > x ? 0 : 1) ^ sign;
      } else {
        const forward = BigInt.asUintN(64, z - x);
        const backward = BigInt.asUintN(64, x - z);
        down = backward < forward ? 1 : 0;
        extent = this.moveSize(down === 1 ? backward : forward, 0);
      }
      this.entries[i] = 2 * extent + down;
    }
  }

  result(): Uint8Array {
    return this.bytes;
  }
}
