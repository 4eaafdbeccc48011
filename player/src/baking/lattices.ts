// The worker's side of baking: which lattice the page has, and what of it a frame changes.
import type { Tensor } from "decoder/decode.js";
import type { SentLattice, Request } from "../decoding/messages.js";
import type { Part, Playing, Shown } from "../decoding/playing.js";
import { families, readField, type Field } from "../render/field.js";
import { Bake } from "./bake.js";
import type { Turn } from "./turns.js";

interface Held {
  readonly part: Part;
  readonly field: Field;
  readonly bake: Bake;
  /** Tensors that the page does not get. */
  readonly tables: ReadonlySet<string>;
  /** Frame that it is of; -1 before the first. */
  frame: number;
}

interface Wish extends Pick<Shown, "quality" | "part" | "state"> {
  /** Whether the page has nothing yet. */
  readonly every: boolean;
  readonly asked: Extract<Request, { do: "frame" }>;
}

interface Found {
  /** On an edge; 0 where the page gets tables. */
  readonly cells: number;
  readonly lattice: SentLattice | null;
  /** Whether the page goes on with what it has. */
  readonly stays: boolean;
  readonly tables: ReadonlySet<string>;
}

const none: Found = { cells: 0, lattice: null, stays: false, tables: new Set() };

export class Lattices {
  private held: Held | null = null;

  /** What baking may take while frames play, in milliseconds; what takes longer waits for the next key frame. */
  constructor(private readonly patience = 250) {}

  /** What the page is sent of a frame; where `turn` says that nobody waits for it, the page goes on with what it has. */
  async of(playing: Playing, { quality, part, state, every, asked }: Wish, turn?: Turn): Promise<Found> {
    const { cells, frame, exact } = asked;
    if (cells === 0) this.held = null;
    else if (this.held?.part !== part || this.held.bake.cells !== cells) this.held = begun(playing, part, quality, cells);
    const { held } = this;
    if (held === null) return none;
    const { tables, bake } = held;
    const fresh = held.frame < 0;
    const key = keyOf(part, frame);
    // An earlier frame of the group may stand for this one, but not one of another group.
    const may = exact || every || frame === key || held.frame < key || held.frame > frame;
    const baked = await bake.take(reader(part, state), may ? Number.POSITIVE_INFINITY : this.patience, turn);
    if (baked === null) return { cells, lattice: null, stays: true, tables };
    held.frame = frame;
    const regions = every && !fresh ? bake.whole() : baked.regions;
    return { cells, lattice: { cells, frame, ...baked, regions }, stays: false, tables };
  }
}

/** Begins a lattice of a package; null where its family has no tables. */
function begun(playing: Playing, part: Part, quality: number, cells: number): Held | null {
  const info = playing.info(quality);
  if (!families.includes(info.family)) return null;
  const field = readField(info);
  return { part, field, bake: new Bake(field, cells), tables: new Set(field.levels.map(({ tensor }) => tensor)), frame: -1 };
}

function keyOf({ manifest }: Part, frame: number): number {
  let key = frame;
  while (manifest.coding[key] !== 0) key -= 1;
  return key;
}

function reader({ manifest }: Part, state: ReadonlyMap<number, Tensor>): (name: string) => Uint8Array {
  const found = new Map([...state].map(([row, { data }]) => [manifest.rows[row]!.name, data]));
  return (name) => {
    const data = found.get(name);
    if (data === undefined) throw new Error(`the state has no tensor ${name}`);
    return data;
  };
}
