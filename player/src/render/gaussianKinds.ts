// How the tensors of Gaussians are named and stored, by trainers and by files that nmc pack reads: as rows of numbers.
import type { PackageInfo, SentTensor } from "../decoding/messages.js";

type State = ReadonlyMap<string, SentTensor>;

/** Gaussians with the axes of 3DGS. */
export interface Rows {
  readonly count: number;
  /** Harmonics of a Gaussian without the first: 0, 3, 8, 15 or 24. */
  readonly coefficients: number;
  /** (count, 3). */
  readonly place: Float32Array;
  /** Lengths of the axes (count, 3). */
  readonly scale: Float32Array;
  /** Quaternions w, x, y, z of any length (count, 4). */
  readonly turn: Float32Array;
  /** 0 to 1 (count). */
  readonly opacity: Float32Array;
  /** First harmonic (count, 3). */
  readonly first: Float32Array;
  /** Further harmonics (count, coefficients, 3). */
  readonly rest: Float32Array;
}

/** Reads the rows of a state. */
export type Kind = (state: State) => Rows;

const dc = 0.28209479177387814;
/** Sign of each harmonic where y and z change theirs, degrees 1 to 4. */
const turned = [-1, -1, 1, -1, 1, 1, -1, 1, -1, 1, -1, -1, 1, -1, 1, -1, 1, -1, 1, 1, -1, 1, -1, 1];
const splatting = "KHR_gaussian_splatting:";

/** How the tensors of a package are named, or null where they are no Gaussians. */
export function kindOf(info: Pick<PackageInfo, "tensors" | "configuration">): Kind | null {
  const last = new Map(info.tensors.map(({ name }) => [name.slice(name.lastIndexOf(".") + 1), name]));
  const named = (...names: string[]): string[] | null => {
    const found = names.map((n) => last.get(n));
    return found.every((n) => n !== undefined) ? (found as string[]) : null;
  };
  const trained = named("means", "scales", "quats", "opacities");
  const first = last.get("sh0") ?? last.get("features_dc");
  if (trained !== null && first !== undefined) return trainer([...trained, first], last.get("shN") ?? last.get("features_rest"), false);
  const ply = named("xyz", "scale", "rotation", "opacity", "f_dc");
  if (ply !== null) return trainer(ply, last.get("f_rest"), true);
  const splat = named("position", "scale", "rotation", "colors");
  if (splat !== null) return splatFile(splat);
  const spz = named("header", "positions", "scales", "rotations", "alphas", "colors");
  if (spz !== null) return spzFile(spz, last.get("sh"));
  const gltf = named("POSITION", `${splatting}SCALE`, `${splatting}ROTATION`, `${splatting}OPACITY`, `${splatting}SH_DEGREE_0_COEF_0`);
  return gltf === null ? null : gltfFile(gltf, last, isUpright(info.configuration));
}

/** 3DGS: logarithms of scales, logits of opacities; in PLY the harmonics colour after colour. */
function trainer(names: readonly string[], more: string | undefined, byColour: boolean): Kind {
  const [place, scale, rotation, opacity, first] = names as [string, string, string, string, string];
  return (state) => {
    const count = countOf(state, place);
    const rest = more === undefined ? new Float32Array(0) : floats(tensorOf(state, more));
    const coefficients = count === 0 ? 0 : rest.length / (3 * count);
    return {
      count,
      coefficients,
      place: rows(state, place, count, 3),
      scale: rows(state, scale, count, 3).map(Math.exp),
      turn: rows(state, rotation, count, 4),
      opacity: rows(state, opacity, count, 1).map((o) => 1 / (1 + Math.exp(-o))),
      first: rows(state, first, count, 3),
      rest: byColour ? byCoefficient(rest, count, coefficients) : rest,
    };
  };
}

/** .splat: scales as they are, colours and rotations of 8 bits. */
function splatFile(names: readonly string[]): Kind {
  const [place, scale, rotation, colours] = names as [string, string, string, string];
  return (state) => {
    const count = countOf(state, place);
    const colour = rows(state, colours, count, 4, "U8");
    return {
      count,
      coefficients: 0,
      place: rows(state, place, count, 3),
      scale: rows(state, scale, count, 3),
      turn: rows(state, rotation, count, 4, "U8").map((q) => (q - 128) / 128),
      opacity: column(colour, count, 4, 3).map((o) => o / 255),
      first: Float32Array.from({ length: 3 * count }, (_, i) => (colour[4 * Math.floor(i / 3) + (i % 3)]! / 255 - 0.5) / dc),
      rest: new Float32Array(0),
    };
  };
}

