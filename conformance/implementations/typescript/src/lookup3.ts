// Annex D.6: lookup3 with the initial value 0.
import { type Bytes, view } from "./bytes.js";

function rot(x: number, k: number): number {
  return (x << k) | (x >>> (32 - k));
}

export function lookup3(bytes: Bytes): number {
  let n = bytes.length;
  let a = (0xdeadbeef + n) | 0;
  let b = a;
  let c = a;
  const data = view(bytes);
  let i = 0;
  while (n > 12) {
    a = (a + data.getInt32(i, true)) | 0;
    b = (b + data.getInt32(i + 4, true)) | 0;
    c = (c + data.getInt32(i + 8, true)) | 0;
    a = (a - c) ^ rot(c, 4); c = (c + b) | 0;
    b = (b - a) ^ rot(a, 6); a = (a + c) | 0;
    c = (c - b) ^ rot(b, 8); b = (b + a) | 0;
    a = (a - c) ^ rot(c, 16); c = (c + b) | 0;
    b = (b - a) ^ rot(a, 19); a = (a + c) | 0;
    c = (c - b) ^ rot(b, 4); b = (b + a) | 0;
    i += 12;
    n -= 12;
  }
  if (n === 0) return c >>> 0;
  const rest = new Uint8Array(12);
  rest.set(bytes.subarray(i));
  const tail = view(rest);
  a = (a + tail.getInt32(0, true)) | 0;
  b = (b + tail.getInt32(4, true)) | 0;
  c = (c + tail.getInt32(8, true)) | 0;
  c = (c ^ b) - rot(b, 14);
  a = (a ^ c) - rot(c, 11);
  b = (b ^ a) - rot(a, 25);
  c = (c ^ b) - rot(b, 16);
  a = (a ^ c) - rot(c, 4);
  b = (b ^ a) - rot(a, 14);
  c = (c ^ b) - rot(b, 24);
  return c >>> 0;
}
