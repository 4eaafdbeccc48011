// Where pictures appear. A stage takes states as they change and shows them from any place.
import type { SentLattice, SentTensor } from "../decoding/messages.js";
import type { XrSystem } from "../page/headset.js";
import type { Pose, View } from "../pose/pose.js";
import type { Extent } from "./renderer.js";

/** A picture that comes in parts, from the top row down. */
export interface Underway {
  readonly view: View;
  readonly moving: boolean;
  /** How many of the view's pixels it has, in each direction. */
  readonly scale: number;
  readonly width: number;
  readonly height: number;
  /** Rows that are there. */
  done: number;
}

export interface Stage {
  /** What it draws with, for the panel. */
  readonly means: string;
  /** Whether a picture of a moving eye, or of a frame that is played, is not seen yet. */
  readonly busy: boolean;
  /** Whether nothing is left to be drawn. */
  readonly whole: boolean;
  /** Cells on an edge of the lattice that it takes in place of tables; 0 where it takes the tables. */
  readonly cells: number;
  take(frame: number, changed: readonly SentTensor[], names: readonly string[], lattice: SentLattice | null): void;
  /** Shows a view of what was taken last; `moving`: another follows soon, and it may be coarse. */
  show(view: View, moving: boolean): void;
  /** A picture of just this view, RGB rows from the top. */
  picture(view: View): Promise<Uint8Array>;
  /** Draws for a headset until it is taken off; `base` is where the user stood, `scale` scene units a metre. */
  present(xr: XrSystem, base: Pose, scale: number): Promise<void>;
  /** Where there is something, if the states alone tell. */
  extent(): Extent | null;
  dispose(): void;
}
