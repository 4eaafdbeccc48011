// Fields of a payload (clauses 8.3.2, 8.4.3 and 8.6.3).

/** Clause 8.3.4: the payload is refused. */
export class Malformed extends Error {}

export function malformed(reason: string): never {
  throw new Malformed(reason);
}

export class Payload {
  position = 0;

  constructor(private readonly bytes: Uint8Array) {}

  get left(): number {
    return this.bytes.length - this.position;
  }

  take(n: number): Uint8Array {
    if (n > this.left) malformed("it ends before its fields do");
    const start = this.position;
    this.position += n;
    return this.bytes.subarray(start, this.position);
  }

  byte(): number {
    return this.take(1)[0];
  }

  /** An integer below 2^63. It is only used as a size, so that a rounded number above 2^53 does no harm. */
  count(): number {
    let value = 0;
    for (let i = 0; i < 9; i++) {
      const byte = this.byte();
      value += (byte & 127) * 2 ** (7 * i);
      if (byte < 128) return value;
    }
    return malformed("a count has more than nine bytes");
  }

  u32(): number {
    const [low, high] = this.words(2);
    return high * 65536 + low;
  }

  /** n code words of 16 bits. */
  words(n: number): Uint16Array {
    if (2 * n > this.left) malformed("it ends before its code words do");
    const bytes = this.take(2 * n);
    const out = new Uint16Array(n);
    for (let i = 0; i < n; i++) out[i] = bytes[2 * i] | (bytes[2 * i + 1] << 8);
    return out;
  }

  /** n code words of 32 bits. */
  longWords(n: number): Uint32Array {
    if (4 * n > this.left) malformed("it ends before its code words do");
    const bytes = this.take(4 * n);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const out = new Uint32Array(n);
    for (let i = 0; i < n; i++) out[i] = view.getUint32(4 * i, true);
    return out;
  }

  end(): void {
    if (this.left !== 0) malformed("bytes are left over");
  }
}

/** A field of bits, the least significant bit of each byte first. */
export class RawBits {
  private place = 0;
  private readonly total: number;

  constructor(private readonly bytes: Uint8Array) {
    this.total = 8 * bytes.length;
  }

  /** The next n bits, n at most 32. */
  raw(n: number): number {
    if (n === 0) return 0;
    const place = this.place;
    if (place + n > this.total) malformed("the raw bits run out");
    this.place = place + n;
    const { bytes } = this;
    const shift = place & 7;
    let i = Math.floor(place / 8);
    if (n <= 24) {
      const word = bytes[i] | (bytes[i + 1] << 8) | (bytes[i + 2] << 16) | (bytes[i + 3] << 24);
      return (word >>> shift) & ((1 << n) - 1);
    }
    let value = bytes[i] >> shift;
    let have = 8 - shift;
    while (have < n) {
      value += bytes[++i] * 2 ** have;
      have += 8;
    }
    return value % 2 ** n;
  }

  /** The next n bits, n at most 64. */
  big(n: number): bigint {
    if (n <= 32) return BigInt(this.raw(n));
    const low = this.raw(32);
    return (BigInt(this.raw(n - 32)) << 32n) | BigInt(low);
  }

  end(): void {
    if (Math.ceil(this.place / 8) !== this.bytes.length) malformed("raw bits are left over");
    if ((this.place & 7) !== 0 && this.bytes[this.bytes.length - 1] >> (this.place & 7) !== 0) {
      malformed("bits left over in the last byte are not 0");
    }
  }
}
