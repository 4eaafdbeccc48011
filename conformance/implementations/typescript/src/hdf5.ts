// A reader of the compact form of the manifest (annex D). Whatever it does not know is NotCompact;
// what table D-2 never allows is refused at once.
import { type Bytes, compareBytes, equalBytes, safe, text, u16, u32, u64, utf8 } from "./bytes.js";
import { at, inFile, refuse } from "./errors.js";
import { lookup3 } from "./lookup3.js";
import { H5Object, type Kind, manifestFile, manifestLimit, objectLimit, type Objects } from "./objects.js";

/** The file is not in the compact form: another reader may try it. */
export class NotCompact extends Error {}

const undefinedAddress = 0xffffffffffffffffn;
const depthLimit = 4;
const blockLimit = 256;
const offsetSizes: readonly number[] = [2, 4, 8, 16, 32];

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

  /** Nothing follows. */
  end(): void {
    need(this.position === this.bytes.length, "bytes follow the last field of a structure");
  }

  rest(): Bytes {
    return this.take(this.bytes.length - this.position);
  }
}

function need(condition: boolean, reason: string): void {
  if (!condition) throw new NotCompact(reason);
}

/** What table D-2 never allows. */
function never(condition: boolean, reason: string): void {
  if (condition) refuse("manifest/unreadable", reason, inFile(manifestFile));
}

function nameOf(raw: Bytes, owner: string): string {
  const name = text(raw);
  if (name === null || name === "" || /[/@\0]/.test(name)) return refuse("manifest/value", "a name is not allowed", at(owner));
  return name;
}

function dataspace(body: Bytes, path: string): bigint[] {
  const c = new Cursor(body);
  need(c.byte() === 2, "version of a dataspace");
  const rank = c.byte();
  const largest = c.byte();
  need(largest <= 1, "flags of a dataspace");
  const type = c.byte();
  if (type === 2) refuse("manifest/object-shape", "a dataspace without values", at(path));
  need(rank <= 8 && (type === 1 || (type === 0 && rank === 0)), "a dataspace is not compact");
  const dims = Array.from({ length: rank }, () => c.u64());
  c.take(8 * rank * largest);
  c.end();
  return dims;
}

const binary64 = Uint8Array.of(0x00, 0x00, 0x40, 0x00, 0x34, 0x0b, 0x00, 0x34, 0xff, 0x03, 0x00, 0x00);

function datatype(body: Bytes): ElementType {
  const c = new Cursor(body);
  const type = elementType(c);
  c.end();
  return type;
}

