// Reads the objects of any HDF5 file with h5wasm, and refuses what clause 5.3.2 does not allow.
// This must be the build of h5wasm with a file system in memory: "h5wasm/node" sees the files of the host.
import type { Metadata, Module } from "h5wasm";
import { type Bytes, u16, u32, u64, utf8, equalBytes } from "./bytes.js";
import { at, inFile, refuse } from "./errors.js";
import { type Kind, manifestFile, manifestLimit, objectLimit } from "./objects.js";

export interface Scanned {
  path: string;
  kind: Kind;
  width: number;
  dims: number[];
  data: Bytes;
  texts: Bytes[] | null;
}

const externalFiles = 0x07;

class Scanner {
  private readonly seen = new Set<bigint>();
  private objects = 0;
  private total = 0;
  readonly out: Scanned[] = [];

  constructor(
    private readonly h5: typeof Module,
    private readonly id: bigint,
    private readonly file: Bytes,
  ) {}

  private count(): void {
    this.objects += 1;
    if (this.objects > objectLimit) {
      refuse("manifest/object-count", `more than ${objectLimit} groups, datasets and attributes`, inFile(manifestFile));
    }
  }

  walk(path: string): void {
    this.count();
    const address = u64(this.h5.create_object_reference(this.id, path), 0);
    if (this.seen.has(address)) refuse("manifest/link", "an object is reached by more than one link", at(path));
    this.seen.add(address);
    const type = path === "/" ? 0 : this.h5.get_type(this.id, path);
    if (type !== 0 && type !== 1) refuse("manifest/object-type", "an object is neither a group nor a dataset", at(path));
    for (const name of this.h5.get_attribute_names(this.id, path)) {
      this.count();
      if (name === "" || /[/@]/.test(name)) refuse("manifest/value", "a name is not allowed", at(path));
      this.attribute(path, name);
    }
    if (type === 1) {
      this.dataset(path, address);
      return;
    }
    for (const name of this.h5.get_names(this.id, path, false)) {
      const child = path === "/" ? `/${name}` : `${path}/${name}`;
      if (name === "" || /[/@]/.test(name)) refuse("manifest/value", "a name is not allowed", at(path));
      if (this.h5.get_symbolic_link(this.id, child) !== null) refuse("manifest/link", "soft link", at(child));
      if ("filename" in this.h5.get_external_link(this.id, child)) refuse("manifest/link", "external link", at(child));
      const kind = this.h5.get_type(this.id, child);
      if (kind < 0) refuse("manifest/link", "a link leads nowhere", at(child));
      this.walk(child);
    }
  }

  private add(path: string, meta: Metadata, read: (pointer: bigint) => number): void {
    if (meta.shape === null) return refuse("manifest/object-shape", "a dataspace without values", at(path));
    const kind = this.kind(meta);
    const count = meta.total_size;
    const size = count * meta.size;
    this.total += size;
    if (!(this.total <= manifestLimit)) {
      refuse("manifest/too-large", `the values of the manifest have more than ${manifestLimit} bytes`, at(path));
    }
    if (kind === "other" || count === 0) {
      this.out.push({ path, kind, width: meta.size, dims: meta.shape, data: new Uint8Array(0), texts: null });
      return;
    }
    const memory = this.h5 as unknown as { _malloc(n: number): number; _free(p: number): void; HEAPU8: Bytes };
    const pointer = memory._malloc(size);
    if (pointer === 0) refuse("manifest/too-large", "the values of the manifest do not fit", at(path));
    memory.HEAPU8.fill(0, pointer, pointer + size);
    if (read(BigInt(pointer)) < 0) refuse("manifest/unreadable", "the values cannot be read", at(path));
    const data = memory.HEAPU8.slice(pointer, pointer + size);
    let texts: Bytes[] | null = null;
    if (meta.vlen) {
      texts = [];
      for (let i = 0; i < count; i++) {
        const start = meta.size === 8 ? Number(u64(data, 8 * i)) : u32(data, 4 * i);
        let end = start;
        if (start !== 0) while (memory.HEAPU8[end] !== 0) end += 1;
        this.total += end - start;
        if (this.total > manifestLimit) refuse("manifest/too-large", "the texts of the manifest are too large", at(path));
        texts.push(memory.HEAPU8.slice(start, end));
      }
    }
    memory._free(pointer);
    this.out.push({
      path,
      kind,
      width: meta.vlen ? 0 : meta.size,
      dims: meta.shape,
      data: meta.vlen ? new Uint8Array(0) : data,
      texts,
    });
  }

