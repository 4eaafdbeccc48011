// A Zstandard decoder (RFC 8878) for one whole frame of a known content size (clause 6.3.2).
import { BackwardBits, bad, buildFse, decodeHuffman, type FseTable, type HuffmanTable, readFse, readHuffman, runTable } from "./bits.js";
import { xxh64 } from "./xxh64.js";

const windowLimit = 2 ** 27;
const blockLimit = 131072;

const literalBits = [...Array<number>(16).fill(0), 1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
const matchBits = [...Array<number>(32).fill(0), 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];

function bases(bits: readonly number[], first: number): number[] {
  let value = first;
  return bits.map((b) => {
    const base = value;
    value += 2 ** b;
    return base;
  });
}

const literalBase = bases(literalBits, 0);
const matchBase = bases(matchBits, 3);

const defaults: readonly [FseTable, FseTable, FseTable] = [
  buildFse(
    [4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1],
    6,
  ),
  buildFse([1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1], 5),
  buildFse(
    [
      1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
      1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1,
    ],
    6,
  ),
];
/** Literal lengths, offsets, match lengths: the largest accuracy and symbol of each. */
const limits: readonly [number, number][] = [
  [9, 35],
  [8, 31],
  [9, 52],
];

class Frame {
  private position = 0;
  private huffman: HuffmanTable | null = null;
  private tables: FseTable[] | null = null;
  private readonly repeats = [1, 4, 8];
  private readonly literals = new Uint8Array(blockLimit);

  constructor(
    private readonly out: Uint8Array,
    private readonly blockMaximum: number,
  ) {}

  get size(): number {
    return this.position;
  }

  private room(n: number): void {
    if (n > this.out.length - this.position) bad("the frame makes more bytes than it says");
  }

  copy(bytes: Uint8Array): void {
    this.room(bytes.length);
    this.out.set(bytes, this.position);
    this.position += bytes.length;
  }

  run(byte: number, n: number): void {
    this.room(n);
    this.out.fill(byte, this.position, this.position + n);
    this.position += n;
  }

  compressed(block: Uint8Array): void {
    const { size, used } = this.readLiterals(block);
    const start = this.position;
    this.sequences(block.subarray(used), size);
    if (this.position - start > this.blockMaximum) bad("a block makes too many bytes");
  }

  private readLiterals(block: Uint8Array): { size: number; used: number } {
    if (block.length < 2) bad("a block is cut off");
    const head = block[0];
    const type = head & 3;
    const format = (head >> 2) & 3;
    const raw = type < 2;
    const headSize = raw ? [1, 2, 1, 3][format] : [3, 3, 4, 5][format];
    let bits = 0;
    for (let i = headSize - 1; i >= 0; i--) bits = bits * 256 + (block[i] ?? 0);
    if (raw) {
      const size = Math.floor(bits / (headSize === 1 ? 8 : 16));
      const stored = type === 0 ? size : 1;
      if (size > this.blockMaximum || headSize + stored > block.length) bad("literals are cut off or too many");
      if (type === 0) this.literals.set(block.subarray(headSize, headSize + size));
      else this.literals.fill(block[headSize], 0, size);
      return { size, used: headSize + stored };
    }
    const width = [10, 10, 14, 18][format];
    const size = Math.floor(bits / 16) % 2 ** width;
    const stored = Math.floor(bits / 2 ** (4 + width));
    if (size > this.blockMaximum || headSize + stored > block.length) bad("literals are cut off or too many");
    let data = block.subarray(headSize, headSize + stored);
    if (type === 2) {
      const { table, used } = readHuffman(data);
      this.huffman = table;
      data = data.subarray(used);
    }
    if (this.huffman === null) return bad("literals use a tree that is not there");
    const target = this.literals.subarray(0, size);
    if (format === 0) decodeHuffman(this.huffman, data, target);
    else this.fourStreams(this.huffman, data, target);
    return { size, used: headSize + stored };
  }

  private fourStreams(table: HuffmanTable, data: Uint8Array, target: Uint8Array): void {
    if (data.length < 6) bad("literals are cut off");
    const part = (target.length + 3) >> 2;
    let from = 6;
    for (let i = 0; i < 4; i++) {
      const length = i < 3 ? data[2 * i] | (data[2 * i + 1] << 8) : data.length - from;
      if (length < 0 || from + length > data.length || (i < 3 && part * (i + 1) > target.length)) bad("literals are cut off");
      const end = i < 3 ? part * (i + 1) : target.length;
      decodeHuffman(table, data.subarray(from, from + length), target.subarray(part * i, end));
      from += length;
    }
  }

  private readTables(data: Uint8Array, modes: number): number {
    let used = 0;
    const before = this.tables;
    this.tables = defaults.map((table, k) => {
      const mode = (modes >> (6 - 2 * k)) & 3;
      const [maxLog, maxSymbol] = limits[k];
      if (mode === 0) return table;
      if (mode === 3) return before === null ? bad("a table is not there") : before[k];
      if (mode === 1) {
        if (used >= data.length || data[used] > maxSymbol) bad("a run table is wrong");
        used += 1;
        return runTable(data[used - 1]);
      }
      const read = readFse(data.subarray(used), maxLog, maxSymbol);
      used += read.used;
      return read.table;
    });
    return used;
  }

  private sequences(data: Uint8Array, literalCount: number): void {
    if (data.length < 1) bad("a block is cut off");
    let count = data[0];
    let used = 1;
    if (count === 255) {
      count = (data[1] ?? 0) + ((data[2] ?? 0) << 8) + 0x7f00;
      used = 3;
    } else if (count >= 128) {
      count = ((count - 128) << 8) + (data[1] ?? 0);
      used = 2;
    }
    if (count === 0) {
      if (used !== data.length) bad("a block has bytes left over");
      this.copy(this.literals.subarray(0, literalCount));
      return;
    }
    if (used >= data.length) bad("a block is cut off");
    const modes = data[used];
    if ((modes & 3) !== 0) bad("reserved bits of the modes are set");
    used += 1;
    used += this.readTables(data.subarray(used), modes);
    this.execute(new BackwardBits(data.subarray(used)), count, literalCount);
  }

  private execute(stream: BackwardBits, count: number, literalCount: number): void {
    const [lt, ot, mt] = this.tables ?? bad("a table is not there");
    const { out, literals } = this;
    let l = stream.read(lt.log);
    let o = stream.read(ot.log);
    let m = stream.read(mt.log);
    let from = 0;
    for (let i = 0; i < count; i++) {
      const offsetCode = ot.symbol[o];
      const offsetValue = 2 ** offsetCode + stream.read(offsetCode);
      const matchCode = mt.symbol[m];
      const length = matchBase[matchCode] + stream.read(matchBits[matchCode]);
      const literalCode = lt.symbol[l];
      const run = literalBase[literalCode] + stream.read(literalBits[literalCode]);
      if (i + 1 < count) {
        l = lt.base[l] + stream.read(lt.bits[l]);
        m = mt.base[m] + stream.read(mt.bits[m]);
        o = ot.base[o] + stream.read(ot.bits[o]);
      }
      const offset = this.offset(offsetValue, run);
      if (run > literalCount - from) bad("a sequence takes more literals than there are");
      this.room(run + length);
      let p = this.position;
      for (let k = 0; k < run; k++) out[p++] = literals[from++];
      if (offset > p) bad("a match reaches before the content");
      if (offset >= length) {
        out.copyWithin(p, p - offset, p - offset + length);
        p += length;
      } else {
        for (let k = 0; k < length; k++, p++) out[p] = out[p - offset];
      }
      this.position = p;
    }
    if (stream.left !== 0) bad("the sequences have bits left over");
    this.copy(literals.subarray(from, literalCount));
  }

  private offset(value: number, run: number): number {
    const r = this.repeats;
    if (value > 3) {
      r.unshift(value - 3);
      r.pop();
      return value - 3;
    }
    const index = run === 0 ? value : value - 1;
    const offset = index === 3 ? r[0] - 1 : r[index];
    if (offset === 0) bad("an offset is 0");
    if (index > 0) {
      r.splice(Math.min(index, 2), 1);
      r.unshift(offset);
    }
    return offset;
  }
}

interface Header {
  readonly used: number;
  readonly content: number;
  readonly window: number;
  readonly checksum: boolean;
}

function readHeader(stream: Uint8Array): Header {
  const byte = (i: number): number => stream[i] ?? bad("the frame header is cut off");
  const number = (i: number, n: number): number => {
    let value = 0;
    for (let k = n - 1; k >= 0; k--) value = value * 256 + byte(i + k);
    return value;
  };
  if (number(0, 4) !== 0xfd2fb528) bad("no frame begins here");
  const flags = byte(4);
  if ((flags & 8) !== 0) bad("a reserved bit is set");
  const single = (flags & 0x20) !== 0;
  let used = 5;
  let window = 0;
  if (!single) {
    const w = byte(used++);
    const base = 2 ** (10 + (w >> 3));
    window = base + (base / 8) * (w & 7);
  }
  const dictionaryBytes = [0, 1, 2, 4][flags & 3];
  if (number(used, dictionaryBytes) !== 0) bad("the frame needs a dictionary");
  used += dictionaryBytes;
  const sizeFlag = flags >> 6;
  const sizeBytes = sizeFlag === 0 ? (single ? 1 : 0) : 2 ** sizeFlag;
  if (sizeBytes === 0) bad("the frame does not give its content size");
  const content = number(used, sizeBytes) + (sizeBytes === 2 ? 256 : 0);
  used += sizeBytes;
  return { used, content, window: single ? content : window, checksum: (flags & 4) !== 0 };
}

/** The content of the one frame that the stream is, which shall have `plain` bytes. */
export function zstdDecode(stream: Uint8Array, plain: number): Uint8Array {
  const header = readHeader(stream);
  if (header.content !== plain) bad(`the content size is ${header.content}`);
  if (header.window > windowLimit) bad("the window is larger than 2^27 bytes");
  const out = new Uint8Array(plain);
  const blockMaximum = Math.min(header.window, blockLimit);
  const frame = new Frame(out, blockMaximum);
  let position = header.used;
  for (let last = false; !last; ) {
    if (position + 3 > stream.length) bad("the frame is cut off");
    const head = stream[position] | (stream[position + 1] << 8) | (stream[position + 2] << 16);
    position += 3;
    last = (head & 1) === 1;
    const type = (head >> 1) & 3;
    const size = head >> 3;
    const stored = type === 1 ? 1 : size;
    if (type === 3) bad("a block has the reserved type");
    if (size > blockMaximum) bad("a block is too large");
    if (position + stored > stream.length) bad("the frame is cut off");
    const block = stream.subarray(position, position + stored);
    position += stored;
    if (type === 0) frame.copy(block);
    else if (type === 1) frame.run(block[0], size);
    else frame.compressed(block);
  }
  if (frame.size !== plain) bad("the frame makes fewer bytes than it says");
  if (header.checksum) {
    if (position + 4 > stream.length) bad("the frame is cut off");
    const said = new DataView(stream.buffer, stream.byteOffset).getUint32(position, true);
    if (BigInt(said) !== (xxh64(out) & 0xffffffffn)) bad("the checksum of the frame does not match");
    position += 4;
  }
  if (position !== stream.length) bad("there are bytes after the frame");
  return out;
}
