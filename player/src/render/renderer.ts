// What draws a state: of any kind, on the graphics processor of this machine or on a server.
import type { SentLattice, SentTensor } from "../decoding/messages.js";
import type { View } from "../pose/pose.js";

export interface Renderer {
  /** Whether it draws all rows at once: parts would cost as much as the whole. */
  readonly whole?: boolean;
  /** Cells on an edge of the lattice that it takes in place of tables; 0 or nothing where it takes the tables. */
  readonly cells?: number;
  /** What is to be known of how it draws, for the panel. */
  readonly says?: string;
  /** Takes what a frame changed; `names` are all tensors of the state. */
  update(changed: readonly SentTensor[], names: readonly string[], lattice: SentLattice | null): void;
  /** Draws a view where the viewport is, its lower left corner at `origin`. */
  draw(view: View, origin?: readonly [number, number]): void;
  /** Middle of what there is and how far most of it is from it, where the states alone tell. */
  extent?(): Extent | null;
  dispose(): void;
}

export interface Extent {
  readonly middle: readonly [number, number, number];
  readonly size: number;
}

/** Why there is no picture, in words for people. */
export class NoPicture extends Error {}

export function program(gl: WebGL2RenderingContext, vertex: string, fragment: string): WebGLProgram {
  const built = gl.createProgram();
  for (const [type, text] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]] as const) {
    const shader = gl.createShader(type);
    if (shader === null) throw new NoPicture("the graphics processor is lost");
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    gl.attachShader(built, shader);
    gl.deleteShader(shader);
  }
  gl.linkProgram(built);
  if (gl.getProgramParameter(built, gl.LINK_STATUS) !== true) {
    const shaders = gl.getAttachedShaders(built) ?? [];
    const logs = shaders.map((shader) => gl.getShaderInfoLog(shader)).filter((log) => log !== "");
    throw new NoPicture(`the graphics processor does not take the program: ${logs.join(" ") || (gl.getProgramInfoLog(built) ?? "")}`.slice(0, 400));
  }
  return built;
}

/** A texture of numbers that are read one by one, never filtered. */
export function numbers(gl: WebGL2RenderingContext, target: GLenum): WebGLTexture {
  const texture = gl.createTexture();
  gl.bindTexture(target, texture);
  for (const [name, value] of [
    [gl.TEXTURE_MIN_FILTER, gl.NEAREST],
    [gl.TEXTURE_MAG_FILTER, gl.NEAREST],
    [gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE],
    [gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE],
  ] as const) {
    gl.texParameteri(target, name, value);
  }
  return texture;
}
