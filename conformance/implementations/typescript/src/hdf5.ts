// A reader of the compact form of the manifest (annex D). Whatever it does not know is NotCompact.
import { type Bytes, compareBytes, equalBytes, safe, text, u16, u32, u64, utf8 } from "./bytes.js";
import { at, inFile, refuse } from "./errors.js";
import { lookup3 } from "./lookup3.js";
import { H5Object, type Kind, manifestFile, manifestLimit, objectLimit, type Objects } from "./objects.js";

/** The file is not in the compact form, or damaged: another reader may try it. */
export class NotCompact extends Error {}

const undefinedAddress = 0xffffffffffffffffn;
const depthLimit = 4;

interface Message {
  readonly type: number;
  readonly body: Bytes;
}

interface ElementType {
  readonly kind: Kind;
  readonly width: number;
}

/** A cursor that never leaves its bytes. */
class Cursor {
  position = 0;

  constructor(private readonly bytes: Bytes) {}

  take(n: number): Bytes {
    const end = this.position + n;
    if (end > this.bytes.length) throw new NotCompact("a structure reaches beyond its end");
    const out = this.bytes.subarray(this.position, end);
    this.position = end;
    return out;
  }

  byte(): number {
    return this.take(1)[0];
  }

  u16(): number {
    return u16(this.take(2), 0);
  }

  u32(): number {
    return u32(this.take(4), 0);
  }

  u64(): bigint {
    return u64(this.take(8), 0);
  }

  /** An unsigned integer of n bytes, 1, 2, 4 or 8. */
  uint(n: number): number {
    const raw = new Uint8Array(8);
    raw.set(this.take(n));
    return safe(u64(raw, 0));
  }

  rest(): Bytes {
    return this.take(this.bytes.length - this.position);
  }
}

function need(condition: boolean, reason: string): void {
  if (!condition) throw new NotCompact(reason);
}

function nameOf(raw: Bytes): string {
  const name = text(raw);
  if (name === null || name === "" || /[/@\0]/.test(name)) throw new NotCompact("a name is not allowed");
  return name;
}

function dataspace(body: Bytes): bigint[] {
  const c = new Cursor(body);
  need(c.byte() === 2, "version of a dataspace");
  const rank = c.byte();
  c.byte();
  const type = c.byte();
  need(rank <= 8 && (type === 1 || (type === 0 && rank === 0)), "a dataspace is not compact");
  return Array.from({ length: rank }, () => c.u64());
}

const binary64 = Uint8Array.of(0x00, 0x00, 0x40, 0x00, 0x34, 0x0b, 0x00, 0x34, 0xff, 0x03, 0x00, 0x00);

function datatype(body: Bytes): ElementType {
  const c = new Cursor(body);
  const head = c.byte();
  const version = head >> 4;
  need(version >= 1 && version <= 3, "version of a datatype");
  const flags = c.byte() | (c.byte() << 8) | (c.byte() << 16);
  const size = c.u32();
  switch (head & 15) {
    case 0:
      need(flags === 0 || flags === 8, "flags of an integer type");
      need([1, 2, 4, 8].includes(size) && c.u16() === 0 && c.u16() === 8 * size, "layout of an integer type");
      return { kind: flags === 8 ? "i" : "u", width: size };
    case 1:
      need(flags === 0x3f20 && size === 8 && equalBytes(c.take(12), binary64), "layout of a float type");
      return { kind: "f", width: 8 };
    case 3:
      need((flags & 15) <= 1 && size >= 1 && size <= 2 ** 20, "layout of a text type");
      return { kind: "str", width: size };
    default:
      throw new NotCompact("class of a datatype");
  }
}

export class CompactReader {
  private readonly objects: Objects = new Map();
  private readonly headers = new Set<bigint>();
  private objectCount = 0;
  private valueBytes = 0;

  constructor(private readonly file: Bytes) {}

