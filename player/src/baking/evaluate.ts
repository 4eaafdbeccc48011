// What a field is at a point: the numbers of its lattices, and what the density network makes of them.
import { outputsOf, type Field, type Linear } from "../render/field.js";
import { Corners } from "./corners.js";

/** The numbers of a tensor of binary32, by its name. */
export type Numbers = (name: string) => Float32Array;

interface Layer {
  readonly weight: Float32Array;
  readonly bias: Float32Array;
}

/** A field of one state at the points of a lattice. */
export class Evaluated {
  private readonly tables: readonly Float32Array[];
  private readonly hidden: Layer | null;
  /** The second map by its inputs: `weight` is (in, out). */
  private readonly last: Layer | null;
  private readonly encoded: Float64Array;
  readonly out: Float64Array;

  constructor(
    private readonly field: Field,
    private readonly corners: readonly Corners[],
    numbers: Numbers,
  ) {
    this.tables = field.levels.map(({ tensor }) => numbers(tensor));
    const networks = field.networks?.density ?? null;
    const layer = ({ name }: Linear): Layer => ({ weight: numbers(`${name}.weight`), bias: numbers(`${name}.bias`) });
    this.hidden = networks === null ? null : layer(networks[0]!);
    this.last = networks === null ? null : turned(layer(networks[1]!), networks[1]!);
    this.encoded = new Float64Array(field.networks === null ? field.width : field.width * field.levels.length);
    this.out = new Float64Array(outputsOf(field));
  }

  /** Works out a point of the lattice; what is found stands in `out`. */
  at(x: number, y: number, z: number): void {
    const { field, encoded, out } = this;
    encoded.fill(0);
    for (let l = 0; l < this.tables.length; l++) {
      const corners = this.corners[l]!;
      corners.find(x, y, z);
      this.add(corners, this.tables[l]!, field.networks === null ? 0 : l * field.width);
    }
    if (this.hidden === null) out.set(encoded);
    else this.network(this.hidden, this.last!);
  }

  private add({ rows, shares }: Corners, table: Float32Array, into: number): void {
    const { encoded } = this;
    const { width } = this.field;
    for (let corner = 0; corner < 8; corner++) {
      const share = shares[corner]!;
      if (share === 0) continue;
      const from = rows[corner]! * width;
      for (let i = 0; i < width; i++) encoded[into + i] += share * table[from + i]!;
    }
  }

  private network(hidden: Layer, last: Layer): void {
    const { encoded, out } = this;
    const inputs = encoded.length;
    out.set(last.bias);
    for (let h = 0; h < hidden.bias.length; h++) {
      let sum = hidden.bias[h]!;
      const from = h * inputs;
      for (let i = 0; i < inputs; i++) sum += hidden.weight[from + i]! * encoded[i]!;
      if (sum <= 0) continue;
      const to = h * out.length;
      for (let o = 0; o < out.length; o++) out[o] += sum * last.weight[to + o]!;
    }
  }
}

function turned({ weight, bias }: Layer, { inputs, outputs }: Linear): Layer {
  const turned = new Float32Array(weight.length);
  for (let o = 0; o < outputs; o++) for (let i = 0; i < inputs; i++) turned[i * outputs + o] = weight[o * inputs + i]!;
  return { weight: turned, bias };
}
