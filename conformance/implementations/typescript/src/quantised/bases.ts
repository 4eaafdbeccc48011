// Learnt bases of rows and columns (clause 12.5). Every number is an integer below 2^53.
import { bitsOf } from "./element.js";

/** A basis of n vectors in units of 2^−14, vector j in column j, and its Gram matrix; both row by row. */
interface Side {
  readonly n: number;
  readonly gram: Float64Array;
  readonly basis: Float64Array;
}

export interface Bases {
  readonly rows: Side | null;
  readonly columns: Side | null;
}

const unit = 2 ** 14;
const most = 512;

function newSide(n: number, other: number): Side | null {
  if (n > most || n > 4 * other) return null;
  const side = { n, gram: new Float64Array(n * n), basis: new Float64Array(n * n) };
  for (let j = 0; j < n; j++) side.basis[j * n + j] = unit;
  return side;
}

export function newBases(rows: number, columns: number): Bases {
  return { rows: newSide(rows, columns), columns: newSide(columns, rows) };
}

/** Clause 12.5.2. */
export function changesOf(values: ArrayLike<number>, bases: Bases, columns: number, shift: number): Float64Array {
  const rows = values.length / columns;
  const first = new Float64Array(values.length); // in units of 1/16
  const left = bases.rows;
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      let total = values[r * columns + c] * unit;
      if (left !== null) {
        total = 0;
        for (let k = 0; k < rows; k++) total += left.basis[r * left.n + k] * values[k * columns + c];
      }
      first[r * columns + c] = Math.floor((total + 512) / 1024);
    }
  }
  const changes = new Float64Array(values.length);
  const right = bases.columns;
  const last = 2 ** (18 - shift);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      let total = first[r * columns + c] * unit;
      if (right !== null) {
        total = 0;
        for (let k = 0; k < columns; k++) total += first[r * columns + k] * right.basis[c * right.n + k];
      }
      changes[r * columns + c] = Math.floor((total + last / 2) / last);
    }
  }
  return changes;
}

/** Clause 12.5.3. */
export function learnBases(bases: Bases, changes: Float64Array, columns: number): void {
  const rows = changes.length / columns;
  if (bases.rows !== null) learnSide(bases.rows, (r, c) => changes[r * columns + c], columns);
  if (bases.columns !== null) learnSide(bases.columns, (c, r) => changes[r * columns + c], rows);
}

/** `at(i, k)` is number k of vector i. */
function learnSide(side: Side, at: (i: number, k: number) => number, length: number): void {
  const { n } = side;
  const vectors: Float64Array[] = [];
  let largest = 0;
  for (let i = 0; i < n; i++) {
    const vector = Float64Array.from({ length }, (_, k) => at(i, k));
    for (const x of vector) largest = Math.max(largest, Math.abs(x));
    vectors.push(vector);
  }
  if (largest === 0) return;
  const drop = Math.max(bitsOf(largest) - Math.min(Math.floor((52 - bitsOf(length)) / 2), 15), 0);
  for (const vector of vectors) for (let k = 0; k < length; k++) vector[k] = Math.floor(vector[k] / 2 ** drop);
  const fresh = new Float64Array(n * n);
  let trace = 0;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let k = 0; k < length; k++) sum += vectors[i][k] * vectors[j][k];
      fresh[i * n + j] = fresh[j * n + i] = sum;
    }
    trace += fresh[i * n + i];
  }
  if (trace === 0) return;
  const scale = 2 ** (26 - bitsOf(trace));
  const { gram, basis } = side;
  for (let i = 0; i < n * n; i++) gram[i] = Math.floor((3 * gram[i]) / 4) + Math.floor(fresh[i] * scale);
  let whole = 0;
  for (let i = 0; i < n; i++) whole += gram[i * n + i];
  const kept = Math.floor(Math.floor(whole / 8) / n) + 1;
  const turned: Float64Array[] = [];
  for (let j = 0; j < n; j++) {
    const vector = new Float64Array(n);
    for (let i = 0; i < n; i++) {
      let total = kept * basis[i * n + j];
      for (let k = 0; k < n; k++) total += gram[i * n + k] * basis[k * n + j];
      vector[i] = total;
    }
    turned.push(vector);
  }
  makeOrthonormal(turned);
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) basis[i * n + j] = turned[j][i];
}

/** Makes the vectors orthonormal in their order. */
function makeOrthonormal(vectors: readonly Float64Array[]): void {
  const n = vectors.length;
  vectors.forEach((vector, j) => {
    settle(vector);
    for (let round = 0; round < 2; round++) {
      const sums = new Float64Array(n).fill(8192);
      for (let i = 0; i < j; i++) {
        const other = vectors[i];
        let dot = 8192;
        for (let k = 0; k < n; k++) dot += vector[k] * other[k];
        dot = Math.floor(dot / unit);
        for (let k = 0; k < n; k++) sums[k] += dot * other[k];
      }
      for (let k = 0; k < n; k++) vector[k] -= Math.floor(sums[k] / unit);
      settle(vector);
    }
    let square = 0;
    for (const x of vector) square += x * x;
    const norm = root(square);
    for (let k = 0; k < n; k++) vector[k] = norm > 0 ? Math.floor((32768 * vector[k] + norm) / (2 * norm)) : 0;
  });
}

/** Scales a vector so that its largest number has 21 bits. */
function settle(vector: Float64Array): void {
  let largest = 0;
  for (const x of vector) largest = Math.max(largest, Math.abs(x));
  const scale = 2 ** (21 - bitsOf(largest));
  for (let k = 0; k < vector.length; k++) vector[k] = Math.floor(vector[k] * scale);
}

/** The square root, rounded down. */
function root(a: number): number {
  let r = 0;
  for (let step = 2 ** 26; step >= 1; step /= 2) if ((r + step) * (r + step) <= a) r += step;
  return r;
}
