// The file form (clause 5.2): every header has exactly one form, so each is built again and compared.
import { type Bytes, equalBytes, latin1, safe, u16, u32, u64, utf8, view } from "./bytes.js";
import { harmless, inFile, refuse, Unsupported } from "./errors.js";
import { isMedium } from "./media.js";
import { manifestFile } from "./objects.js";
import { isSignature, type RandomAccess, type Source } from "./source.js";

const endSize = 98;
const entrySize = 46;
const entryExtra = 28;
const localSize = 30;
const localExtra = 20;
const nameLimit = 79;
const memberLimit = 2 ** 23;
const archive = ".";

interface Entry {
  readonly name: string;
  readonly crc: number;
  readonly size: number;
  readonly header: number;
  readonly start: number;
}

class Builder {
  private readonly out: number[] = [];

  u16(value: number): this {
    this.out.push(value & 255, value >>> 8);
    return this;
  }

  u32(value: number): this {
    return this.u16(value & 0xffff).u16(value >>> 16);
  }

  u64(value: number): this {
    return this.u32(value % 2 ** 32).u32(Math.floor(value / 2 ** 32));
  }

  put(bytes: Bytes): this {
    this.out.push(...bytes);
    return this;
  }

  bytes(): Bytes {
    return Uint8Array.from(this.out);
  }
}

function damaged(reason: string, offset: number | null): never {
  return refuse("package/zip-structure", `the ZIP structure is damaged: ${reason}`, inFile(archive, offset));
}

/** Table 5-3. */
export function endRecords(members: number, size: number, offset: number): Bytes {
  const b = new Builder().u32(0x06064b50).u64(44).u16(0x032d).u16(45).u32(0).u32(0);
  b.u64(members).u64(members).u64(size).u64(offset);
  b.u32(0x07064b50).u32(0).u64(offset + size).u32(1);
  b.u32(0x06054b50).u16(0).u16(0).u16(0xffff).u16(0xffff).u32(0xffffffff).u32(0xffffffff).u16(0);
  return b.bytes();
}

/** Table 5-4, from the version needed to the name length. */
function common(b: Builder, crc: number, nameLength: number): Builder {
  return b.u16(45).u16(0).u16(0).u16(0).u16(0x21).u32(crc).u32(0xffffffff).u32(0xffffffff).u16(nameLength);
}

export function entryBytes(name: Bytes, crc: number, size: number, header: number): Bytes {
  const b = common(new Builder().u32(0x02014b50).u16(0x032d), crc, name.length);
  b.u16(entryExtra).u16(0).u16(0).u16(0).u32(0x81a40000).u32(0xffffffff).put(name);
  return b.u16(1).u16(24).u64(size).u64(size).u64(header).bytes();
}

export function localBytes(name: Bytes, crc: number, size: number, header: number): Bytes {
  const least = header + localSize + name.length + localExtra + 6;
  const padding = (64 - (least % 64)) % 64;
  const b = common(new Builder().u32(0x04034b50), crc, name.length);
  b.u16(localExtra + 6 + padding).put(name).u16(1).u16(16).u64(size).u64(size);
  return b.u16(0xd935).u16(2 + padding).u16(64).put(new Uint8Array(padding)).bytes();
}

function checkEnd(end: Bytes, size: number): { members: number; offset: number } {
  const members = safe(u64(end, 32));
  const directory = safe(u64(end, 40));
  const offset = safe(u64(end, 48));
  if (offset + directory !== size - endSize) damaged("the central directory does not end at the end records", size - endSize);
  if (directory > members * (entrySize + nameLimit + entryExtra)) damaged("the central directory is too long for its entries", size - endSize);
  if (members * entrySize > directory) damaged("the central directory cannot hold its entries", size - endSize);
  if (members > memberLimit) throw new Unsupported(`${members} members, more than this program can hold`);
  const expected = endRecords(members, directory, offset);
  const wrong = expected.findIndex((byte, i) => byte !== end[i]);
  if (wrong >= 0) damaged("an end record has another value than the form allows", size - endSize + wrong);
  return { members, offset };
}

function checkName(raw: Bytes, place: number): string {
  const name = latin1(raw.subarray(0, nameLimit));
  const allowed = name === manifestFile || isMedium(name) || /^segments\/[0-9]{8}\.safetensors$/.test(name) || isSignature(name);
  if (!allowed || raw.length > nameLimit) {
    refuse("package/member-name", `member name ${harmless(name)} is not allowed in a package`, inFile(archive, place));
  }
  return name;
}

