// Media (clause 16): what a manifest says of them, and their bytes, each chunk compared with its SHA-256.
import { sha256 } from "@noble/hashes/sha2.js";
import { type Bytes, equalBytes } from "./bytes.js";
import { at, harmless, inFile, refuse } from "./errors.js";
import type { H5Object, Objects } from "./objects.js";

export const chunkBytes = 2 ** 18;
const mostMedia = 1024;
const longestName = 255;
const mediaType = /^[a-z0-9][a-z0-9!#$&^_.+-]{0,126}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}$/;
const mediaRole = /^[a-z0-9-]{0,64}$/;

/** Which frames serve the pictures of a medium (clause 16.2). */
export interface MediaMap {
  /** Ticks of a position in a second; 0 where positions are indices of pictures. */
  readonly timescale: number;
  readonly positions: readonly number[];
  /** -1 where no frame serves. */
  readonly frames: readonly number[];
}

export interface Medium {
  readonly index: number;
  readonly name: string;
  readonly type: string;
  readonly role: string;
  readonly length: number;
  readonly chunks: readonly Bytes[];
  readonly map: MediaMap | null;
}

export function mediumName(index: number): string {
  return `media/${String(index).padStart(8, "0")}`;
}

export function isMedium(member: string): boolean {
  return /^media\/[0-9]{8}$/.test(member) && !member.includes("\n");
}

function fault(reason: string, path: string): never {
  return refuse("manifest/value", reason, at(path));
}

function column(objects: Objects, name: string): H5Object {
  const o = objects.get(`/media/${name}`);
  if (o === undefined) throw new Error(`/media/${name} was checked to be there`);
  return o;
}

function chunksOf(length: bigint): bigint {
  return (length + BigInt(chunkBytes) - 1n) / BigInt(chunkBytes);
}

function checkText(objects: Objects, i: number): string {
  const bytes = column(objects, "file").textBytes(i).length;
  const name = column(objects, "file").text(i) ?? "";
  if (bytes < 1 || bytes > longestName) fault(`the name of a medium has ${bytes} bytes`, `/media/${i}/file`);
  if (/[/\\\u0000-\u001f\u007f]/.test(name) || name === "." || name === "..") {
    fault(`the name of a medium, ${harmless(name)}, is not allowed`, `/media/${i}/file`);
  }
  const type = column(objects, "type").text(i) ?? "";
  if (!mediaType.test(type) || type.includes("\n")) fault(`${harmless(type)} is no media type`, `/media/${i}/type`);
  const role = column(objects, "role").text(i) ?? "";
  if (!mediaRole.test(role) || role.includes("\n")) fault(`${harmless(role)} is no role`, `/media/${i}/role`);
  return name;
}

function checkMaps(objects: Objects, media: number, frames: number): void {
  const counts = column(objects, "map_count");
  const positions = column(objects, "map_position");
  const served = column(objects, "map_frame");
  let next = 0;
  for (let i = 0; i < media; i++) next += counts.number(i);
  if (next !== positions.count) fault(`there are ${positions.count} positions; the maps have ${next}`, "/media/map_position");
  next = 0;
  for (let i = 0; i < media; i++) {
    for (let k = 0; k < counts.number(i); k++, next++) {
      if (k > 0 && positions.big(next) <= positions.big(next - 1)) {
        fault(`position ${positions.big(next)} is not behind the one before it`, `/media/map_position/${next}`);
      }
      const frame = served.big(next);
      if (frame < -1n || frame >= BigInt(frames)) fault(`a map names frame ${frame} of ${frames}`, `/media/map_frame/${next}`);
    }
  }
}

/** Clauses 16.1.2, 16.1.3 and 16.2. */
export function checkMedia(objects: Objects, frames: number): void {
  const names = objects.get("/media/file");
  if (names === undefined) return;
  const media = names.count;
  if (media > mostMedia) fault(`there are ${media} media; ${mostMedia} are allowed`, "/media/file");
  const known = new Set<string>();
  let chunks = 0n;
  for (let i = 0; i < media; i++) {
    const name = checkText(objects, i);
    if (known.has(name)) fault(`two media are named ${harmless(name)}`, `/media/${i}/file`);
    known.add(name);
    chunks += chunksOf(column(objects, "length").big(i));
  }
  const digests = Number(column(objects, "chunk_sha256").dims[0]);
  if (chunks !== BigInt(digests)) fault(`there are ${digests} digests of chunks; the media have ${chunks}`, "/media/chunk_sha256");
  checkMaps(objects, media, frames);
}

/** The media of a manifest that was checked. */
export function mediaOf(objects: Objects): Medium[] {
  const names = objects.get("/media/file");
  const digests = objects.get("/media/chunk_sha256");
  if (names === undefined || digests === undefined) return [];
  let [chunk, next] = [0, 0];
  return Array.from({ length: names.count }, (_, index) => {
    const length = column(objects, "length").number(index);
    const chunks = Array.from({ length: Math.ceil(length / chunkBytes) }, () => digests.row(chunk++, 32));
    const count = column(objects, "map_count").number(index);
    const runs = Array.from({ length: count }, () => next++);
    const map = {
      timescale: column(objects, "map_timescale").number(index),
      positions: runs.map((i) => column(objects, "map_position").number(i)),
      frames: runs.map((i) => column(objects, "map_frame").number(i)),
    };
    const [name, type, role] = ["file", "type", "role"].map((path) => column(objects, path).text(index) ?? "");
    return { index, name, type, role, length, chunks, map: count > 0 ? map : null };
  });
}

/** The frame that serves a position of a medium, -1 for none (clause 16.2). */
export function frameAt(map: MediaMap, position: number): number {
  let found = -1;
  for (let i = 0; i < map.positions.length && map.positions[i] <= position; i++) found = map.frames[i];
  return found;
}

/** The bytes of one chunk, once they were compared with its SHA-256 (clause 16.3.1). */
export function verifiedChunk(medium: Medium, chunk: number, data: Bytes): Bytes {
  if (!equalBytes(sha256(data), medium.chunks[chunk])) {
    refuse("media/sha256", `chunk ${chunk} of the medium has another SHA-256 than the manifest says`, inFile(mediumName(medium.index), chunk * chunkBytes));
  }
  return data;
}
