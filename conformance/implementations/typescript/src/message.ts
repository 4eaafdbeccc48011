// Messages (clause 15): a segment with what else a receiver needs of a manifest.
import { type Bytes, compareBytes, equalBytes, hex, safe, text, u32, u64, unhex } from "./bytes.js";
import { Decoder, type State } from "./decode.js";
import { contentHash, stateDigest } from "./digest.js";
import { dtypes, tensorBytes } from "./dtypes.js";
import { harmless, inFile, refuse } from "./errors.js";
import { type Level, levels } from "./levels.js";
import { countRows, type Manifest, type Row } from "./manifest.js";
import { readSegment, type Segment } from "./segment.js";
import type { Source } from "./source.js";
import { nameFault } from "./values.js";

const magic = Uint8Array.of(0x4e, 0x4d, 0x43, 0x6d, 0x73, 0x67, 0x31, 0x0a);
const headBytes = 32;
const digestBytes = 32;
const highestRank = 32;

interface Message {
  readonly stateBytes: number;
  readonly rows: readonly Row[];
  readonly segment: Bytes;
}

/** What a receiver holds: a state, and a row for each of its tensors in the order of their names. */
export interface Held {
  readonly rows: readonly Row[];
  readonly state: State;
  readonly digest: Bytes;
}

function levelOf(maxLevel: number): Level {
  return levels.find((l) => l.level === maxLevel) ?? levels[levels.length - 1];
}

function checkBounds(rows: number, stateBytes: number, maxLevel: number, file: string): void {
  const level = levelOf(maxLevel);
  const exceeded = (what: string, actual: number, limit: number): void => {
    if (actual > limit) {
      refuse("profile/level-exceeded", `the ${what} is ${actual}, more than ${limit}, the bound of level ${level.level}`, inFile(file));
    }
  };
  exceeded("number of rows", rows, level.tensors);
  exceeded("size of the state", stateBytes, level.stateBytes);
}

/** Clause 15.1: the length and the digest come before all else. */
function parse(data: Bytes, maxLevel: number, file: string): Message {
  const malformed = (reason: string, offset: number): never => refuse("message/malformed", `the message is malformed: ${reason}`, inFile(file, offset));
  if (data.length < headBytes + digestBytes || !equalBytes(data.subarray(0, 8), magic)) malformed("it does not begin as one, or is too short", 0);
  const length = safe(u64(data, 8));
  if (length !== data.length) malformed(`it has ${data.length} bytes and says ${length}`, 8);
  const end = data.length - digestBytes;
  const expected = data.subarray(end);
  const actual = contentHash(data.subarray(0, end));
  if (!equalBytes(actual, expected)) refuse("message/digest", `the digest of the message is ${hex(actual)}, it says ${hex(expected)}`, inFile(file, end));
  const stateBytes = safe(u64(data, 16));
  const count = u32(data, 24);
  const rowsEnd = headBytes + u32(data, 28);
  const start = Math.ceil(rowsEnd / 64) * 64;
  if (start > end) malformed("its rows do not end within it", 28);
  checkBounds(count, stateBytes, maxLevel, file);
  const rows = readRows(data.subarray(headBytes, rowsEnd), count, file);
  if (data.subarray(rowsEnd, start).some((b) => b !== 0)) malformed("its padding is not 0", rowsEnd);
  return { stateBytes, rows, segment: data.subarray(start, end) };
}

