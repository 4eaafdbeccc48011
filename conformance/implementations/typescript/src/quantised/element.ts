// Grids, and elements from bins (clause 12.1).
import { malformed } from "../arithmetic/bits.js";
import type { DType } from "../dtypes.js";

/** Consecutive rows of one scale, mantissa · 2^exponent. */
export interface GridPart {
  readonly rows: number;
  readonly mantissa: number;
  readonly exponent: number;
}

/** What a quantised row has beside its elements. */
export interface Quantised {
  readonly grid: readonly GridPart[];
  /** One integer for each element, in its order. */
  readonly bins: Int32Array;
}

export const quantisable: ReadonlySet<string> = new Set(["F64", "F32", "F16", "BF16"]);

/** Bits of an integer from 0 to 2^53 − 1. */
export function bitsOf(a: number): number {
  const high = Math.floor(a / 4294967296);
  return high > 0 ? 64 - Math.clz32(high) : 32 - Math.clz32(a);
}

/** a / 2^n, ties to even. A power beyond binary64 is infinite, and the quotient 0 as it should be. */
function rounded(a: number, n: number): number {
  const unit = 2 ** n;
  const kept = Math.floor(a / unit);
  const rest = a % unit;
  const half = unit / 2;
  return rest > half || (rest === half && kept % 2 === 1) ? kept + 1 : kept;
}

/** The magnitude of an element as its mantissa with the leading bit, and its exponent field less 1 (clause 12.1.2). */
function magnitude(product: number, exponent: number, dtype: DType): [number, number] {
  const { exponent: e, mantissa: m } = dtype;
  const bias = 2 ** (e - 1) - 1;
  let field = Math.max(exponent + bitsOf(product) - 1 + bias, 1);
  const drop = field - bias - m - exponent;
  let kept = drop > 0 ? rounded(product, drop) : product * 2 ** -drop;
  if (kept === 2 ** (m + 1)) {
    kept /= 2;
    field += 1;
  }
  // A mantissa without its leading bit belongs to a subnormal number, and adds nothing to the field.
  if (field - 1 + Math.floor(kept / 2 ** m) >= 2 ** e - 1) malformed("the element of a bin is not finite");
  return [kept, field - 1];
}

/** The bytes of the elements. */
export function elementsOf({ grid, bins }: Quantised, columns: number, dtype: DType): Uint8Array {
  const bytes = new Uint8Array(bins.length * (dtype.word / 8));
  const { mantissa: m, word } = dtype;
  const words16 = word === 16 ? new Uint16Array(bytes.buffer) : null;
  const words32 = word === 16 ? null : new Uint32Array(bytes.buffer);
  let at = 0;
  for (const part of grid) {
    const end = at + part.rows * columns;
    for (; at < end; at++) {
      const bin = bins[at];
      if (bin === 0) continue;
      const [kept, steps] = magnitude(Math.abs(bin) * part.mantissa, part.exponent, dtype);
      if (words16 !== null) words16[at] = kept + steps * 2 ** m + (bin < 0 ? 0x8000 : 0);
      else if (words32 !== null && word === 32) words32[at] = kept + steps * 2 ** m + (bin < 0 ? 0x80000000 : 0);
      else if (words32 !== null) {
        const upper = 2 ** (m - 32);
        words32[2 * at] = kept % 4294967296;
        words32[2 * at + 1] = Math.floor(kept / 4294967296) + steps * upper + (bin < 0 ? 0x80000000 : 0);
      }
    }
  }
  return bytes;
}