/** Entries of the central directory, compared with their local headers. */
function readEntries(file: RandomAccess, directory: Bytes, offset: number, members: number): Map<string, Entry> {
  const entries = new Map<string, Entry>();
  let position = 0;
  let next = 0;
  let last = "";
  for (let i = 0; i < members; i++) {
    const place = offset + position;
    if (position + entrySize > directory.length) damaged("an entry is cut off", place);
    if (u32(directory, position) !== 0x02014b50) damaged("an entry has another signature", place);
    const method = u16(directory, position + 10);
    const crc = u32(directory, position + 16);
    const nameLength = u16(directory, position + 28);
    const end = position + entrySize + nameLength + entryExtra;
    if (end > directory.length) damaged("an entry is cut off", place);
    const rawName = directory.subarray(position + entrySize, position + entrySize + nameLength);
    const name = checkName(rawName, place);
    if (method !== 0) refuse("package/zip-compressed", `member ${name} uses ZIP method ${method}`, inFile(name, null));
    if (entries.has(name)) refuse("package/member-duplicate", `member ${name} occurs twice`, inFile(name, null));
    const extra = end - entryExtra;
    const size = safe(u64(directory, extra + 4));
    const header = safe(u64(directory, extra + 20));
    if (size > offset || header > offset) damaged(`member ${name} reaches beyond the members`, place);
    const expected = entryBytes(rawName, crc, size, header);
    if (!equalBytes(expected, directory.subarray(position, end))) damaged(`the entry of ${name} has a value that the form does not allow`, place);
    if (header < next) refuse("package/zip-overlap", `the bytes of member ${name} overlap another member`, inFile(name, header));
    if (header > next) damaged(`there are bytes before member ${name} that belong to none`, next);
    // "manifest.h5", "media/…", "segments/…" and "signatures/…" are in the order of bytes too.
    if (i === 0 ? name !== manifestFile : name <= last) {
      damaged(i === 0 ? "the first member is not the manifest" : `member ${name} is not in ascending order`, place);
    }
    const local = localBytes(rawName, crc, size, header);
    const start = header + local.length;
    if (start + size > offset) refuse("package/zip-overlap", `member ${name} reaches into the central directory`, inFile(name, header));
    const look = (): void => checkLocal(file.read(header, local.length, name), local, name, header);
    if (file.later === undefined) look();
    else file.later(name, header, start + size, look);
    entries.set(name, { name, crc, size, header, start });
    next = start + size;
    last = name;
    position = end;
  }
  if (position !== directory.length) damaged("the central directory has bytes after its last entry", offset + position);
  if (next !== offset) damaged("there are bytes before the central directory that belong to no member", next);
  return entries;
}

function checkLocal(actual: Bytes, expected: Bytes, name: string, header: number): void {
  const wrong = expected.findIndex((byte, i) => byte !== actual[i]);
  if (wrong < 0) return;
  const data = view(actual);
  const start = header + localSize + data.getUint16(26, true) + data.getUint16(28, true);
  if (data.getUint32(0, true) === 0x04034b50 && start % 64 !== 0) {
    refuse("package/zip-alignment", `the data of member ${name} starts at byte ${start}`, inFile(name, start));
  }
  damaged(`the local header of ${name} has another value than the form allows`, header + wrong);
}

class ZipSource implements Source {
  constructor(
    private readonly file: RandomAccess,
    private readonly entries: ReadonlyMap<string, Entry>,
  ) {}

  size(member: string): number | null {
    return this.entries.get(member)?.size ?? null;
  }

  read(member: string): Bytes {
    const entry = this.entries.get(member);
    if (entry === undefined) return refuse("package/member-missing", `member ${member} is missing`, inFile(member));
    return this.file.read(entry.start, entry.size, member);
  }

  signatures(): string[] {
    return [...this.entries.keys()].filter(isSignature);
  }

  close(): void {
    this.file.close();
  }
}

export function openZip(file: RandomAccess, size: number): Source {
  const head = file.read(0, Math.min(size, 4), archive);
  if (!equalBytes(head, utf8("PK\u0003\u0004"))) {
    refuse("package/not-a-package", "the file does not begin with 50 4B 03 04", inFile(archive, 0));
  }
  if (size < endSize) damaged("the file is shorter than its end records", 0);
  const { members, offset } = checkEnd(file.read(size - endSize, endSize, archive), size);
  const directory = file.read(offset, size - endSize - offset, archive);
  return new ZipSource(file, readEntries(file, directory, offset, members));
}
