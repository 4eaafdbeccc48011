// Decoding frames (clause 7.2) and seeking (clause 7.3).
import { type Bytes, equalBytes, hex } from "./bytes.js";
import { Coder } from "./arithmetic/coder.js";
import { stateDigest, tensorDigest } from "./digest.js";
import type { DType } from "./dtypes.js";
import { decrypt, unlock } from "./encryption.js";
import { at, inFile, refuse, Unsupported } from "./errors.js";
import type { Manifest } from "./manifest.js";
import { integer, makePlan, type Plan, quantised, raw, skip, type Step, type Stream, update } from "./plan.js";
import { BinsCoder, type BinsOutput } from "./quantised/bins.js";
import type { Quantised } from "./quantised/element.js";
import { checkRefinements, Refinements } from "./refinements.js";
import { readSegment, type Segment } from "./segment.js";
import { takeSlices } from "./slices.js";
import { arrayLimit, segmentName, type Source } from "./source.js";
import { addWords, type Part, plainParts } from "./streams.js";

export interface Tensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: Bytes;
  digest: Bytes | null;
  /** What the segment says that the digest is (clause 6.2.5). */
  stored: Bytes | null;
  /** Grid and bins, where the row is quantised. */
  readonly quantised: Quantised | null;
}

/** Tensors by row. */
export type State = ReadonlyMap<number, Tensor>;

export class Decoder {
  private held = -1;
  private state: State = new Map();
  /** The first frame of the group at hand that cannot be decoded, and why. */
  private failure: { readonly key: number; readonly frame: number; readonly error: unknown } | null = null;
  private readonly coder = new Coder();
  private readonly bins = new BinsCoder();
  private readonly refinements: Refinements;
  private stops: State[] = [];

  constructor(
    private readonly source: Source,
    private manifest: Manifest,
    /** So many refinements of each frame are decoded. */
    stop: number = manifest.stops,
    /** Of encrypted segments; it is theirs. */
    private readonly key: Bytes | null = null,
  ) {
    this.refinements = new Refinements(manifest, stop);
  }

  /** Goes on with the manifest of a package that has grown: its first frames are those that were known. */
  grown(manifest: Manifest): void {
    this.manifest = manifest;
    this.refinements.manifest = manifest;
  }

  /** The state of the last stop of frame t, verified. */
  frame(t: number): State {
    let key = t;
    while (this.manifest.coding[key] !== 0) key -= 1;
    if (this.failure?.key === key && t >= this.failure.frame) throw this.failure.error;
    let first = key;
    if (this.held >= first && this.held <= t) first = this.held + 1;
    else this.held = -1;
    for (let s = first; s <= t; s++) {
      const before = this.manifest.coding[s] === 0 ? new Map<number, Tensor>() : this.state;
      this.held = -1;
      try {
        this.state = this.decode(s, before);
      } catch (error) {
        this.state = new Map();
        this.failure = { key, frame: s, error };
        throw error;
      }
      this.held = s;
    }
    this.verify(t, this.stops.length);
    return this.stops.at(-1) ?? this.state;
  }

  /** The state that a segment makes of the one before it, which no package has (clause 15.3). */
  apply(segment: Segment, before: State): State {
    const t = this.manifest.frames - 1;
    this.state = this.build(t, segment, before);
    this.verify(t, 0, segment.file);
    return this.state;
  }

  private readSegment(t: number): Segment {
    const name = segmentName(t);
    const size = this.source.size(name);
    const expected = this.manifest.segmentLength(t);
    if (size === null) return refuse("package/member-missing", `member ${name} is missing`, inFile(name));
    if (size !== expected) {
      refuse("segment/length", `the segment has ${size} bytes, the manifest says ${expected}`, inFile(name));
    }
    return readSegment(this.decrypted(t, this.source.read(name)), name);
  }

  private decrypted(t: number, data: Bytes): Bytes {
    if (this.manifest.keyDigest === null) return data;
    const key = unlock(this.manifest, this.key) ?? data;
    const parent = this.manifest.coding[t] === 0 ? null : this.manifest.stateDigest(t - 1);
    return decrypt(data, key, t, parent, segmentName(t));
  }

  private checkLinks(t: number, segment: Segment): void {
    const { file, state, parent } = segment;
    const expected = hex(this.manifest.stateDigest(t));
    if (state !== expected) {
      refuse("decoding/segment-state-mismatch", `the segment says that it makes state ${state}, the manifest says ${expected}`, inFile(file));
    }
    const key = this.manifest.coding[t] === 0;
    if (key && parent !== null) refuse("segment/metadata", "metadata parent: is there in a key frame", inFile(file));
    if (key) return;
    const before = hex(this.manifest.stateDigest(t - 1));
    if (parent === null) refuse("segment/metadata", "metadata parent: is missing in a delta frame", inFile(file));
    if (parent !== before) {
      refuse("decoding/parent-digest-mismatch", `the segment builds on state ${parent}, the frame before is ${before}`, inFile(file));
    }
  }

  private decode(t: number, before: State): State {
    const segment = this.readSegment(t);
    this.checkLinks(t, segment);
    return this.build(t, segment, before);
  }

