// Baking: the numbers of a lattice are those of the field, and a frame works out what it changed and nothing else.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Bake, type Region } from "../src/baking/bake.js";
import { half } from "../src/baking/halves.js";
import { outputsOf, type Field } from "../src/render/field.js";
import { rowsOf } from "../src/render/graphics.js";
import { finestCells, latticeCells, mostLattice, tablesFit, tablesText, TooLarge } from "../src/render/room.js";
import { fieldAt, hashed, noise, stateOf, tensorsOf, voxels, type State } from "./fields.js";

const forever = Number.POSITIVE_INFINITY;

function number(bits: number): number {
  const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}

/** What a page has after it took regions: the numbers of each point. */
class Taken {
  readonly side: number;
  private readonly values: Uint16Array;

  constructor(
    private readonly vectors: number,
    cells: number,
  ) {
    this.side = cells + 1;
    this.values = new Uint16Array(4 * vectors * this.side ** 3);
  }

  take(regions: readonly Region[]): this {
    const { side } = this;
    for (const { z, y, rows, data } of regions) {
      assert.equal(data.length, 4 * this.vectors * side * rows);
      for (let v = 0; v < this.vectors; v++) {
        this.values.set(data.subarray(4 * side * rows * v, 4 * side * rows * (v + 1)), 4 * side * (side * (side * v + z) + y));
      }
    }
    return this;
  }

  at(x: number, y: number, z: number, count: number): number[] {
    const { side } = this;
    return Array.from({ length: count }, (_, o) => number(this.values[4 * (side * (side * (side * (o >> 2) + z) + y) + x) + (o & 3)]!));
  }
}

function close(field: Field, state: State, taken: Taken, [x, y, z]: readonly [number, number, number]): void {
  const cells = taken.side - 1;
  const expected = fieldAt(field, state, [x / cells, y / cells, z / cells]);
  taken.at(x, y, z, expected.length).forEach((found, o) => assert.ok(Math.abs(found - expected[o]!) < 2e-3 * (1 + Math.abs(expected[o]!)), `${x} ${y} ${z}: ${found}, not ${expected[o]}`));
}

const all = (field: Field): number[] => Array.from({ length: field.side ** 3 }, (_, i) => i);
const takenFor = (field: Field, cells: number): Taken => new Taken(Math.ceil(outputsOf(field) / 4), cells);

test("16 bits are the nearest, ties to even", () => {
  for (const [value, bits] of [[0, 0], [1, 0x3c00], [-2, 0xc000], [65504, 0x7bff], [1e9, 0x7bff], [-1e9, 0xfbff], [2 ** -24, 1], [2 ** -25, 0], [3 * 2 ** -25, 2], [2 ** -14, 0x400], [1 + 2 ** -11, 0x3c00], [1 + 3 * 2 ** -11, 0x3c02]] as const) {
    assert.equal(half(value), bits, String(value));
  }
  assert.equal(half(Number.NaN) & 0x7e00, 0x7e00);
  const next = noise(9);
  for (let i = 0; i < 2000; i++) {
    const value = next() * 2 ** (15 * next());
    if (Math.abs(value) > 2 ** -14) assert.ok(Math.abs(number(half(value)) - value) <= 2 ** -11 * Math.abs(value));
  }
});

for (const [name, field, cells] of [["voxels", voxels(2), 8], ["a hash grid", hashed(), 9]] as const) {
  test(`the points of ${name} are the field's`, async () => {
    const state = stateOf(field, all(field));
    const { regions, points } = (await new Bake(field, cells).take(tensorsOf(state), forever))!;
    assert.equal(points, (cells + 1) ** 3);
    const taken = takenFor(field, cells).take(regions);
    for (const point of [[0, 0, 0], [cells, cells, cells], [1, 4, 7], [5, 0, cells], [3, 8, 2]] as const) close(field, state, taken, point);
  });
}

test("only what lies about occupied cells is worked out", async () => {
  const [field, cells] = [hashed(), 8];
  const state = stateOf(field, [0]);
  const { points, regions } = (await new Bake(field, cells).take(tensorsOf(state), forever))!;
  assert.equal(points, 3 ** 3); // two of eight cells in each direction
  assert.deepEqual(regions.map(({ z, y, rows }) => [z, y, rows]), [[0, 0, 3], [1, 0, 3], [2, 0, 3]]);
});

test("a delta works out what it changed, and what it opened", async () => {
  const [field, cells] = [hashed(), 12];
  const before = stateOf(field, [0, 1, 5, 21, 42, 63]);
  const bake = new Bake(field, cells);
  const taken = takenFor(field, cells).take((await bake.take(tensorsOf(before), forever))!.regions);
  const table = (before.get("levels.1.table") as Float32Array).slice();
  table[3 * 17] += 0.5;
  const opened = (before.get(field.occupancy) as Uint8Array).slice();
  opened[7] = 1;
  const after: State = new Map(before).set("levels.1.table", table).set(field.occupancy, opened);
  const { points, regions } = (await bake.take(tensorsOf(after), forever))!;
  const fresh = (await new Bake(field, cells).take(tensorsOf(after), forever))!;
  assert.ok(points > 0 && points < fresh.points / 2, `${points} of ${fresh.points}`);
  const [grown, whole] = [taken.take(regions), takenFor(field, cells).take(fresh.regions)];
  for (const [x, y, z] of [[0, 0, 0], [3, 3, 3], [11, 5, 2], [12, 12, 12], [10, 4, 1], [6, 7, 8]] as const) assert.deepEqual(grown.at(x, y, z, 6), whole.at(x, y, z, 6));
  assert.deepEqual(takenFor(field, cells).take(bake.whole()).at(10, 4, 1, 6), whole.at(10, 4, 1, 6));
  assert.equal((await bake.take(tensorsOf(after), forever))!.points, 0);
});

