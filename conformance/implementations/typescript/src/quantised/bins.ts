// The stream bins.nmc (clause 12.3), and what is remembered of it (clause 12.4.1).
import { Malformed, malformed, Payload, RawBits } from "../arithmetic/bits.js";
import { Decisions } from "../arithmetic/decisions.js";
import type { Bytes } from "../bytes.js";
import type { DType } from "../dtypes.js";
import { inFile, refuse, Unsupported } from "../errors.js";
import { type Bases, changesOf, learnBases, newBases } from "./bases.js";
import { decodeBlock, dependentValues } from "./block.js";
import { elementsOf, type GridPart, type Quantised } from "./element.js";
import { Model } from "./model.js";

export interface BinsInput {
  readonly row: number;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** What it was in frame t−1; null where the payload brings a grid. */
  readonly old: Quantised | null;
}

export interface BinsOutput {
  readonly data: Bytes;
  readonly quantised: Quantised;
}

interface Place {
  readonly shift: number;
  readonly substream: number;
}

/** A tensor that a refinement brings onto a finer grid (clause 12.7.3). */
export interface RefinedInput {
  readonly row: number;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** What it is at the stop below. */
  readonly below: Quantised;
  /** What it was at this stop of frame t−1; null where it was not quantised, or of another shape. */
  readonly past: Quantised | null;
}

interface Coded {
  readonly columns: number;
  readonly grid: readonly GridPart[];
  readonly dependent: boolean;
  readonly transformed: boolean;
  readonly updated: boolean;
  readonly places: readonly Place[];
  readonly symbols: Int32Array;
  readonly before: Int32Array | null;
  /** What contexts know of each element. */
  readonly old: Int32Array | null;
}

interface Refined extends Coded {
  readonly input: RefinedInput;
  readonly expected: Float64Array;
}

interface Entry extends Coded {
  readonly input: BinsInput;
  readonly learning: boolean;
}

/** Elements in one frame that this program can hold with their bins and symbols. */
const elementLimit = 2 ** 29;

function rowsOf(shape: readonly number[]): number {
  return shape.length > 0 ? shape[0] : 1;
}

function sameGrid(a: readonly GridPart[], b: readonly GridPart[]): boolean {
  return a.length === b.length && a.every((p, k) => p.rows === b[k].rows && p.mantissa === b[k].mantissa && p.exponent === b[k].exponent);
}

function readGrid(payload: Payload, rows: number): GridPart[] {
  const count = payload.count();
  if (count < 1 || count > rows) malformed(`${count} parts of ${rows} rows`);
  const grid: GridPart[] = [];
  let left = rows;
  for (let k = 0; k < count; k++) {
    const size = payload.count();
    const [a, b, c, low, high] = payload.take(5);
    const mantissa = a + 256 * b + 65536 * c;
    const exponent = ((low | (high << 8)) << 16) >> 16;
    if (size < 1 || size > left) malformed(`a part of ${size} rows where ${left} are left`);
    if (mantissa === 0 || exponent < -1200 || exponent > 1023) malformed(`a scale of ${mantissa} · 2^${exponent}`);
    grid.push({ rows: size, mantissa, exponent });
    left -= size;
  }
  if (left !== 0) malformed(`${left} rows belong to no part`);
  return grid;
}

/** The coder of bins, from one frame of a group to the next. */
export class BinsCoder {
  private readonly symbols = new Map<number, Int32Array>();
  private readonly bases = new Map<number, Bases>();
  /** By 2 · substream + whether bins are updated. */
  private readonly models = new Map<number, Model>();

  /** At a key frame everything is forgotten. */
  reset(): void {
    this.symbols.clear();
    this.bases.clear();
    this.models.clear();
  }

  /** Forgets every row but these: those that a frame skips or updates. */
  keep(rows: ReadonlySet<number>): void {
    for (const row of [...this.symbols.keys(), ...this.bases.keys()]) {
      if (rows.has(row)) continue;
      this.symbols.delete(row);
      this.bases.delete(row);
    }
  }

  decode(bytes: Bytes, inputs: readonly BinsInput[], stream: string, file: string): BinsOutput[] {
    const elements = inputs.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
    if (elements > elementLimit) throw new Unsupported(`${elements} quantised elements are more than this program can hold`);
    try {
      return this.decodePayload(new Payload(bytes), inputs);
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      return refuse("segment/bins", `stream ${stream} is malformed: ${error.message}`, inFile(file));
    }
  }

