// The stops of a frame above its base (clause 12.7).
import { hex } from "./bytes.js";
import type { State, Tensor } from "./decode.js";
import { inFile, refuse } from "./errors.js";
import type { Manifest } from "./manifest.js";
import { checkBounds } from "./plan.js";
import { BinsCoder, type RefinedInput } from "./quantised/bins.js";
import type { Quantised } from "./quantised/element.js";
import type { Segment } from "./segment.js";

const skip = 1;
const refine = 2;

/** Clause 7.2.1: digests and places of the refinements of a segment. */
export function checkRefinements(manifest: Manifest, t: number, segment: Segment): void {
  const { stops, offsets, file } = segment;
  const wrong = (reason: string): never => refuse("segment/refinement", reason, inFile(file));
  if (stops.length !== manifest.stops) wrong(`the segment has ${stops.length} refinements, each frame has ${manifest.stops}`);
  stops.forEach((digest, k) => {
    const s = k + 1;
    if (digest !== hex(manifest.stateDigest(t, s))) {
      refuse("decoding/segment-state-mismatch", `stop ${s} of the segment is not that of the manifest`, inFile(file));
    }
    const starts = ["bins.nmc", "bounds", "modes"].map((part) => offsets.get(`stop${s}.${part}`) ?? Infinity);
    const start = Math.min(...starts);
    if (Number.isFinite(start) && start !== manifest.refinementStart(t, s)) wrong(`refinement ${s} begins at byte ${start}`);
  });
}

function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((d, i) => d === b[i]);
}

function quantisedOf(tensor: Tensor | undefined): Quantised | null {
  return tensor?.quantised ?? null;
}

/** The stops of frame after frame. */
export class Refinements {
  private states: State[] = [];
  private readonly coders: BinsCoder[] = [];

  constructor(
    public manifest: Manifest,
    private readonly last: number,
  ) {
    for (let s = 0; s < last; s++) this.coders.push(new BinsCoder());
  }

  /** The states of stops 1 to the last that is wanted; those of frame t−1 are forgotten. */
  decode(t: number, segment: Segment, base: State): State[] {
    const key = this.manifest.coding[t] === 0;
    const made: State[] = [];
    let below = base;
    for (let s = 1; s <= this.last; s++) {
      const before: State = key ? new Map() : this.states[s - 1];
      if (key) this.coders[s - 1].reset();
      below = this.stop(t, s, segment, below, before);
      made.push(below);
    }
    this.states = made;
    return made;
  }

  private stop(t: number, s: number, segment: Segment, below: State, before: State): State {
    const { file, streams } = segment;
    const wrong = (reason: string): never => refuse("segment/refinement", `refinement ${s}: ${reason}`, inFile(file));
    const modes = streams.get(`stop${s}.modes`);
    if (modes === undefined) return refuse("segment/stream-missing", `stream stop${s}.modes is missing`, inFile(file));
    const count = this.manifest.rowsOf(t);
    if (modes.length !== count) {
      refuse("segment/stream-length", `stream stop${s}.modes has ${modes.length} bytes, expected ${count}`, inFile(file));
    }
    const grids = [...below.values()].filter(({ quantised }) => quantised !== null).length;
    checkBounds(segment, grids, `stop${s}.bounds`);
    const state = new Map(below);
    const inputs: RefinedInput[] = [];
    const kept = new Set<number>();
    modes.forEach((mode, row) => {
      if (mode > refine) wrong(`row ${row} has mode ${mode}`);
      if (mode === 0) return;
      const tensor = below.get(row);
      const grid = quantisedOf(tensor);
      if (tensor === undefined || grid === null) return wrong(`row ${row} is not quantised at the stop below`);
      const old = before.get(row);
      const past = old !== undefined && sameShape(old.shape, tensor.shape) ? quantisedOf(old) : null;
      kept.add(row);
      if (mode === skip) {
        if (old === undefined || past === null) return wrong(`row ${row} is skipped, and not in the frame before`);
        state.set(row, old);
      } else {
        inputs.push({ row, dtype: tensor.dtype, shape: tensor.shape, below: grid, past });
      }
    });
    const name = `stop${s}.bins.nmc`;
    const stream = streams.get(name);
    if (stream === undefined && inputs.length > 0) refuse("segment/stream-missing", `stream ${name} is missing`, inFile(file));
    if (stream !== undefined && inputs.length === 0) refuse("segment/stream-surplus", `stream ${name} is there, though nothing uses it`, inFile(file));
    const coder = this.coders[s - 1];
    coder.keep(kept);
    if (stream === undefined) return state;
    const made = coder.refine(stream, inputs, name, file);
    inputs.forEach(({ row, dtype, shape }, i) => state.set(row, { dtype, shape, ...made[i], digest: null, stored: null }));
    return state;
  }
}
