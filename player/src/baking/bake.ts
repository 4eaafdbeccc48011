// A field at the points of a lattice, for tables that are too large for the graphics processor: whole at first,
// then only where what it is made of changed.
import { outputsOf, type Field } from "../render/field.js";
import { Corners } from "./corners.js";
import { Evaluated } from "./evaluate.js";
import { half } from "./halves.js";
import { type Turn, unhurried } from "./turns.js";

/** The bytes of a tensor, by its name; other bytes are another array. */
export type Tensors = (name: string) => Uint8Array;

/** Rows of a slice of the lattice that are to be taken anew: binary16, vector by vector, four numbers a point. */
export interface Region {
  readonly z: number;
  readonly y: number;
  readonly rows: number;
  readonly data: Uint16Array<ArrayBuffer>;
}

export interface Baked {
  readonly regions: readonly Region[];
  /** Points that were worked out. */
  readonly points: number;
  readonly milliseconds: number;
}

/** What a point needs: nothing, what it has, or to be worked out. */
const [idle, good, due] = [0, 1, 2];

export class Bake {
  private readonly side: number;
  private readonly vectors: number;
  private readonly values: Uint16Array;
  private readonly corners: readonly Corners[];
  private points: Uint8Array;
  private before = new Map<string, Uint8Array>();
  /** What a point takes, as was measured last; 0 before. */
  private pace = 0;

  constructor(
    private readonly field: Field,
    readonly cells: number,
  ) {
    this.side = cells + 1;
    this.vectors = Math.ceil(outputsOf(field) / 4);
    this.values = new Uint16Array(4 * this.vectors * this.side ** 3);
    this.points = new Uint8Array(this.side ** 3);
    this.corners = field.levels.map((level) => new Corners(level, cells));
  }

  /**
   * Takes a state; null, and nothing is taken, where that would need more than so many milliseconds, or where `turn`
   * says that nobody waits for it any more.
   */
  async take(tensors: Tensors, most: number, turn: Turn = unhurried): Promise<Baked | null> {
    const start = performance.now();
    const points = await this.wanted(tensors, turn);
    if (points === null) return null;
    const count = points.reduce((sum, point) => sum + (point === due ? 1 : 0), 0);
    if (count * this.pace > most) return null;
    const regions = await this.work(points, count, tensors, turn);
    if (regions === null) return null;
    this.before = new Map(this.names().map((name) => [name, tensors(name)]));
    this.points = points;
    const milliseconds = performance.now() - start;
    if (count > 0) this.pace = milliseconds / count;
    return { regions, points: count, milliseconds };
  }

  /** All that has been worked out, for those who have nothing yet. */
  whole(): Region[] {
    return this.regions((at) => this.points[at] !== idle);
  }

  private names(): string[] {
    const density = this.field.networks?.density ?? [];
    return [this.field.occupancy, ...this.field.levels.map(({ tensor }) => tensor), ...density.flatMap(({ name }) => [`${name}.weight`, `${name}.bias`])];
  }

  /** Which points are looked at in occupied cells, and which of them are not what they were; null where nobody waits. */
  private async wanted(tensors: Tensors, turn: Turn): Promise<Uint8Array | null> {
    const points = this.occupied(tensors(this.field.occupancy));
    const same = (name: string): boolean => this.before.get(name) === tensors(name);
    const networks = this.names().slice(1 + this.field.levels.length);
    if (!networks.every(same) || this.before.size === 0) return points.map((point) => (point === idle ? idle : due));
    const moved = this.field.levels.map(({ tensor }) => (same(tensor) ? null : entriesMoved(this.before.get(tensor)!, tensors(tensor), this.field.width)));
    const touched = moved.some((level) => level !== null);
    const all = await this.visit(points, () => turn(0), (at, x, y, z) => {
      if (this.points[at] === idle || (touched && this.touched(moved, x, y, z))) points[at] = due;
    });
    return all ? points : null;
  }

  private touched(moved: readonly (Uint8Array | null)[], x: number, y: number, z: number): boolean {
    return moved.some((level, l) => {
      if (level === null) return false;
      const corners = this.corners[l]!;
      corners.find(x, y, z);
      for (let corner = 0; corner < 8; corner++) if (corners.shares[corner] !== 0 && level[corners.rows[corner]!] === 1) return true;
      return false;
    });
  }