  private kind(meta: Metadata): Kind {
    const number = [1, 2, 4, 8].includes(meta.size);
    if (meta.type === 0 && number) return meta.signed ? "i" : "u";
    if (meta.type === 1 && number && meta.size > 1) return "f";
    if (meta.type === 3 && (meta.vlen || (meta.strpad ?? 0) <= 1)) return "str";
    return "other";
  }

  private attribute(owner: string, name: string): void {
    const path = `${owner}@${name}`;
    const meta = this.h5.get_attribute_metadata(this.id, owner, name);
    this.add(path, meta, (pointer) => this.h5.get_attribute_data(this.id, owner, name, pointer));
  }

  private dataset(path: string, address: bigint): void {
    const meta = this.h5.get_dataset_metadata(this.id, path);
    if (meta.virtual_sources !== undefined) refuse("manifest/external-storage", "a virtual dataset", at(path));
    if (messageTypes(this.file, address).includes(externalFiles)) {
      refuse("manifest/external-storage", "the data lies outside of the manifest", at(path));
    }
    for (const filter of this.h5.get_dataset_filters(this.id, path)) {
      if (![1, 2, 3].includes(filter.id)) refuse("manifest/filter", `HDF5 filter ${filter.id} is not allowed`, at(path));
    }
    this.add(path, meta, (pointer) => this.h5.get_dataset_data(this.id, path, null, null, null, pointer));
  }
}

/** The types of the messages of an object header of version 1 or 2, as far as they can be followed. */
export function messageTypes(file: Bytes, address: bigint): number[] {
  const types: number[] = [];
  const blocks: [number, number][] = [];
  const start = Number(address);
  const second = equalBytes(file.subarray(start, start + 4), utf8("OHDR"));
  let ordered = false;
  if (second) {
    const flags = file[start + 5];
    ordered = (flags & 4) !== 0;
    const sizeAt = start + 6 + ((flags & 0x20) !== 0 ? 16 : 0) + ((flags & 0x10) !== 0 ? 4 : 0);
    const sizeBytes = 1 << (flags & 3);
    let size = 0;
    for (let i = sizeBytes - 1; i >= 0; i--) size = size * 256 + file[sizeAt + i];
    blocks.push([sizeAt + sizeBytes, size]);
  } else {
    blocks.push([start + 16, u32(file, start + 8)]);
  }
  const head = second ? (ordered ? 6 : 4) : 8;
  for (let i = 0; i < blocks.length && i < 1000; i++) {
    const end = Math.min(blocks[i][0] + blocks[i][1], file.length);
    for (let p = blocks[i][0]; p + head <= end; ) {
      const type = second ? file[p] : u16(file, p);
      const size = u16(file, p + (second ? 1 : 2));
      types.push(type);
      if (type === 0x10 && p + head + 16 <= end) {
        const target = Number(u64(file, p + head));
        const length = Number(u64(file, p + head + 8));
        blocks.push(second ? [target + 4, length - 8] : [target, length]);
      }
      p += head + size;
    }
  }
  return types;
}

export async function scanFile(file: Bytes): Promise<Scanned[]> {
  const { default: h5wasm } = await import("h5wasm");
  const h5 = await h5wasm.ready;
  if (!equalBytes(file.subarray(0, 8), Uint8Array.of(0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a))) {
    refuse("manifest/unreadable", "no HDF5 signature at the start", inFile(manifestFile, 0));
  }
  const fs = (h5 as unknown as { FS: { writeFile(name: string, data: Bytes): void; mkdir(name: string): void; chdir(name: string): void } }).FS;
  fs.mkdir("/manifest");
  fs.chdir("/manifest");
  fs.writeFile("only", file);
  const id = h5.open("only", h5.H5F_ACC_RDONLY, false, h5.H5F_LIBVER_EARLIEST, h5.H5F_LIBVER_LATEST);
  if (id <= 0n) refuse("manifest/unreadable", "the HDF5 library cannot open it", inFile(manifestFile));
  const scanner = new Scanner(h5, id, file);
  scanner.walk("/");
  return scanner.out;
}
