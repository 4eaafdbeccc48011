// XXH64 with seed 0: its low 32 bits are the checksum of a Zstandard frame.
const p1 = 0x9e3779b185ebca87n;
const p2 = 0xc2b2ae3d27d4eb4fn;
const p3 = 0x165667b19e3779f9n;
const p4 = 0x85ebca77c2b2ae63n;
const p5 = 0x27d4eb2f165667c5n;

const cut = (x: bigint): bigint => BigInt.asUintN(64, x);
const rotate = (x: bigint, k: bigint): bigint => cut((x << k) | (x >> (64n - k)));
const round = (a: bigint, x: bigint): bigint => cut(rotate(cut(a + x * p2), 31n) * p1);

export function xxh64(bytes: Uint8Array): bigint {
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const n = bytes.length;
  let i = 0;
  let h: bigint;
  if (n >= 32) {
    let [a, b, c, d] = [cut(p1 + p2), p2, 0n, cut(-p1)];
    for (; i + 32 <= n; i += 32) {
      a = round(a, data.getBigUint64(i, true));
      b = round(b, data.getBigUint64(i + 8, true));
      c = round(c, data.getBigUint64(i + 16, true));
      d = round(d, data.getBigUint64(i + 24, true));
    }
    h = cut(rotate(a, 1n) + rotate(b, 7n) + rotate(c, 12n) + rotate(d, 18n));
    for (const lane of [a, b, c, d]) h = cut((h ^ round(0n, lane)) * p1 + p4);
  } else {
    h = p5;
  }
  h = cut(h + BigInt(n));
  for (; i + 8 <= n; i += 8) h = cut(rotate(h ^ round(0n, data.getBigUint64(i, true)), 27n) * p1 + p4);
  if (i + 4 <= n) {
    h = cut(rotate(h ^ cut(BigInt(data.getUint32(i, true)) * p1), 23n) * p2 + p3);
    i += 4;
  }
  for (; i < n; i++) h = cut(rotate(h ^ cut(BigInt(bytes[i]) * p5), 11n) * p1);
  h = cut((h ^ (h >> 33n)) * p2);
  h = cut((h ^ (h >> 29n)) * p3);
  return h ^ (h >> 32n);
}
