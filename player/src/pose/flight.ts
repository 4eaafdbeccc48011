// A free eye with six degrees of freedom: mouse, touch and keys.
import { centre, moved, type Pose, type Vector } from "./pose.js";

type Axes = readonly number[];

const turnPerPixel = 0.004;
const keysMove: Readonly<Record<string, Vector>> = {
  KeyW: [0, 0, 1], ArrowUp: [0, 0, 1],
  KeyS: [0, 0, -1], ArrowDown: [0, 0, -1],
  KeyA: [-1, 0, 0], ArrowLeft: [-1, 0, 0],
  KeyD: [1, 0, 0], ArrowRight: [1, 0, 0],
  KeyR: [0, -1, 0], PageUp: [0, -1, 0],
  KeyF: [0, 1, 0], PageDown: [0, 1, 0],
};
const keysRoll: Readonly<Record<string, number>> = { KeyQ: -1, KeyE: 1 };

/** Turns about an axis of the world. */
function rotation([x, y, z]: Vector, angle: number): Axes {
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  const k = 1 - c;
  return [c + x * x * k, x * y * k - z * s, x * z * k + y * s, y * x * k + z * s, c + y * y * k, y * z * k - x * s, z * x * k - y * s, z * y * k + x * s, c + z * z * k];
}

function unit(v: Vector): Vector {
  const n = Math.hypot(...v) || 1;
  return [v[0] / n, v[1] / n, v[2] / n];
}

/** The pose turned about a point; its axes stay at right angles however often. */
function turned(p: Pose, about: Vector, r: Axes): Pose {
  const turn = (v: Vector): Vector => [
    r[0] * v[0] + r[1] * v[1] + r[2] * v[2],
    r[3] * v[0] + r[4] * v[1] + r[5] * v[2],
    r[6] * v[0] + r[7] * v[1] + r[8] * v[2],
  ];
  const column = (k: number): Vector => [p[k], p[4 + k], p[8 + k]];
  const f = unit(turn(column(2)));
  const d0 = turn(column(1));
  const along = d0[0] * f[0] + d0[1] * f[1] + d0[2] * f[2];
  const d = unit([d0[0] - along * f[0], d0[1] - along * f[1], d0[2] - along * f[2]]);
  const right: Vector = [d[1] * f[2] - d[2] * f[1], d[2] * f[0] - d[0] * f[2], d[0] * f[1] - d[1] * f[0]];
  const c = centre(p);
  const from = turn([c[0] - about[0], c[1] - about[1], c[2] - about[2]]);
  return [right[0], d[0], f[0], about[0] + from[0], right[1], d[1], f[1], about[1] + from[1], right[2], d[2], f[2], about[2] + from[2]];
}

export interface Pilot {
  /** The pose has changed; `moving` while a finger, button or key is down. */
  onmove(pose: Pose, moving: boolean): void;
}