  /** Points of the lattice between which a sample of an occupied cell may lie. */
  private occupied(bitmap: Uint8Array): Uint8Array {
    const { cells, side } = this;
    const edge = this.field.side;
    const points = new Uint8Array(side ** 3);
    const first = (c: number): number => Math.floor((c * cells) / edge);
    const last = (c: number): number => Math.min(cells, Math.ceil(((c + 1) * cells) / edge));
    for (let c = 0; c < bitmap.length; c++) {
      if (bitmap[c] === 0) continue;
      const [i, j, k] = [c % edge, Math.floor(c / edge) % edge, Math.floor(c / edge ** 2)];
      for (let z = first(k); z <= last(k); z++) {
        for (let y = first(j); y <= last(j); y++) points.fill(good, side * (side * z + y) + first(i), side * (side * z + y) + last(i) + 1);
      }
    }
    return points;
  }

  /** Works out what is due; null where nobody waits for it any more, and then all of that is due another time. */
  private async work(points: Uint8Array, count: number, tensors: Tensors, turn: Turn): Promise<Region[] | null> {
    const field = new Evaluated(this.field, this.corners, (name) => floats(tensors(name)));
    const { values, side } = this;
    const plane = 4 * side ** 3;
    let done = 0;
    const all = await this.visit(points, () => turn(done / Math.max(1, count)), (at, x, y, z) => {
      if (points[at] !== due) return;
      field.at(x, y, z);
      for (let o = 0; o < field.out.length; o++) values[(o >> 2) * plane + 4 * at + (o & 3)] = half(field.out[o]!);
      done += 1;
    });
    const found = all ? this.regions((at) => points[at] === due) : null;
    const left = all ? points : this.points;
    for (let at = 0; at < points.length; at++) if (points[at] === due) left[at] = all ? good : idle;
    return found;
  }

  /** Tells each point that is looked at, and where it lies; false where, after a row, nobody waits any more. */
  private async visit(points: Uint8Array, turn: () => Promise<boolean>, see: (at: number, x: number, y: number, z: number) => void): Promise<boolean> {
    const { side } = this;
    for (let z = 0, at = 0; z < side; z++) {
      for (let y = 0; y < side; y++) {
        for (let x = 0; x < side; x++, at++) if (points[at] !== idle) see(at, x, y, z);
        if (!(await turn())) return false;
      }
    }
    return true;
  }

  /** The rows of each slice from the first to the last in which a point is chosen. */
  private regions(chosen: (at: number) => boolean): Region[] {
    const { side, vectors, values } = this;
    const found: Region[] = [];
    for (let z = 0; z < side; z++) {
      let [first, last] = [side, -1];
      for (let y = 0; y < side; y++) {
        const row = side * (side * z + y);
        for (let at = row; at < row + side; at++) {
          if (!chosen(at)) continue;
          first = Math.min(first, y);
          last = y;
          break;
        }
      }
      if (last < 0) continue;
      const size = 4 * side * (last - first + 1);
      const data = new Uint16Array(vectors * size);
      for (let v = 0; v < vectors; v++) {
        const from = 4 * side * (side * (side * v + z) + first);
        data.set(values.subarray(from, from + size), v * size);
      }
      found.push({ z, y: first, rows: last - first + 1, data });
    }
    return found;
  }
}

/** Numbers of a tensor; copied where its bytes do not begin at a whole number. */
function floats(data: Uint8Array): Float32Array {
  const aligned = data.byteOffset % 4 === 0 ? data : data.slice();
  return new Float32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 4);
}

/** Which entries of a table are not what they were. */
function entriesMoved(before: Uint8Array, now: Uint8Array, width: number): Uint8Array {
  const [a, b] = [floats(before), floats(now)].map((x) => new Uint32Array(x.buffer, x.byteOffset, x.length)) as [Uint32Array, Uint32Array];
  const moved = new Uint8Array(a.length / width);
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) moved[Math.floor(i / width)] = 1;
  return moved;
}