/** .spz: bytes, in columns; y and z point the other way. */
function spzFile(names: readonly string[], more: string | undefined): Kind {
  const [header, place, scale, rotation, alphas, colours] = names as [string, string, string, string, string, string];
  return (state) => {
    const [version, , bits] = rows(state, header, 1, 4, "U8") as unknown as [number, number, number];
    const count = countOf(state, place);
    const fixed = rows(state, place, count, 9, "U8");
    const sh = more === undefined ? new Float32Array(0) : Float32Array.from(tensorOf(state, more, "U8").data);
    const made = {
      count,
      coefficients: count === 0 ? 0 : sh.length / (3 * count),
      place: Float32Array.from({ length: 3 * count }, (_, i) => ((fixed[3 * i]! | (fixed[3 * i + 1]! << 8) | ((fixed[3 * i + 2]! << 24) >> 8)) / 2 ** bits)),
      scale: rows(state, scale, count, 3, "U8").map((s) => Math.exp(s / 16 - 10)),
      turn: version === 2 ? ofThree(rows(state, rotation, count, 3, "U8"), count) : ofSmallestThree(rows(state, rotation, count, 4, "U8"), count),
      opacity: rows(state, alphas, count, 1, "U8").map((o) => o / 255),
      first: rows(state, colours, count, 3, "U8").map((c) => (c / 255 - 0.5) / 0.15),
      rest: sh.map((c) => (c - 128) / 128),
    };
    return turnedRows(made);
  };
}

/** Attributes of KHR_gaussian_splatting: scales and opacities as such, quaternions x, y, z, w. */
function gltfFile(names: readonly string[], last: ReadonlyMap<string, string>, upright: boolean): Kind {
  const [place, scale, rotation, opacity, first] = names as [string, string, string, string, string];
  const more: string[] = [];
  for (let degree = 1; last.has(`${splatting}SH_DEGREE_${degree}_COEF_0`); degree++) {
    for (let k = 0; k < 2 * degree + 1; k++) more.push(last.get(`${splatting}SH_DEGREE_${degree}_COEF_${k}`) ?? "");
  }
  return (state) => {
    const count = countOf(state, place);
    const turn = rows(state, rotation, count, 4);
    const rest = new Float32Array(3 * count * more.length);
    more.forEach((name, j) => {
      const harmonic = rows(state, name, count, 3);
      for (let i = 0; i < count; i++) rest.set(harmonic.subarray(3 * i, 3 * i + 3), 3 * (more.length * i + j));
    });
    const made = {
      count,
      coefficients: more.length,
      place: rows(state, place, count, 3),
      scale: rows(state, scale, count, 3),
      turn: Float32Array.from(turn, (_, i) => turn[i % 4 === 0 ? i + 3 : i - 1]!),
      opacity: rows(state, opacity, count, 1),
      first: rows(state, first, count, 3),
      rest,
    };
    return upright ? turnedRows(made) : made;
  };
}

/** Whether the Gaussians have the axes of glTF themselves; else a node turns them, and they have those of 3DGS. */
function isUpright(configuration: Readonly<Record<string, unknown>>): boolean {
  const at = (found: unknown, name: string): unknown => (typeof found === "object" && found !== null ? (found as Record<string, unknown>)[name] : undefined);
  const node = ["checkpoint", "extra", "gltf", "node", "rotation"].reduce(at, configuration);
  return !(Array.isArray(node) && node[0] === 1);
}

function turnedRows(made: Rows): Rows {
  const sign = (i: number, width: number, from: number): number => (i % width >= from ? -1 : 1);
  return {
    ...made,
    place: made.place.map((x, i) => x * sign(i, 3, 1)),
    turn: made.turn.map((q, i) => q * sign(i, 4, 2)),
    rest: made.rest.map((c, i) => c * turned[Math.floor(i / 3) % made.coefficients]!),
  };
}

function ofThree(stored: Float32Array, count: number): Float32Array {
  const out = new Float32Array(4 * count);
  for (let i = 0; i < count; i++) {
    const [x, y, z] = [0, 1, 2].map((k) => stored[3 * i + k]! / 127.5 - 1) as [number, number, number];
    out.set([Math.sqrt(Math.max(0, 1 - x * x - y * y - z * z)), x, y, z], 4 * i);
  }
  return out;
}

