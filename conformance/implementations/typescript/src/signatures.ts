// Signatures and demanded keys (clause 13): their one form, and Ed25519 over what they state.
import { ed25519 } from "@noble/curves/ed25519.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { type Bytes, equalBytes, hex, text, utf8 } from "./bytes.js";
import { inFile, refuse } from "./errors.js";
import type { Source } from "./source.js";

/** What a signature says, once it is known to be one by its key. */
export interface Signature {
  /** Name of the member. */
  readonly name: string;
  /** The public key in base 16. */
  readonly key: string;
  readonly manifestDigest: string;
  readonly time: string;
  readonly signer: string;
}

const folder = "signatures/";
const ending = ".sig";
const largest = 631;
const signerLimit = 256;

const form = new RegExp(
  "^(nmc signature 1\\nalgorithm: ed25519\\nmanifest_digest: ([0-9a-f]{64})\\nmanifest_sha256: ([0-9a-f]{64})\\n" +
    "time: ([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)\\nsigner: ([^\\u0000-\\u001f\\u007f]*)\\n)" +
    "signature: ([0-9a-f]{128})\\n$",
);

function fromHex(digits: string): Bytes {
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/** One signature, verified against the bytes of the manifest; what is in the manifest is not looked at. */
function verified(name: string, data: Bytes, manifest: Bytes): Signature {
  const place = inFile(name, 0);
  const found = data.length > largest ? null : form.exec(text(data) ?? "");
  if (found === null || !found[0].endsWith("\n") || utf8(found[5]).length > signerLimit) {
    return refuse("signature/form", "the signature is not in its one form", place);
  }
  const [, statement, manifestDigest, manifestSha256, time, signer, digits] = found;
  const actual = hex(sha256(manifest));
  if (actual !== manifestSha256) {
    refuse("signature/manifest", `the signature is of a manifest of SHA-256 ${manifestSha256}, the one here has ${actual}`, place);
  }
  const key = name.slice(folder.length, -ending.length);
  let holds = false;
  try {
    holds = ed25519.verify(fromHex(digits), utf8(statement), fromHex(key), { zip215: false });
  } catch {
    // a key or a signature that is no point
  }
  if (!holds) refuse("signature/wrong", `the signature does not verify with the key ${key}`, place);
  return { name, key, manifestDigest, time, signer };
}

/** All signatures of a package; the first that does not hold refuses it. */
export function signaturesOf(source: Source, manifest: Bytes): Signature[] {
  return source.signatures().map((name) => {
    const size = source.size(name) ?? 0;
    if (size > largest) refuse("signature/form", `the signature has ${size} bytes`, inFile(name, 0));
    return verified(name, source.read(name), manifest);
  });
}

/** Clause 13.2.2: each of the keys has signed, and every signature holds. */
export function demand(source: Source, manifest: Bytes, keys: readonly string[]): Signature[] {
  const signatures = signaturesOf(source, manifest);
  for (const key of keys) {
    if (!signatures.some((s) => s.key === key)) refuse("signature/missing", `there is no signature by ${key}`, inFile("."));
  }
  return signatures;
}

/** What the manifest says, now that it was read: its digest is the one that was signed. */
export function compareDigest(signatures: readonly Signature[], digest: Bytes): void {
  for (const { name, manifestDigest } of signatures) {
    if (!equalBytes(fromHex(manifestDigest), digest)) {
      refuse("signature/manifest", `the signature is of a manifest of digest ${manifestDigest}, the one here has ${hex(digest)}`, inFile(name, 0));
    }
  }
}
