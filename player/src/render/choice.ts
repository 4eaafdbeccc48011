// Which stage a package is shown on: this machine's graphics processor where it can, else a server's pictures.
import type { PackageInfo } from "../decoding/messages.js";
import { families, readField } from "./field.js";
import { context, GraphicsStage } from "./graphics.js";
import { MarchRenderer } from "./march.js";
import { NoPicture } from "./renderer.js";
import type { Stage } from "./stage.js";

export interface Told {
  lost(): void;
  trouble(why: string): void;
}

export function makeStage(canvas: HTMLCanvasElement, info: PackageInfo, _address: URL, _render: string | null, told: Told): Stage {
  if (!families.includes(info.family)) throw new NoPicture(`the family ${info.family} is not drawn in a browser.`);
  const gl = context(canvas);
  if (gl === null) throw new NoPicture("this browser has no WebGL 2.");
  const stage = new GraphicsStage(canvas, gl, new MarchRenderer(gl, readField(info)));
  stage.onlost = () => told.lost();
  return stage;
}