/** Unit quaternions in 32 bits: which of x, y, z, w is the largest, and the three others in 10 bits each. */
function ofSmallestThree(stored: Float32Array, count: number): Float32Array {
  const out = new Float32Array(4 * count);
  for (let i = 0; i < count; i++) {
    let fields = stored[4 * i]! | (stored[4 * i + 1]! << 8) | (stored[4 * i + 2]! << 16) | (stored[4 * i + 3]! << 24);
    const largest = fields >>> 30;
    let sum = 0;
    for (let k = 3; k >= 0; k--) {
      if (k === largest) continue;
      const value = (((fields & 511) * Math.SQRT1_2) / 511) * ((fields & 512) === 0 ? 1 : -1);
      fields >>>= 10;
      sum += value * value;
      out[4 * i + ((k + 1) % 4)] = value;
    }
    out[4 * i + ((largest + 1) % 4)] = Math.sqrt(Math.max(0, 1 - sum));
  }
  return out;
}

function byCoefficient(rest: Float32Array, count: number, coefficients: number): Float32Array {
  const out = new Float32Array(rest.length);
  for (let i = 0; i < count; i++) {
    for (let j = 0; j < coefficients; j++) {
      for (let k = 0; k < 3; k++) out[3 * (coefficients * i + j) + k] = rest[3 * coefficients * i + k * coefficients + j]!;
    }
  }
  return out;
}

function column(from: Float32Array, count: number, width: number, k: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => from[width * i + k]!);
}

function tensorOf(state: State, name: string, wanted: "numbers" | "U8" = "numbers"): SentTensor {
  const tensor = state.get(name);
  if (tensor === undefined) throw new Error(`the state has no tensor ${name}`);
  if (wanted === "U8" && tensor.dtype !== "U8") throw new Error(`tensor ${name} is ${tensor.dtype}, expected U8`);
  return tensor;
}

function countOf(state: State, place: string): number {
  return tensorOf(state, place).shape[0] ?? 0;
}

/** The numbers of a tensor that is to have so many for each Gaussian; bytes as they are where they are wanted. */
function rows(state: State, name: string, count: number, width: number, wanted: "numbers" | "U8" = "numbers"): Float32Array {
  const tensor = tensorOf(state, name, wanted);
  const found = wanted === "U8" ? Float32Array.from(tensor.data) : floats(tensor);
  if (found.length !== width * count) throw new Error(`tensor ${name} has ${found.length} numbers, expected ${width} for each of ${count} Gaussians`);
  return found;
}

/** Numbers of any type that Gaussians come in; integers stand for parts of 1, as glTF normalises them. */
function floats({ name, dtype, data }: SentTensor): Float32Array {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const each = (size: number, number: (at: number) => number): Float32Array => Float32Array.from({ length: data.byteLength / size }, (_, i) => number(size * i));
  switch (dtype) {
    case "F32":
      return data.byteOffset % 4 === 0 ? new Float32Array(data.buffer, data.byteOffset, data.byteLength / 4) : each(4, (at) => view.getFloat32(at, true));
    case "F64":
      return each(8, (at) => view.getFloat64(at, true));
    case "F16":
      return each(2, (at) => half(view.getUint16(at, true)));
    case "BF16": {
      const bits = new Uint32Array(data.byteLength / 2);
      for (let i = 0; i < bits.length; i++) bits[i] = view.getUint16(2 * i, true) << 16;
      return new Float32Array(bits.buffer);
    }
    case "U8":
      return each(1, (at) => view.getUint8(at) / 255);
    case "I8":
      return each(1, (at) => Math.max(-1, view.getInt8(at) / 127));
    case "U16":
      return each(2, (at) => view.getUint16(at, true) / 65535);
    case "I16":
      return each(2, (at) => Math.max(-1, view.getInt16(at, true) / 32767));
    default:
      throw new Error(`tensor ${name} is ${dtype}, which Gaussians are not drawn from`);
  }
}

/** The number of a binary16. */
function half(bits: number): number {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  const size = exponent === 0 ? fraction * 2 ** -24 : exponent === 31 ? (fraction === 0 ? Infinity : NaN) : (1 + fraction / 1024) * 2 ** (exponent - 15);
  return bits >> 15 === 0 ? size : -size;
}
