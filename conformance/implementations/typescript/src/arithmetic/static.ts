// The static variant (clause 8.6).
import { malformed, type Payload, RawBits } from "./bits.js";
import type { CodedTensor } from "./tensor.js";

const contexts = 192;
const points = 1024;
const chunkWords = 65536;
const first = 2 ** 20;
const limit = 2 ** 52;

interface Table {
  /** Token of each code point. */
  readonly token: Uint8Array;
  readonly frequency: Uint16Array;
  readonly start: Uint16Array;
}

/** What is sent of a tensor before its chunks (clause 8.6.1). */
interface Head {
  readonly scale: number;
  readonly columns: Int8Array | null;
  readonly lines: Int8Array | null;
  /** Of each chunk: its code size and its raw size. */
  readonly sizes: readonly (readonly [number, number])[];
}

function gamma(bits: RawBits): number {
  let zeros = 0;
  while (bits.raw(1) === 0) {
    zeros += 1;
    if (zeros > 15) malformed("a gamma code has more than 15 zeros");
  }
  return 2 ** zeros + bits.raw(zeros);
}

function readTable(bits: RawBits, { dtype }: CodedTensor): Table {
  const tokens = 18 + 4 * Math.min(dtype.word - 1, 59);
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
    if (dtype.exponent === 0 && token >= 2 && token < 18) malformed("a table of integers has a flip");
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

/** The table of each context (clause 8.6.3). */
function readTables(bytes: Uint8Array, tensor: CodedTensor): Table[] {
  const bits = new RawBits(bytes);
  const count = 1 + bits.raw(5);
  const numbers: number[] = [];
  while (numbers.length < contexts) {
    const run = gamma(bits);
    const number = bits.raw(5);
    if (numbers.length + run > contexts) malformed("a run of contexts ends behind the last one");
    if (number >= count) malformed("a context has a table that is not there");
    for (let i = 0; i < run; i++) numbers.push(number);
  }
  const tables: Table[] = [];
  for (let i = 0; i < count; i++) tables.push(readTable(bits, tensor));
  bits.end();
  return numbers.map((number) => tables[number]);
}

function readOffsets(payload: Payload, n: number): Int8Array {
  const bytes = payload.take(Math.ceil(n / 2));
  if (n % 2 === 1 && bytes[bytes.length - 1] > 15) malformed("bits left over behind offsets are not 0");
  return Int8Array.from({ length: n }, (_, i) => ((bytes[i >> 1] >> (4 * (i & 1))) & 15) - 8);
}

function readHead(payload: Payload, { count, columns }: CodedTensor): Head {
  const n = Math.min(columns, count); // a packed tensor has one line
  const kind = payload.byte();
  if (kind > 3) malformed(`a head is of kind ${kind}`);
  const [scale] = payload.words(1);
  const byColumn = (kind & 1) !== 0 ? readOffsets(payload, n) : null;
  const byLine = (kind & 2) !== 0 ? readOffsets(payload, Math.ceil(count / n)) : null;
  const sizes: [number, number][] = [];
  for (let k = 0; k < count; k += chunkWords) sizes.push([payload.count(), payload.count()]);
  return { scale, columns: byColumn, lines: byLine, sizes };
}

/** Clause 8.6.2. */
function contextOf(tensor: CodedTensor, i: number, { scale, columns, lines }: Head): number {
  let expected = scale;
  if (columns !== null) expected += 2 * columns[i % tensor.columns];
  if (lines !== null) expected += 2 * lines[Math.floor(i / tensor.columns)];
  const exponent = tensor.exponent(i);
  const octave = tensor.dtype.word < 64 ? (expected >> 2) - 2 * exponent : (expected >> 3) - exponent;
  return 64 * Math.min(tensor.ways[i], 2) + Math.max(0, Math.min(63, octave));
}

/** Decodes the tokens of the words from start to end (clause 8.6.4). */
function decodeTokens(tensor: CodedTensor, start: number, end: number, head: Head, tables: readonly Table[], lanes: number[], code: Uint32Array): Uint8Array {
  const out = new Uint8Array(end - start);
  let place = 0;
  const many = lanes.length;
  for (let i = start; i < end; i += 2 * many) {
    const run = Math.min(2 * many, end - i);
    for (let k = 0; k < run; k++) {
      const { token, frequency, start: starts } = tables[contextOf(tensor, i + k, head)];
      const s = lanes[k % many];
      const q = s % points;
      const chosen = token[q];
      out[i + k - start] = chosen;
      lanes[k % many] = frequency[chosen] * Math.floor(s / points) + q - starts[chosen];
    }
    for (let k = 0; k < many; k++) {
      if (lanes[k] >= first) continue;
      if (place >= code.length) malformed("the code words run out");
      lanes[k] = lanes[k] * 2 ** 32 + code[place++];
    }
  }
  if (place !== code.length) malformed("code words are left over");
  if (lanes.some((s) => s !== first)) malformed("a lane does not end in its first state");
  return out;
}

function readLanes(payload: Payload, words: number): number[] {
  const lanes: number[] = [];
  for (let k = 0; k < (words >= 8192 ? 8 : 1); k++) {
    const lane = payload.take(7).reduceRight((value, byte) => 256 * value + byte, 0);
    if (lane < first || lane >= limit) malformed("a lane begins out of its range");
    lanes.push(lane);
  }
  return lanes;
}

/** The way that a word went, after its token (clause 8.6.5). */
function wayOf(token: number, way: number): number {
  if (token < 18) return token === 0 ? 0 : 2;
  return 2 + ((token & 1) ^ (way === 3 ? 1 : 0));
}

function decodeChunk(payload: Payload, tensor: CodedTensor, j: number, head: Head, tables: readonly Table[]): void {
  const start = chunkWords * j;
  const end = Math.min(start + chunkWords, tensor.count);
  const lanes = readLanes(payload, end - start);
  const [codeSize, rawSize] = head.sizes[j];
  const code = payload.longWords(codeSize);
  const raw = new RawBits(payload.take(rawSize));
  const tokens = decodeTokens(tensor, start, end, head, tables, lanes, code);
  const { ways } = tensor;
  for (let i = start; i < end; i++) {
    const token = tokens[i - start];
    ways[i] = wayOf(token, ways[i]);
    if (token === 0) tensor.equal(i);
    else if (token === 1) tensor.whole(i, raw);
    else if (token < 18) tensor.turned(i, token - 10, raw);
    else tensor.shifted(i, 2 | (((token - 18) >> 1) & 1), (token - 18) >> 2, ways[i] === 3, raw);
  }
  raw.end();
}

export function decodeStatic(payload: Payload, tensors: readonly CodedTensor[]): void {
  const sections = new Map<string, CodedTensor[]>();
  for (const tensor of tensors) {
    const section = sections.get(tensor.wordFormat);
    if (section === undefined) sections.set(tensor.wordFormat, [tensor]);
    else section.push(tensor);
  }
  for (const all of sections.values()) {
    const section = all.filter((tensor) => tensor.count > 0);
    if (section.length === 0) continue;
    const tableBytes = payload.count();
    const heads = section.map((tensor) => readHead(payload, tensor));
    const tables = readTables(payload.take(tableBytes), section[0]);
    section.forEach((tensor, k) => {
      for (let j = 0; j < heads[k].sizes.length; j++) decodeChunk(payload, tensor, j, heads[k], tables);
    });
  }
}
