// The adaptive and mixed variants (clause 8.5).
import { malformed, type Payload, RawBits } from "./bits.js";
import { Decisions } from "./decisions.js";
import { copyTrend, EXPONENT, firstTrend, FLIP, Predictor, LENGTH, Forecaster, TOP, type Trend, ZERO, zones } from "./forecaster.js";
import type { CodedTensor } from "./tensor.js";

function clip(a: number, low: number, high: number): number {
  return a < low ? low : a > high ? high : a;
}

/** Clause 8.5.6, for the length, whose decisions are about size. */
function lengthOf(forecaster: Forecaster, top: number): number {
  const { depth, past } = forecaster;
  const slots = LENGTH + 16 * depth;
  let v = clip(depth >> 2, 1, top);
  if (v < top && forecaster.aboutExtent(slots, 2 + v, 6 + past, 2 + v) === 1) {
    v += 1;
    let step = 1;
    while (v < top && forecaster.aboutExtent(slots + step, 67 + v, 9 + past, 67 + v) === 1) {
      v += 1;
      if (step < 7) step += 1;
    }
    return v;
  }
  let step = 8;
  while (v > 1 && forecaster.aboutExtent(slots + step, 131 + v, 12 + past, 131 + v) === 1) {
    v -= 1;
    if (step < 15) step += 1;
  }
  return v;
}

/** Clause 8.5.6, for the exponent field after a flip. */
function exponentNear(forecaster: Forecaster, centre: number, bounds: [number, number], slots: number): number {
  const [lowest, highest] = bounds;
  let v = centre;
  if (v < highest && forecaster.plain(slots) === 1) {
    v += 1;
    let step = 1;
    while (v < highest && forecaster.plain(slots + step) === 1) {
      v += 1;
      if (step < 7) step += 1;
    }
    return v;
  }
  let step = 8;
  while (v > lowest && forecaster.plain(slots + step) === 1) {
    v -= 1;
    if (step < 15) step += 1;
  }
  return v;
}

function decodeTensor(tensor: CodedTensor, forecaster: Forecaster, raw: RawBits): void {
  const { count, top, entries } = tensor;
  const { exponent: e, mantissa: m } = tensor.dtype;
  for (let i = 0; i < count; i++) {
    forecaster.begin(i);
    const { depth, past, sign, zone } = forecaster;
    const zero = ZERO + ((past * 2 + forecaster.leftZero) * 4 + forecaster.run[forecaster.j]) * zones + zone;
    if (forecaster.aboutExtent(zero, 0, past, 200 + zone) === 1) {
      tensor.equal(i);
      entries[i] = 0;
      forecaster.learnEqual();
      continue;
    }
    let extent: number;
    let down: number;
    if (e > 0 && forecaster.aboutExtent(FLIP + depth, 1, 3 + past, 248 + (depth >> 3)) === 1) {
      const highest = 2 ** e - 1;
      const centre = clip((forecaster.forecast >> 3) - m - 1, 0, highest);
      const bounds: [number, number] = [Math.max(centre - 32, 0), Math.min(centre + 32, highest)];
      let field = exponentNear(forecaster, centre, bounds, EXPONENT + 16 * ((forecaster.forecast >> 1) & 3));
      if (Math.abs(field - centre) === 32) {
        const side = field;
        field = raw.raw(e);
        if (side > centre ? field < side : field > side) malformed("an exponent is coded as one far away");
      }
      extent = tensor.flip(i, field, raw);
      down = 1 - sign;
    } else {
      const length = lengthOf(forecaster, top);
      down = forecaster.down(length);
      const slots = TOP + 3 * clip(depth - 4 * length + 16, 0, 31);
      let [d, n, node] = [1, length - 1, 0];
      for (let k = 0; k < 2 && n > 0; k++) {
        const bit = forecaster.plain(slots + node);
        d = 2 * d + bit;
        n -= 1;
        node = 1 + bit;
      }
      extent = tensor.move(i, d, n, down ^ sign, raw);
    }
    entries[i] = 2 * extent + down;
    forecaster.learnChange(extent, down);
  }
}

/** The history of variants 2 and 3, and their decoder. */
export class Adaptive {
  private readonly trends = new Map<number, Trend>();
  private readonly predictors: ReadonlyMap<number, Map<string, Predictor>> = new Map([
    [2, new Map()],
    [3, new Map()],
  ]);

  keep(rows: ReadonlySet<number>): void {
    for (const row of this.trends.keys()) if (!rows.has(row)) this.trends.delete(row);
  }

  /** Forgets the trend of a row. */
  forget(row: number): void {
    this.trends.delete(row);
  }

  private predictor(variant: number, name: string): Predictor {
    const predictors = this.predictors.get(variant) ?? new Map<string, Predictor>();
    let predictor = predictors.get(name);
    if (predictor === undefined) {
      predictor = new Predictor(variant === 3);
      predictors.set(name, predictor);
    }
    return predictor;
  }

  decode(payload: Payload, tensors: readonly CodedTensor[], variant: number): void {
    const words = payload.count();
    const size = payload.count();
    const decisions = new Decisions(payload.words(words));
    const raw = new RawBits(payload.take(size));
    const last = new Map<string, Trend>();
    for (const tensor of tensors) {
      if (tensor.count === 0) continue;
      let trend = this.trends.get(tensor.row);
      if (trend === undefined) {
        const latest = last.get(tensor.wordFormat);
        trend = latest === undefined ? firstTrend(tensor) : copyTrend(latest);
        this.trends.set(tensor.row, trend);
      }
      last.set(tensor.wordFormat, trend);
      decodeTensor(tensor, new Forecaster(tensor, trend, this.predictor(variant, tensor.wordFormat), decisions), raw);
    }
    decisions.end();
    raw.end();
  }
}
