// Which stage a package is shown on: this machine's graphics processor, where it can, else a server that renders.
import type { PackageInfo } from "../decoding/messages.js";
import { families, readField } from "./field.js";
import { kindOf } from "./gaussianKinds.js";
import { context, GraphicsStage } from "./graphics.js";
import { lineAddress } from "./line.js";
import { MarchRenderer } from "./march.js";
import { NoPicture, type Renderer } from "./renderer.js";
import { ServedStage } from "./served.js";
import { SplatRenderer } from "./splats.js";
import type { Stage } from "./stage.js";

export interface Told {
  /** The graphics processor was lost. */
  lost(): void;
  /** A server gives no picture, and why; null when it gives one again. */
  trouble(why: string | null): void;
}

/** What draws a family; null where nothing here does. */
function rendererOf(info: PackageInfo, cells: number | null): ((gl: WebGL2RenderingContext) => Renderer) | null {
  if (families.includes(info.family)) {
    const field = readField(info);
    return (gl) => new MarchRenderer(gl, field, cells);
  }
  const kind = kindOf(info);
  return kind === null ? null : (gl) => new SplatRenderer(gl, kind);
}

function onGraphics(canvas: HTMLCanvasElement, info: PackageInfo, cells: number | null, told: Told): Stage {
  const make = rendererOf(info, cells);
  if (make === null) throw new NoPicture(`the family ${info.family} is not drawn in a browser`);
  const gl = context(canvas);
  if (gl === null) throw new NoPicture("this browser has no WebGL 2");
  const stage = new GraphicsStage(canvas, gl, make(gl));
  stage.onlost = () => told.lost();
  return stage;
}

/** What the address of the page says of the stage. */
export interface Wanted {
  /** Where pictures are had that cannot be drawn here; null where nobody renders. */
  readonly server: URL | null;
  /** Cells on an edge of the lattice that a field is baked to; null: it is baked where its tables are too large. */
  readonly cells: number | null;
}

export function wantedOf(asked: URLSearchParams): Wanted {
  const [render, bake] = [asked.get("render"), asked.get("bake")];
  if (bake !== null && !/^[1-9]\d{0,3}$/.test(bake)) throw new NoPicture(`bake is ${bake}, and not a number of cells, 1 to 9999`);
  return { server: render === null ? null : lineAddress(render, location.href), cells: bake === null ? null : Number(bake) };
}

/** A stage on the first canvas, or on one from a server on another: a canvas keeps its first kind of context. */
export function makeStage(canvas: HTMLCanvasElement, fresh: () => HTMLCanvasElement, info: PackageInfo, { server, cells }: Wanted, told: Told): Stage {
  try {
    return onGraphics(canvas, info, cells, told);
  } catch (error) {
    if (server === null) throw error;
    return onServer(fresh(), info, server, error, told);
  }
}

/** A stage on a server; `why` there is none on this machine is told where the server gives no picture either. */
export function onServer(canvas: HTMLCanvasElement, info: PackageInfo, server: URL, why: unknown, told: Told): Stage {
  const first = why instanceof Error ? why.message : String(why);
  return new ServedStage(canvas, server, info.manifestDigest, (then) => told.trouble(then === null ? null : `${first}, and ${then}.`));
}
