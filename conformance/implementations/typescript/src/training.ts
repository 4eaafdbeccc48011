// The training record (clauses 5.5, 9.1, 9.2.1 and 9.3), as far as the manifest alone tells.
import { at, refuse } from "./errors.js";
import type { Row } from "./manifest.js";
import type { Objects } from "./objects.js";

export function checkTraining(objects: Objects, frames: number, table: readonly Row[]): void {
  const from = objects.get("/training/trained_from");
  const iterations = objects.get("/training/iterations");
  const seconds = objects.get("/training/seconds");
  for (let t = 0; t < frames; t++) {
    const parent = from?.big(t) ?? -1n;
    if (parent !== -1n && (t === 0 || parent !== BigInt(t - 1))) {
      refuse("freezing/trained-from", `trained_from is ${parent}; it shall be ${t - 1} or -1`, at(`/frames/${t}/trained_from`));
    }
    if ((iterations?.big(t) ?? 0n) < -1n) refuse("manifest/value", "iterations are negative", at(`/frames/${t}/iterations`));
    const time = seconds?.number(t) ?? 0;
    if (time < 0 && time !== -1) refuse("manifest/value", "seconds are negative", at(`/frames/${t}/seconds`));
  }
  checkColour(objects);
  checkBits(objects, frames, table);
  checkLists(objects, frames, table);
}

function checkColour(objects: Objects): void {
  const views = objects.get("/training/colour_view");
  const seen = new Set<string>();
  for (let k = 0, n = views?.count ?? 0; k < n; k++) {
    const view = views?.text(k) ?? "";
    if (seen.has(view)) refuse("manifest/value", "two views have the same name", at(`/training/colour_view/${k}`));
    seen.add(view);
  }
}

function bit(bits: Uint8Array, i: number): boolean {
  return ((bits[i >> 3] >> (i & 7)) & 1) === 1;
}

function checkBits(objects: Objects, frames: number, table: readonly Row[]): void {
  const grad = objects.get("/training/requires_grad");
  const known = objects.get("/training/requires_grad_known");
  if (grad === undefined || known === undefined) return;
  const width = (table.length + 7) >> 3;
  for (let t = 0; t < frames; t++) {
    if (known.data[t] > 1) refuse("manifest/value", "requires_grad_known is neither 0 nor 1", at("/training/requires_grad_known"));
    const bits = grad.row(t, width);
    for (let i = 0; i < 8 * width; i++) {
      if (!bit(bits, i)) continue;
      const row = i < table.length ? table[i] : undefined;
      if (known.data[t] === 0 || row === undefined || row.role !== 0 || row.firstFrame > t) {
        refuse("freezing/requires-grad-bits", `bit ${i} is set for what is not a parameter of the frame`, at(`/frames/${t}/requires_grad`));
      }
    }
  }
}

function checkLists(objects: Objects, frames: number, table: readonly Row[]): void {
  const lists = objects.get("/training/exclude_layers");
  const counts = objects.get("/training/exclude_layers_count");
  if (lists === undefined || counts === undefined) return;
  const total = lists.count;
  let sum = 0;
  for (let t = 0; t < frames; t++) {
    const count = counts.number(t);
    if (count < -1) refuse("manifest/value", "a count of layers is negative", at("/training/exclude_layers_count"));
    sum += Math.max(count, 0);
  }
  if (sum !== total) {
    refuse("freezing/exclude-layers-count", `the counts add up to ${sum}, the list has ${total}`, at("/training/exclude_layers_count"));
  }
  const rowsOfLayer = new Map<number, number[]>();
  table.forEach((row, i) => {
    if (row.role !== 0 || row.layer < 0) return;
    const rows = rowsOfLayer.get(row.layer) ?? [];
    rows.push(i);
    rowsOfLayer.set(row.layer, rows);
  });
  const grad = objects.get("/training/requires_grad");
  const known = objects.get("/training/requires_grad_known");
  let start = 0;
  for (let t = 0; t < frames; t++) {
    const count = counts.number(t);
    if (count < 0) continue;
    const place = at(`/frames/${t}/exclude_layers`);
    const listed = new Set<number>();
    let before = -Infinity;
    for (let k = start; k < start + count; k++) {
      const layer = lists.number(k);
      if (!rowsOfLayer.get(layer)?.some((i) => table[i].firstFrame <= t)) refuse("freezing/exclude-layers-range", `layer ${layer} is not a layer of the model in this frame`, place);
      if (layer <= before) refuse("freezing/exclude-layers-order", "layers are not in strictly ascending order", place);
      before = layer;
      listed.add(layer);
    }
    start += count;
    if (grad === undefined || known?.data[t] !== 1) continue;
    const bits = grad.row(t, (table.length + 7) >> 3);
    for (const [layer, rows] of rowsOfLayer) {
      const there = rows.some((i) => table[i].firstFrame <= t);
      const frozen = there && !rows.some((i) => bit(bits, i));
      if (listed.has(layer) !== frozen) {
        refuse("freezing/exclude-layers-disagree", `exclude_layers and requires_grad disagree on layer ${layer}`, place);
      }
    }
  }
}
