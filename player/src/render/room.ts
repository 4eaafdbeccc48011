// Whether the tables of a field find room on a graphics processor as they are, or the field is baked to a lattice.
import { bytesText } from "../page/elements.js";
import type { Field } from "./field.js";
import { NoPicture } from "./renderer.js";
import { latticeVectors, rowBits, vectors } from "./shader.js";

/** What a graphics processor says of itself. */
export interface Limits {
  /** Texels on an edge of a texture, and of one of three dimensions. */
  readonly edge: number;
  readonly edge3: number;
  /** Textures that a program reads. */
  readonly textures: number;
}

/** Why a field is not drawn; a reason to bake it, where it is that of its tables. */
export class TooLarge extends NoPicture {}

/** Bytes of tables that are taken as they are. How much memory there is, WebGL does not say. */
export const mostTables = 2 ** 28;
/** Bytes of the textures of a lattice. */
export const mostLattice = 2 ** 27;
/** A texture of occupied cells, one of weights, and those of the lattice. */
const others = 2;

export function limitsOf(gl: WebGL2RenderingContext): Limits {
  const number = (name: GLenum): number => gl.getParameter(name) as number;
  return { edge: number(gl.MAX_TEXTURE_SIZE), edge3: number(gl.MAX_3D_TEXTURE_SIZE), textures: number(gl.MAX_TEXTURE_IMAGE_UNITS) };
}

/** Vectors of four numbers that the tables have. */
export function tableVectors(field: Field): number {
  return field.levels.reduce((sum, { entries }) => sum + entries * vectors(field.width), 0);
}

/** Whether the tables are taken as they are. */
export function tablesFit(field: Field, { edge }: Limits): boolean {
  const count = tableVectors(field);
  return 1 << rowBits <= edge && count <= edge * (1 << rowBits) && 16 * count <= mostTables;
}

/** What the tables take, and what is there to take them. */
export function tablesText(field: Field, { edge }: Limits): string {
  const room = Math.min(mostTables, 16 * edge * (1 << rowBits));
  return `tables of ${bytesText(16 * tableVectors(field))}, where ${bytesText(room)} are taken`;
}

/** Cells on an edge of the lattice that a field is baked to: no more than were asked for, or show more. */
export function latticeCells(field: Field, limits: Limits, asked: number): number {
  const count = latticeVectors(field);
  if (count + others > limits.textures) {
    throw new TooLarge(`the tables have ${tableVectors(field)} vectors, more than a texture of this graphics processor holds, and a point ${count}, more than it reads`);
  }
  const room = Math.floor(Math.cbrt(mostLattice / (8 * count))) - 1;
  return Math.max(1, Math.min(asked, room, limits.edge3 - 1));
}

/** Cells that show what a field has: twice the finest of its levels. */
export function finestCells(field: Field): number {
  return 2 * Math.max(...field.levels.map(({ cells }) => cells));
}
