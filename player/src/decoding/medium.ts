// Bytes of media (clause 16): fetched by ranges, and handed on once each chunk was compared with its SHA-256.
import type { Bytes } from "decoder/bytes.js";
import type { Manifest } from "decoder/manifest.js";
import { chunkBytes, mediaOf, mediumName, verifiedChunk } from "decoder/media.js";
import type { FarSource } from "./transfer.js";

/** Fetches `count` chunks of a medium in one request; what has another digest is refused. */
export async function verifiedChunks(source: FarSource, { objects }: Manifest, index: number, first: number, count: number): Promise<Bytes> {
  const medium = mediaOf(objects)[index];
  const last = first + count;
  if (medium === undefined || count < 1 || first < 0 || last > medium.chunks.length) throw new Error("there is no such part of a medium");
  const from = first * chunkBytes;
  const data = await source.part(mediumName(index), medium.length, from, Math.min(medium.length, last * chunkBytes));
  for (let k = first; k < last; k++) verifiedChunk(medium, k, data.subarray(k * chunkBytes - from, (k + 1) * chunkBytes - from));
  return data;
}
