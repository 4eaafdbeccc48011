// Slices of tensors that come from others of the frame before (clause 6.2.6).
import type { Bytes } from "./bytes.js";

interface Run {
  readonly slices: number;
  /** The first origin; null where the slices are fresh. */
  readonly origin: number | null;
}

export interface SliceMap {
  readonly rows: readonly number[];
  readonly slices: number;
  readonly runs: readonly Run[];
}

/** Reads the stream `slices`; `wrong` refuses it. Numbers above 2^53 are rounded, and too large for any tensor. */
export function readMaps(bytes: Bytes, wrong: (reason: string) => never): SliceMap[] {
  let at = 0;
  const count = (): number => {
    let value = 0;
    for (let k = 0; k < 9; k++) {
      if (at >= bytes.length) wrong("it is cut off");
      const byte = bytes[at++];
      value += (byte & 127) * 2 ** (7 * k);
      if (byte < 128) return value;
    }
    return wrong("a count has more than nine bytes");
  };
  if (bytes.length === 0) wrong("it is empty");
  const maps: SliceMap[] = [];
  let last = -1;
  while (at < bytes.length) {
    const number = count();
    if (number === 0 || number > bytes.length) wrong(`a map has ${number} rows`);
    const rows: number[] = [];
    for (let k = 0; k < number; k++) {
      const row = count();
      if (row <= last) wrong("rows do not ascend strictly");
      rows.push(row);
      last = row;
    }
    const slices = count();
    const runs: Run[] = [];
    let left = slices;
    let expected = 0;
    while (left > 0) {
      const step = count();
      const length = step % 2 === 1 ? count() : 1;
      if (length < 1 || length > left) wrong(`a run has ${length} slices`);
      let origin: number | null = null;
      if (step >= 2) {
        const far = Math.floor(step / 2) - 1;
        origin = expected + (far % 2 === 0 ? far / 2 : -(far + 1) / 2);
        if (origin < 0) wrong("a slice comes from one before the first");
        expected = origin + length;
      }
      runs.push({ slices: length, origin });
      left -= length;
    }
    maps.push({ rows, slices, runs });
  }
  return maps;
}

/** The slices that a map takes from a tensor, of so many bytes in all. */
export function takeSlices(map: SliceMap, data: Bytes, size: number): Uint8Array {
  const out = new Uint8Array(size);
  const width = map.slices > 0 ? size / map.slices : 0;
  let at = 0;
  for (const { slices, origin } of map.runs) {
    if (origin !== null) out.set(data.subarray(width * origin, width * (origin + slices)), at);
    at += width * slices;
  }
  return out;
}