  read(): Objects {
    need(this.file.length >= 48, "the file is shorter than its superblock");
    const c = new Cursor(this.file.subarray(0, 48));
    need(equalBytes(c.take(8), Uint8Array.of(0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a)), "no HDF5 signature");
    const version = c.byte();
    need(version === 2 || version === 3, "version of the superblock");
    need(c.byte() === 8 && c.byte() === 8, "size of offsets or lengths");
    c.byte();
    need(c.u64() === 0n, "base address");
    need(c.u64() === undefinedAddress, "superblock extension");
    need(c.u64() === BigInt(this.file.length), "end of file");
    const root = c.u64();
    need(c.u32() === lookup3(this.file.subarray(0, 44)), "checksum of the superblock");
    this.walk(root, "", 0);
    return this.objects;
  }

  private slice(address: bigint, length: bigint): Bytes {
    need(address + length <= BigInt(this.file.length), "a structure lies outside of the file");
    return this.file.subarray(Number(address), Number(address + length));
  }

  private count(): void {
    this.objectCount += 1;
    if (this.objectCount > objectLimit) {
      refuse("manifest/object-count", `more than ${objectLimit} groups, datasets and attributes`, inFile(manifestFile));
    }
  }

  private walk(address: bigint, path: string, depth: number): void {
    if (this.headers.has(address)) {
      refuse("manifest/link", "an object is reached by more than one link", at(path === "" ? "/" : path));
    }
    this.headers.add(address);
    need(depth <= depthLimit, "a path has too many names");
    this.count();
    const messages = this.messages(address);
    const layout = messages.filter((m) => m.type === 0x08);
    const spaces = messages.filter((m) => m.type === 0x01);
    const types = messages.filter((m) => m.type === 0x03);
    const links = messages.filter((m) => m.type === 0x06);
    for (const m of messages) {
      if (m.type === 0x0c) this.attribute(m.body, path === "" ? "/" : path);
      if (m.type === 0x02 || m.type === 0x15) this.info(m.body, m.type === 0x02 ? 8 : 2);
    }
    if (layout.length > 0) {
      need(layout.length === 1 && spaces.length === 1 && types.length === 1, "messages of a dataset");
      need(links.length === 0 && path !== "", "a dataset with links");
      this.dataset(path, layout[0].body, spaces[0].body, types[0].body);
      return;
    }
    need(spaces.length === 0 && types.length === 0, "neither a group nor a dataset");
    const names = new Set<string>();
    const children: [Bytes, string, bigint][] = [];
    for (const m of links) {
      const [name, child] = this.link(m.body, path);
      need(!names.has(name), "a link name occurs twice");
      names.add(name);
      children.push([utf8(name), name, child]);
    }
    children.sort((a, b) => compareBytes(a[0], b[0]));
    for (const [, name, child] of children) this.walk(child, `${path}/${name}`, depth + 1);
  }

  private messages(address: bigint): Message[] {
    const available = BigInt(this.file.length) - address;
    need(available > 0n, "an object header lies outside of the file");
    const all = this.slice(address, available);
    const c = new Cursor(all);
    need(equalBytes(c.take(4), utf8("OHDR")) && c.byte() === 2, "an object header is not of version 2");
    const flags = c.byte();
    if ((flags & 0x20) !== 0) c.take(16);
    if ((flags & 0x10) !== 0) c.take(4);
    const size = c.uint(1 << (flags & 3));
    const ordered = (flags & 4) !== 0;
    const blocks: Bytes[] = [c.take(size)];
    const end = c.position;
    need(c.u32() === lookup3(all.subarray(0, end)), "checksum of an object header");
    const out: Message[] = [];
    const seen = new Set<bigint>();
    for (let block = blocks.shift(); block !== undefined; block = blocks.shift()) {
      const head = ordered ? 6 : 4;
      const b = new Cursor(block);
      while (block.length - b.position >= head) {
        const type = b.byte();
        const length = b.u16();
        const messageFlags = b.byte();
        if (ordered) b.u16();
        const body = b.take(length);
        need((messageFlags & 2) === 0, "a shared message");
        if (type === 0x10) {
          const place = new Cursor(body);
          const start = place.u64();
          need(!seen.has(start), "a continuation occurs twice");
          seen.add(start);
          const next = this.slice(start, place.u64());
          need(next.length >= 8 && equalBytes(next.subarray(0, 4), utf8("OCHK")), "a continuation has no signature");
          const sum = next.length - 4;
          need(u32(next, sum) === lookup3(next.subarray(0, sum)), "checksum of a continuation");
          blocks.push(next.subarray(4, sum));
        } else if ([0x01, 0x02, 0x03, 0x06, 0x08, 0x0c, 0x15].includes(type)) {
          out.push({ type, body });
        } else if (![0x00, 0x05, 0x0a].includes(type)) {
          throw new NotCompact(`message of type ${type}`);
        }
      }
    }
    return out;
  }

