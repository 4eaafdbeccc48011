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
  /** The history of variants 2 and 3: one entry for each word. */
  readonly entries: Uint16Array;
  /** The words of frame t−1, as bytes. */
  readonly old: Uint8Array;
  readonly floating: boolean;
  /** The history of variant 1: one way for each word. */
  readonly ways: Uint8Array;
  sign(i: number): number;
  /** The exponent field; 0 of an integer. */
  field(i: number): number;
  exponent(i: number): number;
  /** Each of these makes new word i and gives the extent of the change. */
  move(i: number, prefix: number, n: number, shrunk: number, raw: RawBits): number;
  flip(i: number, exponent: number, raw: RawBits): number;
  /** Each of these makes new word i in the static variant (clause 8.6.5). */
  whole(i: number, raw: RawBits): void;
  turned(i: number, step: number, raw: RawBits): void;
  shifted(i: number, leading: number, n: number, shrunk: boolean, raw: RawBits): void;
  equal(i: number): void;
  /** Takes the words as bytes. */
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
    readonly ways: Uint8Array,
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

  // typed arrays of words take numbers modulo 2^w

  whole(i: number, raw: RawBits): void {
    this.made[i] = raw.raw(this.dtype.word);
  }

  turned(i: number, step: number, raw: RawBits): void {
    const field = 2 ** this.m;
    this.made[i] = Math.floor(this.words[i] / field) * field + 2 ** this.top + step * field + raw.raw(this.m);
  }

  shifted(i: number, leading: number, n: number, shrunk: boolean, raw: RawBits): void {
    const d = leading * 2 ** n - 1 + raw.raw(n);
    this.made[i] = shrunk ? this.words[i] - d : this.words[i] + d;
  }

  store(bytes: Uint8Array): void {
    this.bytes.set(bytes);
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
    readonly ways: Uint8Array,
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

  whole(i: number, raw: RawBits): void {
    this.made[i] = raw.big(64);
  }

  turned(i: number, step: number, raw: RawBits): void {
    const m = BigInt(this.m);
    this.made[i] = ((this.words[i] >> m) << m) + this.half + BigInt(step) * (1n << m) + raw.big(this.m);
  }

  shifted(i: number, leading: number, n: number, shrunk: boolean, raw: RawBits): void {
    const d = (BigInt(leading) << BigInt(n)) - 1n + raw.big(n);
    this.made[i] = shrunk ? this.words[i] - d : this.words[i] + d;
  }

  store(bytes: Uint8Array): void {
    this.bytes.set(bytes);
  }

  result(): Uint8Array {
    return this.bytes;
  }
}
