// SHA-256 of bytes that come in pieces: of hash-wasm, which is the same in Node and in a browser.
import { createSHA256 } from "hash-wasm";
import type { Bytes } from "./bytes.js";

const sha256 = await createSHA256();

/** The pieces are kept, and not copied, until the digest is asked for: one hash may be made while another waits. */
export class Hash {
  private readonly pieces: Bytes[] = [];

  update(piece: Bytes): this {
    this.pieces.push(piece);
    return this;
  }

  digest(): Bytes {
    sha256.init();
    for (const piece of this.pieces) sha256.update(piece);
    return sha256.digest("binary");
  }
}

export function createHash(name: "sha256"): Hash {
  if (name !== "sha256") throw new Error(`there is no ${String(name)} here`);
  return new Hash();
}
