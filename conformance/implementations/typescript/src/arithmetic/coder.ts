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

/** What is remembered of a row: its entries, or its ways, or neither. */
interface Memory {
  readonly entries: Uint16Array;
  readonly ways: Uint8Array;
}

function freshMemory(count: number): Memory {
  return { entries: new Uint16Array(count).fill(1), ways: new Uint8Array(count).fill(1) };
}

function tensorOf(row: number, dtype: DType, shape: readonly number[], old: Bytes, { entries, ways }: Memory): CodedTensor {
  const kind = dtype.word === 64 ? WideTensor : NarrowTensor;
  return new kind(row, dtype, shape, old, entries, ways);
}

function partOf(tensor: CodedTensor, old: Bytes, ways: Uint8Array): CodedTensor {
  return tensorOf(tensor.row, tensor.dtype, [ways.length], old, { entries: new Uint16Array(0), ways });
}

function decodeStored(payload: Payload, tensors: readonly CodedTensor[]): void {
  for (const tensor of tensors) tensor.store(payload.take(tensor.count * (tensor.dtype.word / 8)));
}

/** The payload within a sparse one (clause 8.7.1). */
function decodeInner(payload: Payload, parts: readonly CodedTensor[]): void {
  const variant = payload.byte();
  if (variant === 0) {
    decodeStored(payload, parts);
    for (const { ways } of parts) ways.fill(1);
  } else if (variant === 1) decodeStatic(payload, parts);
  else malformed(`an inner payload has variant ${variant}`);
}

export class Coder {
  private readonly memory = new Map<number, Memory>();
  private remembered = 0;
  private adaptive = new Adaptive();

  /** At a key frame everything is forgotten. */
  reset(): void {
    this.memory.clear();
    this.remembered = 0;
    this.adaptive = new Adaptive();
  }

  /** Forgets every row but these: those that a frame skips or codes by difference. */
  keep(rows: ReadonlySet<number>): void {
    for (const [row, { entries }] of this.memory) {
      if (rows.has(row)) continue;
      this.remembered -= 3 * entries.length;
      this.memory.delete(row);
    }
    this.adaptive.keep(rows);
  }

  /** Forgets some rows: those that are coded from other slices. */
  forget(rows: ReadonlySet<number>): void {
    this.keep(new Set([...this.memory.keys()].filter((row) => !rows.has(row))));
  }

  private memoryOf(row: number, count: number): Memory {
    const old = this.memory.get(row);
    if (old !== undefined && old.entries.length === count) return old;
    this.remembered += 3 * (count - (old?.entries.length ?? 0));
    if (this.remembered > historyLimit) throw new Unsupported("the history of the coder exceeds what this program can hold");
    const fresh = freshMemory(count);
    this.memory.set(row, fresh);
    return fresh;
  }

  decode(bytes: Bytes, inputs: readonly CoderInput[], stream: string, file: string): Bytes[] {
    const tensors = inputs.map(({ row, dtype, shape, old }): CodedTensor => {
      return tensorOf(row, dtype, shape, old, this.memoryOf(row, old.length / (dtype.word / 8)));
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
      case 5:
        this.adaptive.decodeDivided(payload, tensors);
        break;
      default:
        malformed(`variant ${variant} is unknown`);
    }
    payload.end();
    // each kind of variant forgets what the other one remembers (clause 8.3.3)
    for (const { row, entries, ways } of tensors) {
      if (variant !== 1 && variant !== 4) ways.fill(1);
      if (variant === 2 || variant === 3 || variant === 5) continue;
      entries.fill(1);
      this.adaptive.forget(row);
    }
  }
}
