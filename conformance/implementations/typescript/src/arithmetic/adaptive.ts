// The adaptive and mixed variants (clause 8.5).
import { malformed, Payload, RawBits } from "./bits.js";
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

/** Words first to last - 1 of a tensor; the first one begins a line. */
interface Share {
  readonly tensor: CodedTensor;
  readonly first: number;
  readonly last: number;
}

function decodeShare({ tensor, first, last }: Share, forecaster: Forecaster, raw: RawBits): void {
  const { top, entries } = tensor;
  const { exponent: e, mantissa: m } = tensor.dtype;
  for (let i = first; i < last; i++) {
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

/** The history of variants 2, 3 and 5, and their decoder. */
export class Adaptive {
  private readonly trends = new Map<number, Trend>();
  /** By portion and word format; those of variant 3 apart. */
  private readonly predictors = new Map<string, Predictor>();

  keep(rows: ReadonlySet<number>): void {
    for (const row of this.trends.keys()) if (!rows.has(row)) this.trends.delete(row);
  }

  /** Forgets the trend of a row. */
  forget(row: number): void {
    this.trends.delete(row);
  }

  private predictor(portion: number, mixed: boolean, wordFormat: string): Predictor {
    const name = `${portion} ${mixed} ${wordFormat}`;
    let predictor = this.predictors.get(name);
    if (predictor === undefined) {
      predictor = new Predictor(mixed);
      this.predictors.set(name, predictor);
    }
    return predictor;
  }

  /** The trend that a share begins with (clauses 8.5.4 and 8.8.1). */
  private trend({ tensor, first }: Share, latest: Trend | undefined): Trend {
    const known = first === 0 ? this.trends.get(tensor.row) : undefined;
    if (known !== undefined) return known;
    const trend = latest === undefined ? firstTrend(tensor, first) : copyTrend(latest);
    if (first === 0) this.trends.set(tensor.row, trend);
    return trend;
  }

  decode(payload: Payload, tensors: readonly CodedTensor[], variant: number): void {
    const shares = tensors.map((tensor) => ({ tensor, first: 0, last: tensor.count }));
    this.decodeShares(payload, shares, 0, variant === 3);
  }

  private decodeShares(payload: Payload, shares: readonly Share[], portion: number, mixed: boolean): void {
    const words = payload.count();
    const size = payload.count();
    const decisions = new Decisions(payload.words(words));
    const raw = new RawBits(payload.take(size));
    const last = new Map<string, Trend>();
    for (const share of shares) {
      const { tensor } = share;
      if (share.first === share.last) continue;
      const trend = this.trend(share, last.get(tensor.wordFormat));
      last.set(tensor.wordFormat, trend);
      decodeShare(share, new Forecaster(tensor, trend, this.predictor(portion, mixed, tensor.wordFormat), decisions), raw);
    }
    decisions.end();
    raw.end();
  }

  /** Clause 8.8.1. */
  decodeDivided(payload: Payload, tensors: readonly CodedTensor[]): void {
    const portions = readPortions(payload, tensors);
    for (const [number, { shares, size }] of portions.entries()) {
      const body = new Payload(payload.take(size));
      this.decodeShares(body, shares, number, false);
      body.end();
    }
  }
}

interface Portion {
  readonly shares: Share[];
  readonly size: number;
}

const leastWords = 65536;

function readPortions(payload: Payload, tensors: readonly CodedTensor[]): Portion[] {
  let rest = tensors.reduce((sum, { count }) => sum + count, 0);
  const portions: Portion[] = [];
  let [k, first] = [0, 0];
  for (let left = payload.count(); left > 0; left--) {
    let words = payload.count();
    if (words > rest || words === 0 || words < Math.min(rest, leastWords)) malformed(`a portion has ${words} words`);
    rest -= words;
    const shares: Share[] = [];
    while (words > 0) {
      const tensor = tensors[k];
      const last = Math.min(first + words, tensor.count);
      if (last > first && first % tensor.columns !== 0) malformed("a portion begins within a line");
      shares.push({ tensor, first, last });
      words -= last - first;
      [k, first] = last === tensor.count ? [k + 1, 0] : [k, last];
    }
    portions.push({ shares, size: payload.count() });
  }
  if (rest > 0) malformed("words are in no portion");
  return portions;
}
