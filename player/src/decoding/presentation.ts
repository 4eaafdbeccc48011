// The presentation document (docs/presentation.md): qualities of one sequence, and where one may go to another.
import { TransferError } from "./requests.js";

export interface Representation {
  readonly id: string;
  /** The package, beside the document or below. */
  readonly url: string;
  readonly digest: string;
  /** So many refinements are taken; null: the package has none. */
  readonly stop: number | null;
  readonly groupBytes: readonly number[];
  readonly bandwidth: number;
  readonly psnr: number | null;
}

export interface Presentation {
  readonly frames: number;
  readonly timescale: number;
  readonly duration: number;
  readonly starts: readonly number[];
  readonly times: readonly number[];
  /** From the smallest to the largest. */
  readonly representations: readonly Representation[];
}

/** Bytes of a document, as the command line bounds it. */
export const documentLimit = 2 ** 24;
const longestUrl = 1024;

function wrong(reason: string): never {
  throw new TransferError(`this is not a presentation document: ${reason}`);
}

/** No scheme, host or query, and no name that begins with a dot or hides a stroke. */
function pointsInside(url: string): boolean {
  if (url.length > longestUrl || !/^[A-Za-z0-9._~!$&'()*+,;=@%-]+(\/[A-Za-z0-9._~!$&'()*+,;=@%-]+)*$/.test(url)) return false;
  let plain: string;
  try {
    plain = decodeURIComponent(url);
  } catch {
    return false;
  }
  return plain.split("/").every((part) => part !== "" && !part.startsWith(".") && !/[\\:?#"<>|\u0000-\u001f\u007f]/.test(part));
}

function whole(value: unknown, name: string, least: number): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < least) wrong(`${name} is ${String(JSON.stringify(value)).slice(0, 40)}`);
  return value;
}

function list(value: unknown, name: string): readonly Record<string, unknown>[] {
  if (!Array.isArray(value) || value.length === 0 || !value.every((v) => typeof v === "object" && v !== null)) wrong(`${name} is no list`);
  return value as Record<string, unknown>[];
}

function representation(r: Record<string, unknown>, groups: number): Representation {
  const { id, url, digest, stop, psnr } = r;
  if (typeof id !== "string" || id === "") wrong("a representation has no id");
  if (typeof url !== "string" || !pointsInside(url)) wrong("a representation points outside");
  if (typeof digest !== "string" || !/^[0-9a-f]{64}$/.test(digest)) wrong("a representation has no digest");
  const sizes = r["group_bytes"];
  if (!Array.isArray(sizes) || sizes.length !== groups) wrong("a representation has not the sizes of all groups");
  whole(r["level"], "level", 1);
  return {
    id,
    url,
    digest,
    stop: stop === null || stop === undefined ? null : whole(stop, "stop", 0),
    groupBytes: sizes.map((v) => whole(v, "group_bytes", 1)),
    bandwidth: whole(r["bandwidth"], "bandwidth", 1),
    psnr: typeof psnr === "number" ? psnr : null,
  };
}

export function readPresentation(text: string): Presentation {
  let found: Record<string, unknown>;
  try {
    found = JSON.parse(text) as Record<string, unknown>;
  } catch {
    return wrong("it is not JSON");
  }
  if (typeof found !== "object" || found === null || found["nmc_presentation"] !== 1) wrong("it is of no known version");
  const groups = list(found["groups"], "groups");
  const frames = whole(found["frames"], "frames", 1);
  const duration = whole(found["duration"], "duration", 1);
  const starts = groups.map((g) => whole(g["start"], "start", 0));
  const times = groups.map((g) => whole(g["time"], "time", 0));
  const ascend = (values: readonly number[], end: number): boolean => values[0] === 0 && [...values.slice(1), end].every((v, i) => v > values[i]!);
  if (!ascend(starts, frames) || !ascend(times, duration)) wrong("its groups do not ascend from 0 to its end");
  const representations = list(found["representations"], "representations").map((r) => representation(r, groups.length));
  if (new Set(representations.map(({ id }) => id)).size < representations.length) wrong("two representations have one id");
  const sum = (r: Representation): number => r.groupBytes.reduce((a, b) => a + b, 0);
  representations.sort((a, b) => sum(a) - sum(b));
  return { frames, timescale: whole(found["timescale"], "timescale", 1), duration, starts, times, representations };
}

/** The group of a frame. */
export function groupOf({ starts }: Presentation, t: number): number {
  let g = starts.length - 1;
  while (starts[g]! > t) g -= 1;
  return g;
}

function groupSeconds(made: Presentation, g: number): number {
  return ((made.times[g + 1] ?? made.duration) - made.times[g]!) / made.timescale;
}

/** Of what a line gives and a processor decodes, what is counted on. */
const safety = 0.8;
const half = 3;

/** What is known of the line and the decoder: bytes a second, and seconds of work for a byte, the last ones most. */
export class Pace {
  private rate = 0;
  private weight = 0;
  private work = 0;

  fetched(bytes: number, seconds: number): void {
    if (bytes === 0) return;
    const kept = 0.5 ** (Math.max(seconds, 1e-3) / half);
    this.rate = kept * this.rate + (1 - kept) * (bytes / Math.max(seconds, 1e-3));
    this.weight = kept * this.weight + (1 - kept);
  }

  decoded(bytes: number, seconds: number): void {
    const now = seconds / Math.max(1, bytes);
    this.work = this.work === 0 ? now : 0.8 * this.work + 0.2 * now;
  }

  /** The best quality of a group that comes and is decoded as fast as it is played. */
  choose(made: Presentation, g: number): number {
    if (this.weight === 0) return 0;
    const seconds = groupSeconds(made, g);
    const bearable = ({ groupBytes }: Representation): boolean => {
      const bytes = groupBytes[g]!;
      return bytes <= safety * (this.rate / this.weight) * seconds && bytes * this.work <= safety * seconds;
    };
    return made.representations.reduce((best, r, q) => (bearable(r) ? q : best), 0);
  }
}
