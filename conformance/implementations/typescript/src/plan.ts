// The plan of a frame (clause 7.1.2): everything that is checked before memory for a tensor is taken.
import { type Bytes, safe, u32, u64 } from "./bytes.js";
import { tensorBytes } from "./dtypes.js";
import { inFile, refuse } from "./errors.js";
import { profiles } from "./levels.js";
import type { Manifest, Row } from "./manifest.js";
import { quantisable } from "./quantised/element.js";
import type { Segment } from "./segment.js";
import { readMaps, type SliceMap } from "./slices.js";

export const absent = 0;
export const skip = 1;
export const raw = 2;
export const integer = 3;
export const quantised = 4;
export const update = 5;

export interface Step {
  readonly row: number;
  readonly mode: number;
  readonly shape: readonly number[];
  readonly size: number;
  /** Where its slices come from (clause 6.2.6). */
  readonly map: SliceMap | null;
}

export interface Stream {
  readonly name: string;
  readonly coding: string;
  readonly bytes: Bytes;
  readonly plain: number;
}

export interface Plan {
  readonly steps: readonly Step[];
  readonly raw: Stream | null;
  readonly integer: Stream | null;
  readonly bins: Stream | null;
  /** Tensor digests by row (clause 6.2.5). */
  readonly digests: ReadonlyMap<number, Bytes>;
}

/** What the plan of a frame asks of a tensor of the frame before. */
interface Before {
  readonly shape: readonly number[];
  readonly quantised: object | null;
}

const codings: ReadonlyMap<string, readonly string[]> = new Map([
  ["raw", ["none", "zstd"]],
  ["integer", ["none", "zstd", "nmc"]],
  ["bins", ["nmc"]],
]);

function streamName(kind: string, coding: string): string {
  return coding === "none" ? kind : `${kind}.${coding}`;
}

const known = new Set(["modes", "shapes", "bounds", "digests", "slices", ...[...codings].flatMap(([kind, list]) => list.map((c) => streamName(kind, c)))]);

function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((d, i) => d === b[i]);
}

function readShapes(segment: Segment, modes: Bytes, rows: readonly Row[]): Map<number, number[]> {
  const bytes = segment.streams.get("shapes");
  const shapes = new Map<number, number[]>();
  if (bytes === undefined) return shapes;
  const wrong = (reason: string): never =>
    refuse("segment/shapes", `the shapes stream is malformed: ${reason}`, inFile(segment.file));
  if (bytes.length === 0) wrong("it has no records");
  let position = 0;
  let last = -1;
  while (position < bytes.length) {
    if (bytes.length - position < 16) wrong("a record is cut off");
    const row = safe(u64(bytes, position));
    const rank = safe(u64(bytes, position + 8));
    position += 16;
    if (row >= modes.length) wrong("a row is not of this frame");
    if (row <= last) wrong("rows do not ascend strictly");
    if (modes[row] !== raw && modes[row] !== quantised) wrong(`row ${row} is not of mode raw or quantised`);
    if (rank > 32) wrong(`a rank is ${rank}`);
    if (bytes.length - position < 8 * rank) wrong("a record is cut off");
    const start = position;
    const shape = Array.from({ length: rank }, (_, k) => safe(u64(bytes, start + 8 * k)));
    position += 8 * rank;
    const size = tensorBytes(rows[row].dtype, shape);
    if (typeof size === "string") wrong(size);
    if (sameShape(shape, rows[row].shape)) wrong(`row ${row} repeats the shape of the tensor table`);
    shapes.set(row, shape);
    last = row;
  }
  return shapes;
}

