// Gaussians of the trainers and files that nmc pack reads, as rows of numbers for the graphics processor.
import type { PackageInfo, SentTensor } from "../decoding/messages.js";

/** Numbers of a harmonic's 1, 4, 9, 16 or 25 coefficients, without the first. */
const degrees: readonly number[] = [0, 3, 8, 15];
const dc = 0.28209479177387814;

/** Texels of a Gaussian before its further harmonics: place and opacity, covariance in two, first harmonic. */
export const headTexels = 4;

export interface Gaussians {
  readonly count: number;
  readonly degree: number;
  readonly texels: number;
  /** (count, texels, 4). */
  readonly data: Float32Array;
}

interface Kind {
  readonly place: string;
  readonly scale: string;
  readonly rotation: string;
  readonly opacity: string;
  readonly first: string;
  readonly rest: string | null;
  /** Harmonics colour after colour, as in PLY; else coefficient after coefficient. */
  readonly byColour: boolean;
  /** Of .splat: scales as they are, colours and rotations of 8 bits. */
  readonly bytes: boolean;
}

/** How the tensors of a package are named, or null where they are no Gaussians. */
export function kindOf(info: Pick<PackageInfo, "tensors">): Kind | null {
  const last = new Map(info.tensors.map(({ name }) => [name.slice(name.lastIndexOf(".") + 1), name]));
  const named = (...names: string[]): string[] | null => {
    const found = names.map((n) => last.get(n));
    return found.every((n) => n !== undefined) ? (found as string[]) : null;
  };
  const trained = named("means", "scales", "quats", "opacities");
  const first = last.get("sh0") ?? last.get("features_dc");
  if (trained !== null && first !== undefined) {
    const [place, scale, rotation, opacity] = trained as [string, string, string, string];
    return { place, scale, rotation, opacity, first, rest: last.get("shN") ?? last.get("features_rest") ?? null, byColour: false, bytes: false };
  }
  const ply = named("xyz", "scale", "rotation", "opacity", "f_dc");
  if (ply !== null) {
    const [place, scale, rotation, opacity, f] = ply as [string, string, string, string, string];
    return { place, scale, rotation, opacity, first: f, rest: last.get("f_rest") ?? null, byColour: true, bytes: false };
  }
  const splat = named("position", "scale", "rotation", "colors");
  if (splat === null) return null;
  const [place, scale, rotation, colours] = splat as [string, string, string, string];
  return { place, scale, rotation, opacity: colours, first: colours, rest: null, byColour: false, bytes: true };
}

function numbersOf(tensor: SentTensor | undefined, name: string, wanted: "F32" | "U8"): Float32Array | Uint8Array {
  if (tensor === undefined) throw new Error(`the state has no tensor ${name}`);
  if (tensor.dtype !== wanted) throw new Error(`tensor ${name} is ${tensor.dtype}, expected ${wanted}`);
  return wanted === "U8" ? tensor.data : new Float32Array(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength / 4);
}

