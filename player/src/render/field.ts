// What the framework's grid families are, read off a package: nmc_framework.models.radiance (marched, hash_grid, voxel_grid).
import type { PackageInfo } from "../decoding/messages.js";

export interface GridLevel {
  readonly tensor: string;
  readonly cells: number;
  readonly hashed: boolean;
  readonly entries: number;
}

/** A linear map: tensors `name.weight` (out, in) and `name.bias` (out). */
export interface Linear {
  readonly name: string;
  readonly inputs: number;
  readonly outputs: number;
}

export interface Field {
  readonly levels: readonly GridLevel[];
  /** Features of an entry. */
  readonly width: number;
  /** Networks of density and colour; null where the lattices are summed and nothing more. */
  readonly networks: { readonly density: readonly Linear[]; readonly colour: readonly Linear[]; readonly geometry: number } | null;
  /** Spherical harmonics of a colour channel, where there are no networks. */
  readonly harmonics: number;
  readonly lower: readonly number[];
  readonly upper: readonly number[];
  readonly contracted: boolean;
  readonly near: number;
  readonly background: readonly number[];
  /** Distance of samples, scene units. */
  readonly step: number;
  /** The bitmap of occupied cells. */
  readonly occupancy: string;
  readonly side: number;
}

/** How many numbers a point has before its direction counts: log density and geometry, or what the lattices sum to. */
export function outputsOf({ networks, width }: Field): number {
  return networks === null ? width : 1 + networks.geometry;
}

export const families: readonly string[] = ["hash_grid", "voxel_grid"];

/** A package of a family that this player knows, whose options or tensors are not what the family has. */
export class FieldError extends Error {}

const common = { contracted: false, near: 0, samples: 128, occupancy: 48 };
const defaults: Readonly<Record<string, Record<string, unknown>>> = {
  hash_grid: { ...common, levels: 8, features: 4, log2_entries: 15, coarsest: 8, finest: 128, hidden: 64, geometry: 15 },
  voxel_grid: { ...common, cells: [12, 24, 48, 80], harmonics: 1 },
};
const unknownBackground = [0.5, 0.5, 0.5];
const mostSteps = 1 << 14;

export function readField(info: PackageInfo): Field {
  const c: Record<string, unknown> = {
    bounds: [[-1, -1, -1], [1, 1, 1]],
    background: [0, 0, 0],
    ...defaults[info.family],
    ...info.configuration,
  };
  const shapes = new Map(info.tensors.map((t) => [t.name, t]));
  const number = (name: string, least: number, most: number): number => {
    const value = c[name];
    if (typeof value !== "number" || !(value >= least && value <= most)) throw new FieldError(`option ${name} is ${JSON.stringify(value)}`);
    return value;
  };
  const triple = (value: unknown, name: string): number[] => {
    if (!Array.isArray(value) || value.length !== 3 || !value.every((v) => typeof v === "number" && Number.isFinite(v))) {
      throw new FieldError(`option ${name} is ${JSON.stringify(value)}`);
    }
    return (value as number[]).map(Math.fround);
  };
  const need = (name: string, dtype: string, ...shape: number[]): void => {
    const t = shapes.get(name);
    if (t === undefined) throw new FieldError(`there is no tensor ${name}`);
    if (t.dtype !== dtype || t.shape.length !== shape.length || t.shape.some((d, i) => d !== shape[i])) {
      throw new FieldError(`tensor ${name} is ${t.dtype} ${t.shape.join(" × ")}, expected ${dtype} ${shape.join(" × ")}`);
    }
  };
  const bounds = c["bounds"];
  if (!Array.isArray(bounds) || bounds.length !== 2) throw new FieldError("option bounds is not two corners");
  const [lower, upper] = [triple(bounds[0], "bounds"), triple(bounds[1], "bounds")];
  if (!lower.every((v, i) => v <= upper[i]) || !lower.some((v, i) => v < upper[i])) throw new FieldError("the bounds hold nothing");
  const diagonal = Math.fround(Math.hypot(...upper.map((v, i) => Math.fround(v - lower[i]))));
  const step = diagonal / number("samples", 1, mostSteps);
  const side = number("occupancy", 1, 1024);
  need("occupancy.cells", "BOOL", side, side, side);
  const base = {
    lower,
    upper,
    contracted: c["contracted"] === true,
    near: number("near", 0, Number.MAX_VALUE),
    background: c["background"] === null ? unknownBackground : triple(c["background"], "background"),
    step,
    occupancy: "occupancy.cells",
    side,
  };
  return info.family === "hash_grid" ? hashGrid() : voxelGrid();

  function levels(cells: readonly number[], width: number, log2: number): GridLevel[] {
    return cells.map((n, i) => {
      const vertices = (n + 1) ** 3;
      const hashed = vertices > 2 ** log2;
      const entries = hashed ? 2 ** log2 : vertices;
      const tensor = `levels.${i}.table`;
      need(tensor, "F32", entries, width);
      return { tensor, cells: n, hashed, entries };
    });
  }

  function hashGrid(): Field {
    const [count, width, log2] = [number("levels", 1, 64), number("features", 1, 16), number("log2_entries", 1, 26)];
    const [coarsest, finest] = [number("coarsest", 1, 1e6), number("finest", 1, 1e6)];
    const cells = Array.from({ length: count }, (_, i) => Math.round(coarsest * (finest / coarsest) ** (count === 1 ? 0 : i / (count - 1))));
    const [hidden, geometry] = [number("hidden", 1, 256), number("geometry", 0, 255)];
    const linear = (name: string, inputs: number, outputs: number): Linear => {
      need(`${name}.weight`, "F32", outputs, inputs);
      need(`${name}.bias`, "F32", outputs);
      return { name, inputs, outputs };
    };
    const density = [linear("density_network.0", count * width, hidden), linear("density_network.2", hidden, 1 + geometry)];
    const colour = [linear("colour_network.0", geometry + 9, hidden), linear("colour_network.2", hidden, hidden), linear("colour_network.4", hidden, 3)];
    return { ...base, levels: levels(cells, width, log2), width, networks: { density, colour, geometry }, harmonics: 0 };
  }

  function voxelGrid(): Field {
    const cells = c["cells"];
    if (!Array.isArray(cells) || cells.length === 0 || !cells.every((n) => Number.isInteger(n) && n >= 1 && n <= 2048)) throw new FieldError(`option cells is ${JSON.stringify(cells)}`);
    const harmonics = number("harmonics", 1, 9);
    if (![1, 4, 9].includes(harmonics)) throw new FieldError(`option harmonics is ${harmonics}`);
    const width = 1 + 3 * harmonics;
    return { ...base, levels: levels(cells as number[], width, 62), width, networks: null, harmonics };
  }
}