function pick(segment: Segment, kind: string, plain: number, profile: string): Stream | null {
  const there = (codings.get(kind) ?? []).filter((c) => segment.streams.has(streamName(kind, c)));
  const surplus = (name: string): never =>
    refuse("segment/stream-surplus", `stream ${name} is there, though nothing uses it`, inFile(segment.file));
  if (there.length > 1) surplus(streamName(kind, there[1]));
  if (plain === 0) return there.length > 0 ? surplus(streamName(kind, there[0])) : null;
  if (there.length === 0) {
    return refuse("segment/stream-missing", `stream ${kind} is missing, although tensors use it`, inFile(segment.file));
  }
  const coding = there[0];
  const name = streamName(kind, coding);
  if (!profiles.get(profile)?.codings.includes(coding)) {
    refuse("profile/coding-refused", `coding ${coding} is not part of profile ${profile}`, inFile(segment.file));
  }
  const bytes = segment.streams.get(name) ?? new Uint8Array(0);
  if (coding === "none" && bytes.length !== plain) {
    refuse("segment/stream-length", `stream ${name} has ${bytes.length} bytes, expected ${plain}`, inFile(segment.file));
  }
  return { name, coding, bytes, plain };
}

/** Whether a stream is one of refinements 1 to a last one (clause 6.2.1). */
function isRefined(name: string, last: number): boolean {
  const match = /^stop([1-8])\.(bins\.nmc|bounds|modes)$/.exec(name);
  return match !== null && Number(match[1]) <= last;
}

/** Clause 12.6.1: a binary32 number, finite and without a sign, for each quantised row. */
export function checkBounds(segment: Segment, grids: number, name: string): void {
  const bytes = segment.streams.get(name) ?? new Uint8Array(0);
  const wrong = (reason: string): never =>
    refuse("segment/bounds", `the stream of declared errors is malformed: ${reason}`, inFile(segment.file));
  if (segment.streams.has(name) !== grids > 0) wrong(`it is ${grids > 0 ? "missing" : "there"}, and ${grids} rows are quantised`);
  if (bytes.length !== 4 * grids) wrong(`it has ${bytes.length} bytes, and ${grids} rows are quantised`);
  for (let i = 0; i < grids; i++) {
    if (u32(bytes, 4 * i) >= 0x7f800000) wrong(`number ${i} is not finite, or has a sign`);
  }
}

/** Clause 6.2.5: a digest for each tensor that is not skipped. */
function readDigests(segment: Segment, steps: readonly Step[]): Map<number, Bytes> {
  const bytes = segment.streams.get("digests");
  const digests = new Map<number, Bytes>();
  if (bytes === undefined) return digests;
  const coded = steps.filter((s) => s.mode !== skip);
  if (coded.length === 0) refuse("segment/stream-surplus", "stream digests is there, though the segment brings no tensor", inFile(segment.file));
  if (bytes.length !== 32 * coded.length) {
    refuse("segment/stream-length", `stream digests has ${bytes.length} bytes, expected ${32 * coded.length}`, inFile(segment.file));
  }
  coded.forEach(({ row }, i) => digests.set(row, bytes.subarray(32 * i, 32 * i + 32)));
  return digests;
}

/** Clause 6.2.6: the slice map of each row that has one. */
function readSlices(manifest: Manifest, t: number, segment: Segment, modes: Bytes, before: ReadonlyMap<number, Before>): Map<number, SliceMap> {
  const found = new Map<number, SliceMap>();
  const bytes = segment.streams.get("slices");
  if (bytes === undefined) return found;
  const wrong = (reason: string): never =>
    refuse("segment/slices", `the slices stream is malformed: ${reason}`, inFile(segment.file));
  if (manifest.coding[t] === 0) wrong("a key frame has it");
  for (const map of readMaps(bytes, wrong)) {
    for (const row of map.rows) {
      if (row >= modes.length || modes[row] !== integer) return wrong(`row ${row} is not of mode integer`);
      const old = before.get(row);
      if (old === undefined) return wrong(`row ${row} is absent in the frame before`);
      if (old.shape.length === 0 || old.shape.slice(1).includes(0)) wrong(`row ${row} has no slices of words`);
      if (manifest.rows[row].dtype.parts === 0) wrong(`row ${row} is of a packed type`);
      for (const { slices, origin } of map.runs) {
        if (origin !== null && origin + slices > old.shape[0]) wrong(`a slice of row ${row} comes from one behind the last`);
      }
      found.set(row, map);
    }
  }
  return found;
}

