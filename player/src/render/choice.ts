// Which stage a package is shown on: this machine's graphics processor, where it can.
import type { PackageInfo } from "../decoding/messages.js";
import { families, readField } from "./field.js";
import { kindOf } from "./gaussians.js";
import { context, GraphicsStage } from "./graphics.js";
import { MarchRenderer } from "./march.js";
import { NoPicture, type Renderer } from "./renderer.js";
import { SplatRenderer } from "./splats.js";
import type { Stage } from "./stage.js";

export interface Told {
  lost(): void;
}

/** What draws a family; null where nothing here does. */
function rendererOf(info: PackageInfo): ((gl: WebGL2RenderingContext) => Renderer) | null {
  if (families.includes(info.family)) {
    const field = readField(info);
    return (gl) => new MarchRenderer(gl, field);
  }
  const kind = kindOf(info);
  return kind === null ? null : (gl) => new SplatRenderer(gl, kind);
}

export function makeStage(canvas: HTMLCanvasElement, info: PackageInfo, told: Told): Stage {
  const make = rendererOf(info);
  if (make === null) throw new NoPicture(`the family ${info.family} is not drawn in a browser.`);
  const gl = context(canvas);
  if (gl === null) throw new NoPicture("this browser has no WebGL 2.");
  const stage = new GraphicsStage(canvas, gl, make(gl));
  stage.onlost = () => told.lost();
  return stage;
}
