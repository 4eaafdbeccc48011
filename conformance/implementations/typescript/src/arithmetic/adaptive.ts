// The adaptive and mixed variants (clause 8.5).
import { malformed, type Payload, RawBits } from "./bits.js";
import { Decisions } from "./decisions.js";
import { copyTrend, EXPONENT, firstTrend, FLIP, Layout, LENGTH, Model, TOP, type Trend, ZERO } from "./model.js";
import type { Plane } from "./plane.js";

function clip(a: number, low: number, high: number): number {
  return a < low ? low : a > high ? high : a;
}

/** Clause 8.5.6, for the length, whose decisions are about size. */
function lengthOf(model: Model, top: number): number {
  const { level, past } = model;
  const slots = LENGTH + 16 * level;
  let v = clip(level >> 2, 1, top);
  if (v < top && model.size(slots, 2 + v, 6 + past, 2 + v) === 1) {
    v += 1;
    let step = 1;
    while (v < top && model.size(slots + step, 67 + v, 9 + past, 67 + v) === 1) {
      v += 1;
      if (step < 7) step += 1;
    }
    return v;
  }
  let step = 8;
  while (v > 1 && model.size(slots + step, 131 + v, 12 + past, 131 + v) === 1) {
    v -= 1;
    if (step < 15) step += 1;
  }
  return v;
}

/** Clause 8.5.6, for the exponent field after a flip. */
function exponentNear(model: Model, centre: number, bounds: [number, number], slots: number): number {
  const [lowest, highest] = bounds;
  let v = centre;
  if (v < highest && model.plain(slots) === 1) {
    v += 1;
    let step = 1;
    while (v < highest && model.plain(slots + step) === 1) {
      v += 1;
      if (step < 7) step += 1;
    }
    return v;
  }
  let step = 8;
  while (v > lowest && model.plain(slots + step) === 1) {
    v -= 1;
    if (step < 15) step += 1;
  }
  return v;
}

function decodePlane(plane: Plane, model: Model, raw: RawBits): void {
  const { count, top, entries } = plane;
  const { exponent: e, mantissa: m } = plane.dtype;
  for (let i = 0; i < count; i++) {
    model.begin(i);
    const { level, past, sign } = model;
    const zero = ZERO + ((past * 2 + model.leftZero) * 4 + model.run[model.j]) * 32 + (level >> 3);
    if (model.size(zero, 0, past, 200 + (level >> 3)) === 1) {
      plane.equal(i);
      entries[i] = 0;
      model.learnEqual();
      continue;
    }
    let size: number;
    let down: number;
    if (e > 0 && model.size(FLIP + level, 1, 3 + past, 232 + (level >> 3)) === 1) {
      const highest = 2 ** e - 1;
      const centre = clip((model.forecast >> 3) - m - 1, 0, highest);
      const bounds: [number, number] = [Math.max(centre - 32, 0), Math.min(centre + 32, highest)];
      let field = exponentNear(model, centre, bounds, EXPONENT + 16 * ((model.forecast >> 1) & 3));
      if (Math.abs(field - centre) === 32) {
        const side = field;
        field = raw.raw(e);
        if (side > centre ? field < side : field > side) malformed("an exponent is coded as one far away");
      }
      size = plane.flip(i, field, raw);
      down = 1 - sign;
    } else {
      const length = lengthOf(model, top);
      down = model.down(length);
      const slots = TOP + 3 * clip(level - 4 * length + 16, 0, 31);
      let [d, n, node] = [1, length - 1, 0];
      for (let k = 0; k < 2 && n > 0; k++) {
        const bit = model.plain(slots + node);
        d = 2 * d + bit;
        n -= 1;
        node = 1 + bit;
      }
      size = plane.move(i, d, n, down ^ sign, raw);
    }
    entries[i] = 2 * size + down;
    model.learnChange(size, down);
  }
}

/** The memory of variants 2 and 3, and their decoder. */
export class Adaptive {
  private readonly trends = new Map<number, Trend>();
  private readonly layouts: ReadonlyMap<number, Map<string, Layout>> = new Map([
    [2, new Map()],
    [3, new Map()],
  ]);

  keep(rows: ReadonlySet<number>): void {
    for (const row of this.trends.keys()) if (!rows.has(row)) this.trends.delete(row);
  }

  private layout(variant: number, name: string): Layout {
    const layouts = this.layouts.get(variant) ?? new Map<string, Layout>();
    let layout = layouts.get(name);
    if (layout === undefined) {
      layout = new Layout(variant === 3);
      layouts.set(name, layout);
    }
    return layout;
  }

  decode(payload: Payload, planes: readonly Plane[], variant: number): void {
    const words = payload.count();
    const size = payload.count();
    const decisions = new Decisions(payload.words(words));
    const raw = new RawBits(payload.take(size));
    const last = new Map<string, Trend>();
    for (const plane of planes) {
      if (plane.count === 0) continue;
      let trend = this.trends.get(plane.row);
      if (trend === undefined) {
        const model = last.get(plane.layout);
        trend = model === undefined ? firstTrend(plane) : copyTrend(model);
        this.trends.set(plane.row, trend);
      }
      last.set(plane.layout, trend);
      decodePlane(plane, new Model(plane, trend, this.layout(variant, plane.layout), decisions), raw);
    }
    decisions.end();
    raw.end();
  }
}
