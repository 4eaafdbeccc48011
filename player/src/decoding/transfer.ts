// Members of a package that lies behind an address: fetched by ranges, looked at as the decoder asks for them.
import { type Bytes, safe, u64 } from "decoder/bytes.js";
import { refuse, inFile } from "decoder/errors.js";
import { manifestFile, manifestLimit } from "decoder/objects.js";
import type { RandomAccess, Source } from "decoder/source.js";
import { openZip } from "decoder/zip.js";
import { body, get, patiently, TransferError, type Traffic } from "./requests.js";

const tailLength = 65536;
const endSize = 98;
const directoryLimit = 2 ** 30;
/** Segments that are kept for going back and forth: a bound in bytes. */
const heldLimit = 96 * 2 ** 20;
const segmentLimit = 2 ** 32 - 2 ** 16;

interface Span {
  readonly from: number;
  readonly to: number;
}

/** Members that have come, the longest unused going first where they are too many. */
class Held {
  private readonly members = new Map<string, Bytes>();
  private total = 0;

  get(member: string): Bytes | undefined {
    const bytes = this.members.get(member);
    if (bytes === undefined) return undefined;
    this.members.delete(member);
    this.members.set(member, bytes);
    return bytes;
  }

  put(member: string, bytes: Bytes): void {
    this.drop(member);
    this.members.set(member, bytes);
    this.total += bytes.length;
    for (const first of this.members.keys()) {
      if (this.total <= heldLimit || first === member) break;
      this.drop(first);
    }
  }

  drop(member: string): void {
    this.total -= this.members.get(member)?.length ?? 0;
    this.members.delete(member);
  }
}

/** A package that `bring` has to be asked for its members before the decoder reads them. */
export interface FarSource extends Source {
  readonly traffic: Traffic;
  /** Whether all signatures are known, as those of a file are. */
  readonly lists: boolean;
  /** Told how long bytes took to come, while any were on their way. */
  onpassed: ((bytes: number, seconds: number) => void) | null;
  /** Has a member come; `taken`: no more than its first bytes, and zeros for the rest, which nobody looks at. */
  bring(member: string, taken?: number): Promise<void>;
  /** Asks from now on for the content of a manifest digest, where the server calls its versions so: caches may keep that. */
  pin(digest: string): void;
  /** Bytes of a member that is to have so many; they are not kept. */
  part(member: string, length: number, from: number, to: number): Promise<Bytes>;
}

abstract class Fetched {
  readonly traffic: Traffic = { requests: 0, bytes: 0 };
  protected readonly held = new Held();
  private readonly underway = new Map<string, Promise<void>>();
  onpassed: ((bytes: number, seconds: number) => void) | null = null;
  private since = { bytes: 0, at: 0 };

  bring(member: string, taken = Infinity): Promise<void> {
    if (this.held.get(member) !== undefined) return Promise.resolve();
    let coming = this.underway.get(member);
    if (coming === undefined) {
      if (this.underway.size === 0) this.since = { bytes: this.traffic.bytes, at: performance.now() };
      coming = patiently(() => this.fetch(member, taken)).finally(() => {
        this.underway.delete(member);
        if (this.underway.size === 0) this.onpassed?.(this.traffic.bytes - this.since.bytes, (performance.now() - this.since.at) / 1000);
      });
      this.underway.set(member, coming);
    }
    return coming;
  }

  protected abstract fetch(member: string, taken: number): Promise<void>;

  protected here(member: string): Bytes {
    const bytes = this.held.get(member);
    if (bytes === undefined) throw new TransferError(`${member} has not come yet`);
    return bytes;
  }
}

/** The file form. */
class FarFile extends Fetched implements FarSource {
  readonly lists = true;
  private readonly spans = new Map<string, Span>();
  private readonly looks = new Map<string, () => void>();
  private inner: Source | null = null;
  private tail: { readonly start: number; readonly bytes: Bytes } = { start: 0, bytes: new Uint8Array(0) };
  private size_ = 0;
  private version: string | null = null;

  constructor(private url: string) {
    super();
  }

  pin(digest: string): void {
    this.url = pinned(this.url, this.version, digest);
  }

  async open(): Promise<this> {
    await patiently(() => this.fetchTail());
    const end = this.size_ - endSize;
    if (this.size_ >= endSize) {
      const start = safe(u64(this.tail.bytes, end - this.tail.start + 48));
      if (start < this.tail.start && end - start <= directoryLimit && start >= 0) {
        const more = await this.range(start, this.tail.start);
        this.tail = { start, bytes: joined(more, this.tail.bytes) };
      }
    }
    this.inner = openZip(this.access(), this.size_);
    return this;
  }

  size(member: string): number | null {
    return this.inner?.size(member) ?? null;
  }

