// Opening a manifest: steps 2 to 8 of clause 7.1.1.
import { type Bytes, equalBytes, hex } from "./bytes.js";
import { manifestDigest } from "./digest.js";
import type { DType } from "./dtypes.js";
import { isEncrypted } from "./encryption.js";
import { at, harmless, inFile, refuse } from "./errors.js";
import { CompactReader, NotCompact } from "./hdf5.js";
import { layout, together } from "./layout.js";
import { type Level, levels } from "./levels.js";
import { type H5Object, manifestFile, type Objects } from "./objects.js";
import { checkValues } from "./values.js";

export interface Row {
  readonly name: string;
  readonly nameBytes: Bytes;
  readonly dtype: DType;
  readonly role: number;
  readonly layer: number;
  readonly shape: readonly number[];
  readonly firstFrame: number;
}

export interface Manifest {
  readonly objects: Objects;
  readonly digest: Bytes;
  readonly profile: string;
  readonly level: Level;
  readonly frames: number;
  readonly rows: readonly Row[];
  readonly coding: Bytes;
  segmentLength(t: number): number;
  segmentSha256(t: number): string;
  /** Digest of the key of the segments (clause 14.1.1); null where they are not encrypted. */
  readonly keyDigest: Bytes | null;
  stateBytes(t: number): number;
  /** Refinements of each frame (clause 5.4.7). */
  readonly stops: number;
  /** Of a stop; by itself of the base. */
  stateDigest(t: number, stop?: number): Bytes;
  refinementStart(t: number, stop: number): number;
  /** T(t) of clause 5.4.3. */
  rowsOf(t: number): number;
}

export interface Options {
  readonly maxLevel: number;
  /** What reads a manifest that is not in the compact form; null where nothing does. */
  readonly library: ((file: Bytes, reason: string) => Objects) | null;
  /** Public keys in base 16, each of which has to have signed (clause 13.2.2). */
  readonly signedBy?: readonly string[];
  /** The key of the segments (clause 14). */
  readonly key?: Bytes | null;
}

export function readObjects(file: Bytes, options: Options): Objects {
  try {
    return new CompactReader(file).read();
  } catch (error) {
    if (!(error instanceof NotCompact)) throw error;
    if (options.library === null) {
      return refuse("manifest/unreadable", `the manifest is not in the compact form: ${error.message}`, inFile(manifestFile));
    }
    return options.library(file, error.message);
  }
}

function scalarText(objects: Objects, path: string): string {
  const o = objects.get(path);
  if (o === undefined) return refuse("manifest/object-missing", "a required object is missing", at(path));
  if (o.kind !== "str") return refuse("manifest/object-type", `type is ${o.type}, expected str`, at(path));
  if (o.dims.length !== 0) return refuse("manifest/object-shape", "shape is not a scalar", at(path));
  const value = o.text(0);
  return value ?? refuse("manifest/value", "the text is not UTF-8 or holds a zero byte", at(path));
}

function checkVersion(objects: Objects): void {
  const format = scalarText(objects, "/@format");
  if (format !== "nmc") refuse("manifest/version", `format is ${harmless(format)}, expected nmc`, at("/@format"));
  const version = scalarText(objects, "/@format_version");
  const match = /^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)$/.exec(version);
  if (match === null || version.includes("\n") || match[1] !== "1") {
    refuse("manifest/version", `format version ${harmless(version)} is not known to this reader, which knows 1.0`, at("/@format_version"));
  }
}

function checkLayout(objects: Objects): void {
  for (const o of objects.values()) {
    if (o.kind === "other") refuse("manifest/object-type", "the type is not an integer, binary floating-point number or text", at(o.path));
  }
  const letters = new Map<string, bigint>();
  for (const e of layout) {
    const o = objects.get(e.path);
    if (o === undefined) {
      if (e.required) refuse("manifest/object-missing", "a required object is missing", at(e.path));
      continue;
    }
    if (o.type !== e.type) refuse("manifest/object-type", `type is ${o.type}, expected ${e.type}`, at(e.path));
    if (!shapeFits(o, e.dims, letters)) {
      refuse("manifest/object-shape", `shape is ${o.dims.join(" x ") || "scalar"}, expected ${e.dims.join(" x ") || "scalar"}`, at(e.path));
    }
  }
  for (const line of together) {
    const there = line.some((path) => objects.has(path));
    for (const path of line) {
      if (there && !objects.has(path)) refuse("manifest/object-missing", "an object is missing that others need", at(path));
    }
  }
  if (objects.has("/refinements/declared_psnr") && !objects.has("/refinements/start")) {
    refuse("manifest/object-missing", "there is a PSNR of refinements, and none of them", at("/refinements/start"));
  }
  if (["psnr", "ssim", "lpips"].some((c) => objects.has(`/quality/${c}`)) && !objects.has("/quality/view")) {
    refuse("manifest/object-missing", "the names of the views are missing", at("/quality/view"));
  }
  if (objects.has("/cameras/distortion") && !objects.has("/cameras/name")) {
    refuse("manifest/object-missing", "the names of the cameras are missing", at("/cameras/name"));
  }
}