function elementType(c: Cursor): ElementType {
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
  private readonly spans: [number, number][] = [];
  private objectCount = 0;
  private valueBytes = 0;

  constructor(private readonly file: Bytes) {}

  read(): Objects {
    const signature = Uint8Array.of(0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a);
    never(this.file.length < 12 || !equalBytes(this.file.subarray(0, 8), signature), "no HDF5 signature");
    const version = this.file[8];
    never(version > 3, "version of the superblock");
    need(version >= 2, "version of the superblock");
    never(!offsetSizes.includes(this.file[9]), "size of addresses");
    const block = this.slice(0n, BigInt(12 + 4 * this.file[9] + 4));
    never(u32(block, block.length - 4) !== lookup3(block.subarray(0, block.length - 4)), "checksum of the superblock");
    const c = new Cursor(block.subarray(9));
    need(c.byte() === 8 && c.byte() === 8, "size of offsets or lengths");
    need(c.byte() === 0, "flags of the superblock");
    need(c.u64() === 0n, "base address");
    need(c.u64() === undefinedAddress, "superblock extension");
    never(c.u64() !== BigInt(this.file.length), "the file does not end where it says");
    this.walk(c.u64(), "", 0);
    this.checkRest();
    return this.objects;
  }

  /** The bytes of one structure; no other structure may have any of them. */
  private slice(address: bigint, length: bigint): Bytes {
    never(address + length > BigInt(this.file.length), "a structure lies outside of the file");
    const [start, end] = [Number(address), Number(address + length)];
    if (end > start) {
      let [low, high] = [0, this.spans.length];
      while (low < high) {
        const middle = (low + high) >> 1;
        if (this.spans[middle][0] < start) low = middle + 1;
        else high = middle;
      }
      const overlaps = (low > 0 && this.spans[low - 1][1] > start) || (low < this.spans.length && this.spans[low][0] < end);
      never(overlaps, "two structures overlap");
      this.spans.splice(low, 0, [start, end]);
    }
    return this.file.subarray(start, end);
  }

  /** Bytes that belong to no structure are 0. */
  private checkRest(): void {
    let at = 0;
    for (const [start, end] of [...this.spans, [this.file.length, this.file.length]]) {
      for (; at < start; at++) never(this.file[at] !== 0, "bytes that belong to nothing are not 0");
      at = end;
    }
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
    const infos = messages.filter((m) => m.type === 0x02);
    if (layout.length > 0) {
      need(layout.length === 1 && spaces.length === 1 && types.length === 1, "messages of a dataset");
      need(links.length === 0 && infos.length === 0 && path !== "", "a dataset with links");
      this.dataset(path, layout[0].body, spaces[0].body, types[0].body);
      return;
    }
    need(spaces.length === 0 && types.length === 0 && infos.length === 1, "neither a group nor a dataset");
    const names = new Set<string>();
    const children: [Bytes, string, bigint][] = [];
    for (const m of links) {
      const [name, child] = this.link(m.body, path);
      never(names.has(name), "two links of a group have the same name");
      names.add(name);
      children.push([utf8(name), name, child]);
    }
    children.sort((a, b) => compareBytes(a[0], b[0]));
    for (const [, name, child] of children) this.walk(child, `${path}/${name}`, depth + 1);
  }

  private messages(address: bigint): Message[] {
    never(address >= BigInt(this.file.length), "an object header lies outside of the file");
    const c = new Cursor(this.file.subarray(Number(address)));
    if (!equalBytes(this.file.subarray(Number(address), Number(address) + 4), utf8("OHDR"))) {
      need(this.file[Number(address)] !== 1, "an object header of version 1");
      never(true, "there is no object header");
    }
    c.take(4);
    never(c.byte() !== 2, "version of an object header");
    const flags = c.byte();
    never((flags & 0xc0) !== 0, "flags of an object header");
    if ((flags & 0x20) !== 0) c.take(16);
    if ((flags & 0x10) !== 0) c.take(4);
    const size = c.uint(1 << (flags & 3));
    const head = c.position;
    const whole = this.slice(address, BigInt(head) + BigInt(size) + 4n);
    const end = whole.length - 4;
    never(u32(whole, end) !== lookup3(whole.subarray(0, end)), "checksum of an object header");
    need((flags & 8) === 0, "indexed attributes");
    const ordered = (flags & 4) !== 0;
    const blocks: Bytes[] = [whole.subarray(head, end)];
    let count = 1;
    const out: Message[] = [];
    for (let block = blocks.shift(); block !== undefined; block = blocks.shift()) {
      const head = ordered ? 6 : 4;
      const b = new Cursor(block);
      while (block.length - b.position >= head) {
        const type = b.byte();
        const length = b.u16();
        const messageFlags = b.byte();
        if (ordered) b.u16();
        const body = b.take(length);
        need((messageFlags & ~0x45) === 0, "flags of a message");
        if (type === 0x10) {
          const place = new Cursor(body);
          const next = this.slice(place.u64(), place.u64());
          place.end();
          never(next.length < 8 || !equalBytes(next.subarray(0, 4), utf8("OCHK")), "a continuation leads to no block");
          need(++count <= blockLimit, "an object header has too many blocks");
          const sum = next.length - 4;
          never(u32(next, sum) !== lookup3(next.subarray(0, sum)), "checksum of a continuation");
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
    never((flags & 0xe0) !== 0, "flags of a link");
    const type = (flags & 8) !== 0 ? c.byte() : 0;
    if ((flags & 4) !== 0) c.take(8);
    if ((flags & 16) !== 0) c.byte();
    const name = nameOf(c.take(c.uint(1 << (flags & 3))), path === "" ? "/" : path);
    if (type === 1 || type === 64) {
      refuse("manifest/link", `${type === 1 ? "soft" : "external"} link`, at(`${path}/${name}`));
    }
    need(type === 0, "type of a link");
    const address = c.u64();
    c.end();
    return [name, address];
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
    const name = nameOf(raw.subarray(0, end), owner);
    const type = datatype(c.take(typeSize));
    const dims = dataspace(c.take(spaceSize), `${owner}@${name}`);
    never(this.objects.has(`${owner}@${name}`), "two attributes of an object have the same name");
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
    c.end();
    this.add(path, datatype(type), dataspace(space, path), data);
  }

  private add(path: string, type: ElementType, dims: bigint[], data: Bytes): void {
    const size = dims.reduce((n, d) => n * d, BigInt(type.width));
    never(size !== BigInt(data.length), "data is not as long as its dataspace says");
    this.valueBytes += Number(size);
    if (this.valueBytes > manifestLimit) {
      refuse("manifest/too-large", `the values of the manifest have more than ${manifestLimit} bytes`, inFile(manifestFile));
    }
    this.objects.set(path, new H5Object(path, type.kind, type.width, dims, data.subarray(0, Number(size))));
  }
}
