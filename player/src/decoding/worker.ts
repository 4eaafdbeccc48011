// The worker: fetches segments, decodes them with the decoder of the conformance suite, and sends what changed.
// A frame leaves it only after its state digest was found right (clause 7.2).
import { Decoder, type State, type Tensor } from "decoder/decode.js";
import { harmless, Refusal, Unsupported } from "decoder/errors.js";
import { type Manifest, openManifest } from "decoder/manifest.js";
import { compareDigest, demand, type Signature, signaturesOf } from "decoder/signatures.js";
import { readManifestFile, segmentName } from "decoder/source.js";
import { describe } from "./description.js";
import type { Answer, Request, SentTensor, SignatureInfo, Trouble } from "./messages.js";
import { type FarSource, openFar, TransferError } from "./transfer.js";

const scope = self as unknown as DedicatedWorkerGlobalScope;
const messageLimit = 400;

interface Opened {
  readonly source: FarSource;
  readonly manifest: Manifest;
  readonly decoder: Decoder;
  /** Where the decoder stands: the frame that it holds, or -1. */
  held: number;
  /** Tensors that the page has, by row. */
  sent: ReadonlyMap<number, Tensor>;
}

let opened: Opened | null = null;

function send(answer: Answer, transfer: Transferable[] = []): void {
  scope.postMessage(answer, transfer);
}

function trouble(error: unknown): Trouble {
  if (error instanceof Refusal) {
    const { place } = error;
    const where = "pointer" in place ? place.pointer : place.offset === null ? place.file : `${place.file}, byte ${place.offset}`;
    return { code: error.code, message: harmless(error.message, messageLimit), place: harmless(where) };
  }
  const message = harmless(error instanceof Error ? error.message : String(error), messageLimit);
  if (error instanceof TransferError) return { code: "transfer", message, place: "" };
  if (error instanceof Unsupported || error instanceof RangeError) return { code: "unsupported", message, place: "" };
  return { code: "failed", message, place: "" };
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

async function open(url: string, keys: readonly string[]): Promise<void> {
  opened?.source.close();
  opened = null;
  const source = await openFar(url, keys);
  const file = readManifestFile(source);
  const { info, found } = look(source, file, keys);
  const manifest = openManifest(file, { maxLevel: 4, library: null });
  compareDigest(found, manifest.digest);
  opened = { source, manifest, decoder: new Decoder(source, manifest), held: -1, sent: new Map() };
  send({ is: "opened", info: describe(manifest, info), ...source.traffic });
}

/** The frames whose segments a frame needs from where the decoder stands. */
function needed({ manifest, held }: Opened, t: number): number[] {
  let key = t;
  while (manifest.coding[key] !== 0) key -= 1;
  const first = held >= key && held <= t ? held + 1 : key;
  return Array.from({ length: t - first + 1 }, (_, i) => first + i);
}

async function frame(at: Opened, t: number, ahead: number, all: boolean): Promise<void> {
  const { source, manifest } = at;
  const wanted = needed(at, t);
  // A few at a time: all of a long group at once would be more than is kept.
  for (const s of wanted) {
    for (let next = s; next <= Math.min(t, s + 3); next++) source.bring(segmentName(next)).catch(() => undefined);
    await source.bring(segmentName(s));
    if (s < t) decodeTo(at, s);
  }
  for (let next = t + 1; next <= Math.min(t + ahead, manifest.frames - 1); next++) {
    source.bring(segmentName(next)).catch(() => undefined);
  }
  const start = performance.now();
  const state = decodeTo(at, t);
  const decodeMs = performance.now() - start;
  const changed: SentTensor[] = [];
  const names: string[] = [];
  for (const [row, tensor] of state) {
    const { name } = manifest.rows[row]!;
    names.push(name);
    if (!all && at.sent.get(row)?.data === tensor.data) continue;
    changed.push({ name, dtype: tensor.dtype.name, shape: tensor.shape, data: new Uint8Array(tensor.data) });
  }
  at.sent = new Map(state);
  send({ is: "frame", frame: t, changed, names, decodeMs, ...source.traffic }, changed.map((tensor) => tensor.data.buffer));
}

function decodeTo(at: Opened, t: number): State {
  at.held = -1;
  const state = at.decoder.frame(t);
  at.held = t;
  return state;
}

/** One request after the other. */
let queue: Promise<void> = Promise.resolve();

scope.onmessage = ({ data }: MessageEvent<Request>): void => {
  queue = queue.then(async () => {
    try {
      if (data.do === "open") await open(data.url, data.keys);
      else if (opened !== null) await frame(opened, data.frame, data.ahead, data.all);
    } catch (error) {
      const why = trouble(error);
      send(data.do === "open" ? { is: "refused", trouble: why } : { is: "frame refused", frame: data.frame, trouble: why });
    }
  });
};

send({ is: "ready" });
