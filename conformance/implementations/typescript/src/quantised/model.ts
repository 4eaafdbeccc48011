// Models: slots and mixing weights of symbols (clauses 12.4.2 and 12.4.4).
import { blend, type Decisions, Slots } from "../arithmetic/decisions.js";

const nodes = 32;
const contexts = 1024;
const tables = 6;
const inputs = 7;

const even = 16384;

/** What a decision about a symbol is made of; learnt from one frame of a group to the next. */
export class Model {
  /** Bit lengths by table, context and node. */
  readonly lengths = Array.from({ length: tables }, () => new Slots(contexts * nodes));
  /** The bits below the leading one, by bit length, activity and node. */
  readonly top = new Slots(16 * 16 * nodes);
  readonly strip = new Slots(2 * 4);
  readonly sign = new Slots(27);
  readonly signOfBin = new Slots(96);
  readonly signOfColumn = new Slots(1024);
  private readonly weights = new Int32Array(512 * inputs).fill(even);
  private readonly signWeights = new Int32Array(3 * inputs).fill(even);
  private readonly signs = [this.sign, this.signOfBin, this.signOfColumn];
  private readonly places = new Int32Array(tables);

  /** Whether the bit length goes on at a node. */
  longer(at: Int32Array, node: number, near: number, mixed: boolean, decisions: Decisions): number {
    if (!mixed) return this.lengths[0].decide(at[0] * nodes + node, decisions);
    const { places } = this;
    for (let k = 0; k < tables; k++) places[k] = at[k] * nodes + node;
    return blend(this.lengths, places, this.weights, (node * 16 + near) * inputs, decisions);
  }

  /** One of the two bits below the leading one. */
  below(length: number, near: number, node: number, decisions: Decisions): number {
    return this.top.decide((Math.min(length, 15) * 16 + near) * nodes + node, decisions);
  }

  /** Whether a symbol is above zero. */
  above(at: Int32Array, past: number, mixed: boolean, decisions: Decisions): number {
    if (!mixed) return this.sign.decide(at[0], decisions);
    return blend(this.signs, at, this.signWeights, past * inputs, decisions);
  }
}
