// A segment: the canonical header (clause 6.1) and its streams.
import { type Bytes, equalBytes, latin1, safe, u64, utf8 } from "./bytes.js";
import { harmless, inFile, refuse } from "./errors.js";

export interface Segment {
  readonly file: string;
  readonly parent: string | null;
  readonly state: string;
  /** Digests of the states of its stops above the base. */
  readonly stops: readonly string[];
  /** Where each stream begins. */
  readonly offsets: ReadonlyMap<string, number>;
  readonly streams: ReadonlyMap<string, Bytes>;
}

const headerLimit = 4096;
const digestForm = /^[0-9a-f]{64}$/;

interface StreamEntry {
  name: string;
  length: number;
}

type JsonObject = { readonly [key: string]: unknown };

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Clause 6.1.3: the header leaves no choice, so it is written again and compared. */
export function buildHeader(parent: string | null, state: string, stops: readonly string[], streams: readonly StreamEntry[]): string {
  const further = stops.map((digest, k) => `,"stop${k + 1}":"${digest}"`).join("");
  let header = `{"__metadata__":{"nmc":"1.0"${parent === null ? "" : `,"parent":"${parent}"`},"state":"${state}"${further}}`;
  let start = 0;
  for (const s of streams) {
    const end = start + s.length;
    header += `,"${s.name}":{"dtype":"U8","shape":[${s.length}],"data_offsets":[${start},${end}]}`;
    start = end;
  }
  header += "}";
  return header + " ".repeat((64 - ((8 + header.length) % 64)) % 64);
}

function checkMetadata(metadata: unknown, file: string): { parent: string | null; state: string; stops: string[] } {
  const wrong = (key: string, reason: string): never =>
    refuse("segment/metadata", `metadata ${key}: ${reason}`, inFile(file, 8));
  if (!isObject(metadata)) return wrong("__metadata__", "is missing");
  const digest = (key: string): string | null => {
    if (!Object.hasOwn(metadata, key)) return null;
    const value = metadata[key];
    return typeof value === "string" && digestForm.test(value) && value.length === 64 ? value : wrong(key, "is not a digest");
  };
  const state = digest("state");
  const parent = digest("parent");
  if (metadata["nmc"] !== "1.0") wrong("nmc", "is not 1.0");
  const stops: string[] = [];
  for (let k = 1; k <= 8; k++) {
    const stop = digest(`stop${k}`);
    if (stop !== null) stops.push(stop);
  }
  return state === null ? wrong("state", "is missing") : { parent, state, stops };
}

function checkStream(name: string, value: unknown, file: string, data: number): StreamEntry {
  const shown = harmless(name);
  const whole = (n: unknown): n is number => typeof n === "number" && Number.isInteger(n) && n >= 0 && n <= data;
  if (!isObject(value)) return refuse("segment/header", `stream ${shown} is not an object`, inFile(file, 8));
  const { dtype, shape, data_offsets: offsets } = value;
  if (dtype !== "U8" || !Array.isArray(shape) || shape.length !== 1) {
    return refuse("segment/stream-type", `stream ${shown} is not U8 of rank 1`, inFile(file, 8));
  }
  if (!whole(shape[0]) || !Array.isArray(offsets) || offsets.length !== 2 || !whole(offsets[0]) || !whole(offsets[1])) {
    return refuse("segment/header", `the offsets of stream ${shown} are not within the data`, inFile(file, 8));
  }
  if (offsets[1] - offsets[0] !== shape[0]) {
    return refuse("segment/not-canonical", `the shape of stream ${shown} is not that of its offsets`, inFile(file, 8));
  }
  return { name, length: shape[0] };
}

export function readSegment(bytes: Bytes, file: string): Segment {
  const malformed = (reason: string, offset: number): never => refuse("segment/header", reason, inFile(file, offset));
  if (bytes.length < 8) malformed("the segment is shorter than the length of its header", 0);
  const n = safe(u64(bytes, 0));
  if (n < 2 || n > headerLimit || 8 + n > bytes.length) malformed(`the header has ${n} bytes`, 0);
  const raw = bytes.subarray(8, 8 + n);
  if (raw.some((b) => b > 127)) malformed("the header is not ASCII", 8);
  let parsed: unknown;
  try {
    parsed = JSON.parse(latin1(raw));
  } catch {
    malformed("the header is not JSON", 8);
  }
  if (!isObject(parsed)) return malformed("the header is not a JSON object", 8);
  const { parent, state, stops } = checkMetadata(parsed["__metadata__"], file);
  const data = bytes.length - 8 - n;
  const entries: StreamEntry[] = [];
  for (const [name, value] of Object.entries(parsed)) {
    if (name !== "__metadata__") entries.push(checkStream(name, value, file, data));
  }
  if (!entries.every((e) => /^[a-z1-8.]{1,32}$/.test(e.name))) {
    refuse("segment/stream-unknown", "a stream has a name that is not known", inFile(file, 8));
  }
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  if (!equalBytes(utf8(buildHeader(parent, state, stops, entries)), raw)) {
    refuse("segment/not-canonical", "the header is not in canonical form", inFile(file, 8));
  }
  const streams = new Map<string, Bytes>();
  const offsets = new Map<string, number>();
  let start = 8 + n;
  for (const e of entries) {
    offsets.set(e.name, start);
    streams.set(e.name, bytes.subarray(start, start + e.length));
    start += e.length;
  }
  if (start !== bytes.length) malformed("the streams do not end at the end of the segment", start);
  return { file, parent, state, stops, offsets, streams };
}
