// What is played: one package, or the packages of a presentation document, opened when they are first needed.
import { Decoder, type State } from "decoder/decode.js";
import { unlock } from "decoder/encryption.js";
import { type Manifest, openManifest } from "decoder/manifest.js";
import { type Bytes, equalBytes, hex } from "decoder/bytes.js";
import { compareDigest, demand, type Signature, signaturesOf } from "decoder/signatures.js";
import { readManifestFile, segmentName } from "decoder/source.js";
import { describe } from "./description.js";
import { verifiedChunks } from "./medium.js";
import type { PackageInfo, QualityInfo, SignatureInfo } from "./messages.js";
import { documentLimit, groupOf, Pace, type Presentation, readPresentation, type Representation } from "./presentation.js";
import { fetchText, TransferError, type Traffic } from "./requests.js";
import { FarGrowing, type FarSource, openFar } from "./transfer.js";
import { trouble } from "./trouble.js";

/** Segments of a long group that are on their way at the same time. */
const together = 4;

/** A package that is open. */
export interface Part {
  source: FarSource;
  manifest: Manifest;
  decoder: Decoder;
  readonly signature: SignatureInfo;
  /** So many refinements are decoded. */
  readonly stop: number;
  /** Where the decoder stands: the frame that it holds, or -1. */
  held: number;
}

export interface Shown {
  readonly quality: number;
  readonly part: Part;
  readonly state: State;
  /** Of a quality that is another one than before; else null. */
  readonly info: PackageInfo | null;
  readonly decodeMs: number;
}

/** Signatures are looked at in any case; where keys are asked for, what lacks one of them is not opened. */
function look(source: FarSource, file: Uint8Array, asked: readonly string[]): { info: SignatureInfo; found: readonly Signature[] } {
  if (asked.length > 0) {
    const found = demand(source, file, asked);
    return { info: { state: "signed", by: found, asked, trouble: null }, found };
  }
  try {
    const found = signaturesOf(source, file);
    const unsigned = source.lists ? "unsigned" : "not looked for";
    return { info: { state: found.length > 0 ? "signed" : unsigned, by: found, asked, trouble: null }, found };
  } catch (error) {
    return { info: { state: "refused", by: [], asked, trouble: trouble(error) }, found: [] };
  }
}

const manifestOptions = { maxLevel: 4, library: null };

async function openPart(url: string, keys: readonly string[], secret: Uint8Array | null, stop: number | null): Promise<Part> {
  const source = await openFar(url, keys);
  const file = readManifestFile(source);
  const { info, found } = look(source, file, keys);
  const manifest = openManifest(file, manifestOptions);
  compareDigest(found, manifest.digest);
  source.pin(hex(manifest.digest));
  const key = unlock(manifest, secret);
  const last = Math.min(stop ?? manifest.stops, manifest.stops);
  return { source, manifest, decoder: new Decoder(source, manifest, last, key), signature: info, stop: last, held: -1 };
}

/** Refuses a package that is not the one that a document means. */
function compare(part: Part, wanted: Representation, made: Presentation): void {
  const { manifest } = part;
  const digest = hex(manifest.digest);
  if (digest !== wanted.digest) throw new TransferError(`${wanted.url} is another package than the document means: its digest is ${digest}`);
  if (manifest.frames !== made.frames || !made.starts.every((t) => manifest.coding[t] === 0) || (wanted.stop ?? 0) > manifest.stops) {
    throw new TransferError(`the document does not fit ${wanted.url}`);
  }
}

/** Opens a package, or a document whose name ends with .json. */
export async function openPlaying(url: string, keys: readonly string[], secret: Uint8Array | null): Promise<Playing> {
  let made: Presentation | null = null;
  if (new URL(url).pathname.toLowerCase().endsWith(".json")) made = readPresentation(await fetchText(url, documentLimit));
  const playing = new Playing(url, keys, secret, made);
  await playing.part(0);
  return playing;
}

export class Playing {
  private readonly parts: (Promise<Part> | undefined)[] = [];
  private readonly there: (Part | undefined)[] = [];
  private readonly pace = new Pace();
  /** The quality of a group, decided when its first segment is asked for. */
  private readonly decided = new Map<number, number>();
  /** The quality that was shown last; null before the first frame. */
  private last: number | null = null;

  constructor(
    private readonly url: string,
    private readonly keys: readonly string[],
    private readonly secret: Uint8Array | null,
    private readonly made: Presentation | null,
  ) {}

  get qualities(): QualityInfo[] {
    return (this.made?.representations ?? []).map(({ id, bandwidth, psnr }) => ({ name: id, bandwidth, psnr }));
  }

  get traffic(): Traffic {
    const sum = { requests: 0, bytes: 0 };
    for (const part of this.there) {
      sum.requests += part?.source.traffic.requests ?? 0;
      sum.bytes += part?.source.traffic.bytes ?? 0;
    }
    return sum;
  }

  close(): void {
    for (const part of this.there) part?.source.close();
  }

  /** What a package that is open says of itself. */
  info(quality = 0): PackageInfo {
    const { manifest, signature, source } = this.there[quality]!;
    return describe(manifest, signature, source instanceof FarGrowing);
  }

  part(quality: number): Promise<Part> {
    this.parts[quality] ??= this.opened(quality).catch((error: unknown) => {
      this.parts[quality] = undefined; // it may be there another time
      throw error;
    });
    return this.parts[quality];
  }

