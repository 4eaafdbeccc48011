// Where the eye begins, and what it turns about: by the cameras, by the bounds of the scene, or by what is seen of it.
import type { PackageInfo } from "../decoding/messages.js";
import type { Extent } from "../render/renderer.js";
import type { Flight } from "./flight.js";
import { centre, forward, lookingAt, meeting, type Vector } from "./pose.js";

/** Prepares flying through a scene; false where nothing tells where it is. */
export function startFlight(flight: Flight, info: PackageInfo): boolean {
  const poses = info.cameras.map((c) => c.cameraToWorld);
  const box = boxOf(info.configuration["bounds"]);
  if (poses.length > 0) {
    flight.pivot = meeting(poses);
    const far = poses.map((p) => distance(centre(p), flight.pivot));
    const usual = far.sort((a, b) => a - b)[far.length >> 1]!;
    flight.speed = usual > 1e-9 ? usual / 2 : (box?.size ?? 4) / 4; // cameras at one place tell nothing of the size
    if (poses.length === 1 && box !== null) {
      // Nor does a single one: what it looks at lies as deep as the middle of the scene.
      const [eye, ahead] = [centre(poses[0]!), forward(poses[0]!)];
      const deep = Math.max(box.size / 20, ahead.reduce((sum, v, i) => sum + v * (box.middle[i]! - eye[i]!), 0));
      flight.pivot = [eye[0] + deep * ahead[0], eye[1] + deep * ahead[1], eye[2] + deep * ahead[2]];
      flight.speed = box.size / 4;
    }
    // What is up for the cameras on the whole is up for the eye.
    const up = [0, 1, 2].map((k) => poses.reduce((sum, p) => sum - p[4 * k + 1]!, 0));
    const length = Math.hypot(...up);
    if (length > 0.3 * poses.length) flight.up = [up[0]! / length, up[1]! / length, up[2]! / length];
    return true;
  }
  if (box === null) return false;
  const { middle, size } = box;
  flight.pivot = middle;
  flight.speed = size / 4;
  flight.set(lookingAt([middle[0] + size, middle[1], middle[2] + 0.3 * size], middle));
  return true;
}

/** Places the eye before what there is. Trainers of Gaussians have the y axis of pictures: down. */
export function startBefore(flight: Flight, { middle, size }: Extent): void {
  flight.pivot = middle;
  flight.up = [0, -1, 0];
  flight.speed = size / 2;
  flight.set(lookingAt([middle[0], middle[1], middle[2] - 2.5 * size], middle, flight.up));
}

function distance(a: Vector, b: Vector): number {
  return Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
}

/** The box of a scene; null where a family means something else by its bounds. */
function boxOf(bounds: unknown): Extent | null {
  const corner = (v: unknown): v is Vector => Array.isArray(v) && v.length === 3 && v.every((x) => Number.isFinite(x));
  if (!Array.isArray(bounds) || bounds.length !== 2) return null;
  const [lower, upper] = bounds as unknown[];
  if (!corner(lower) || !corner(upper)) return null;
  const size = distance(lower, upper);
  if (!(size > 0 && size < Infinity)) return null;
  return { middle: [(lower[0] + upper[0]) / 2, (lower[1] + upper[1]) / 2, (lower[2] + upper[2]) / 2], size };
}