/** Clause 12.1.3: whether a row is quantised in the state. */
function isQuantised(row: number, mode: number, dtype: string, size: number, old: Before | undefined, file: string): boolean {
  if (mode === quantised || mode === update) {
    const wrong = (reason: string): never => refuse("segment/mode-quantised", `row ${row} has mode ${mode}, but ${reason}`, inFile(file));
    if (!quantisable.has(dtype)) wrong(`its element type is ${dtype}`);
    if (size === 0) wrong("it has no elements");
    if (mode === update && !old?.quantised) wrong("it is not quantised in the frame before");
    return true;
  }
  return mode === skip && Boolean(old?.quantised);
}

export function makePlan(manifest: Manifest, t: number, segment: Segment, before: ReadonlyMap<number, Before>): Plan {
  const place = inFile(segment.file);
  for (const name of segment.streams.keys()) {
    if (!known.has(name) && !isRefined(name, segment.stops.length)) refuse("segment/stream-unknown", `stream ${name} is unknown`, place);
  }
  const modes = segment.streams.get("modes");
  if (modes === undefined) return refuse("segment/stream-missing", "stream modes is missing", place);
  const count = manifest.rowsOf(t);
  if (modes.length !== count) {
    refuse("segment/stream-length", `stream modes has ${modes.length} bytes, expected ${count}`, place);
  }
  const bad = modes.findIndex((m) => m > update);
  if (bad >= 0) refuse("segment/mode", `mode ${modes[bad]} of row ${bad} is unknown`, place);
  const lastMode = profiles.get(manifest.profile)?.lastMode ?? update;
  const strange = modes.findIndex((m) => m > lastMode);
  if (strange >= 0) {
    refuse("profile/mode-refused", `mode ${modes[strange]} of row ${strange} is not part of profile ${manifest.profile}`, place);
  }
  const shapes = readShapes(segment, modes, manifest.rows);
  const maps = readSlices(manifest, t, segment, modes, before);
  const key = manifest.coding[t] === 0;
  const steps: Step[] = [];
  const names = new Set<string>();
  const plain = [0, 0, 0, 0, 0, 0];
  let total = 0;
  let grids = 0;
  for (let row = 0; row < count; row++) {
    const mode = modes[row];
    if (mode === absent) continue;
    const { dtype, name, shape: usual } = manifest.rows[row];
    let shape: readonly number[];
    if (mode === raw || mode === quantised) {
      shape = shapes.get(row) ?? usual;
    } else {
      if (key) return refuse("segment/mode-key-frame", `row ${row} of a key frame has mode ${mode}`, place);
      const old = before.get(row);
      if (old === undefined) return refuse("segment/mode-reference", `row ${row} has mode ${mode}, but is absent in the frame before`, place);
      shape = old.shape;
      const map = maps.get(row);
      if (map !== undefined) shape = [map.slices, ...old.shape.slice(1)];
    }
    const size = tensorBytes(dtype, shape);
    if (typeof size === "string") return refuse("segment/shapes", size, place);
    if (names.has(name)) refuse("segment/name-twice", `the tensor of row ${row} is present twice in one state`, place);
    names.add(name);
    steps.push({ row, mode, shape, size, map: maps.get(row) ?? null });
    if (isQuantised(row, mode, dtype.name, size, before.get(row), segment.file)) grids += 1;
    plain[mode] += size;
    total += size;
  }
  if (total !== manifest.stateBytes(t)) {
    refuse("segment/state-bytes", `the tensors have ${total} bytes in all, the manifest says ${manifest.stateBytes(t)}`, place);
  }
  checkBounds(segment, grids, "bounds");
  return {
    steps,
    digests: readDigests(segment, steps),
    raw: pick(segment, "raw", plain[raw], manifest.profile),
    integer: pick(segment, "integer", plain[integer], manifest.profile),
    bins: pick(segment, "bins", plain[quantised] + plain[update], manifest.profile),
  };
}
