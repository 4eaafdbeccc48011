// Voxel grids and hash grids: tables, bitmap and weights on the graphics processor, one ray a pixel.
import type { SentLattice, SentTensor } from "../decoding/messages.js";
import type { View } from "../pose/pose.js";
import type { Field } from "./field.js";
import { Lattice } from "./lattice.js";
import { NoPicture, numbers, program, type Renderer } from "./renderer.js";
import { finestCells, latticeCells, limitsOf, tablesFit, tablesText, TooLarge } from "./room.js";
import { fragmentShader, planWeights, vertexShader, weightRowBits, type WeightPlan } from "./shader.js";
import { floats, Tables } from "./tables.js";

/** The tables as they are while they find room, else a lattice; `asked`: one of so many cells in any case. */
function sourceOf(gl: WebGL2RenderingContext, field: Field, asked: number | null): Tables | Lattice {
  const limits = limitsOf(gl);
  if (asked === null && tablesFit(field, limits)) {
    try {
      return new Tables(gl, field);
    } catch (error) {
      if (!(error instanceof TooLarge)) throw error;
    }
  }
  return new Lattice(gl, field, latticeCells(field, limits, asked ?? finestCells(field)));
}

export class MarchRenderer implements Renderer {
  private readonly plan: WeightPlan;
  private readonly program: WebGLProgram;
  private readonly source: Tables | Lattice;
  private readonly occupied: WebGLTexture;
  private readonly weightTexture: WebGLTexture | null = null;
  private readonly weightBuffer: WebGLBuffer | null = null;
  private readonly weights: Float32Array;
  readonly says: string;
  private readonly uniforms: Readonly<Record<string, WebGLUniformLocation | null>>;

  constructor(
    private readonly gl: WebGL2RenderingContext,
    private readonly field: Field,
    asked: number | null,
  ) {
    if (field.side > limitsOf(gl).edge3) throw new NoPicture("the bitmap of occupied cells is larger than a texture of this graphics processor");
    this.source = sourceOf(gl, field, asked);
    const lattice = this.cells > 0 ? `, baked to a lattice of ${this.cells}³ cells` : "";
    this.says = `${tablesText(field, limitsOf(gl))}${lattice}`;
    this.plan = planWeights(field);
    const blockLimit = gl.getParameter(gl.MAX_UNIFORM_BLOCK_SIZE) as number;
    const block = this.plan.size > 0 && this.plan.size * 16 <= blockLimit;
    this.program = program(gl, vertexShader, fragmentShader(field, this.plan, block, this.cells > 0));
    this.occupied = numbers(gl, gl.TEXTURE_3D);
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
    if (gl.getError() === gl.OUT_OF_MEMORY) throw new NoPicture("the graphics processor has too little memory for the weights");
    const names = [...this.source.textures.map(([name]) => name), "lattice", "cells", "weights", "axes", "eye", "lens", "rows", "origin"];
    this.uniforms = Object.fromEntries(names.map((name) => [name, gl.getUniformLocation(this.program, name)]));
  }

  /** Cells on an edge of the lattice that is drawn; 0 where it is the tables. */
  get cells(): number {
    return this.source.cells;
  }

  update(changed: readonly SentTensor[], _names: readonly string[], lattice: SentLattice | null): void {
    const { gl, field, source } = this;
    if (source instanceof Lattice && lattice !== null) source.take(lattice);
    let weights = false;
    for (const tensor of changed) {
      if (tensor.name === field.occupancy) this.takeCells(tensor);
      const level = field.levels.findIndex((l) => l.tensor === tensor.name);
      if (level < 0) weights = this.takeWeights(tensor) || weights;
      else if (source instanceof Tables) source.take(level, tensor);
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
    const textures = [...this.source.textures, ["cells", gl.TEXTURE_3D, this.occupied] as const];
    if (this.weightTexture !== null) textures.push(["weights", gl.TEXTURE_2D, this.weightTexture]);
    for (const [unit, [name, target, texture]] of textures.entries()) {
      gl.activeTexture(gl.TEXTURE0 + unit);
      gl.bindTexture(target, texture);
      gl.uniform1i(uniforms[name] ?? null, unit);
    }
    gl.activeTexture(gl.TEXTURE0);
    if (this.weightBuffer !== null) gl.bindBufferBase(gl.UNIFORM_BUFFER, 0, this.weightBuffer);
    gl.uniformMatrix3fv(uniforms["axes"] ?? null, true, [p[0], p[1], p[2], p[4], p[5], p[6], p[8], p[9], p[10]]);
    gl.uniform3f(uniforms["eye"] ?? null, p[3], p[7], p[11]);
    gl.uniform4f(uniforms["lens"] ?? null, fx, fy, cx, cy);
    gl.uniform1f(uniforms["lattice"] ?? null, this.cells);
    gl.uniform1f(uniforms["rows"] ?? null, height);
    gl.uniform2f(uniforms["origin"] ?? null, -origin[0], -origin[1]);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  dispose(): void {
    const { gl } = this;
    this.source.dispose();
    gl.deleteTexture(this.occupied);
    gl.deleteTexture(this.weightTexture);
    gl.deleteBuffer(this.weightBuffer);
    gl.deleteProgram(this.program);
  }

  private takeCells(tensor: SentTensor): void {
    const { gl, field } = this;
    gl.bindTexture(gl.TEXTURE_3D, this.occupied);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.texSubImage3D(gl.TEXTURE_3D, 0, 0, 0, 0, field.side, field.side, field.side, gl.RED_INTEGER, gl.UNSIGNED_BYTE, tensor.data);
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
