// The tables of a field in one texture, as they are: texel by texel, rows of a fixed width.
import type { SentTensor } from "../decoding/messages.js";
import type { Field } from "./field.js";
import { numbers } from "./renderer.js";
import { rowBits, vectors } from "./shader.js";
import { tableVectors, TooLarge } from "./room.js";

/** What `encode` of the shader reads. */
export interface Source {
  /** Textures by the names of their samplers. */
  readonly textures: readonly (readonly [string, GLenum, WebGLTexture])[];
  /** Cells on an edge of a lattice; 0 for tables. */
  readonly cells: number;
  dispose(): void;
}

export function floats(tensor: SentTensor): Float32Array {
  return new Float32Array(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength / 4);
}

export class Tables implements Source {
  readonly cells = 0;
  readonly textures: Source["textures"];
  private readonly texture: WebGLTexture;
  /** First texel of each level. */
  private readonly offsets: readonly number[];

  constructor(
    private readonly gl: WebGL2RenderingContext,
    private readonly field: Field,
  ) {
    const texels = vectors(field.width);
    let total = 0;
    this.offsets = field.levels.map(({ entries }) => {
      const start = total;
      total += entries * texels;
      return start;
    });
    const rows = Math.max(1, Math.ceil(tableVectors(field) / (1 << rowBits)));
    this.texture = numbers(gl, gl.TEXTURE_2D);
    gl.texStorage2D(gl.TEXTURE_2D, 1, gl.RGBA32F, 1 << rowBits, rows);
    if (gl.getError() === gl.OUT_OF_MEMORY) {
      this.dispose();
      throw new TooLarge("the graphics processor has too little memory for the tables");
    }
    this.textures = [["tables", gl.TEXTURE_2D, this.texture]];
  }

  /** Writes a table from its first texel on: a part of a row, whole rows, a part of a row. */
  take(level: number, tensor: SentTensor): void {
    const { gl, field } = this;
    const texels = vectors(field.width);
    const { entries } = field.levels[level]!;
    let data = floats(tensor);
    if (field.width % 4 !== 0) {
      const padded = new Float32Array(entries * texels * 4);
      for (let i = 0; i < entries; i++) padded.set(data.subarray(i * field.width, (i + 1) * field.width), 4 * texels * i);
      data = padded;
    }
    const width = 1 << rowBits;
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    let at = this.offsets[level]!;
    for (let done = 0; done < entries * texels; ) {
      const column = at % width;
      const left = entries * texels - done;
      const count = column > 0 || left < width ? Math.min(width - column, left) : left - (left % width);
      const rows = Math.max(1, Math.floor(count / width));
      const across = Math.min(count, width);
      gl.texSubImage2D(gl.TEXTURE_2D, 0, column, Math.floor(at / width), across, rows, gl.RGBA, gl.FLOAT, data, 4 * done);
      at += count;
      done += count;
    }
  }

  dispose(): void {
    this.gl.deleteTexture(this.texture);
  }
}
