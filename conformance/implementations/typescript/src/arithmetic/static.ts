// The static variant (clause 8.6).
import { malformed, type Payload, RawBits } from "./bits.js";
import type { CodedTensor } from "./tensor.js";

const contexts = 192;
const points = 4096;

interface Table {
  /** Token of each code point. */
  readonly token: Uint8Array;
  readonly frequency: Uint16Array;
  readonly start: Uint16Array;
}

function gamma(bits: RawBits): number {
  let zeros = 0;
  while (bits.raw(1) === 0) {
    zeros += 1;
    if (zeros > 15) malformed("a gamma code has more than 15 zeros");
  }
  return 2 ** zeros + bits.raw(zeros);
}

function readTable(bits: RawBits, tokens: number): Table {
  const table: Table = {
    token: new Uint8Array(points),
    frequency: new Uint16Array(tokens),
    start: new Uint16Array(tokens),
  };
  let token = -1;
  let left = points;
  while (left > 0) {
    token += gamma(bits);
    if (token >= tokens) malformed("a table has a token that is not there");
    const n = bits.raw(4);
    const f = n === 0 ? 1 : 1 + 2 ** (n - 1) + bits.raw(n - 1);
    if (f > left) malformed("the frequencies of a table exceed its code points");
    const start = points - left;
    table.frequency[token] = f;
    table.start[token] = start;
    table.token.fill(token, start, start + f);
    left -= f;
  }
  return table;
}

function readTables(bytes: Uint8Array, tokens: number): (Table | null)[] {
  const bits = new RawBits(bytes);
  const tables = new Array<Table | null>(contexts).fill(null);
  let table: Table | null = null;
  let context = -1;
  for (;;) {
    context += gamma(bits);
    if (context > contexts) malformed("a context is beyond the last one");
    if (context === contexts) break;
    if (table === null || bits.raw(1) === 1) table = readTable(bits, tokens);
    tables[context] = table;
  }
  bits.end();
  return tables;
}

/** Decodes the tokens of all words of a section. */
function decodeTokens(tensors: readonly CodedTensor[], scales: readonly number[], lanes: Uint32Array, tables: readonly (Table | null)[], code: Uint16Array): Uint8Array {
  const total = tensors.reduce((n, p) => n + p.count, 0);
  const out = new Uint8Array(total);
  let place = 0;
  let word = 0;
  tensors.forEach((tensor, p) => {
    const scale = scales[p];
    const { entries, count } = tensor;
    for (let i = 0; i < count; i++, word++) {
      const h = entries[i];
      const past = h === 0 ? 0 : h === 1 ? 1 : 2;
      const expected = past === 2 ? ((h >> 1) + 7 * scale) >> 3 : scale;
      const distance = (expected >> 3) - tensor.exponent(i);
      const table = tables[64 * past + (distance < 0 ? 0 : distance > 63 ? 63 : distance)];
      const lane = word & 3;
      let s = lanes[lane];
      const q = s & 4095;
      if (table === null) {
        s >>>= 12;
      } else {
        const token = table.token[q];
        out[word] = token;
        s = table.frequency[token] * (s >>> 12) + q - table.start[token];
      }
      if (s < 65536) {
        if (place >= code.length) malformed("the code words run out");
        s = s * 65536 + code[place++];
      }
      lanes[lane] = s;
    }
  });
  if (place !== code.length) malformed("code words are left over");
  if (lanes.some((s) => s !== 65536)) malformed("a lane does not end in its first state");
  return out;
}

function makeWords(tensor: CodedTensor, tokens: Uint8Array, raw: RawBits): void {
  const w = tensor.dtype.word;
  const { entries, count } = tensor;
  for (let i = 0; i < count; i++) {
    const token = tokens[i];
    if (token === 0) {
      tensor.equal(i);
      entries[i] = 0;
      continue;
    }
    const sign = tensor.sign(i);
    let extent: number;
    let down: number;
    if (token <= 2 * w) {
      const h = entries[i];
      const guess = h > 1 ? (h & 1) ^ sign : 0;
      const shrunk = ((token + 1) & 1) ^ guess;
      extent = tensor.move(i, 1, ((token + 1) >> 1) - 1, shrunk, raw);
      down = shrunk ^ sign;
    } else {
      extent = token === 2 * w + 17 ? tensor.flipWhole(i, raw) : tensor.flipNear(i, token - 2 * w - 9, raw);
      down = 1 - sign;
    }
    entries[i] = 2 * extent + down;
  }
}

export function decodeStatic(payload: Payload, tensors: readonly CodedTensor[]): void {
  const sections = new Map<string, CodedTensor[]>();
  for (const tensor of tensors) {
    const section = sections.get(tensor.wordFormat);
    if (section === undefined) sections.set(tensor.wordFormat, [tensor]);
    else section.push(tensor);
  }
  for (const section of sections.values()) {
    if (section.every((p) => p.count === 0)) continue;
    const tableBytes = payload.count();
    const codeWords = payload.count();
    const rawBytes = payload.count();
    const scales = [...payload.words(section.length)];
    const lanes = Uint32Array.from({ length: 4 }, () => {
      const [low, high] = payload.words(2);
      return high * 65536 + low;
    });
    const { word, exponent } = section[0].dtype;
    const tables = readTables(payload.take(tableBytes), exponent > 0 ? 2 * word + 18 : 2 * word + 1);
    const code = payload.words(codeWords);
    const raw = new RawBits(payload.take(rawBytes));
    const tokens = decodeTokens(section, scales, lanes, tables, code);
    let start = 0;
    for (const tensor of section) {
      makeWords(tensor, tokens.subarray(start, start + tensor.count), raw);
      start += tensor.count;
    }
    raw.end();
  }
}
