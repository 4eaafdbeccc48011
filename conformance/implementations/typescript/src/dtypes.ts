// Table 4-1 and the sizes of tensors (clauses 4.3 and 5.4.3).

export interface DType {
  readonly name: string;
  /** Bits of an element. */
  readonly bits: number;
  /** Bits of a word. */
  readonly word: number;
  readonly exponent: number;
  readonly mantissa: number;
  /** Words of an element, 0 for a packed type. */
  readonly parts: number;
}

const rows: readonly [string, number, number, number, number][] = [
  ["BOOL", 8, 8, 0, 0],
  ["F4", 4, 8, 0, 0],
  ["F6_E2M3", 6, 8, 0, 0],
  ["F6_E3M2", 6, 8, 0, 0],
  ["U8", 8, 8, 0, 0],
  ["I8", 8, 8, 0, 0],
  ["F8_E5M2", 8, 8, 5, 2],
  ["F8_E4M3", 8, 8, 4, 3],
  ["F8_E8M0", 8, 8, 0, 0],
  ["F8_E4M3FNUZ", 8, 8, 4, 3],
  ["F8_E5M2FNUZ", 8, 8, 5, 2],
  ["I16", 16, 16, 0, 0],
  ["U16", 16, 16, 0, 0],
  ["F16", 16, 16, 5, 10],
  ["BF16", 16, 16, 8, 7],
  ["I32", 32, 32, 0, 0],
  ["U32", 32, 32, 0, 0],
  ["F32", 32, 32, 8, 23],
  ["C64", 64, 32, 8, 23],
  ["F64", 64, 64, 11, 52],
  ["I64", 64, 64, 0, 0],
  ["U64", 64, 64, 0, 0],
];

export const dtypes: ReadonlyMap<string, DType> = new Map(
  rows.map(([name, bits, word, exponent, mantissa]) => [
    name,
    { name, bits, word, exponent, mantissa, parts: bits < word ? 0 : bits / word },
  ]),
);

const productLimit = 2 ** 48;

/** Bytes of a tensor, or the reason why its shape is not allowed. No product overflows on the way. */
export function tensorBytes(dtype: DType, shape: readonly number[]): number | string {
  let product = 1;
  let empty = false;
  for (const d of shape) {
    if (d === 0) {
      empty = true;
      continue;
    }
    // Both factors are below 2^48, and a rounded product of 2^53 or more stays above the limit.
    if (d >= productLimit || product * d >= productLimit) {
      return "the product of the dimensions, zeros left out, is 2^48 or more";
    }
    product *= d;
  }
  if (empty) return 0;
  const bits = product * dtype.bits; // below 2^54; exact, since it is a multiple of a small number
  if (dtype.bits % 8 !== 0 && (product * (dtype.bits / 2)) % 4 !== 0) {
    return `${product} elements of ${dtype.bits} bits do not fill whole bytes`;
  }
  return bits / 8;
}
