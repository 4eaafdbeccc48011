// The lossless coder of differences (clause 8.3): its payloads and its history.
import type { Bytes } from "../bytes.js";
import type { DType } from "../dtypes.js";
import { inFile, refuse, Unsupported } from "../errors.js";
import { Adaptive } from "./adaptive.js";
import { Malformed, malformed, Payload } from "./bits.js";
import { NarrowTensor, type CodedTensor, WideTensor } from "./tensor.js";
import { decodeSparse } from "./sparse.js";
import { decodeStatic } from "./static.js";

export interface CoderInput {
  readonly row: number;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly old: Bytes;
}

/** What this program remembers of rows, in bytes; the text sets no bound (see the README). */
const historyLimit = 2 ** 32;

function tensorOf(row: number, dtype: DType, shape: readonly number[], old: Bytes, entries: Uint16Array): CodedTensor {
  const kind = dtype.word === 64 ? WideTensor : NarrowTensor;
  return new kind(row, dtype, shape, old, entries);
}

function partOf(tensor: CodedTensor, old: Bytes, entries: Uint16Array): CodedTensor {
  return tensorOf(tensor.row, tensor.dtype, [entries.length], old, entries);
}

function decodeStored(payload: Payload, tensors: readonly CodedTensor[]): void {
  for (const tensor of tensors) tensor.store(payload.take(tensor.count * (tensor.dtype.word / 8)));
}

/** The payload within a sparse one (clause 8.7.1). */
function decodeInner(payload: Payload, parts: readonly CodedTensor[]): void {
  const variant = payload.byte();
  if (variant === 0) decodeStored(payload, parts);
  else if (variant === 1) decodeStatic(payload, parts);
  else malformed(`an inner payload has variant ${variant}`);
}

export class Coder {
  private readonly entries = new Map<number, Uint16Array>();
  private entryBytes = 0;
  private adaptive = new Adaptive();

  /** At a key frame everything is forgotten. */
  reset(): void {
    this.entries.clear();
    this.entryBytes = 0;
    this.adaptive = new Adaptive();
  }

  /** Forgets every row but these: those that a frame skips or codes by difference. */
  keep(rows: ReadonlySet<number>): void {
    for (const [row, entries] of this.entries) {
      if (rows.has(row)) continue;
      this.entryBytes -= 2 * entries.length;
      this.entries.delete(row);
    }
    this.adaptive.keep(rows);
  }

  private entriesOf(row: number, count: number): Uint16Array {
    const old = this.entries.get(row);
    if (old !== undefined && old.length === count) return old;
    this.entryBytes += 2 * (count - (old?.length ?? 0));
    if (this.entryBytes > historyLimit) throw new Unsupported("the history of the coder exceeds what this program can hold");
    const fresh = new Uint16Array(count).fill(1);
    this.entries.set(row, fresh);
    return fresh;
  }

  decode(bytes: Bytes, inputs: readonly CoderInput[], stream: string, file: string): Bytes[] {
    const tensors = inputs.map(({ row, dtype, shape, old }): CodedTensor => {
      return tensorOf(row, dtype, shape, old, this.entriesOf(row, old.length / (dtype.word / 8)));
    });
    try {
      this.decodePayload(new Payload(bytes), tensors);
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      return refuse("segment/coder", `stream ${stream} is malformed: ${error.message}`, inFile(file));
    }
    return tensors.map((p) => p.result());
  }

  private decodePayload(payload: Payload, tensors: readonly CodedTensor[]): void {
    const variant = payload.byte();
    switch (variant) {
      case 0:
        decodeStored(payload, tensors);
        break;
      case 1:
        decodeStatic(payload, tensors);
        break;
      case 2:
      case 3:
        this.adaptive.decode(payload, tensors, variant);
        break;
      case 4:
        decodeSparse(payload, tensors, partOf, (parts) => decodeInner(payload, parts));
        break;
      default:
        malformed(`variant ${variant} is unknown`);
    }
    payload.end();
  }
}
