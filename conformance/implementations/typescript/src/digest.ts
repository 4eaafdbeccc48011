// SHA-256 digests of tensors, states and manifests (clauses 4.5 and 5.3.4) and BLAKE3, both of hash-wasm.
import { createBLAKE3 } from "hash-wasm";
import { type Bytes, compareBytes, le32, le64, utf8 } from "./bytes.js";
import { createHash, type Hash } from "./hash.js";
import type { Objects } from "./objects.js";

function frame(hash: Hash, bytes: Bytes): void {
  hash.update(le32(bytes.length));
  hash.update(bytes);
}

export function tensorDigest(dtype: string, shape: readonly number[], data: Bytes): Bytes {
  const hash = createHash("sha256");
  hash.update(utf8("nmc tensor 1\0"));
  frame(hash, utf8(dtype));
  hash.update(le32(shape.length));
  for (const d of shape) hash.update(le64(d));
  hash.update(contentHash(data));
  return hash.digest();
}

const blake3 = await createBLAKE3();

/** The BLAKE3 of the bytes of a tensor (clause 4.5.3). */
export function contentHash(data: Bytes): Bytes {
  blake3.init();
  blake3.update(data);
  return blake3.digest("binary");
}

/** Names and tensor digests of a state, in any order. */
export function stateDigest(tensors: readonly { name: Bytes; digest: Bytes }[]): Bytes {
  const hash = createHash("sha256");
  hash.update(utf8("nmc state 1\0"));
  hash.update(le32(tensors.length));
  for (const t of [...tensors].sort((a, b) => compareBytes(a.name, b.name))) {
    frame(hash, t.name);
    hash.update(t.digest);
  }
  return hash.digest();
}

export function manifestDigest(objects: Objects): Bytes {
  const hash = createHash("sha256");
  hash.update(utf8("nmc manifest 1\0"));
  const entries = [...objects.values()].map((o) => ({ key: utf8(o.path), o }));
  entries.sort((a, b) => compareBytes(a.key, b.key));
  for (const { key, o } of entries) {
    if (o.path === "/@manifest_digest") continue;
    frame(hash, key);
    frame(hash, utf8(o.type));
    hash.update(le32(o.dims.length));
    for (const d of o.dims) hash.update(le64(d));
    if (o.kind === "str") {
      const count = o.count;
      for (let i = 0; i < count; i++) frame(hash, o.textBytes(i));
    } else {
      hash.update(o.data);
    }
  }
  return hash.digest();
}
