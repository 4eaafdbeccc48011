import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { type Bytes, utf8 } from "../src/bytes.js";
import { Refusal } from "../src/errors.js";
import { chunkBytes, frameAt, mediaOf, verifiedChunk } from "../src/media.js";
import { H5Object, type Kind, type Objects } from "../src/objects.js";

const sha256 = (data: Bytes): Bytes => new Uint8Array(createHash("sha256").update(data).digest());
const film = new Uint8Array(chunkBytes + 3).map((_, i) => i % 251);
const sound = Uint8Array.of(1, 2, 3);
/** The chunks of all media, one medium after the other; the medium in the middle has none. */
const chunks = [film.slice(0, chunkBytes), film.slice(chunkBytes), sound];

function bytesOf(array: BigUint64Array | BigInt64Array | Uint32Array): Bytes {
  return new Uint8Array(array.buffer as ArrayBuffer);
}

function table(): Objects {
  const objects: Objects = new Map();
  const put = (name: string, kind: Kind, width: number, dims: number[], data: Bytes, texts: string[] | null = null): void => {
    const path = `/media/${name}`;
    objects.set(path, new H5Object(path, kind, width, dims.map(BigInt), data, texts?.map(utf8) ?? null));
  };
  const texts = (name: string, values: string[]): void => put(name, "str", 0, [values.length], new Uint8Array(0), values);
  texts("file", ["film.mp4", "nothing", "sound.wav"]);
  texts("type", ["video/mp4", "application/octet-stream", "audio/wav"]);
  texts("role", ["low-resolution", "", "sound"]);
  put("length", "u", 8, [3], bytesOf(BigUint64Array.of(BigInt(film.length), 0n, 3n)));
  put("chunk_sha256", "u", 1, [3, 32], Uint8Array.from(chunks.flatMap((chunk) => [...sha256(chunk)])));
  put("map_timescale", "u", 4, [3], bytesOf(Uint32Array.of(0, 7, 1000)));
  put("map_count", "u", 4, [3], bytesOf(Uint32Array.of(2, 0, 3)));
  put("map_position", "u", 8, [5], bytesOf(BigUint64Array.of(0n, 48n, 20n, 30n, 2n ** 33n)));
  put("map_frame", "i", 8, [5], bytesOf(BigInt64Array.of(1n, 0n, 2n, -1n, 0n)));
  return objects;
}

test("media of a table: each has its own chunks and its own map", () => {
  const [first, middle, last] = mediaOf(table());
  assert.deepEqual([first.index, first.name, first.type, first.role, first.length], [0, "film.mp4", "video/mp4", "low-resolution", film.length]);
  assert.deepEqual(first.chunks, chunks.slice(0, 2).map(sha256));
  assert.deepEqual(first.map, { timescale: 0, positions: [0, 48], frames: [1, 0] });
  assert.deepEqual([middle.index, middle.name, middle.role, middle.length, middle.chunks, middle.map], [1, "nothing", "", 0, [], null]);
  assert.deepEqual(last.chunks, [sha256(sound)]);
  assert.deepEqual(last.map, { timescale: 1000, positions: [20, 30, 2 ** 33], frames: [2, -1, 0] });
  assert.deepEqual(mediaOf(new Map()), []);
});

test("the frame that serves a position", () => {
  const map = mediaOf(table())[2].map;
  assert.ok(map !== null);
  const found = [0, 19, 20, 29, 30, 2 ** 33 - 1, 2 ** 33, 2 ** 40].map((position) => frameAt(map, position));
  assert.deepEqual(found, [-1, -1, 2, 2, -1, -1, 0, 0]);
});

test("chunks are those of their medium and place, or refused", () => {
  const [first, middle, last] = mediaOf(table());
  assert.equal(verifiedChunk(first, 0, chunks[0]), chunks[0]);
  assert.equal(verifiedChunk(first, 1, chunks[1]), chunks[1]);
  assert.equal(verifiedChunk(last, 0, chunks[2]), chunks[2]);
  const refused = (reading: () => Bytes, offset: number, file: string): void => {
    assert.throws(reading, (error) => {
      assert.ok(error instanceof Refusal);
      assert.deepEqual([error.code, error.place], ["media/sha256", { file, offset }]);
      return true;
    });
  };
  const damaged = chunks[1].slice();
  damaged[2] ^= 1;
  refused(() => verifiedChunk(first, 1, damaged), chunkBytes, "media/00000000");
  refused(() => verifiedChunk(first, 1, chunks[1].subarray(0, 2)), chunkBytes, "media/00000000");
  refused(() => verifiedChunk(first, 0, chunks[1]), 0, "media/00000000");
  refused(() => verifiedChunk(last, 0, chunks[1]), 0, "media/00000002");
  assert.throws(() => verifiedChunk(middle, 0, new Uint8Array(0)));
});
