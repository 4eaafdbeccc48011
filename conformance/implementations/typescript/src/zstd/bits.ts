// Bits of a Zstandard block (RFC 8878), read backwards, and the tables of its entropy coders.

export class ZstdError extends Error {}

export function bad(reason: string): never {
  throw new ZstdError(reason);
}

const pad = 8;

/** Bits that are read from the end of a run of bytes to its beginning. Before the beginning lie zeros. */
export class BackwardBits {
  /** Bits that are left; negative where more were read than there are. */
  left: number;
  private readonly data: Uint8Array;

  constructor(bytes: Uint8Array) {
    const last = bytes.length === 0 ? 0 : bytes[bytes.length - 1];
    if (last === 0) bad("a bit stream does not end with a set bit");
    this.data = new Uint8Array(bytes.length + 2 * pad);
    this.data.set(bytes, pad);
    this.left = 8 * bytes.length - 8 + (31 - Math.clz32(last));
  }

  /** The n bits below the current place, n at most 24. The place must not be more than 32 bits out. */
  peek(n: number): number {
    const place = this.left - n;
    const i = (place >> 3) + pad;
    const d = this.data;
    const word = d[i] | (d[i + 1] << 8) | (d[i + 2] << 16) | (d[i + 3] << 24);
    return (word >>> (place & 7)) & ((1 << n) - 1);
  }

  read(n: number): number {
    if (n > 24) {
      const high = this.read(n - 16);
      return high * 65536 + this.read(16);
    }
    if (this.left < n) bad("a bit stream ends too early");
    const value = this.peek(n);
    this.left -= n;
    return value;
  }
}

export interface FseTable {
  readonly log: number;
  readonly symbol: Uint8Array;
  readonly bits: Uint8Array;
  readonly base: Uint16Array;
}

export function runTable(symbol: number): FseTable {
  return { log: 0, symbol: Uint8Array.of(symbol), bits: Uint8Array.of(0), base: Uint16Array.of(0) };
}

export function buildFse(counts: readonly number[], log: number): FseTable {
  const size = 1 << log;
  const symbol = new Uint8Array(size);
  const bits = new Uint8Array(size);
  const base = new Uint16Array(size);
  const next = counts.map((c) => (c === -1 ? 1 : c));
  let high = size;
  counts.forEach((c, s) => {
    if (c === -1) symbol[--high] = s;
  });
  const step = (size >> 1) + (size >> 3) + 3;
  let place = 0;
  counts.forEach((c, s) => {
    for (let i = 0; i < c; i++) {
      symbol[place] = s;
      do place = (place + step) & (size - 1);
      while (place >= high);
    }
  });
  if (place !== 0) bad("a table does not add up");
  for (let i = 0; i < size; i++) {
    const state = next[symbol[i]]++;
    const n = log - (31 - Math.clz32(state));
    bits[i] = n;
    base[i] = (state << n) - size;
  }
  return { log, symbol, bits, base };
}

/** RFC 8878, 4.1.1: the description of a table. */
export function readFse(bytes: Uint8Array, maxLog: number, maxSymbol: number): { table: FseTable; used: number } {
  let position = 0;
  const take = (n: number, keep = false): number => {
    let value = 0;
    for (let i = 0; i < n; i++) {
      const at = position + i;
      value |= (((bytes[at >> 3] ?? 0) >> (at & 7)) & 1) << i;
    }
    if (!keep) position += n;
    return value;
  };
  const log = take(4) + 5;
  if (log > maxLog) bad("the accuracy of a table is too high");
  let left = (1 << log) + 1;
  const counts: number[] = [];
  while (left > 1) {
    if (counts.length > maxSymbol || position > 8 * bytes.length) bad("a table has too many symbols");
    const bits = 32 - Math.clz32(left);
    const threshold = 2 ** bits - 1 - left;
    let value = take(bits, true);
    const low = value & (2 ** (bits - 1) - 1);
    if (low < threshold) {
      value = low;
      position += bits - 1;
    } else {
      if (value >= 2 ** (bits - 1)) value -= threshold;
      position += bits;
    }
    const count = value - 1;
    counts.push(count);
    left -= Math.abs(count);
    if (count === 0) {
      let repeat: number;
      do {
        repeat = take(2);
        for (let i = 0; i < repeat; i++) counts.push(0);
        if (counts.length > maxSymbol + 1) bad("a table has too many symbols");
      } while (repeat === 3);
    }
  }
  if (left !== 1 || counts.length > maxSymbol + 1) bad("a table does not add up");
  const used = (position + 7) >> 3;
  if (used > bytes.length) bad("a table is cut off");
  return { table: buildFse(counts, log), used };
}

export interface HuffmanTable {
  readonly log: number;
  readonly symbol: Uint8Array;
  readonly bits: Uint8Array;
}

function weights(bytes: Uint8Array, head: number): number[] {
  const out: number[] = [];
  if (head >= 128) {
    for (let i = 0; i < head - 127; i++) out.push(i % 2 === 0 ? bytes[i >> 1] >> 4 : bytes[i >> 1] & 15);
    return out;
  }
  const { table, used } = readFse(bytes, 6, 255);
  const stream = new BackwardBits(bytes.subarray(used));
  const states = [stream.read(table.log), stream.read(table.log)];
  for (let turn = 0; ; turn ^= 1) {
    const state = states[turn];
    out.push(table.symbol[state]);
    if (out.length > 255) bad("there are too many weights");
    if (stream.left < table.bits[state]) {
      out.push(table.symbol[states[turn ^ 1]]);
      return out;
    }
    states[turn] = table.base[state] + stream.read(table.bits[state]);
  }
}

/** RFC 8878, 4.2.1: a Huffman tree. */
export function readHuffman(bytes: Uint8Array): { table: HuffmanTable; used: number } {
  if (bytes.length < 1) bad("a Huffman tree is cut off");
  const head = bytes[0];
  const size = head >= 128 ? (head - 126) >> 1 : head;
  if (1 + size > bytes.length) bad("a Huffman tree is cut off");
  const w = weights(bytes.subarray(1, 1 + size), head);
  if (w.length > 255) bad("there are too many weights");
  let sum = 0;
  for (const x of w) {
    if (x > 11) bad("a weight is too large");
    if (x > 0) sum += 1 << (x - 1);
  }
  if (sum === 0) bad("a Huffman tree is empty");
  const log = 32 - Math.clz32(sum);
  const rest = (1 << log) - sum;
  if (log > 11 || (rest & (rest - 1)) !== 0) bad("the weights do not add up");
  w.push(32 - Math.clz32(rest));
  const symbol = new Uint8Array(1 << log);
  const bits = new Uint8Array(1 << log);
  let place = 0;
  for (let weight = 1; weight <= log; weight++) {
    w.forEach((x, s) => {
      if (x !== weight) return;
      const run = 1 << (weight - 1);
      symbol.fill(s, place, place + run);
      bits.fill(log + 1 - weight, place, place + run);
      place += run;
    });
  }
  if (place !== 1 << log) bad("the weights do not add up");
  return { table: { log, symbol, bits }, used: 1 + size };
}

export function decodeHuffman(table: HuffmanTable, bytes: Uint8Array, out: Uint8Array): void {
  const stream = new BackwardBits(bytes);
  const { log, symbol, bits } = table;
  for (let i = 0; i < out.length; i++) {
    const index = stream.peek(log);
    out[i] = symbol[index];
    stream.left -= bits[index];
    if (stream.left < 0) bad("a Huffman stream ends too early");
  }
  if (stream.left !== 0) bad("a Huffman stream has bits left over");
}
