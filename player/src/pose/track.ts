// Tracks of viewpoints as the framework has them: CSV with the columns x, y, z, yaw, pitch and roll.
import { type Pose, type Viewpoint, viewpointOf } from "./pose.js";

const columns = ["x", "y", "z", "yaw", "pitch", "roll"] as const;

export class TrackError extends Error {}

/** Splits a line of CSV; fields in double quotes may hold commas. */
function fields(line: string): string[] {
  const out: string[] = [];
  for (const match of line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^",]*))/g)) out.push((match[1]?.replaceAll('""', '"') ?? match[2] ?? "").trim());
  return out;
}

export function readTrack(text: string, label: string): Viewpoint[] {
  const lines = text.replace(/^\ufeff/, "").split(/\r\n|\n|\r/);
  const header = fields(lines[0] ?? "");
  const missing = columns.filter((name) => !header.includes(name));
  if (missing.length > 0) throw new TrackError(`${label}: the header lacks ${missing.join(", ")}`);
  const track: Viewpoint[] = [];
  lines.slice(1).forEach((line, i) => {
    if (line === "") return;
    const row = fields(line);
    const value = (name: (typeof columns)[number]): number => {
      const said = row[header.indexOf(name)] ?? "";
      const number = said === "" ? Number.NaN : Number(said);
      if (!Number.isFinite(number)) throw new TrackError(`${label}, line ${i + 2}: ${name} is '${said}', expected a number`);
      return number;
    };
    track.push({ x: value("x"), y: value("y"), z: value("z"), yaw: value("yaw"), pitch: value("pitch"), roll: value("roll") });
  });
  if (track.length === 0) throw new TrackError(`${label}: there are no viewpoints`);
  return track;
}

export function writeTrack(track: readonly Viewpoint[]): string {
  const rows = track.map((v, i) => [i, ...columns.map((name) => v[name])].join(","));
  return `${["frame,x,y,z,yaw,pitch,roll", ...rows].join("\n")}\n`;
}

/** Where the eye was at each frame while somebody recorded: one viewpoint a frame, gaps held. */
export class Recording {
  private readonly seen = new Map<number, Viewpoint>();

  note(frame: number, pose: Pose): void {
    this.seen.set(frame, viewpointOf(pose));
  }

  get frames(): number {
    return this.seen.size;
  }

  /** A viewpoint for each of the frames of a package; where none was noted, that of the nearest frame before, or else after. */
  track(frames: number): Viewpoint[] {
    const known = [...this.seen.keys()].sort((a, b) => a - b);
    if (known.length === 0) return [];
    return Array.from({ length: frames }, (_, t) => {
      const before = known.filter((k) => k <= t).at(-1) ?? known[0]!;
      return this.seen.get(before)!;
    });
  }
}