  read(member: string): Bytes {
    if (this.inner === null) throw new TransferError("the package is not open");
    const look = this.looks.get(member);
    if (look !== undefined) {
      look();
      this.looks.delete(member);
    }
    return this.inner.read(member);
  }

  signatures(): string[] {
    return this.inner?.signatures() ?? [];
  }

  async part(member: string, length: number, from: number, to: number): Promise<Bytes> {
    const span = this.spans.get(member);
    const size = this.size(member);
    if (span === undefined || size !== length) return anotherLength(member, size, length);
    const start = span.to - length;
    return patiently(() => this.range(start + from, start + to));
  }

  close(): void {
    // nothing is held open
  }

  protected async fetch(member: string, taken: number): Promise<void> {
    const span = this.spans.get(member);
    if (span === undefined) return; // the decoder says that it is missing
    const { start, bytes } = this.tail;
    const inTail = span.from >= start ? bytes.slice(span.from - start, span.to - start) : null;
    const to = Math.min(span.to, span.from + taken);
    this.held.put(member, inTail ?? padded(await this.range(span.from, to), span.to - span.from));
  }

  /** What the decoder reads without waiting: the tail of the file, and members that have come. */
  private access(): RandomAccess {
    return {
      read: (offset, length, member) => {
        const span = this.spans.get(member);
        if (span !== undefined) return this.here(member).subarray(offset - span.from, offset - span.from + length);
        const { start, bytes } = this.tail;
        // What a file begins with is seen with its first member.
        if (offset < start && length <= 4) return Uint8Array.of(0x50, 0x4b, 3, 4).subarray(0, length);
        if (offset < start || offset + length > start + bytes.length) {
          return refuse("package/zip-structure", "the central directory is not where the end records say", inFile("."));
        }
        return bytes.subarray(offset - start, offset - start + length);
      },
      later: (member, from, to, look) => {
        this.spans.set(member, { from, to });
        this.looks.set(member, look);
      },
      close: () => undefined,
    };
  }

  private async fetchTail(): Promise<void> {
    const response = await get(this.url, { Range: `bytes=-${tailLength}` }, this.traffic);
    const range = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(response.headers.get("Content-Range") ?? "");
    if (response.status !== 206 || range === null) {
      await response.body?.cancel();
      throw new TransferError(`${this.url} is served without ranges; a server that knows them is needed, such as nmc serve`);
    }
    const [start, last, size] = range.slice(1).map(Number) as [number, number, number];
    if (last + 1 !== size || last - start + 1 !== Math.min(size, tailLength) || !Number.isSafeInteger(size)) {
      throw new TransferError(`${this.url} sends bytes ${start} to ${last} of ${size}; the last ${tailLength} were asked for`);
    }
    this.size_ = size;
    this.version = response.headers.get("ETag");
    this.tail = { start, bytes: await body(response, last - start + 1, this.traffic) };
  }

  private async range(from: number, to: number): Promise<Bytes> {
    const response = await get(this.url, { Range: `bytes=${from}-${to - 1}` }, this.traffic);
    const said = response.headers.get("Content-Range");
    if (response.status !== 206 || said !== `bytes ${from}-${to - 1}/${this.size_}` || response.headers.get("ETag") !== this.version) {
      await response.body?.cancel();
      throw new TransferError(`${this.url} is not the file any more that it was; open it again`);
    }
    return body(response, to - from, this.traffic);
  }
}

/** The directory form: a member is an address below that of the directory. */
class FarDirectory extends Fetched implements FarSource {
  readonly lists = false;
  private version: string | null = null;

  constructor(
    protected root: string,
    private readonly keys: readonly string[],
  ) {
    super();
  }

  async open(): Promise<this> {
    await this.bring(manifestFile);
    return this;
  }

  pin(digest: string): void {
    this.root = pinned(this.root, this.version, digest);
  }

  /** A directory far away has no list of its members: a signature is found by the key that is asked for. */
  signatures(): string[] {
    return this.keys.map((key) => `signatures/${key}.sig`).filter((name) => this.held.get(name) !== undefined);
  }

  size(member: string): number | null {
    return this.held.get(member)?.length ?? null;
  }

  part(member: string, length: number, from: number, to: number): Promise<Bytes> {
    return patiently(async () => {
      const response = await get(this.address(member), { Range: `bytes=${from}-${to - 1}` }, this.traffic);
      const range = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(response.headers.get("Content-Range") ?? "");
      const [first, last, size] = (range?.slice(1) ?? []).map(Number);
      if (response.status === 206 && first === from && last === to - 1 && size === length) return body(response, to - from, this.traffic);
      await response.body?.cancel();
      if (size !== undefined && size !== length) return anotherLength(member, size, length);
      throw new TransferError(`${response.url} is served without ranges; a server that knows them is needed, such as nmc serve`);
    });
  }

