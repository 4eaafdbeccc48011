// Gaussians as texels of the graphics processor, and their order from the farthest to the nearest.
import type { Rows } from "./gaussianKinds.js";

/** Numbers of a harmonic's 1, 4, 9, 16 or 25 coefficients, without the first. */
const degrees: readonly number[] = [0, 3, 8, 15];

/** Texels of a Gaussian before its further harmonics: place and opacity, covariance in two, first harmonic. */
export const headTexels = 4;

export interface Gaussians {
  readonly count: number;
  readonly degree: number;
  readonly texels: number;
  /** (count, texels, 4). */
  readonly data: Float32Array;
}

/** What the graphics processor is given of Gaussians. */
export function packed(rows: Rows): Gaussians {
  const { count, coefficients, place, scale, turn, opacity, first, rest } = rows;
  // What goes beyond degree 3 is left out, as the reference's renderer does.
  if (![0, 3, 8, 15, 24].includes(coefficients)) throw new Error(`a Gaussian has ${3 * coefficients} numbers of harmonics`);
  const degree = Math.min(3, [0, 3, 8, 15, 24].indexOf(coefficients));
  const kept = degrees[degree]!;
  const texels = headTexels + Math.ceil((3 * kept) / 4);
  const data = new Float32Array(count * texels * 4);
  for (let i = 0; i < count; i++) {
    const at = 4 * texels * i;
    data.set(place.subarray(3 * i, 3 * i + 3), at);
    data[at + 3] = opacity[i]!;
    const [sx, sy, sz] = scale.subarray(3 * i, 3 * i + 3) as unknown as [number, number, number];
    const [w, x, y, z] = turn.subarray(4 * i, 4 * i + 4) as unknown as [number, number, number, number];
    covariance(sx, sy, sz, w, x, y, z, data, at + 4);
    data.set(first.subarray(3 * i, 3 * i + 3), at + 12);
    data.set(rest.subarray(3 * coefficients * i, 3 * (coefficients * i + kept)), at + 16);
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
