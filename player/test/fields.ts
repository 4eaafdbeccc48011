// Small fields and their states, and what they are at a point, worked out as the paper has it.
import type { Tensors } from "../src/baking/bake.js";
import type { Field, GridLevel, Linear } from "../src/render/field.js";

/** Numbers from -1 to 1, the same each time. */
export function noise(seed: number): () => number {
  let at = seed;
  return () => {
    at = (Math.imul(at, 1664525) + 1013904223) >>> 0;
    return at / 2 ** 31 - 1;
  };
}

const nowhere = { lower: [-1, -1, -1], upper: [1, 1, 1], contracted: false, near: 0, background: [0, 0, 0], step: 0.1, occupancy: "occupancy.cells" };

/** A lattice of `cells` cells and one of twice as many, summed. */
export function voxels(cells: number): Field {
  const levels = [cells, 2 * cells].map((n, i) => ({ tensor: `levels.${i}.table`, cells: n, hashed: false, entries: (n + 1) ** 3 }));
  return { ...nowhere, levels, width: 4, networks: null, harmonics: 1, side: 3 };
}

/** A dense level and a hashed one, and networks. */
export function hashed(): Field {
  const levels: GridLevel[] = [
    { tensor: "levels.0.table", cells: 3, hashed: false, entries: 64 },
    { tensor: "levels.1.table", cells: 7, hashed: true, entries: 128 },
  ];
  const linear = (name: string, inputs: number, outputs: number): Linear => ({ name, inputs, outputs });
  const density = [linear("density_network.0", 6, 5), linear("density_network.2", 5, 6)];
  return { ...nowhere, levels, width: 3, networks: { density, colour: [], geometry: 5 }, harmonics: 0, side: 4 };
}

export type State = Map<string, Float32Array | Uint8Array>;

/** A state in which only the cells that are named are occupied. */
export function stateOf(field: Field, occupied: readonly number[], seed = 1): State {
  const next = noise(seed);
  const numbers = (count: number): Float32Array => Float32Array.from({ length: count }, () => next());
  const bitmap = new Uint8Array(field.side ** 3);
  for (const cell of occupied) bitmap[cell] = 1;
  const density = field.networks?.density ?? [];
  return new Map<string, Float32Array | Uint8Array>([
    [field.occupancy, bitmap],
    ...field.levels.map(({ tensor, entries }) => [tensor, numbers(entries * field.width)] as const),
    ...density.flatMap(({ name, inputs, outputs }) => [[`${name}.weight`, numbers(inputs * outputs)] as const, [`${name}.bias`, numbers(outputs)] as const]),
  ]);
}

/** The bytes of a state; the same array for the same numbers, as a decoder keeps what does not change. */
const bytes = new WeakMap<object, Uint8Array>();

export function tensorsOf(state: State): Tensors {
  return (name) => {
    const values = state.get(name)!;
    if (!bytes.has(values)) bytes.set(values, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    return bytes.get(values)!;
  };
}

/** What a field is at a point of the unit cube. */
export function fieldAt(field: Field, state: State, point: readonly [number, number, number]): number[] {
  const table = (name: string): Float32Array => state.get(name) as Float32Array;
  const encoded = field.levels.map(({ tensor, cells, hashed: isHashed, entries }) => {
    const base = point.map((p) => Math.min(Math.floor(p * cells), cells - 1));
    const sum = new Array<number>(field.width).fill(0);
    for (const [i, j, k] of [0, 1, 2, 3, 4, 5, 6, 7].map((c) => [c & 1, (c >> 1) & 1, c >> 2] as const)) {
      const at = [base[0]! + i, base[1]! + j, base[2]! + k] as const;
      const share = [i, j, k].reduce<number>((all, bit, axis) => all * (bit ? point[axis]! * cells - base[axis]! : 1 - point[axis]! * cells + base[axis]!), 1);
      const mixed = BigInt(at[0]) ^ ((BigInt(at[1]) * 2654435761n) & 0xffffffffn) ^ ((BigInt(at[2]) * 805459861n) & 0xffffffffn);
      const row = isHashed ? Number(mixed % BigInt(entries)) : at[0] + (cells + 1) * (at[1] + (cells + 1) * at[2]);
      for (let f = 0; f < field.width; f++) sum[f]! += share * table(tensor)[row * field.width + f]!;
    }
    return sum;
  });
  if (field.networks === null) return encoded.reduce((a, b) => a.map((v, i) => v + b[i]!));
  const map = ({ name, inputs, outputs }: Linear, from: readonly number[]): number[] =>
    Array.from({ length: outputs }, (_, o) => from.reduce((sum, v, i) => sum + v * table(`${name}.weight`)[o * inputs + i]!, table(`${name}.bias`)[o]!));
  const [first, second] = field.networks.density as [Linear, Linear];
  return map(second, map(first, encoded.flat()).map((v) => Math.max(0, v)));
}