  read(member: string): Bytes {
    return this.here(member);
  }

  close(): void {
    // nothing is held open
  }

  protected async fetch(member: string, taken: number): Promise<void> {
    const headers: Record<string, string> = Number.isFinite(taken) ? { Range: `bytes=0-${taken - 1}` } : {};
    const response = await get(this.address(member), headers, this.traffic);
    if (member === manifestFile) this.version = response.headers.get("ETag");
    this.held.put(member, await this.whole(response, member === manifestFile ? manifestLimit : segmentLimit));
  }

  /** Where a member lies; a token opens each of them. */
  protected address(member: string): string {
    const address = new URL(member, this.root);
    address.search = new URL(this.root).search;
    return address.href;
  }

  /** The body, padded where a part was asked for. */
  protected async whole(response: Response, limit: number): Promise<Bytes> {
    const length = Number(response.headers.get("Content-Length") ?? "NaN");
    const range = /^bytes 0-\d+\/(\d+)$/.exec(response.headers.get("Content-Range") ?? "");
    const size = response.status === 206 ? Number(range?.[1] ?? "NaN") : length;
    if (!Number.isSafeInteger(length) || !(size <= limit) || length > size) {
      await response.body?.cancel();
      throw new TransferError(`${response.url} does not say how long it is, or is too long`);
    }
    return padded(await body(response, length, this.traffic), size);
  }
}

/** A directory that its writer still adds to: its server says what a manifest of the sealed frames would be. */
export class FarGrowing extends FarDirectory {
  frames = 0;

  override async open(): Promise<this> {
    await this.look();
    return this;
  }

  /** Asks for the manifest of now: whether there are more frames, or the package is finished, here or as a file. */
  async look(): Promise<"same" | "grown" | "finished" | "a file now"> {
    const address = new URL(this.address(manifestFile));
    address.searchParams.set("growing", "1");
    try {
      const response = await get(address.href, {}, this.traffic);
      const frames = response.headers.get("NMC-Growing");
      const file = await this.whole(response, manifestLimit);
      if (frames !== null && Number(frames) === this.frames) return "same";
      this.held.put(manifestFile, file);
      this.frames = Number(frames ?? 0);
      return frames === null ? "finished" : "grown";
    } catch (error) {
      if (this.frames > 0 && error instanceof TransferError && error.status === 404) return "a file now";
      throw error;
    }
  }
}

/** An address with a digest, where the entity tag of what lies there begins with it, as those of nmc serve do. */
function pinned(url: string, version: string | null, digest: string): string {
  const address = new URL(url);
  if (version?.startsWith(`"${digest}`) !== true || address.searchParams.has("digest")) return url;
  address.searchParams.set("digest", digest);
  return address.href;
}

function anotherLength(member: string, size: number | null, length: number): never {
  const has = size === null ? "is missing" : `has ${size} bytes`;
  return refuse("media/length", `the medium ${has}; the manifest says ${length} bytes`, inFile(member));
}

function padded(bytes: Bytes, size: number): Bytes {
  if (bytes.length === size) return bytes;
  const out = new Uint8Array(size);
  out.set(bytes);
  return out;
}

function joined(a: Bytes, b: Bytes): Bytes {
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}

async function openFile(url: string): Promise<FarSource> {
  const file = await new FarFile(url).open();
  for (const member of [manifestFile, ...file.signatures()]) await file.bring(member);
  return file;
}

async function openDirectory(url: string, keys: readonly string[]): Promise<FarSource> {
  const directory = await new FarDirectory(url, keys).open();
  // A signature that is not there is found missing when it is demanded.
  for (const key of keys) await directory.bring(`signatures/${key}.sig`).catch(() => undefined);
  return directory;
}

/** Tries one way after the other, as long as there is nothing at the place that it looks at. */
async function firstThere(ways: readonly (() => Promise<FarSource>)[]): Promise<FarSource> {
  let first: unknown = null;
  for (const way of ways) {
    try {
      return await way();
    } catch (error) {
      first ??= error;
      if (!(error instanceof TransferError) || error.status !== 404) throw error;
    }
  }
  throw first;
}

/**
 * Opens a package, its manifest and signatures brought: a directory where the address ends with a stroke, else a
 * file; where there is neither, it may be one that is still written.
 */
export async function openFar(url: string, keys: readonly string[]): Promise<FarSource> {
  const address = new URL(url);
  const below = new URL(url);
  if (!address.pathname.endsWith("/")) below.pathname += "/";
  const directories = [() => openDirectory(below.href, keys), () => new FarGrowing(below.href, keys).open()];
  return firstThere(address.pathname.endsWith("/") ? directories : [() => openFile(url), ...directories]);
}
