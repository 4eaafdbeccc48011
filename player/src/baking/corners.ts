// Where the points of a lattice lie in the levels of a field: entries of the tables, and their shares.
import type { GridLevel } from "../render/field.js";

const primeY = 2654435761 | 0;
const primeZ = 805459861;

/** The eight entries about each point of a lattice with `cells` cells on an edge. */
export class Corners {
  /** The entries of the point that was asked for last. */
  readonly rows = new Float64Array(8);
  /** Their shares, which sum to 1. */
  readonly shares = new Float64Array(8);
  private readonly base: Int32Array;
  private readonly part: Float32Array;

  constructor(
    private readonly level: GridLevel,
    cells: number,
  ) {
    this.base = new Int32Array(cells + 1);
    this.part = new Float32Array(cells + 1);
    for (let i = 0; i <= cells; i++) {
      const scaled = (i * level.cells) / cells;
      this.base[i] = Math.min(Math.floor(scaled), level.cells - 1);
      this.part[i] = scaled - this.base[i]!;
    }
  }

  find(x: number, y: number, z: number): void {
    const { base, part, rows, shares } = this;
    const { cells, hashed, entries } = this.level;
    const [mask, side] = [entries - 1, cells + 1];
    for (let corner = 0; corner < 8; corner++) {
      const [i, j, k] = [corner & 1, (corner >> 1) & 1, corner >> 2];
      const [u, v, w] = [base[x]! + i, base[y]! + j, base[z]! + k];
      rows[corner] = hashed ? (u ^ Math.imul(v, primeY) ^ Math.imul(w, primeZ)) & mask : u + side * (v + side * w);
      shares[corner] = (i === 1 ? part[x]! : 1 - part[x]!) * (j === 1 ? part[y]! : 1 - part[y]!) * (k === 1 ? part[z]! : 1 - part[z]!);
    }
  }
}
