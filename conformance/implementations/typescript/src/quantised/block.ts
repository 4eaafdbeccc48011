// The symbols of a part (clauses 12.4.3 to 12.4.5).
import type { RawBits } from "../arithmetic/bits.js";
import type { Decisions } from "../arithmetic/decisions.js";
import type { Model } from "./model.js";

/** What a block is decoded with. */
export interface Source {
  readonly decisions: Decisions;
  readonly raw: RawBits;
  readonly model: Model;
  readonly mixed: boolean;
}

/** A block: symbols and those before, row by row, and the bins before where they tell something. */
export interface Block {
  readonly symbols: Int32Array;
  readonly before: Int32Array | null;
  readonly old: Int32Array | null;
  readonly columns: number;
  readonly dependent: boolean;
}

const longest = 29;

function bits(a: number): number {
  return 32 - Math.clz32(a);
}

/** Activity in 16 classes, two to an octave. */
export function grade(a: number): number {
  if (a < 2) return a;
  if (a >= 256) return 15;
  const n = bits(a);
  return Math.min(2 * n - 2 + ((a >> (n - 2)) & 1), 15);
}

const trellis = [0, 2, 7, 5, 1, 3, 6, 4, 2, 0, 5, 7, 3, 1, 4, 6];

export function nextState(state: number, symbol: number): number {
  return trellis[2 * state + (symbol & 1)];
}

/** Clause 12.4.5: the values that dependent symbols stand for. */
export function dependentValues(symbols: Int32Array): Int32Array {
  let state = 0;
  return symbols.map((symbol) => {
    const value = symbol === 0 ? 0 : 2 * Math.abs(symbol) - (state & 1);
    state = nextState(state, symbol);
    return symbol < 0 ? -value : value;
  });
}

const none = new Int32Array(0);

class BlockDecoder {
  private readonly rows: number;
  private readonly before: Int32Array;
  private readonly lengthPlaces = new Int32Array(6);
  private readonly signPlaces = new Int32Array(3);
  private near = 0;

  constructor(
    private readonly block: Block,
    private readonly source: Source,
  ) {
    this.rows = block.symbols.length / block.columns;
    this.before = block.before ?? none;
  }

  decode(): void {
    const { symbols, old, columns, dependent } = this.block;
    const { model, decisions } = this.source;
    const means = new Int32Array(columns);
    const height = Math.max(Math.floor(32 / columns), 1);
    let [running, state, strips, used] = [0, 0, 3, 1];
    for (let r = 0; r < this.rows; r++) {
      if (!dependent && r % height === 0) {
        used = model.strip.decide((this.lively(r, height) ? 4 : 0) + strips, decisions);
        strips = (2 * strips + used) & 3;
      }
      if (used === 0) continue;
      for (let c = 0; c < columns; c++) {
        const i = r * columns + c;
        const symbol = this.symbol(r, c, old === null ? 0 : old[i], means[c] >> 4, running >> 4, state & 1);
        symbols[i] = symbol;
        const size = Math.min(Math.abs(symbol), 4095) << 8;
        means[c] += (size - means[c]) >> 3;
        running += (size - running) >> 4;
        if (dependent) state = nextState(state, symbol);
      }
    }
  }

  /** Whether a strip had a symbol before. */
  private lively(row: number, height: number): boolean {
    const { columns } = this.block;
    const end = Math.min(row + height, this.rows) * columns;
    for (let i = row * columns; i < Math.min(end, this.before.length); i++) if (this.before[i] !== 0) return true;
    return false;
  }

  private size(list: Int32Array, r: number, c: number): number {
    if (r < 0 || c < 0 || r >= this.rows || c >= this.block.columns || list.length === 0) return 0;
    return Math.abs(list[r * this.block.columns + c]);
  }

  private sign(list: Int32Array, r: number, c: number): number {
    if (r < 0 || c < 0 || list.length === 0) return 1;
    return Math.sign(list[r * this.block.columns + c]) + 1;
  }

  private findContexts(r: number, c: number, old: number, mean: number, running: number): void {
    const { before, lengthPlaces: at } = this;
    const { symbols } = this.block;
    const left = this.size(symbols, r, c - 1);
    const left2 = this.size(symbols, r, c - 2);
    const up = this.size(symbols, r - 1, c);
    const up2 = this.size(symbols, r - 2, c);
    const corners = this.size(symbols, r - 1, c - 1) + this.size(symbols, r - 1, c + 1);
    const past = this.size(before, r, c);
    const around =
      this.size(before, r, c - 1) + this.size(before, r, c + 1) + this.size(before, r - 1, c) + this.size(before, r + 1, c);
    this.near = grade(2 * (left + up) + left2 + up2 + corners);
    at[0] = this.near * 16 + grade(2 * past + around);
    at[1] = grade(mean) * 16 + grade(running);
    at[2] = grade(past) * 16 + grade(around);
    at[3] = Math.min(left, 3) * 64 + Math.min(up, 3) * 16 + Math.min(left2, 3) * 4 + Math.min(up2, 3);
    at[4] = bits(Math.abs(old)) * 8 + Math.min(grade(past + left + up), 7);
    at[5] = Math.min(c, 1023);
  }

  private symbol(r: number, c: number, old: number, mean: number, running: number, odd: number): number {
    const { decisions, raw, model, mixed } = this.source;
    this.findContexts(r, c, old, mean, running);
    const { near, lengthPlaces } = this;
    let length = 0;
    let node = odd;
    while (length < longest && model.longer(lengthPlaces, node, near, mixed, decisions) === 1) {
      length += 1;
      node = length + 1;
    }
    if (length === 0) return 0;
    let [value, n, top] = [1, length - 1, 0];
    for (let k = 0; k < 2 && n > 0; k++) {
      const bit = model.below(length, near, top, decisions);
      value = 2 * value + bit;
      top = 1 + bit;
      n -= 1;
    }
    value = value * 2 ** n + raw.raw(n);
    return this.above(r, c, old) === 1 ? value : -value;
  }

  private above(r: number, c: number, old: number): number {
    const { model, mixed, decisions } = this.source;
    const past = this.sign(this.before, r, c);
    const { symbols } = this.block;
    const at = this.signPlaces;
    at[0] = past * 9 + this.sign(symbols, r, c - 1) * 3 + this.sign(symbols, r - 1, c);
    at[1] = (old === 0 ? 1 : old > 0 ? 2 : 0) * 32 + bits(Math.abs(old));
    at[2] = Math.min(c, 1023);
    return model.above(at, past, mixed, decisions);
  }
}

/** Decodes the symbols of a block into their place. */
export function decodeBlock(block: Block, source: Source): void {
  new BlockDecoder(block, source).decode();
}
