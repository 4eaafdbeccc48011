// What the adaptive and mixed variants know of a word before it is decoded, and learn from it
// (clauses 8.5.3, 8.5.4, 8.5.7 and 8.5.9).
import { type Decisions, Mixer, Slots } from "./decisions.js";
import type { CodedTensor } from "./tensor.js";

/** Zones of a forecast (clause 8.5.4). */
export const zones = 46;

/** Places of the slots of a predictor in one run. */
export const ZERO = 0;
export const FLIP = ZERO + 3 * 2 * 4 * zones;
export const LENGTH = FLIP + 256;
export const SIGN = LENGTH + 256 * 16;
export const TOP = SIGN + 3 * 3 * 8 * 8;
export const EXPONENT = TOP + 32 * 3;
export const slotCount = EXPONENT + 4 * 16;

const nodes = 200;
const tableSizes = [768 * nodes, 1024 * nodes, 1024 * nodes, 512 * nodes, 192, 192, 81, 1024, 768];

export class Predictor {
  readonly slots = new Slots(slotCount);
  readonly mixer: Mixer | null;

  constructor(mixed: boolean) {
    this.mixer = mixed ? new Mixer(tableSizes) : null;
  }
}

export interface Trend {
  readonly coefficients: Int32Array;
  mean: number;
  slow: number;
}

export function firstTrend(tensor: CodedTensor, word: number): Trend {
  const octave = (tensor.dtype.word >> 1) + tensor.exponent(word);
  return { coefficients: Int32Array.of(250 << 14, 0, 94 << 14, 0, 0, 0, 0), mean: octave << 7, slow: octave << 7 };
}

export function copyTrend(trend: Trend): Trend {
  return { coefficients: trend.coefficients.slice(), mean: trend.mean, slow: trend.slow };
}

function clip(a: number, low: number, high: number): number {
  return a < low ? low : a > high ? high : a;
}

const weightLimit = 2 ** 28;
const cueCount = 7;
const seenLimit = 127;

/** Means of extents in 1/16, and how many words went into each (clause 8.5.7). */
class Means {
  readonly average: Int32Array;
  private readonly seen: Uint8Array;

  constructor(n: number) {
    this.average = new Int32Array(n);
    this.seen = new Uint8Array(n);
  }

  forget(k: number): void {
    this.average[k] = this.seen[k] = 0;
  }

  cue(k: number, here: number): number {
    return this.seen[k] > 0 ? clip((this.average[k] >> 4) - here, -64, 64) : 0;
  }

  /** A word that changed: a mean without words begins at the forecast. */
  change(k: number, extent: number, forecast: number): void {
    if (this.seen[k] === 0) this.average[k] = forecast << 4;
    this.follow(k, extent);
  }

  /** A word that stayed, where the mean has words. */
  bound(k: number, extent: number): void {
    if (this.seen[k] > 0) this.follow(k, extent);
  }

  private follow(k: number, extent: number): void {
    const rate = Math.floor(131072 / (2 * this.seen[k] + 3));
    this.average[k] += Math.floor((((extent << 4) - this.average[k]) * rate) / 65536);
    if (this.seen[k] < seenLimit) this.seen[k] += 1;
  }
}

/** The state of one tensor while it is decoded. */
export class Forecaster {
  // of the word at hand
  j = 0;
  past = 0;
  previous = 0;
  heading = 0;
  sign = 0;
  exponent = 0;
  forecast = 0;
  depth = 0;
  zone = 0;
  nearness = 0;
  // of the line
  private left = 0;
  leftZero = 0;
  private leftDirection = 0;
  private corner = 0;
  drift = 0;
  private turn = 0;
  // of the columns; means has that of the line as its last one
  private readonly means: Means;
  private readonly lineMean: number;
  readonly run: Uint8Array;
  readonly direction: Uint8Array;
  private readonly above: Int32Array;
  private readonly drifts: Int32Array;
  private readonly turns: Int32Array;

  private readonly cues = new Int32Array(cueCount);
  private readonly extentPlaces = new Int32Array(4);
  private readonly nodePlaces = new Int32Array(4);
  private readonly signPlaces = new Int32Array(5);
  private readonly slots: Slots;
  private readonly mixer: Mixer | null;

  constructor(
    private readonly tensor: CodedTensor,
    private readonly trend: Trend,
    predictor: Predictor,
    private readonly decisions: Decisions,
  ) {
    this.slots = predictor.slots;
    this.mixer = predictor.mixer;
    const n = Math.min(tensor.columns, tensor.count);
    this.means = new Means(n + 1);
    this.lineMean = n;
    this.run = new Uint8Array(n);
    this.direction = new Uint8Array(n);
    this.above = new Int32Array(n);
    this.drifts = new Int32Array(n);
    this.turns = new Int32Array(n);
  }

