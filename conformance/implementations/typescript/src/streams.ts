// Plain bytes of the streams raw and integer, tensor by tensor (clauses 6.2.4 and 6.3).
import type { Bytes } from "./bytes.js";
import { inFile, refuse } from "./errors.js";
import type { Stream } from "./plan.js";
import { zstdDecode } from "./zstd/decoder.js";
import { ZstdError } from "./zstd/bits.js";

export interface Part {
  readonly size: number;
  /** Bytes of a word. */
  readonly word: number;
  /** Whether words have an exponent. */
  readonly floating: boolean;
}

function unfoldRaw(bytes: Bytes, word: number): void {
  const n = bytes.length / word;
  if (word === 1) {
    for (let i = 0; i < n; i++) bytes[i] = (bytes[i] >> 1) | ((bytes[i] & 1) << 7);
  } else if (word === 2) {
    const a = new Uint16Array(bytes.buffer, bytes.byteOffset, n);
    for (let i = 0; i < n; i++) a[i] = (a[i] >> 1) | ((a[i] & 1) << 15);
  } else {
    const a = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
    if (word === 4) {
      for (let i = 0; i < n; i++) a[i] = (a[i] >>> 1) | (a[i] << 31);
    } else {
      for (let i = 0; i < 2 * n; i += 2) {
        const [low, high] = [a[i], a[i + 1]];
        a[i] = (low >>> 1) | (high << 31);
        a[i + 1] = (high >>> 1) | (low << 31);
      }
    }
  }
}

function unfoldInteger(bytes: Bytes, word: number): void {
  const n = bytes.length / word;
  if (word === 1) {
    for (let i = 0; i < n; i++) bytes[i] = (bytes[i] >> 1) ^ -(bytes[i] & 1);
  } else if (word === 2) {
    const a = new Uint16Array(bytes.buffer, bytes.byteOffset, n);
    for (let i = 0; i < n; i++) a[i] = (a[i] >> 1) ^ -(a[i] & 1);
  } else {
    const a = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
    if (word === 4) {
      for (let i = 0; i < n; i++) a[i] = (a[i] >>> 1) ^ -(a[i] & 1);
    } else {
      for (let i = 0; i < 2 * n; i += 2) {
        const [low, high] = [a[i], a[i + 1]];
        const sign = -(low & 1);
        a[i] = ((low >>> 1) | (high << 31)) ^ sign;
        a[i + 1] = (high >>> 1) ^ sign;
      }
    }
  }
}

/** Clause 6.3.2: the byte planes of all tensors, the most significant bytes first. */
function unplane(content: Bytes, parts: readonly Part[], out: readonly Bytes[]): void {
  let position = 0;
  for (let k = 7; k >= 0; k--) {
    for (let p = 0; p < parts.length; p++) {
      const { size, word } = parts[p];
      if (word <= k) continue;
      const target = out[p];
      for (let i = k; i < size; i += word) target[i] = content[position++];
    }
  }
}

export function plainParts(stream: Stream, kind: "raw" | "integer", parts: readonly Part[], file: string): Bytes[] {
  if (stream.coding === "none") {
    let position = 0;
    return parts.map(({ size }) => {
      position += size;
      return stream.bytes.slice(position - size, position);
    });
  }
  let content: Bytes;
  try {
    content = zstdDecode(stream.bytes, stream.plain);
  } catch (error) {
    if (!(error instanceof ZstdError)) throw error;
    return refuse("segment/zstd", `stream ${stream.name} is not a zstd frame of ${stream.plain} bytes: ${error.message}`, inFile(file));
  }
  const out = parts.map(({ size }) => new Uint8Array(size));
  unplane(content, parts, out);
  parts.forEach((part, i) => {
    if (kind === "integer") unfoldInteger(out[i], part.word);
    else if (part.floating) unfoldRaw(out[i], part.word);
  });
  return out;
}

/** z = (x + y) mod 2^w for every word; x and y begin at a multiple of the word in memory. */
export function addWords(x: Bytes, y: Bytes, word: number): Bytes {
  const z = new Uint8Array(x.length);
  const n = x.length / word;
  if (word === 1) {
    for (let i = 0; i < n; i++) z[i] = x[i] + y[i];
  } else if (word === 2) {
    const [a, b, c] = [x, y, z].map((s) => new Uint16Array(s.buffer, s.byteOffset, n));
    for (let i = 0; i < n; i++) c[i] = a[i] + b[i];
  } else {
    const [a, b, c] = [x, y, z].map((s) => new Uint32Array(s.buffer, s.byteOffset, x.length / 4));
    if (word === 4) {
      for (let i = 0; i < n; i++) c[i] = a[i] + b[i];
    } else {
      for (let i = 0; i < 2 * n; i += 2) {
        const low = a[i] + b[i];
        c[i] = low;
        c[i + 1] = a[i + 1] + b[i + 1] + (low > 0xffffffff ? 1 : 0);
      }
    }
  }
  return z;
}
