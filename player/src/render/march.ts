// Voxel grids and hash grids: tables, bitmap and weights on the graphics processor, one ray a pixel.
import type { SentTensor } from "../decoding/messages.js";
import type { View } from "../pose/pose.js";
import type { Field } from "./field.js";
import { NoPicture, numbers, program, type Renderer } from "./renderer.js";
import { fragmentShader, planWeights, rowBits, vectors, vertexShader, weightRowBits, type WeightPlan } from "./shader.js";

function floats(tensor: SentTensor): Float32Array {
  return new Float32Array(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength / 4);
}

export class MarchRenderer implements Renderer {
  private readonly plan: WeightPlan;
  private readonly program: WebGLProgram;
  private readonly tables: WebGLTexture;
  private readonly cells: WebGLTexture;
  private readonly weightTexture: WebGLTexture | null = null;
  private readonly weightBuffer: WebGLBuffer | null = null;
  private readonly weights: Float32Array;
  /** First texel of each level. */
  private readonly offsets: readonly number[];
  private readonly uniforms: Readonly<Record<string, WebGLUniformLocation | null>>;

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
    const rows = Math.max(1, Math.ceil(total / (1 << rowBits)));
    const most = gl.getParameter(gl.MAX_TEXTURE_SIZE) as number;
    if (rows > most || 1 << rowBits > most || field.side > (gl.getParameter(gl.MAX_3D_TEXTURE_SIZE) as number)) {
      throw new NoPicture(`the tables have ${total} vectors, more than a texture of this graphics processor holds`);
    }
    this.plan = planWeights(field);
    const blockLimit = gl.getParameter(gl.MAX_UNIFORM_BLOCK_SIZE) as number;
    const block = this.plan.size > 0 && this.plan.size * 16 <= blockLimit;
    this.program = program(gl, vertexShader, fragmentShader(field, this.plan, block));
    this.tables = numbers(gl, gl.TEXTURE_2D);
    gl.texStorage2D(gl.TEXTURE_2D, 1, gl.RGBA32F, 1 << rowBits, rows);
    this.cells = numbers(gl, gl.TEXTURE_3D);
    gl.texStorage3D(gl.TEXTURE_3D, 1, gl.R8UI, field.side, field.side, field.side);
    const weightRows = Math.max(1, Math.ceil(this.plan.size / (1 << weightRowBits)));
    this.weights = new Float32Array(4 * weightRows * (1 << weightRowBits));
    if (block) {
      this.weightBuffer = gl.createBuffer();
      gl.bindBuffer(gl.UNIFORM_BUFFER, this.weightBuffer);
      gl.bufferData(gl.UNIFORM_BUFFER, this.plan.size * 16, gl.DYNAMIC_DRAW);
      gl.uniformBlockBinding(this.program, gl.getUniformBlockIndex(this.program, "Weights"), 0);
    } else if (this.plan.size > 0) {
      this.weightTexture = numbers(gl, gl.TEXTURE_2D);
      gl.texStorage2D(gl.TEXTURE_2D, 1, gl.RGBA32F, 1 << weightRowBits, weightRows);
    }
    if (gl.getError() === gl.OUT_OF_MEMORY) throw new NoPicture("the graphics processor has too little memory for the tables");
    const names = ["tables", "cells", "weights", "axes", "eye", "lens", "rows", "origin"];
    this.uniforms = Object.fromEntries(names.map((name) => [name, gl.getUniformLocation(this.program, name)]));
  }

  update(changed: readonly SentTensor[]): void {
    const { gl, field } = this;
    let weights = false;
    for (const tensor of changed) {
      if (tensor.name === field.occupancy) this.takeCells(tensor);
      const level = field.levels.findIndex((l) => l.tensor === tensor.name);
      if (level >= 0) this.takeTable(level, tensor);
      else weights = this.takeWeights(tensor) || weights;
    }
    if (!weights) return;
    if (this.weightBuffer !== null) {
      gl.bindBuffer(gl.UNIFORM_BUFFER, this.weightBuffer);
      gl.bufferSubData(gl.UNIFORM_BUFFER, 0, this.weights, 0, 4 * this.plan.size);
    } else if (this.weightTexture !== null) {
      const width = 1 << weightRowBits;
      gl.bindTexture(gl.TEXTURE_2D, this.weightTexture);
      gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, width, this.weights.length / 4 / width, gl.RGBA, gl.FLOAT, this.weights);
    }
  }

  draw({ pose: p, fx, fy, cx, cy, height }: View, origin: readonly [number, number] = [0, 0]): void {
    const { gl, uniforms } = this;
    gl.useProgram(this.program);
    for (const [unit, target, texture, name] of [
      [0, gl.TEXTURE_2D, this.tables, "tables"],
      [1, gl.TEXTURE_3D, this.cells, "cells"],
      [2, gl.TEXTURE_2D, this.weightTexture, "weights"],
    ] as const) {
      if (texture === null) continue;
      gl.activeTexture(gl.TEXTURE0 + unit);
      gl.bindTexture(target, texture);
      gl.uniform1i(uniforms[name] ?? null, unit);
    }
    gl.activeTexture(gl.TEXTURE0);
    if (this.weightBuffer !== null) gl.bindBufferBase(gl.UNIFORM_BUFFER, 0, this.weightBuffer);
    gl.uniformMatrix3fv(uniforms["axes"] ?? null, true, [p[0], p[1], p[2], p[4], p[5], p[6], p[8], p[9], p[10]]);
    gl.uniform3f(uniforms["eye"] ?? null, p[3], p[7], p[11]);
    gl.uniform4f(uniforms["lens"] ?? null, fx, fy, cx, cy);
    gl.uniform1f(uniforms["rows"] ?? null, height);
    gl.uniform2f(uniforms["origin"] ?? null, -origin[0], -origin[1]);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  dispose(): void {
    const { gl } = this;
    gl.deleteTexture(this.tables);
    gl.deleteTexture(this.cells);
    gl.deleteTexture(this.weightTexture);
    gl.deleteBuffer(this.weightBuffer);
    gl.deleteProgram(this.program);
  }

  private takeCells(tensor: SentTensor): void {
    const { gl, field } = this;
    gl.bindTexture(gl.TEXTURE_3D, this.cells);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.texSubImage3D(gl.TEXTURE_3D, 0, 0, 0, 0, field.side, field.side, field.side, gl.RED_INTEGER, gl.UNSIGNED_BYTE, tensor.data);
  }

  /** Writes a table from its first texel on: a part of a row, whole rows, a part of a row. */
  private takeTable(level: number, tensor: SentTensor): void {
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
    gl.bindTexture(gl.TEXTURE_2D, this.tables);
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

  private takeWeights(tensor: SentTensor): boolean {
    for (const map of this.plan.maps) {
      const values = tensor.name.startsWith(`${map.name}.`) ? floats(tensor) : null;
      if (values === null) continue;
      const outputs = tensor.shape[0]!;
      if (tensor.name === `${map.name}.bias`) {
        this.weights.set(values, 4 * map.start);
        return true;
      }
      if (tensor.name !== `${map.name}.weight`) continue;
      const inputs = tensor.shape[1]!;
      const begin = map.start + map.outputs;
      for (let o = 0; o < outputs; o++) {
        for (let k = 0; k < map.columns.length; k++) {
          const column = map.columns[k]!;
          const at = begin + (o >> 2) * map.columns.length + k;
          this.weights[4 * at + (o & 3)] = column < 0 ? 0 : values[o * inputs + column]!;
        }
      }
      return true;
    }
    return false;
  }
}
