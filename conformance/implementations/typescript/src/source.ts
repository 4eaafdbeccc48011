// A package as a directory or as one file (clauses 5.1 and 5.2): its members, and nothing beside them.
import type { Bytes } from "./bytes.js";
import { inFile, refuse } from "./errors.js";
import { manifestFile, manifestLimit } from "./objects.js";

/** The largest array of bytes that this program makes. */
export const arrayLimit = 2 ** 32 - 2 ** 16;

export function isSignature(member: string): boolean {
  return /^signatures\/[0-9a-f]{64}\.sig$/.test(member) && !member.includes("\n");
}

export function segmentName(frame: number): string {
  return `segments/${String(frame).padStart(8, "0")}.safetensors`;
}

/** Members of a package. Sizes are known before anything is read. */
export interface Source {
  size(member: string): number | null;
  read(member: string): Bytes;
  /** Names of the signatures (clause 13.1.1), ascending. */
  signatures(): string[];
  close(): void;
}

/** Bytes of one file at any place; what there is not is refused. */
export interface RandomAccess {
  read(offset: number, length: number, member: string): Bytes;
  /** Where the file is far away: a member's bytes, header and all, are looked at when they have come. */
  later?(member: string, from: number, to: number, look: () => void): void;
  close(): void;
}

export function readManifestFile(source: Source): Bytes {
  const size = source.size(manifestFile);
  if (size === null) return refuse("package/member-missing", `member ${manifestFile} is missing`, inFile(manifestFile));
  if (size > manifestLimit) {
    refuse("manifest/too-large", `the manifest has ${size} bytes, more than ${manifestLimit}`, inFile(manifestFile));
  }
  return source.read(manifestFile);
}