/** The eye. Dragging turns about the middle of the scene, or with Shift held about the eye itself. */
export class Flight {
  pose: Pose = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0];
  /** What dragging turns about. */
  pivot: Vector = [0, 0, 0];
  /** Scene units a second, and of one click of the wheel a fifth. */
  speed = 1;
  /** The direction that is up while turning. */
  up: Vector = [0, 0, 1];
  private readonly pointers = new Map<number, { x: number; y: number }>();
  private readonly held = new Set<string>();
  private last = 0;
  private ticking = 0;
  private resting = 0;

  constructor(
    private readonly area: HTMLElement,
    private readonly pilot: Pilot,
  ) {
    area.addEventListener("pointerdown", this.down);
    area.addEventListener("pointermove", this.move);
    area.addEventListener("pointerup", this.release);
    area.addEventListener("pointercancel", this.release);
    area.addEventListener("wheel", this.wheel, { passive: false });
    area.addEventListener("keydown", this.key);
    area.addEventListener("keyup", this.keyUp);
    area.addEventListener("blur", () => this.held.clear());
    area.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  /** Jumps to a pose. */
  set(pose: Pose): void {
    this.pose = pose;
    this.pilot.onmove(pose, false);
  }

  private changed(pose: Pose): void {
    this.pose = pose;
    this.pilot.onmove(pose, true);
    window.clearTimeout(this.resting);
    this.resting = window.setTimeout(() => this.pilot.onmove(this.pose, false), 150);
  }

  private readonly down = (event: PointerEvent): void => {
    this.area.focus({ preventScroll: true });
    this.area.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  };

  private readonly release = (event: PointerEvent): void => {
    this.pointers.delete(event.pointerId);
  };

  private readonly move = (event: PointerEvent): void => {
    const before = this.pointers.get(event.pointerId);
    if (before === undefined) return;
    const [dx, dy] = [event.clientX - before.x, event.clientY - before.y];
    if (this.pointers.size === 2) {
      const other = [...this.pointers].find(([id]) => id !== event.pointerId)![1];
      const apart = Math.hypot(before.x - other.x, before.y - other.y) || 1;
      const now = Math.hypot(event.clientX - other.x, event.clientY - other.y) || 1;
      const distance = this.distance();
      const near = moved(this.pose, (-dx / 2) * this.perPixel(), (-dy / 2) * this.perPixel(), distance * (1 - apart / now));
      const angle = Math.atan2(event.clientY - other.y, event.clientX - other.x) - Math.atan2(before.y - other.y, before.x - other.x);
      this.changed(turned(near, centre(near), rotation([near[2], near[6], near[10]], -angle)));
    } else if (event.buttons & 2 || event.buttons & 4) {
      this.changed(moved(this.pose, -dx * this.perPixel(), -dy * this.perPixel(), 0));
    } else {
      const about = event.shiftKey ? centre(this.pose) : this.pivot;
      const sign = event.shiftKey ? -1 : 1;
      const p = this.pose;
      // About what is up in the world, and about the eye's own right.
      const yawed = turned(p, about, rotation(this.up, -sign * dx * turnPerPixel));
      this.changed(turned(yawed, about, rotation([yawed[0], yawed[4], yawed[8]], -sign * dy * turnPerPixel)));
    }
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  };

  private readonly wheel = (event: WheelEvent): void => {
    event.preventDefault();
    const clicks = event.deltaMode === 0 ? event.deltaY / 100 : event.deltaY / 3;
    this.changed(moved(this.pose, 0, 0, -Math.max(-3, Math.min(3, clicks)) * 0.1 * this.distance()));
  };

  private readonly key = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (!(event.code in keysMove) && !(event.code in keysRoll)) return;
    event.preventDefault();
    this.held.add(event.code);
    if (this.ticking === 0) {
      this.last = performance.now();
      this.ticking = requestAnimationFrame(this.fly);
    }
  };

  private readonly keyUp = (event: KeyboardEvent): void => {
    this.held.delete(event.code);
  };

  private readonly fly = (now: number): void => {
    this.ticking = 0;
    if (this.held.size === 0) return;
    const seconds = Math.min(0.1, (now - this.last) / 1000);
    this.last = now;
    const step = [0, 0, 0];
    let roll = 0;
    for (const code of this.held) {
      keysMove[code]?.forEach((v, i) => (step[i] += v));
      roll += keysRoll[code] ?? 0;
    }
    const far = this.speed * seconds;
    const next = moved(this.pose, step[0] * far, step[1] * far, step[2] * far);
    this.changed(roll === 0 ? next : turned(next, centre(next), rotation([next[2], next[6], next[10]], roll * seconds)));
    this.ticking = requestAnimationFrame(this.fly);
  };

  private distance(): number {
    const c = centre(this.pose);
    return Math.max(0.05 * this.speed, Math.hypot(c[0] - this.pivot[0], c[1] - this.pivot[1], c[2] - this.pivot[2]));
  }

  /** Scene units that a pixel covers at the distance of the pivot, about. */
  private perPixel(): number {
    return this.distance() / Math.max(1, this.area.clientWidth);
  }
}