  private info(body: Bytes, orderBytes: number): void {
    const c = new Cursor(body);
    need(c.byte() === 0, "version of a link or attribute info");
    if ((c.byte() & 1) !== 0) c.take(orderBytes);
    need(c.u64() === undefinedAddress, "links or attributes lie in a heap");
  }

  private link(body: Bytes, path: string): [string, bigint] {
    const c = new Cursor(body);
    need(c.byte() === 1, "version of a link");
    const flags = c.byte();
    const type = (flags & 8) !== 0 ? c.byte() : 0;
    if ((flags & 4) !== 0) c.take(8);
    if ((flags & 16) !== 0) c.byte();
    const name = nameOf(c.take(c.uint(1 << (flags & 3))));
    if (type === 1 || type === 64) {
      refuse("manifest/link", `${type === 1 ? "soft" : "external"} link`, at(`${path}/${name}`));
    }
    need(type === 0, "type of a link");
    return [name, c.u64()];
  }

  private attribute(body: Bytes, owner: string): void {
    this.count();
    const c = new Cursor(body);
    need(c.byte() === 3 && c.byte() === 0, "version or flags of an attribute");
    const [nameSize, typeSize, spaceSize] = [c.u16(), c.u16(), c.u16()];
    c.byte();
    const raw = c.take(nameSize);
    let end = raw.length;
    while (end > 0 && raw[end - 1] === 0) end -= 1;
    const name = nameOf(raw.subarray(0, end));
    const type = datatype(c.take(typeSize));
    const dims = dataspace(c.take(spaceSize));
    this.add(`${owner}@${name}`, type, dims, c.rest());
  }

  private dataset(path: string, layout: Bytes, space: Bytes, type: Bytes): void {
    const c = new Cursor(layout);
    const version = c.byte();
    need(version === 3 || version === 4, "version of a data layout");
    const kind = c.byte();
    let data: Bytes;
    if (kind === 0) {
      data = c.take(c.u16());
    } else if (kind === 1) {
      const address = c.u64();
      const size = c.u64();
      data = address === undefinedAddress && size === 0n ? new Uint8Array(0) : this.slice(address, size);
    } else {
      throw new NotCompact("class of a data layout");
    }
    this.add(path, datatype(type), dataspace(space), data);
  }

  private add(path: string, type: ElementType, dims: bigint[], data: Bytes): void {
    const size = dims.reduce((n, d) => n * d, BigInt(type.width));
    need(size <= BigInt(data.length), "data is shorter than its dataspace");
    need(!this.objects.has(path), "an object occurs twice");
    this.valueBytes += Number(size);
    if (this.valueBytes > manifestLimit) {
      refuse("manifest/too-large", `the values of the manifest have more than ${manifestLimit} bytes`, inFile(manifestFile));
    }
    this.objects.set(path, new H5Object(path, type.kind, type.width, dims, data.subarray(0, Number(size))));
  }
}
