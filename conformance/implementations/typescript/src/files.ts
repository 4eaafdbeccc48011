// Packages in the file system of the host (clauses 5.1.1 and 5.1.4).
import { closeSync, constants, fstatSync, lstatSync, openSync, readdirSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Bytes } from "./bytes.js";
import { inFile, refuse, Unsupported } from "./errors.js";
import { manifestFile } from "./objects.js";
import { arrayLimit, isSignature, type RandomAccess, type Source } from "./source.js";

export function readAt(fd: number, offset: number, length: number, member: string): Bytes {
  if (length > arrayLimit) throw new Unsupported(`${member} has ${length} bytes, more than this program can hold`);
  const out = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const n = readSync(fd, out, done, Math.min(length - done, 2 ** 30), offset + done);
    if (n === 0) refuse("input/unreadable", `the file ends within ${member}`, inFile(member, done));
    done += n;
  }
  return out;
}

export class DirectorySource implements Source {
  constructor(private readonly root: string) {}

  /** The members have links and special files refused before they are opened (clause 5.1.4). */
  private stat(member: string): { size: number; file: boolean } | null {
    const parts = member.split("/");
    for (let i = 1; i <= parts.length; i++) {
      const name = parts.slice(0, i).join("/");
      const stat = lstatSync(join(this.root, ...parts.slice(0, i)), { throwIfNoEntry: false });
      if (stat === undefined) return null;
      const last = i === parts.length;
      if (last ? !stat.isFile() : !stat.isDirectory()) {
        refuse("package/not-a-file", `${name} is not a regular ${last ? "file" : "directory"}`, inFile(name));
      }
      if (last) return { size: stat.size, file: true };
    }
    return null;
  }

  size(member: string): number | null {
    return this.stat(member)?.size ?? null;
  }

  read(member: string): Bytes {
    const expected = this.stat(member);
    if (expected === null) return refuse("package/member-missing", `member ${member} is missing`, inFile(member));
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    const fd = openSync(join(this.root, member), flags);
    try {
      const stat = fstatSync(fd);
      if (!stat.isFile()) refuse("package/not-a-file", `${member} is not a regular file`, inFile(member));
      if (stat.size !== expected.size) refuse("input/unreadable", `${member} changes`, inFile(member));
      return readAt(fd, 0, stat.size, member);
    } finally {
      closeSync(fd);
    }
  }

  signatures(): string[] {
    const stat = lstatSync(join(this.root, "signatures"), { throwIfNoEntry: false });
    if (stat === undefined) return [];
    if (!stat.isDirectory()) refuse("package/not-a-file", "signatures is not a directory", inFile("signatures"));
    return readdirSync(join(this.root, "signatures")).map((name) => `signatures/${name}`).filter(isSignature).sort();
  }

  close(): void {
    // nothing is held open
  }
}

/** Clause 5.1.1: tell what is there. The callback opens the file form. */
export function openSource(path: string, openFile: (file: RandomAccess, size: number) => Source): Source {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return refuse("host/not-found", "there is no such file or directory", inFile("."));
  if (stat.isDirectory()) {
    const there = (name: string) => lstatSync(join(path, name), { throwIfNoEntry: false }) !== undefined;
    if (there(manifestFile)) return new DirectorySource(path);
    if (there("journal.ndjson")) {
      refuse("package/unfinished", "the package was never finished: it has a journal and no manifest", inFile("journal.ndjson"));
    }
    return refuse("package/not-a-package", "a directory with neither manifest nor journal", inFile("."));
  }
  if (!stat.isFile()) return refuse("package/not-a-package", "neither a file nor a directory", inFile("."));
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    return openFile(
      { read: (offset, length, member) => readAt(fd, offset, length, member), close: () => closeSync(fd) },
      fstatSync(fd).size,
    );
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}
