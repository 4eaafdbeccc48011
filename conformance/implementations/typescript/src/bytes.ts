// Bytes and integers. Numbers of 64 bits that a package gives are held as bigint until they are bounded.

export type Bytes = Uint8Array;

export function view(bytes: Bytes): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function u16(bytes: Bytes, offset: number): number {
  return bytes[offset] | (bytes[offset + 1] << 8);
}

export function u32(bytes: Bytes, offset: number): number {
  return (u16(bytes, offset) | (u16(bytes, offset + 2) << 16)) >>> 0;
}

export function u64(bytes: Bytes, offset: number): bigint {
  return (BigInt(u32(bytes, offset + 4)) << 32n) | BigInt(u32(bytes, offset));
}

/** The number, or a number that is larger than any bound where it is not below 2^53. */
export function safe(value: bigint): number {
  return value <= 9007199254740991n ? Number(value) : Number.POSITIVE_INFINITY;
}

export function le32(value: number): Bytes {
  const out = new Uint8Array(4);
  view(out).setUint32(0, value, true);
  return out;
}

export function le64(value: bigint | number): Bytes {
  const out = new Uint8Array(8);
  view(out).setBigUint64(0, BigInt(value), true);
  return out;
}

/** The parts, one after the other. */
export function concat(parts: readonly Bytes[]): Bytes {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export function utf8(text: string): Bytes {
  return encoder.encode(text);
}

/** The text of UTF-8 bytes, or null where they are none. */
export function text(bytes: Bytes): string | null {
  try {
    return decoder.decode(bytes);
  } catch {
    return null;
  }
}

/** Clause 3.2: texts are compared as bytes. */
export function compareBytes(a: Bytes, b: Bytes): number {
  const shorter = Math.min(a.length, b.length);
  for (let i = 0; i < shorter; i++) {
    if (a[i] !== b[i]) return a[i] - b[i];
  }
  return a.length - b.length;
}

export function equalBytes(a: Bytes, b: Bytes): boolean {
  return a.length === b.length && compareBytes(a, b) === 0;
}

export function hex(bytes: Bytes): string {
  let out = "";
  for (const byte of bytes) out += byte.toString(16).padStart(2, "0");
  return out;
}

/** The bytes of an even number of digits of base 16. */
export function unhex(digits: string): Bytes {
  return Uint8Array.from({ length: digits.length / 2 }, (_, i) => parseInt(digits.slice(2 * i, 2 * i + 2), 16));
}

/** Each byte as the character of that number; for few bytes. */
export function latin1(bytes: Bytes): string {
  return String.fromCharCode(...bytes);
}
