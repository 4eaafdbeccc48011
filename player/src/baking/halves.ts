// Numbers of 32 bits as IEEE 754 binary16, to the nearest, ties to even.

const value = new Float32Array(1);
const bits = new Uint32Array(value.buffer);
/** The bits of 65504, the largest that is finite. */
const largest = 0x477fe000;
const leastNormal = 0x38800000;
const infinite = 0x7f800000;

/** The 16 bits of a number; what is too large becomes the largest, as infinity would spoil what lies beside it. */
export function half(number: number): number {
  value[0] = number;
  const all = bits[0]!;
  const sign = (all >>> 16) & 0x8000;
  const size = all & 0x7fffffff;
  if (size > largest) return sign | (size > infinite ? 0x7e00 : 0x7bff);
  if (size < leastNormal) return sign | even(Math.abs(value[0]!) * 2 ** 24);
  return sign | ((size + 0x0fff + ((size >>> 13) & 1) - 0x38000000) >>> 13);
}

function even(number: number): number {
  const whole = Math.floor(number);
  const over = number - whole;
  return whole + (over > 0.5 || (over === 0.5 && whole % 2 === 1) ? 1 : 0);
}