  private decodePayload(payload: Payload, inputs: readonly BinsInput[]): BinsOutput[] {
    const entries = this.decodeSymbols(payload, inputs, (input, count) => this.readEntry(payload, input, count));
    const bins = entries.map((entry) => this.makeBins(entry));
    return entries.map(({ input, columns, grid }, i) => {
      const quantised = { grid, bins: bins[i] };
      return { data: elementsOf(quantised, columns, input.dtype), quantised };
    });
  }

  /** Fields and symbols of a payload, whatever its descriptions are. */
  private decodeSymbols<I, C extends Coded>(payload: Payload, inputs: readonly I[], read: (input: I, count: number) => C): C[] {
    const variant = payload.byte();
    if (variant !== 2 && variant !== 3) malformed(`variant ${variant} is unknown`);
    const count = payload.count();
    if (count < 1 || count > 64) malformed(`${count} substreams; there are 1 to 64`);
    const entries = inputs.map((input) => read(input, count));
    const last = entries.reduce((most, { places }) => places.reduce((a, { substream }) => Math.max(a, substream), most), 0);
    if (last + 1 !== count) malformed(`${count} substreams, of which ${last + 1} are used`);
    const sizes = Array.from({ length: count }, () => ({ words: payload.count(), raw: payload.count() }));
    sizes.forEach(({ words, raw }, number) => {
      this.decodeSubstream(number, variant === 3, payload.words(words), payload.take(raw), entries);
    });
    payload.end();
    return entries;
  }

  /** The stream of a refinement (clause 12.7.3). */
  refine(bytes: Bytes, inputs: readonly RefinedInput[], stream: string, file: string): BinsOutput[] {
    const payload = new Payload(bytes);
    try {
      const entries = this.decodeSymbols(payload, inputs, (input, count) => this.readRefined(payload, input, count));
      return entries.map(({ input, columns, grid, expected, symbols }) => {
        const bins = new Int32Array(symbols.length);
        for (let i = 0; i < bins.length; i++) {
          const bin = expected[i] + symbols[i];
          if (Math.abs(bin) >= 2 ** 28) malformed("a bin has more than 28 bits");
          bins[i] = bin;
        }
        this.symbols.set(input.row, symbols);
        const quantised = { grid, bins };
        return { data: elementsOf(quantised, columns, input.dtype), quantised };
      });
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      return refuse("segment/bins", `stream ${stream} is malformed: ${error.message}`, inFile(file));
    }
  }

  private readRefined(payload: Payload, input: RefinedInput, count: number): Refined {
    const flags = payload.byte();
    const [octet] = payload.take(1);
    const finer = (octet << 24) >> 24;
    const reach = payload.count();
    if (flags !== 0 && flags !== 8) malformed(`flags are ${flags}`);
    if (finer < -17 || finer > 24) malformed(`a grid is finer by 2^${finer}`);
    if (reach >= 2 ** 28) malformed(`a reach is ${reach}`);
    const grid = input.below.grid.map(({ rows, mantissa, exponent }) => {
      if (exponent - finer < -1200 || exponent - finer > 1023) malformed("an exponent is out of its range");
      return { rows, mantissa, exponent: exponent - finer };
    });
    const places: Place[] = [];
    for (let k = 0; k < grid.length; k++) {
      if (k > 0 && flags === 0) {
        places.push(places[0]);
        continue;
      }
      const substream = payload.byte();
      if (substream >= count) malformed(`substream ${substream} of ${count}`);
      places.push({ shift: 0, substream });
    }
    const { below, past } = input;
    const updated = past !== null && sameGrid(past.grid, grid);
    const expected = new Float64Array(below.bins.length);
    const old = new Int32Array(below.bins.length);
    const limit = 2 ** 27;
    for (let i = 0; i < expected.length; i++) {
      const bin = below.bins[i];
      const middle = finer >= 0 ? bin * 2 ** finer : Math.floor((bin + 2 ** (-1 - finer)) / 2 ** -finer);
      const lag = updated ? past.bins[i] - middle : 0;
      expected[i] = middle + Math.min(Math.max(lag, -reach), reach);
      old[i] = updated ? Math.min(Math.max(lag, -limit), limit) : bin;
    }
    const columns = expected.length / rowsOf(input.shape);
    const symbols = new Int32Array(expected.length);
    const before = updated ? (this.symbols.get(input.row) ?? null) : null;
    return { input, columns, grid, dependent: false, transformed: false, updated, places, symbols, before, old, expected };
  }

