// A headset, where the browser has one (WebXR): each eye is a view of the stage, and where the user stood is the floor.
import type { Pose, View } from "../pose/pose.js";
import { element } from "./elements.js";

/** As much of WebXR as is used here. */
interface XrView {
  readonly projectionMatrix: Float32Array;
  readonly transform: { readonly matrix: Float32Array };
}
interface XrLayer {
  readonly framebuffer: WebGLFramebuffer | null;
  getViewport(view: XrView): { readonly x: number; readonly y: number; readonly width: number; readonly height: number };
}
interface XrFrame {
  getViewerPose(space: unknown): { readonly views: readonly XrView[] } | undefined;
}
interface XrSession extends EventTarget {
  updateRenderState(state: object): Promise<void> | void;
  requestReferenceSpace(kind: string): Promise<unknown>;
  requestAnimationFrame(draw: (time: number, frame: XrFrame) => void): number;
  end(): Promise<void>;
}
export interface XrSystem {
  isSessionSupported(mode: string): Promise<boolean>;
  requestSession(mode: string): Promise<XrSession>;
}

/** The view of an eye: `base` is where the user stood, `scale` scene units a metre. */
export function eyeView(matrix: ArrayLike<number>, projection: ArrayLike<number>, width: number, height: number, base: Pose, scale: number): View {
  // Columns of the headset's pose in its room, with y and z turned to down and forward on both sides.
  const sign = [1, -1, -1];
  const local = (row: number, column: number): number => (column === 3 ? sign[row]! * scale * matrix[12 + row]! : sign[row]! * sign[column]! * matrix[4 * column + row]!);
  const pose: number[] = [];
  for (let i = 0; i < 3; i++) {
    for (let j = 0; j < 4; j++) {
      pose.push(base[4 * i]! * local(0, j) + base[4 * i + 1]! * local(1, j) + base[4 * i + 2]! * local(2, j) + (j === 3 ? base[4 * i + 3]! : 0));
    }
  }
  return {
    pose,
    width,
    height,
    fx: (projection[0]! * width) / 2,
    fy: (projection[5]! * height) / 2,
    cx: ((1 - projection[8]!) * width) / 2,
    cy: ((1 + projection[9]!) * height) / 2,
  };
}

/** Draws for a headset until its session ends. */
export async function present(
  xr: XrSystem,
  gl: WebGL2RenderingContext,
  base: Pose,
  scale: number,
  draw: (view: View, corner: readonly [number, number]) => void,
): Promise<void> {
  const session = await xr.requestSession("immersive-vr");
  await (gl as unknown as { makeXRCompatible(): Promise<void> }).makeXRCompatible();
  const Layer = (globalThis as unknown as { XRWebGLLayer: new (session: XrSession, gl: WebGL2RenderingContext, options: object) => XrLayer }).XRWebGLLayer;
  // A march costs much: fewer pixels than the lenses have.
  const layer = new Layer(session, gl, { antialias: false, depth: false, framebufferScaleFactor: 0.5 });
  await session.updateRenderState({ baseLayer: layer });
  const space = await session.requestReferenceSpace("local");
  const ended = new Promise<void>((resolve) => session.addEventListener("end", () => resolve(), { once: true }));
  const frame = (_time: number, at: XrFrame): void => {
    session.requestAnimationFrame(frame);
    const pose = at.getViewerPose(space);
    if (pose === undefined) return;
    gl.bindFramebuffer(gl.FRAMEBUFFER, layer.framebuffer);
    for (const view of pose.views) {
      const { x, y, width, height } = layer.getViewport(view);
      gl.viewport(x, y, width, height);
      gl.enable(gl.SCISSOR_TEST);
      gl.scissor(x, y, width, height);
      draw(eyeView(view.transform.matrix, view.projectionMatrix, width, height, base, scale), [x, y]);
    }
    gl.disable(gl.SCISSOR_TEST);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
  };
  session.requestAnimationFrame(frame);
  await ended;
}

/** A button where there is a headset, and none where there is none. */
export async function offerHeadset(enter: (xr: XrSystem) => void): Promise<void> {
  const { xr } = navigator as Navigator & { xr?: XrSystem };
  if (xr === undefined || !(await xr.isSessionSupported("immersive-vr").catch(() => false))) return;
  const button = element("xr", HTMLButtonElement);
  button.hidden = false;
  button.addEventListener("click", () => enter(xr));
}
