// A field at the points of a lattice: textures of three dimensions, of binary16, which the filter interpolates.
import type { SentLattice } from "../decoding/messages.js";
import type { Field } from "./field.js";
import { NoPicture, numbers } from "./renderer.js";
import { latticeVectors } from "./shader.js";
import type { Source } from "./tables.js";

export class Lattice implements Source {
  readonly textures: Source["textures"];

  constructor(
    private readonly gl: WebGL2RenderingContext,
    field: Field,
    readonly cells: number,
  ) {
    this.textures = Array.from({ length: latticeVectors(field) }, (_, i) => {
      const texture = numbers(gl, gl.TEXTURE_3D);
      gl.texParameteri(gl.TEXTURE_3D, gl.TEXTURE_MIN_FILTER, gl.LINEAR);
      gl.texParameteri(gl.TEXTURE_3D, gl.TEXTURE_MAG_FILTER, gl.LINEAR);
      gl.texParameteri(gl.TEXTURE_3D, gl.TEXTURE_WRAP_R, gl.CLAMP_TO_EDGE);
      gl.texStorage3D(gl.TEXTURE_3D, 1, gl.RGBA16F, cells + 1, cells + 1, cells + 1);
      return [`volume${i}`, gl.TEXTURE_3D, texture] as const;
    });
    if (gl.getError() === gl.OUT_OF_MEMORY) {
      this.dispose();
      throw new NoPicture(`the graphics processor has too little memory for a lattice of ${cells}³ cells`);
    }
  }

  /** Takes what was worked out anew; what is of another lattice is left alone, another is on its way. */
  take({ cells, regions }: SentLattice): void {
    if (cells !== this.cells) return;
    const { gl } = this;
    const side = cells + 1;
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    this.textures.forEach(([, target, texture], i) => {
      gl.bindTexture(target, texture);
      for (const { z, y, rows, data } of regions) {
        gl.texSubImage3D(target, 0, 0, y, z, side, rows, 1, gl.RGBA, gl.HALF_FLOAT, data, 4 * side * rows * i);
      }
    });
  }

  dispose(): void {
    for (const [, , texture] of this.textures) this.gl.deleteTexture(texture);
  }
}