  private readEntry(payload: Payload, input: BinsInput, count: number): Entry {
    const flags = payload.byte();
    if (flags > 15) malformed(`flags are ${flags}`);
    const rows = rowsOf(input.shape);
    const elements = input.shape.reduce((a, b) => a * b, 1);
    const grid = input.old === null ? readGrid(payload, rows) : input.old.grid;
    const [dependent, transformed, learning] = [1, 2, 4].map((bit) => (flags & bit) !== 0);
    if ((transformed || learning) && (input.old === null || grid.length > 1)) {
      malformed("a tensor with bases has several parts, or is not updated");
    }
    const places: Place[] = [];
    for (let k = 0; k < grid.length; k++) {
      if (k > 0 && flags < 8) {
        places.push(places[0]);
        continue;
      }
      const [shift, substream] = payload.take(2);
      if (shift > (transformed ? 17 : 24)) malformed(`a shift is ${shift}`);
      if (substream >= count) malformed(`substream ${substream} of ${count}`);
      places.push({ shift, substream });
    }
    const symbols = new Int32Array(elements);
    const before = this.symbols.get(input.row) ?? null;
    const old = transformed || input.old === null ? null : input.old.bins;
    const updated = input.old !== null;
    return { input, columns: elements / rows, grid, dependent, transformed, learning, updated, places, symbols, before, old };
  }

  private model(updated: boolean, number: number): Model {
    const key = 2 * number + (updated ? 1 : 0);
    let model = this.models.get(key);
    if (model === undefined) {
      model = new Model();
      this.models.set(key, model);
    }
    return model;
  }

  private decodeSubstream(number: number, mixed: boolean, code: Uint16Array, bytes: Uint8Array, entries: readonly Coded[]): void {
    const raw = new RawBits(bytes);
    let decisions: Decisions | null = null;
    for (const { columns, grid, places, symbols, before, old: known, dependent, updated } of entries) {
      let start = 0;
      for (let k = 0; k < grid.length; k++) {
        const end = start + grid[k].rows * columns;
        if (places[k].substream === number) {
          decisions ??= new Decisions(code);
          const old = known?.subarray(start, end) ?? null;
          const block = { symbols: symbols.subarray(start, end), before: before?.subarray(start, end) ?? null, old, columns, dependent };
          decodeBlock(block, { decisions, raw, model: this.model(updated, number), mixed });
        }
        start = end;
      }
    }
    if (decisions === null && code.length + bytes.length > 0) malformed(`substream ${number} has bytes, though no part is in it`);
    decisions?.end();
    raw.end();
  }

  private basesOf({ input, columns, symbols }: Entry): Bases {
    let bases = this.bases.get(input.row);
    if (bases === undefined) {
      bases = newBases(symbols.length / columns, columns);
      this.bases.set(input.row, bases);
    }
    return bases;
  }

  /** What the bins of a tensor change by (clause 12.3.3). */
  private changes(entry: Entry): Float64Array {
    const { columns, grid, places, symbols } = entry;
    const changes = new Float64Array(symbols.length);
    let start = 0;
    for (let k = 0; k < grid.length; k++) {
      const { shift } = places[k];
      const part = symbols.subarray(start, start + grid[k].rows * columns);
      const values = entry.dependent ? dependentValues(part) : part;
      if (entry.transformed) {
        if (values.some((value) => Math.abs(value) >= 2 ** 15)) malformed("a coefficient has more than 15 bits");
        changes.set(changesOf(values, this.basesOf(entry), columns, shift), start);
      } else {
        const limit = (2 ** 29 - 1) >> shift;
        for (let i = 0; i < values.length; i++) {
          if (Math.abs(values[i]) > limit) malformed("a value is too large for its shift");
          changes[start + i] = values[i] * 2 ** shift;
        }
      }
      start += part.length;
    }
    return changes;
  }

  private makeBins(entry: Entry): Int32Array {
    const { input, columns, symbols } = entry;
    const changes = this.changes(entry);
    const bins = new Int32Array(symbols.length);
    for (let i = 0; i < bins.length; i++) {
      const bin = (input.old === null ? 0 : input.old.bins[i]) + changes[i];
      if (Math.abs(bin) >= 2 ** 28) malformed("a bin has more than 28 bits");
      bins[i] = bin;
    }
    if (entry.learning) learnBases(this.basesOf(entry), changes, columns);
    this.symbols.set(input.row, symbols);
    return bins;
  }
}
