// Encrypted segments (clause 14): their lengths, keys, nonces, and AES-256-GCM over their chunks.
import { gcm } from "@noble/ciphers/aes.js";
import { hkdf } from "@noble/hashes/hkdf.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { type Bytes, concat, equalBytes, hex, le32, le64, utf8 } from "./bytes.js";
import { inFile, refuse } from "./errors.js";
import type { Manifest } from "./manifest.js";
import type { Objects } from "./objects.js";

export const feature = "aes-256-gcm";

export function isEncrypted(objects: Objects): boolean {
  return objects.get("/@must_understand")?.text(0)?.split(" ").includes(feature) ?? false;
}

const saltBytes = 32;
const tagBytes = 16;
const chunkBytes = 16384;
const storedChunk = chunkBytes + tagBytes;

/** Clause 14.1.2; null where no encrypted segment has so many bytes. */
export function plainLength(stored: number): number | null {
  if (stored < saltBytes + tagBytes + 1) return null;
  const rest = (stored - saltBytes) % storedChunk;
  if (rest > 0 && rest <= tagBytes) return null;
  return stored - saltBytes - tagBytes * Math.ceil((stored - saltBytes) / storedChunk);
}

/** Clause 14.1.1. */
export function keyDigest(key: Bytes): Bytes {
  return sha256(concat([utf8("nmc key 1\0"), key]));
}

/** Clause 14.2.1: the key of a package, or its refusal. */
export function unlock(manifest: Manifest, key: Bytes | null): Bytes | null {
  const expected = manifest.keyDigest;
  if (expected === null) {
    if (key === null) return null;
    return refuse("encryption/not-encrypted", "a key was given, and the segments are not encrypted", inFile("."));
  }
  if (key === null) return refuse("encryption/key-missing", "the segments are encrypted, and no key was given", inFile("."));
  const actual = keyDigest(key);
  if (!equalBytes(actual, expected)) {
    refuse("encryption/key-wrong", `the segments are encrypted by the key of digest ${hex(expected)}, the one given has ${hex(actual)}`, inFile("."));
  }
  return key;
}

function nonce(k: number, chunks: number): Bytes {
  return concat([le64(k), le32(k === chunks - 1 ? 1 : 0)]);
}

/** The plain segment of frame t; `parent` is the digest that a delta frame builds on. */
export function decrypt(data: Bytes, key: Bytes, t: number, parent: Bytes | null, file: string): Bytes {
  const segmentKey = hkdf(sha256, key, data.subarray(0, saltBytes), utf8("nmc segment 1\0"), 32);
  const bound = concat([le64(t), parent ?? new Uint8Array(32)]);
  const chunks = Math.ceil((data.length - saltBytes) / storedChunk);
  const plain = new Uint8Array(plainLength(data.length) ?? 0);
  for (let k = 0; k < chunks; k++) {
    const start = saltBytes + k * storedChunk;
    const chunk = data.subarray(start, start + storedChunk);
    try {
      plain.set(gcm(segmentKey, nonce(k, chunks), bound).decrypt(chunk), k * chunkBytes);
    } catch {
      refuse("encryption/tag", `chunk ${k} of the segment has a wrong tag: it was changed, or belongs to another place`, inFile(file, start));
    }
  }
  return plain;
}
