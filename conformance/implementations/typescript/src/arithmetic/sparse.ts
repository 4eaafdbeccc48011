// The sparse variant (clause 8.7): which cells are live, and an inner payload of their words.
import { malformed, type Payload } from "./bits.js";
import type { CodedTensor } from "./tensor.js";

const pieceCells = 131072;
const octaves = 32;
const fullStretch = 49152;
const firstLane = 2 ** 23;

interface Chances {
  /** The exponent field where octave 0 begins. */
  readonly first: number;
  /** One list of 32 for each pair (follows, past). */
  readonly of: readonly Uint16Array[];
}

function chanceOf(step: number): number {
  if (step === 0) return 0;
  if (step > 128) return 65536 - chanceOf(256 - step);
  return ((8 | ((step - 1) & 7)) * 2 ** ((step - 1) >> 3)) >> 3;
}

function readChances(payload: Payload, before: Chances | null): Chances {
  const kind = payload.byte();
  if (kind > 1) malformed("chances are neither new nor those of a tensor before");
  if (kind === 0) return before ?? malformed("no tensor before has chances");
  const [first] = payload.words(1);
  const of: Uint16Array[] = [];
  for (let k = 0; k < 6; k++) {
    const chances = new Uint16Array(octaves);
    const start = payload.byte();
    const number = payload.byte();
    if (start + number > octaves) malformed("a chance is of an octave that is not there");
    payload.take(number).forEach((step, i) => (chances[start + i] = chanceOf(step)));
    of.push(chances);
  }
  return { first, of };
}

/** Finds the live cells of one piece (clause 8.7.4), and adds their words. */
function readPiece(payload: Payload, tensor: CodedTensor, chances: Chances, size: number, begin: number, end: number, number: number, words: number[]): void {
  const bytes = payload.count();
  let lane = payload.u32();
  const code = payload.take(bytes);
  if (lane < firstLane || lane >= firstLane * 256) malformed("a lane begins out of its range");
  let place = 0;
  const next = (first: number, points: number): void => {
    lane = points * Math.floor(lane / 65536) + (lane % 65536) - first;
    while (lane < firstLane) {
      if (place === code.length) malformed("the code of a piece runs out");
      lane = lane * 256 + code[place++];
    }
  };
  let total = 0;
  let follows = 0;
  let found = 0;
  let cell = begin;
  while (found < number) {
    if (cell === end) malformed("a piece ends before its live cells are found");
    const from = size * cell;
    const to = Math.min(from + size, tensor.count);
    let past = 0;
    for (let i = from; i < to; i++) past = Math.max(past, Math.min(tensor.ways[i], 2));
    const octave = Math.max(0, Math.min(octaves - 1, tensor.field(from) - chances.first));
    const chance = chances.of[3 * follows + past][tensor.floating ? octave : 0];
    if (total > 0 && total + chance > fullStretch) {
      next(total, 65536 - total);
      total = 0;
    } else if (lane % 65536 < total + chance) {
      next(total, chance);
      for (let i = from; i < to; i++) words.push(i);
      found += 1;
      total = 0;
      follows = 1;
      cell += 1;
    } else {
      total += chance;
      follows = 0;
      cell += 1;
    }
  }
  if (lane !== firstLane || place !== code.length) malformed("the code of a piece does not end with its live cells");
}

/** Reads which words of a tensor are coded; null for all of them. */
function readCells(payload: Payload, tensor: CodedTensor, known: Chances | null): { words: number[] | null; chances: Chances | null } {
  const size = payload.count();
  if (size > tensor.count) malformed("a cell is larger than its tensor");
  if (size === 0) return { words: null, chances: known };
  const cells = Math.ceil(tensor.count / size);
  const numbers: number[] = [];
  for (let begin = 0; begin < cells; begin += pieceCells) {
    const number = payload.count();
    if (number > Math.min(pieceCells, cells - begin)) malformed("a piece has more live cells than cells");
    numbers.push(number);
  }
  const words: number[] = [];
  if (numbers.every((number) => number === 0)) return { words, chances: known };
  const chances = readChances(payload, known);
  numbers.forEach((number, k) => {
    const begin = pieceCells * k;
    if (number > 0) readPiece(payload, tensor, chances, size, begin, Math.min(begin + pieceCells, cells), number, words);
  });
  return { words, chances };
}

type Part = (tensor: CodedTensor, old: Uint8Array, ways: Uint8Array) => CodedTensor;

/** Decodes all tensors; a part has some words of one, and `decodeInner` makes them. */
export function decodeSparse(payload: Payload, tensors: readonly CodedTensor[], makePart: Part, decodeInner: (parts: readonly CodedTensor[]) => void): void {
  let chances: Chances | null = null;
  const selected = tensors.map((tensor) => {
    const read = readCells(payload, tensor, chances);
    chances = read.chances;
    return read.words;
  });
  const parts = tensors.map((tensor, k) => {
    const words = selected[k];
    if (words === null) return tensor;
    const width = tensor.dtype.word / 8;
    const old = new Uint8Array(width * words.length);
    words.forEach((i, j) => old.set(tensor.old.subarray(width * i, width * (i + 1)), width * j));
    return makePart(tensor, old, Uint8Array.from(words, (i) => tensor.ways[i]));
  });
  decodeInner(parts);
  tensors.forEach((tensor, k) => {
    const words = selected[k];
    if (words === null) return;
    const width = tensor.dtype.word / 8;
    const made = parts[k].result();
    const out = tensor.result();
    out.set(tensor.old);
    tensor.ways.fill(0);
    words.forEach((i, j) => {
      out.set(made.subarray(width * j, width * (j + 1)), width * i);
      tensor.ways[i] = parts[k].ways[j];
    });
  });
}