/** Reads the Gaussians of a state. */
export function gaussiansOf(kind: Kind, state: ReadonlyMap<string, SentTensor>): Gaussians {
  const place = numbersOf(state.get(kind.place), kind.place, "F32");
  const count = state.get(kind.place)!.shape[0] ?? 0;
  const dtype = kind.bytes ? "U8" : "F32";
  const scale = numbersOf(state.get(kind.scale), kind.scale, "F32");
  const rotation = numbersOf(state.get(kind.rotation), kind.rotation, dtype);
  const opacity = numbersOf(state.get(kind.opacity), kind.opacity, dtype);
  const first = numbersOf(state.get(kind.first), kind.first, dtype);
  const rest = kind.rest === null ? new Float32Array(0) : numbersOf(state.get(kind.rest), kind.rest, "F32");
  const coefficients = count === 0 ? 0 : rest.length / (3 * count);
  const sizes: [string, number, number][] = [
    [kind.place, place.length, 3],
    [kind.scale, scale.length, 3],
    [kind.rotation, rotation.length, 4],
    [kind.first, first.length, kind.bytes ? 4 : 3],
    [kind.opacity, opacity.length, kind.bytes ? 4 : 1],
  ];
  for (const [name, length, width] of sizes) {
    if (length !== width * count) throw new Error(`tensor ${name} has ${length} numbers, expected ${width} for each of ${count} Gaussians`);
  }
  // What goes beyond degree 3 is left out, as the reference's renderer does.
  if (![0, 3, 8, 15, 24].includes(coefficients)) throw new Error(`a Gaussian has ${3 * coefficients} numbers of harmonics`);
  const degree = Math.min(3, [0, 3, 8, 15, 24].indexOf(coefficients));
  const kept = degrees[degree]!;
  const texels = headTexels + Math.ceil((3 * kept) / 4);
  const data = new Float32Array(count * texels * 4);
  for (let i = 0; i < count; i++) {
    const at = 4 * texels * i;
    data.set(place.subarray(3 * i, 3 * i + 3), at);
    data[at + 3] = kind.bytes ? opacity[4 * i + 3]! / 255 : 1 / (1 + Math.exp(-opacity[i]!));
    const sizeOf = (k: number): number => (kind.bytes ? scale[3 * i + k]! : Math.exp(scale[3 * i + k]!));
    const turn = (k: number): number => (kind.bytes ? (rotation[4 * i + k]! - 128) / 128 : rotation[4 * i + k]!);
    covariance(sizeOf(0), sizeOf(1), sizeOf(2), turn(0), turn(1), turn(2), turn(3), data, at + 4);
    for (let k = 0; k < 3; k++) data[at + 12 + k] = kind.bytes ? (first[4 * i + k]! / 255 - 0.5) / dc : first[3 * i + k]!;
    for (let j = 0; j < kept; j++) {
      for (let k = 0; k < 3; k++) {
        const from = 3 * coefficients * i + (kind.byColour ? k * coefficients + j : 3 * j + k);
        data[at + 16 + 3 * j + k] = rest[from]!;
      }
    }
  }
  return { count, degree, texels, data };
}

/** Writes xx, xy, xz, yy, yz, zz of R S Sᵀ Rᵀ; the quaternion is w, x, y, z, of any length. */
function covariance(sx: number, sy: number, sz: number, w0: number, x0: number, y0: number, z0: number, out: Float32Array, at: number): void {
  const n = Math.hypot(w0, x0, y0, z0) || 1;
  const [w, x, y, z] = [w0 / n, x0 / n, y0 / n, z0 / n];
  const a = sx * sx;
  const b = sy * sy;
  const c = sz * sz;
  const [r00, r01, r02] = [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)];
  const [r10, r11, r12] = [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)];
  const [r20, r21, r22] = [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)];
  out[at] = a * r00 * r00 + b * r01 * r01 + c * r02 * r02;
  out[at + 1] = a * r00 * r10 + b * r01 * r11 + c * r02 * r12;
  out[at + 2] = a * r00 * r20 + b * r01 * r21 + c * r02 * r22;
  out[at + 3] = a * r10 * r10 + b * r11 * r11 + c * r12 * r12;
  out[at + 4] = a * r10 * r20 + b * r11 * r21 + c * r12 * r22;
  out[at + 5] = a * r20 * r20 + b * r21 * r21 + c * r22 * r22;
}

/** The order of Gaussians from the farthest to the nearest, by counting 16 bits of depth. */
export function sorted({ count, texels, data }: Gaussians, axis: readonly [number, number, number], into: Uint32Array): void {
  const depth = new Float32Array(count);
  let [low, high] = [Infinity, -Infinity];
  for (let i = 0; i < count; i++) {
    const at = 4 * texels * i;
    const d = data[at]! * axis[0] + data[at + 1]! * axis[1] + data[at + 2]! * axis[2];
    depth[i] = d;
    if (d < low) low = d;
    if (d > high) high = d;
  }
  const steps = 65535;
  const scale = high > low ? steps / (high - low) : 0;
  const starts = new Uint32Array(steps + 2);
  const keys = new Uint16Array(count);
  for (let i = 0; i < count; i++) {
    const key = Math.min(steps, Math.max(0, (high - depth[i]!) * scale));
    keys[i] = key;
    starts[keys[i]! + 1]! += 1;
  }
  for (let k = 0; k <= steps; k++) starts[k + 1]! += starts[k]!;
  for (let i = 0; i < count; i++) into[starts[keys[i]!]!++] = i;
}