  private build(t: number, segment: Segment, before: State): State {
    checkRefinements(this.manifest, t, segment);
    if (this.manifest.coding[t] === 0) {
      this.coder.reset();
      this.bins.reset();
    }
    const plan = makePlan(this.manifest, t, segment, before);
    if (plan.steps.some((s) => s.size > arrayLimit) || this.manifest.stateBytes(t) > arrayLimit) {
      throw new Unsupported(`the state of frame ${t} has ${this.manifest.stateBytes(t)} bytes, more than this program can hold`);
    }
    this.coder.keep(rowsOf(plan, skip, integer));
    this.coder.forget(rowsOf({ ...plan, steps: plan.steps.filter((s) => s.map !== null) }, integer));
    this.bins.keep(rowsOf(plan, skip, update));
    const references = this.taken(plan, before);
    const state = new Map<number, Tensor>();
    const raws = this.plain(plan, raw, plan.raw, segment.file);
    const differences = plan.integer?.coding === "nmc" ? this.words(plan, plan.integer, references, segment.file) : this.sums(plan, references, segment.file);
    const bins = this.quantised(plan, before, segment.file);
    for (const { row, mode, shape } of plan.steps) {
      const dtype = this.manifest.rows[row].dtype;
      if (mode === raw) state.set(row, { dtype, shape, data: raws.next(), digest: null, stored: null, quantised: null });
      else if (mode === integer) state.set(row, { dtype, shape, data: differences.next(), digest: null, stored: null, quantised: null });
      else if (mode === quantised || mode === update) state.set(row, { dtype, shape, ...bins.next(), digest: null, stored: null });
      else state.set(row, this.old(before, row));
    }
    for (const [row, digest] of plan.digests) this.old(state, row).stored = digest;
    this.stops = this.refinements.decode(t, segment, state);
    return state;
  }

  /** The state that differences build on: that of the frame before, some slices of it elsewhere. */
  private taken(plan: Plan, last: State): State {
    const before = new Map(last);
    for (const { row, shape, size, map } of plan.steps) {
      if (map === null) continue;
      const { dtype, data } = this.old(last, row);
      before.set(row, { dtype, shape, data: takeSlices(map, data, size), digest: null, stored: null, quantised: null });
    }
    return before;
  }

  private old(before: State, row: number): Tensor {
    const tensor = before.get(row);
    if (tensor === undefined) throw new Error(`row ${row} was checked to be there`);
    return tensor;
  }

  private steps(plan: Plan, mode: number): Step[] {
    return plan.steps.filter((s) => s.mode === mode);
  }

  private plain(plan: Plan, mode: number, stream: Stream | null, file: string): Queue<Bytes> {
    const steps = this.steps(plan, mode);
    if (stream === null) return new Queue(steps.map(() => new Uint8Array(0)));
    const parts: Part[] = steps.map(({ row, size }) => {
      const dtype = this.manifest.rows[row].dtype;
      return { size, word: dtype.word / 8, floating: dtype.exponent > 0 };
    });
    return new Queue(plainParts(stream, mode === raw ? "raw" : "integer", parts, file));
  }

  private sums(plan: Plan, before: State, file: string): Queue<Bytes> {
    const differences = this.plain(plan, integer, plan.integer, file);
    return new Queue(
      this.steps(plan, integer).map(({ row }) => {
        const old = this.old(before, row);
        return addWords(old.data, differences.next(), old.dtype.word / 8);
      }),
    );
  }

  private words(plan: Plan, stream: Stream, before: State, file: string): Queue<Bytes> {
    const inputs = this.steps(plan, integer).map(({ row }) => {
      const { dtype, shape, data } = this.old(before, row);
      return { row, dtype, shape, old: data };
    });
    return new Queue(this.coder.decode(stream.bytes, inputs, stream.name, file));
  }

  private quantised(plan: Plan, before: State, file: string): Queue<BinsOutput> {
    if (plan.bins === null) return new Queue<BinsOutput>([]);
    const steps = plan.steps.filter((s) => s.mode === quantised || s.mode === update);
    const inputs = steps.map(({ row, mode, shape }) => {
      return { row, dtype: this.manifest.rows[row].dtype, shape, old: mode === update ? this.old(before, row).quantised : null };
    });
    return new Queue(this.bins.decode(plan.bins.bytes, inputs, plan.bins.name, file));
  }

  private verify(t: number, stop: number, file: string | null = null): void {
    const entries = [...(this.stops.at(-1) ?? this.state)].map(([row, tensor]) => {
      tensor.digest ??= tensorDigest(tensor.dtype.name, tensor.shape, tensor.data);
      return { name: this.manifest.rows[row].nameBytes, digest: tensor.digest };
    });
    const actual = stateDigest(entries);
    const expected = this.manifest.stateDigest(t, stop);
    if (!equalBytes(actual, expected)) {
      refuse("decoding/state-digest-mismatch", `the decoded state is ${hex(actual)}, expected ${hex(expected)}`, file !== null ? inFile(file) : at(stop === 0 ? `/frames/${t}/state_digest` : `/frames/${t}/refinements/${stop - 1}/state_digest`));
    }
    for (const [row, { digest, stored }] of this.stops.at(-1) ?? this.state) {
      if (digest !== null && stored !== null && !equalBytes(digest, stored)) {
        const { name } = this.manifest.rows[row];
        refuse("decoding/tensor-digest-mismatch", `tensor ${name} has digest ${hex(digest)}, the segment says ${hex(stored)}`, inFile(file ?? segmentName(t)));
      }
    }
  }
}

function rowsOf(plan: Plan, ...modes: readonly number[]): Set<number> {
  return new Set(plan.steps.filter((s) => modes.includes(s.mode)).map((s) => s.row));
}

class Queue<T> {
  private i = 0;

  constructor(private readonly items: readonly T[]) {}

  next(): T {
    return this.items[this.i++];
  }
}