function readRows(table: Bytes, count: number, file: string): Row[] {
  const malformed = (reason: string): never => refuse("message/malformed", `the message is malformed: ${reason}`, inFile(file, headBytes));
  let position = 0;
  const take = (size: number): Bytes => {
    if (size > table.length - position) malformed("its rows are cut off");
    position += size;
    return table.subarray(position - size, position);
  };
  const framed = (): Bytes => take(u32(take(4), 0));
  const rows: Row[] = [];
  for (let i = 0; i < count; i++) {
    const nameBytes = framed();
    const dtypeName = text(framed()) ?? malformed("a dtype is not UTF-8");
    const rank = u32(take(4), 0);
    if (rank > highestRank) malformed(`a rank is ${rank}`);
    const shape = Array.from({ length: rank }, () => safe(u64(take(8), 0)));
    const name = text(nameBytes) ?? malformed("a name is not UTF-8");
    const fault = nameFault(name, nameBytes);
    if (fault !== "") refuse("manifest/tensor-name", `the tensor name is not allowed: ${fault}`, inFile(file, headBytes));
    const dtype = dtypes.get(dtypeName);
    if (dtype === undefined) return refuse("manifest/tensor-dtype", `dtype ${harmless(dtypeName)} is unknown`, inFile(file, headBytes));
    const size = tensorBytes(dtype, shape);
    if (typeof size === "string") refuse("manifest/tensor-shape", size, inFile(file, headBytes));
    rows.push({ name, nameBytes, dtype, role: 0, layer: -1, shape, firstFrame: 0 });
  }
  if (position !== table.length) malformed(`${table.length - position} bytes follow its rows`);
  return rows;
}

function checkTwice(rows: readonly Row[], file: string): void {
  const known = new Set<string>();
  for (const { name, dtype } of rows) {
    const key = `${dtype.name}\0${name}`;
    if (known.has(key)) refuse("manifest/tensor-duplicate", `${harmless(name)} of dtype ${dtype.name} is there twice`, inFile(file));
    known.add(key);
  }
}

/** The manifest of a package of this frame, and the one before, as far as a decoder of frames asks it. */
function manifestOf(message: Message, segment: Segment, base: Held | null): Manifest {
  const rows = [...(base?.rows ?? []), ...message.rows];
  return {
    objects: new Map(),
    digest: new Uint8Array(32),
    profile: "main",
    level: levels[levels.length - 1],
    frames: base === null ? 1 : 2,
    rows,
    coding: base === null ? Uint8Array.of(0) : Uint8Array.of(0, 1),
    segmentLength: () => message.segment.length,
    segmentSha256: () => "",
    keyDigest: null,
    stateBytes: () => message.stateBytes,
    stops: 0,
    stateDigest: (t) => (base !== null && t === 0 ? base.digest : unhex(segment.state)),
    refinementStart: () => 0,
    rowsOf: (t) => countRows(rows, t),
  };
}

/** The rows and tensors of a state in the order of the names, compared as bytes (clause 15.2). */
function held(rows: readonly Row[], state: State, digest: Bytes): Held {
  const order = [...state.keys()].sort((a, b) => compareBytes(rows[a].nameBytes, rows[b].nameBytes));
  const tensors = order.map((row) => state.get(row)).filter((tensor) => tensor !== undefined);
  return {
    rows: order.map((row, i) => ({ ...rows[row], shape: tensors[i].shape })),
    state: new Map(tensors.map((tensor, i) => [i, { ...tensor, stored: null }])),
    digest,
  };
}

const emptyState = stateDigest([]);

/** A message has no members beside its segment. */
const nothing: Source = { size: () => null, read: () => new Uint8Array(0), signatures: () => [], close: () => undefined };

/** Applies messages one after the other; what it refuses leaves the state as it was. */
export class Receiver {
  private at: Held;

  constructor(private readonly maxLevel: number) {
    this.at = { rows: [], state: new Map(), digest: emptyState };
  }

  get rows(): readonly Row[] {
    return this.at.rows;
  }

  get state(): State {
    return this.at.state;
  }

  get digest(): Bytes {
    return this.at.digest;
  }

  apply(data: Bytes, file: string): State {
    const message = parse(data, this.maxLevel, file);
    const segment = readSegment(message.segment, file);
    const base = segment.parent === null ? null : this.at;
    if (base !== null && segment.parent !== hex(base.digest)) {
      refuse("decoding/parent-digest-mismatch", `the message builds on state ${segment.parent}, the one at hand is ${hex(base.digest)}`, inFile(file));
    }
    const manifest = manifestOf(message, segment, base);
    checkBounds(manifest.rows.length, message.stateBytes, this.maxLevel, file);
    checkTwice(manifest.rows, file);
    const decoder = new Decoder(nothing, manifest);
    const state = decoder.apply(segment, base?.state ?? new Map());
    this.at = held(manifest.rows, state, manifest.stateDigest(manifest.frames - 1));
    return this.at.state;
  }
}