  /** Goes to word i: its history, its forecast and its contexts. */
  begin(i: number): void {
    const { tensor, trend, cues } = this;
    const j = i % tensor.columns;
    this.j = j;
    if (j === 0) {
      this.left = this.leftZero = this.leftDirection = this.corner = this.drift = this.turn = 0;
      this.means.forget(this.lineMean);
    }
    const h = tensor.entries[i];
    this.past = h > 1 ? 2 : h;
    this.previous = h > 1 ? h >> 1 : 0;
    this.heading = h > 1 ? 1 + (h & 1) : 0;
    this.sign = tensor.sign(i);
    this.exponent = tensor.exponent(i);
    const here = trend.mean >> 4;
    cues[0] = this.means.cue(j, here);
    cues[1] = this.left !== 0 ? clip(this.left - here, -64, 64) : 0;
    cues[2] = this.previous !== 0 ? clip(this.previous - here, -64, 64) : 0;
    cues[3] = this.above[j] !== 0 ? clip(this.above[j] - here, -64, 64) : 0;
    cues[4] = clip((trend.slow >> 4) - here, -64, 64);
    cues[5] = 32;
    cues[6] = this.means.cue(this.lineMean, here);
    let sum = 0;
    for (let k = 0; k < cueCount; k++) sum += trend.coefficients[k] * cues[k];
    this.forecast = clip(here + Math.floor(sum / 16777216), 0, 32767);
    const gap = (this.forecast - 8 * this.exponent) >> 1;
    this.depth = clip(gap, 0, 255);
    this.zone = gap < 16 ? Math.max((gap + 16) >> 1, 0) : 14 + (Math.min(gap, 255) >> 3);
    if (this.mixer !== null) this.extentContexts();
  }

  private relative(a: number, shift: number, high: number): number {
    return a > 0 ? clip(((a - 8 * this.exponent) >> shift) + 1, 1, high) : 0;
  }

  private extentContexts(): void {
    const { extentPlaces: places, j } = this;
    places[0] = ((this.past * 2 + this.leftZero) * 128 + this.relative(this.previous, 2, 127)) * nodes;
    places[1] = (this.relative(this.above[j], 3, 31) * 32 + this.relative(this.left, 3, 31)) * nodes;
    places[2] = (this.relative(this.means.average[j] >> 4, 1, 255) * 4 + this.run[j]) * nodes;
    places[3] = ((this.exponent & 127) * 4 + (this.tensor.row & 3)) * nodes;
  }

  /** A decision of a slot alone. */
  plain(slot: number): number {
    return this.slots.decide(slot, this.decisions);
  }

  /** A decision about the extent. */
  aboutExtent(slot: number, node: number, coarse: number, fine: number): number {
    if (this.mixer === null) return this.slots.decide(slot, this.decisions);
    const { nodePlaces, extentPlaces } = this;
    for (let k = 0; k < 4; k++) nodePlaces[k] = extentPlaces[k] + node;
    return this.mixer.mix(this.slots, slot, 0, nodePlaces, coarse, fine, this.decisions);
  }

  /** The decision about down, once the length is known. */
  down(length: number): number {
    const { previous, heading, j, drift, direction } = this;
    const nearness = previous > 0 ? clip(((previous - 8 * (length + this.exponent)) >> 3) + 4, 0, 7) : 0;
    const slot = SIGN + ((heading * 3 + direction[j]) * 8 + ((drift + 256) >> 6)) * 8 + nearness;
    if (this.mixer === null) return this.slots.decide(slot, this.decisions);
    const surprise = clip(this.depth - 4 * length + 8, 0, 15);
    const places = this.signPlaces;
    places[0] = heading * 64 + ((drift + 256) >> 3);
    places[1] = heading * 64 + ((this.drifts[j] + 256) >> 3);
    places[2] = heading * 27 + (this.leftDirection * 3 + direction[j]) * 3 + this.corner;
    places[3] = heading > 0 ? ((this.turn + 256) >> 4) * 32 + ((this.turns[j] + 256) >> 4) : 0;
    places[4] = heading * 256 + (nearness * 16 + surprise) * 2 + this.sign;
    return this.mixer.mix(this.slots, slot, 4, places, 15 + heading, 280 + surprise, this.decisions);
  }

  learnEqual(): void {
    const { j, direction, run, trend, forecast, means } = this;
    const bound = 8 * this.exponent - 4;
    if (bound < forecast && forecast < bound + 32) {
      trend.mean += ((bound << 4) - trend.mean) >> 4;
      means.bound(this.lineMean, bound);
      means.bound(j, bound);
    }
    this.left = 0;
    this.leftZero = 1;
    this.leftDirection = 0;
    this.corner = direction[j];
    direction[j] = 0;
    if (run[j] < 3) run[j] += 1;
    this.above[j] = 0;
  }

  learnChange(extent: number, down: number): void {
    const { j, trend, cues, means } = this;
    const error = clip(extent - this.forecast, -32, 32) * 16;
    for (let k = 0; k < cueCount; k++) {
      trend.coefficients[k] = clip(trend.coefficients[k] + error * cues[k], -weightLimit, weightLimit);
    }
    means.change(this.lineMean, extent, this.forecast);
    means.change(j, extent, this.forecast);
    trend.mean += ((extent << 4) - trend.mean) >> 4;
    trend.slow += ((extent << 4) - trend.slow) >> 10;
    const toward = down === 1 ? 256 : -256;
    this.drift += (toward - this.drift) >> 3;
    this.drifts[j] += (toward - this.drifts[j]) >> 3;
    if (this.heading > 0) {
      const kept = down === this.heading - 1 ? 256 : -256;
      this.turn += (kept - this.turn) >> 3;
      this.turns[j] += (kept - this.turns[j]) >> 3;
    }
    this.left = extent;
    this.leftZero = 0;
    this.leftDirection = 1 + down;
    this.corner = this.direction[j];
    this.direction[j] = 1 + down;
    this.run[j] = 0;
    this.above[j] = extent;
  }
}
