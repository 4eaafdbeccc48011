// Where an eye is and which way it looks: the conventions of clause 5.1 of the framework's cameras.
// A pose is camera-to-world: right, down and forward axes and the centre, three rows of four.
export type Pose = readonly number[];
export type Vector = readonly [number, number, number];

/** Position in scene units, orientation in degrees: R = Rz(yaw) Ry(pitch) Rx(roll), x forward, y left, z up. */
export interface Viewpoint {
  readonly x: number;
  readonly y: number;
  readonly z: number;
  readonly yaw: number;
  readonly pitch: number;
  readonly roll: number;
}

/** A pinhole view of some pixels; the outer corner of the first pixel is (0, 0). */
export interface View {
  readonly pose: Pose;
  readonly width: number;
  readonly height: number;
  readonly fx: number;
  readonly fy: number;
  readonly cx: number;
  readonly cy: number;
}

const radians = Math.PI / 180;

/** Rotation in the axes x forward, y left, z up, three rows of three. */
export function rotationOf({ yaw, pitch, roll }: Viewpoint): number[] {
  const [ca, sa] = [Math.cos(yaw * radians), Math.sin(yaw * radians)];
  const [cb, sb] = [Math.cos(pitch * radians), Math.sin(pitch * radians)];
  const [cc, sc] = [Math.cos(roll * radians), Math.sin(roll * radians)];
  return [
    ca * cb, ca * sb * sc - sa * cc, ca * sb * cc + sa * sc,
    sa * cb, sa * sb * sc + ca * cc, sa * sb * cc - ca * sc,
    -sb, cb * sc, cb * cc,
  ];
}

export function poseOf(v: Viewpoint): Pose {
  const r = rotationOf(v);
  // Right, down and forward are minus left, minus up and forward.
  return [
    -r[1], -r[2], r[0], v.x,
    -r[4], -r[5], r[3], v.y,
    -r[7], -r[8], r[6], v.z,
  ];
}

export function viewpointOf(p: Pose): Viewpoint {
  // Columns forward, left, up.
  const r = [p[2], -p[0], -p[1], p[6], -p[4], -p[5], p[10], -p[8], -p[9]];
  const level = Math.hypot(r[0], r[3]);
  const pitch = Math.atan2(-r[6], level);
  const straight = level < 1e-12;
  const yaw = straight ? Math.atan2(-r[1], r[4]) : Math.atan2(r[3], r[0]);
  const roll = straight ? 0 : Math.atan2(r[7], r[8]);
  return { x: p[3], y: p[7], z: p[11], yaw: yaw / radians, pitch: pitch / radians, roll: roll / radians };
}

export function centre(p: Pose): Vector {
  return [p[3], p[7], p[11]];
}

export function forward(p: Pose): Vector {
  return [p[2], p[6], p[10]];
}

/** The pose moved in its own axes: right, down, forward. */
export function moved(p: Pose, right: number, down: number, ahead: number): Pose {
  const out = [...p];
  for (let i = 0; i < 3; i++) out[4 * i + 3] += right * p[4 * i] + down * p[4 * i + 1] + ahead * p[4 * i + 2];
  return out;
}

/** The point nearest to all the lines of sight, or one that lies before the only one. */
export function meeting(poses: readonly Pose[]): Vector {
  const a = [0, 0, 0, 0, 0, 0, 0, 0, 0];
  const b = [0, 0, 0];
  for (const p of poses) {
    const d = forward(p);
    const c = centre(p);
    for (let i = 0; i < 3; i++) {
      for (let j = 0; j < 3; j++) {
        const q = (i === j ? 1 : 0) - d[i] * d[j];
        a[3 * i + j] += q;
        b[i] += q * c[j];
      }
    }
  }
  for (let i = 0; i < 3; i++) a[4 * i] += 1e-6 * poses.length;
  for (let i = 0; i < 3; i++) {
    const p = poses[0] ?? [];
    b[i] += 1e-6 * poses.length * ((p[4 * i + 3] ?? 0) + (p[4 * i + 2] ?? 0));
  }
  return solve(a, b);
}

function solve(a: readonly number[], b: readonly number[]): Vector {
  const det = (m: readonly number[]): number =>
    m[0] * (m[4] * m[8] - m[5] * m[7]) - m[1] * (m[3] * m[8] - m[5] * m[6]) + m[2] * (m[3] * m[7] - m[4] * m[6]);
  const whole = det(a);
  const column = (k: number): number => det(a.map((v, i) => (i % 3 === k ? b[(i - k) / 3] : v))) / whole;
  return [column(0), column(1), column(2)];
}

/** A camera at a place that looks at another, upright. */
export function lookingAt(eye: Vector, target: Vector, up: Vector = [0, 0, 1]): Pose {
  const unit = (v: Vector): Vector => {
    const n = Math.hypot(...v) || 1;
    return [v[0] / n, v[1] / n, v[2] / n];
  };
  const cross = (u: Vector, v: Vector): Vector => [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
  const f = unit([target[0] - eye[0], target[1] - eye[1], target[2] - eye[2]]);
  let r = cross(f, up);
  if (Math.hypot(...r) < 1e-9) r = cross(f, [1, 0, 0]);
  r = unit(r);
  const d = cross(f, r);
  return [r[0], d[0], f[0], eye[0], r[1], d[1], f[1], eye[1], r[2], d[2], f[2], eye[2]];
}

/** The same view in other pixels. */
export function resized(view: View, width: number, height: number): View {
  const [sx, sy] = [width / view.width, height / view.height];
  return { pose: view.pose, width, height, fx: view.fx * sx, fy: view.fy * sy, cx: view.cx * sx, cy: view.cy * sy };
}

/** A view whose longer side shows so many degrees, so that nothing of a camera's picture is cut off. */
export function viewOf(pose: Pose, width: number, height: number, degrees: number): View {
  const focal = (0.5 * Math.max(width, height)) / Math.tan(0.5 * degrees * radians);
  return { pose, width, height, fx: focal, fy: focal, cx: width / 2, cy: height / 2 };
}