test("what closed and was trained meanwhile is worked out when it opens", async () => {
  const [field, cells] = [voxels(2), 8];
  const one = stateOf(field, [0, 26]);
  const bake = new Bake(field, cells);
  const taken = takenFor(field, cells).take((await bake.take(tensorsOf(one), forever))!.regions);
  const shut: State = new Map(one).set(field.occupancy, stateOf(field, [0]).get(field.occupancy)!).set("levels.0.table", stateOf(field, [], 2).get("levels.0.table")!);
  taken.take((await bake.take(tensorsOf(shut), forever))!.regions);
  const open: State = new Map(shut).set(field.occupancy, one.get(field.occupancy)!);
  taken.take((await bake.take(tensorsOf(open), forever))!.regions);
  close(field, open, taken, [8, 8, 8]);
  close(field, open, taken, [1, 1, 2]);
});

test("other networks change every point; other tensors none", async () => {
  const field = hashed();
  const state = stateOf(field, all(field));
  const bake = new Bake(field, 6);
  const first = (await bake.take(tensorsOf(state), forever))!;
  const bias = (state.get("density_network.2.bias") as Float32Array).slice();
  bias[0] += 1;
  assert.equal((await bake.take(tensorsOf(new Map(state).set("density_network.2.bias", bias)), forever))!.points, first.points);
  const colour: State = new Map(state).set("density_network.2.bias", bias).set("colour_network.0.bias", bias);
  assert.equal((await bake.take(tensorsOf(colour), forever))!.points, 0);
});

test("what would take too long is not taken", async () => {
  const field = hashed();
  const [one, other] = [stateOf(field, all(field), 1), stateOf(field, all(field), 2)];
  const bake = new Bake(field, 6);
  const taken = takenFor(field, 6).take((await bake.take(tensorsOf(one), forever))!.regions);
  assert.equal((await bake.take(tensorsOf(other), 0)), null);
  close(field, one, takenFor(field, 6).take(bake.whole()), [2, 3, 4]);
  const { points, regions } = (await bake.take(tensorsOf(other), forever))!;
  assert.equal(points, 7 ** 3);
  close(field, other, taken.take(regions), [2, 3, 4]);
});

test("what nobody waits for is left, and worked out another time", async () => {
  const [field, cells] = [hashed(), 6];
  const [one, other] = [stateOf(field, all(field), 1), stateOf(field, all(field), 2)];
  const bake = new Bake(field, cells);
  const shares: number[] = [];
  const some = (share: number): Promise<boolean> => Promise.resolve(shares.push(share) < 30)
  const taken = takenFor(field, cells);
  assert.equal(await bake.take(tensorsOf(one), forever, some), null);
  assert.ok(shares.every((share, i) => i === 0 || share >= shares[i - 1]!));
  taken.take((await bake.take(tensorsOf(one), forever))!.regions);
  shares.length = 0;
  assert.equal(await bake.take(tensorsOf(other), forever, some), null);
  assert.ok(shares.at(-1)! > 0 && shares.at(-1)! < 1, `${shares.at(-1)}`);
  // What the page has is of the first state; some of what is kept here is not.
  taken.take((await bake.take(tensorsOf(one), forever))!.regions);
  for (const point of [[0, 0, 0], [2, 3, 1], [6, 6, 6]] as const) close(field, one, taken, point);
  taken.take((await bake.take(tensorsOf(other), forever))!.regions);
  for (const point of [[0, 0, 0], [2, 3, 1], [6, 6, 6]] as const) close(field, other, taken, point);
});

test("tables are taken while they find room", () => {
  const limits = { edge: 2048, edge3: 256, textures: 16 };
  const level = (entries: number) => ({ tensor: "t", cells: 512, hashed: true, entries });
  const field = (count: number, log2: number): Field => ({ ...hashed(), width: 4, levels: Array.from({ length: count }, () => level(2 ** log2)) });
  assert.ok(tablesFit(field(8, 19), limits)); // just a texture of 2048 × 2048
  assert.ok(!tablesFit(field(9, 19), limits));
  assert.ok(tablesFit(field(16, 20), { ...limits, edge: 8192 })); // 256 MiB
  assert.ok(!tablesFit(field(17, 20), { ...limits, edge: 8192 }));
  assert.equal(tablesText(field(9, 19), limits), "tables of 75.5 MB, where 67.1 MB are taken");
  assert.equal(finestCells(field(1, 19)), 1024);
  const wide: Field = { ...field(9, 19), networks: { density: [], colour: [], geometry: 15 } };
  const cells = latticeCells(wide, limits, 1024);
  assert.ok(32 * (cells + 1) ** 3 <= mostLattice && 32 * (cells + 2) ** 3 > mostLattice);
  assert.equal(latticeCells(wide, limits, 64), 64);
  assert.equal(latticeCells(wide, { ...limits, edge3: 100 }, 1024), 99);
  assert.throws(() => latticeCells({ ...wide, networks: { density: [], colour: [], geometry: 63 } }, limits, 64), TooLarge);
});

test("rows are drawn in pairs, from the bottom", () => {
  for (const height of [1, 2, 7, 100, 101]) {
    for (const about of [0, 1, 2, 3, 10, 1000]) {
      let left = height;
      while (left > 0) {
        const rows = rowsOf(left, about);
        assert.ok(rows >= Math.min(2, left) && rows <= left && rows <= Math.max(2, about) + 1);
        left -= rows;
        assert.equal(left % 2, 0);
      }
    }
  }
});