  private async opened(quality: number): Promise<Part> {
    const wanted = this.made?.representations[quality] ?? null;
    const address = wanted === null ? new URL(this.url) : new URL(wanted.url, this.url);
    if (wanted !== null) address.search = new URL(this.url).search;
    const start = performance.now();
    const part = await openPart(address.href, this.keys, this.secret, wanted?.stop ?? null);
    this.pace.fetched(part.source.traffic.bytes, (performance.now() - start) / 1000);
    if (wanted !== null) compare(part, wanted, this.made!);
    part.source.onpassed = (bytes, seconds) => this.pace.fetched(bytes, seconds);
    this.there[quality] = part;
    return part;
  }

  /** Decodes a frame in a quality, or in that which the line bears; what is damaged in it is shown in another. */
  async frame(t: number, ahead: number, quality: number | null): Promise<Shown> {
    const first = quality ?? this.decide(t);
    const others = quality === null ? this.qualities.map((_, q) => q).filter((q) => q !== first) : [];
    let why: unknown = null;
    for (const q of [first, ...others]) {
      try {
        const shown = await this.frameOf(q, t, ahead, quality);
        if (this.made !== null) this.decided.set(groupOf(this.made, t), q);
        return shown;
      } catch (error) {
        why ??= error;
      }
    }
    throw why;
  }

  /** The quality of the group of a frame; those of other groups than this and the next are decided anew. */
  private decide(t: number): number {
    if (this.made === null) return 0;
    const g = groupOf(this.made, t);
    const here = this.decided.get(g);
    if (here !== undefined) return here;
    for (const other of this.decided.keys()) if (other !== g - 1) this.decided.delete(other);
    // The first picture is to come soon, so it is of the smallest.
    const chosen = this.last === null ? 0 : this.pace.choose(this.made, g);
    this.decided.set(g, chosen);
    return chosen;
  }

  private async frameOf(quality: number, t: number, ahead: number, fixed: number | null): Promise<Shown> {
    const part = await this.part(quality);
    const { manifest } = part;
    const wanted = needed(part, t);
    const start = performance.now();
    let waited = 0;
    // A few at a time: all of a long group at once would be more than is kept.
    for (const s of wanted) {
      for (let next = s; next <= Math.min(t, s + together - 1); next++) bring(part, next).catch(() => undefined);
      const before = performance.now();
      await bring(part, s);
      waited += performance.now() - before;
      if (s < t) decodeTo(part, s);
    }
    this.bringAhead(part, quality, t, ahead, fixed);
    const state = decodeTo(part, t);
    const decodeMs = performance.now() - start - waited;
    const bytes = wanted.reduce((sum, s) => sum + manifest.segmentLength(s), 0);
    this.pace.decoded(bytes, decodeMs / 1000);
    const info = quality === (this.last ?? 0) ? null : this.info(quality);
    this.last = quality;
    return { quality, part, state, info, decodeMs };
  }

  /** Has the segments of later frames come; those of the next group in the quality that is decided for it now. */
  private bringAhead(part: Part, quality: number, t: number, ahead: number, fixed: number | null): void {
    for (let next = t + 1; next <= Math.min(t + ahead, part.manifest.frames - 1); next++) {
      const q = fixed ?? this.decide(next);
      const at = q === quality ? Promise.resolve(part) : this.part(q);
      at.then((p) => bring(p, next)).catch(() => undefined);
    }
  }

  /** Chunks of a medium of the package, or of the smallest quality, each compared with its SHA-256. */
  async medium(index: number, first: number, count: number): Promise<Bytes> {
    const { source, manifest } = await this.part(0);
    return verifiedChunks(source, manifest, index, first, count);
  }

  /** Sees whether a package that grows has more frames, or is finished; null where it is as it was. */
  async look(): Promise<PackageInfo | null> {
    const part = this.there[0];
    if (part === undefined || !(part.source instanceof FarGrowing)) return null;
    const seen = await part.source.look();
    if (seen === "same") return null;
    if (seen === "grown") {
      const manifest = openManifest(readManifestFile(part.source), manifestOptions);
      follows(part.manifest, manifest);
      part.decoder.grown(manifest);
      part.manifest = manifest;
      return this.info();
    }
    const finished = await openPart(this.url, this.keys, this.secret, null);
    follows(part.manifest, finished.manifest);
    finished.source.onpassed = part.source.onpassed;
    this.there[0] = finished;
    this.parts[0] = Promise.resolve(finished);
    return this.info();
  }
}

/** What has been seen of a package that grows does not change. */
function follows(before: Manifest, now: Manifest): void {
  for (let t = 0; t < before.frames; t++) {
    if (t >= now.frames || !equalBytes(before.stateDigest(t), now.stateDigest(t))) {
      throw new TransferError(`frame ${t} of the package is another one than it was; open it again`);
    }
  }
}

/** The frames whose segments a frame needs from where the decoder stands. */
function needed({ manifest, held }: Part, t: number): number[] {
  let key = t;
  while (manifest.coding[key] !== 0) key -= 1;
  const first = held >= key && held <= t ? held + 1 : key;
  return Array.from({ length: t - first + 1 }, (_, i) => first + i);
}

function bring({ source, manifest, stop }: Part, t: number): Promise<void> {
  return source.bring(segmentName(t), stop < manifest.stops ? manifest.refinementStart(t, stop + 1) : undefined);
}

function decodeTo(part: Part, t: number): State {
  part.held = -1;
  const state = part.decoder.frame(t);
  part.held = t;
  return state;
}