function shapeFits(o: H5Object, dims: readonly (string | number)[], letters: Map<string, bigint>): boolean {
  if (o.dims.length !== dims.length) return false;
  return dims.every((d, i) => {
    const actual = o.dims[i];
    if (typeof d === "number") return actual === BigInt(d);
    if (d === "D") return actual >= 1n && actual <= 32n;
    const known = d === "B" ? ((letters.get("T") ?? 0n) + 7n) / 8n : letters.get(d);
    if (known === undefined) letters.set(d, actual);
    return known === undefined || known === actual;
  });
}

function get(objects: Objects, path: string): H5Object {
  const o = objects.get(path);
  if (o === undefined) throw new Error(`${path} was checked to be there`);
  return o;
}

function checkLevel(objects: Objects): { level: Level; frames: number; rows: number } {
  const number = get(objects, "/@level").number(0);
  const level = levels.find((l) => l.level === number);
  if (level === undefined) return refuse("profile/level-unknown", `level ${number} is unknown; there are 1 to 4`, at("/@level"));
  const rows = get(objects, "/model/tensors/name").dims[0];
  const frames = get(objects, "/frames/coding").dims[0];
  const exceeded = (what: string, actual: bigint, limit: number, path: string): void => {
    if (actual > BigInt(limit)) {
      refuse("profile/level-exceeded", `the number of ${what} is ${actual}, more than ${limit}, the bound of level ${number}`, at(path));
    }
  };
  exceeded("rows", rows, level.tensors, "/model/tensors/name");
  exceeded("frames", frames, level.frames, "/frames/coding");
  return { level, frames: Number(frames), rows: Number(rows) };
}

export function openManifest(file: Bytes, options: Options): Manifest {
  const objects = readObjects(file, options);
  checkVersion(objects);
  checkLayout(objects);
  const { level, frames, rows } = checkLevel(objects);
  const said = get(objects, "/@manifest_digest").data;
  if (!equalBytes(manifestDigest(objects), said)) {
    refuse("manifest/digest", "the manifest digest does not match its content", at("/@manifest_digest"));
  }
  const { profile, table } = checkValues(objects, level, frames, rows);
  if (level.level > options.maxLevel) {
    refuse("profile/level-refused", `the package declares level ${level.level}; this reader accepts up to ${options.maxLevel}`, at("/@level"));
  }
  const lengths = get(objects, "/frames/segment_length");
  const hashes = get(objects, "/frames/segment_sha256");
  const sizes = get(objects, "/frames/state_bytes");
  const digests = get(objects, "/frames/state_digest");
  const starts = objects.get("/refinements/start");
  const refined = objects.get("/refinements/state_digest");
  const refinements = Number(starts?.dims[1] ?? 0n);
  return {
    objects,
    digest: said,
    profile,
    level,
    frames,
    rows: table,
    coding: get(objects, "/frames/coding").data,
    segmentLength: (t) => lengths.number(t),
    keyDigest: isEncrypted(objects) ? get(objects, "/encryption@key_digest").data : null,
    segmentSha256: (t) => hex(hashes.row(t, 32)),
    stateBytes: (t) => sizes.number(t),
    stops: refinements,
    stateDigest: (t, stop = 0) => (stop === 0 || refined === undefined ? digests.row(t, 32) : refined.row(t * refinements + stop - 1, 32)),
    refinementStart: (t, stop) => starts?.number(t * refinements + stop - 1) ?? 0,
    rowsOf: (t) => countRows(table, t),
  };
}

/** Rows with first_frame ≤ t; first_frame does not fall. */
export function countRows(table: readonly Row[], t: number): number {
  let [low, high] = [0, table.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (table[middle].firstFrame <= t) low = middle + 1;
    else high = middle;
  }
  return low;
}

