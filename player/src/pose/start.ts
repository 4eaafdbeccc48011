// Where the eye begins, and what it turns about: by the cameras, or by the bounds of the scene.
import type { PackageInfo } from "../decoding/messages.js";
import type { Flight } from "./flight.js";
import { centre, lookingAt, meeting } from "./pose.js";

/** Prepares flying through a scene; false where nothing tells where it is. */
export function startFlight(flight: Flight, info: PackageInfo): boolean {
  const poses = info.cameras.map((c) => c.cameraToWorld);
  const bounds = info.configuration["bounds"];
  if (poses.length > 0) {
    flight.pivot = poses.length > 1 ? meeting(poses) : centre(poses[0]!);
    const far = poses.map((p) => Math.hypot(...centre(p).map((v, i) => v - flight.pivot[i]!)));
    flight.speed = Math.max(1e-6, far.sort((a, b) => a - b)[far.length >> 1]! / 2) || 1;
    // What is up for the cameras on the whole is up for the eye.
    const up = [0, 1, 2].map((k) => poses.reduce((sum, p) => sum - p[4 * k + 1]!, 0));
    const length = Math.hypot(...up);
    if (length > 0.3 * poses.length) flight.up = [up[0]! / length, up[1]! / length, up[2]! / length];
    return true;
  }
  if (!Array.isArray(bounds) || bounds.length !== 2) return false;
  const [lower, upper] = bounds as [number[], number[]];
  const middle = lower.map((v, i) => (v + upper[i]!) / 2) as unknown as [number, number, number];
  const size = Math.hypot(...lower.map((v, i) => upper[i]! - v));
  flight.pivot = middle;
  flight.speed = size / 4 || 1;
  flight.set(lookingAt([middle[0] + size, middle[1], middle[2] + 0.3 * size], middle));
  return true;
}
