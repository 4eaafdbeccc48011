// What of a lattice the page is sent: all of it once, then what changed, and nothing of another group.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Lattices } from "../src/baking/lattices.js";
import type { Turn } from "../src/baking/turns.js";
import type { PackageInfo } from "../src/decoding/messages.js";
import type { Part, Playing } from "../src/decoding/playing.js";
import { noise } from "./fields.js";

const cells = 6;
const names = ["levels.0.table", "occupancy.cells", "other"];

/** A voxel grid of five frames, key frames 0 and 3; each frame has a table of its own. */
function chain(family = "voxel_grid") {
  const next = noise(4);
  const occupied = new Uint8Array(27).fill(1);
  const states = Array.from({ length: 5 }, () => {
    const table = Float32Array.from({ length: 4 * 27 }, () => next());
    const data = [new Uint8Array(table.buffer), occupied, occupied];
    return new Map(data.map((bytes, row) => [row, { data: bytes }]));
  });
  const tensors = [["levels.0.table", "F32", [27, 4]], ["occupancy.cells", "BOOL", [3, 3, 3]]].map(([name, dtype, shape]) => ({ name, dtype, shape }));
  const info = { family, configuration: { cells: [2], occupancy: 3 }, tensors } as unknown as PackageInfo;
  const part = { manifest: { coding: [0, 1, 1, 0, 1], rows: names.map((name) => ({ name })) } } as unknown as Part;
  return { playing: { info: () => info } as unknown as Playing, part, states };
}

function asker(lattices: Lattices, family?: string) {
  const { playing, part, states } = chain(family);
  return (frame: number, how: { exact?: boolean; every?: boolean; cells?: number; turn?: Turn } = {}) => {
    const asked = { do: "frame", frame, ahead: 0, all: false, quality: null, cells: how.cells ?? cells, exact: how.exact ?? false } as const;
    return lattices.of(playing, { quality: 0, part, state: states[frame] as never, every: how.every ?? false, asked }, how.turn);
  };
}

const sizes = (found: Awaited<ReturnType<Lattices["of"]>>): number => found.lattice?.regions.length ?? -1;

test("a page that has nothing is sent all, one that has it what changed", async () => {
  const ask = asker(new Lattices());
  assert.equal(sizes(await ask(0, { exact: true })), cells + 1);
  assert.equal(sizes(await ask(0, { exact: true })), 0);
  const again = await ask(0, { exact: true, every: true });
  assert.equal(sizes(again), cells + 1);
  assert.equal(again.lattice!.points, 0);
  assert.deepEqual([...again.tables], ["levels.0.table"]);
});

test("a group keeps its picture where frames come faster than they are baked", async () => {
  const ask = asker(new Lattices(0));
  assert.equal((await ask(0)).lattice!.frame, 0);
  for (const frame of [1, 2]) {
    const { stays, lattice, cells: on } = await ask(frame);
    assert.deepEqual([stays, lattice, on], [true, null, cells]);
  }
  assert.equal((await ask(3)).lattice!.frame, 3); // a key frame
  assert.ok((await ask(4)).stays);
  assert.equal((await ask(4, { exact: true })).lattice!.frame, 4);
  assert.equal((await ask(1)).lattice!.frame, 1); // of another group
  assert.equal((await ask(0)).lattice!.frame, 0); // before the one that is there
});

test("what the page passed over leaves it with what it has", async () => {
  const ask = asker(new Lattices());
  const passed = (): Promise<boolean> => Promise.resolve(false);
  const first = await ask(0, { exact: true, turn: passed });
  assert.deepEqual([first.cells, first.lattice, first.stays], [cells, null, true]);
  assert.equal(sizes(await ask(3, { exact: true })), cells + 1);
  assert.ok((await ask(4, { exact: true, turn: passed })).stays);
  assert.equal((await ask(4, { exact: true })).lattice!.frame, 4);
});

test("no lattice where none is asked for, or none is drawn", async () => {
  const lattices = new Lattices();
  const ask = asker(lattices);
  assert.deepEqual([(await ask(0, { cells: 0 })).cells, (await ask(0, { cells: 0 })).tables.size], [0, 0]);
  assert.equal((await ask(0)).cells, cells);
  assert.equal((await asker(new Lattices(), "nerf_mlp")(0)).cells, 0);
  assert.equal(sizes(await ask(0, { cells: 3 })), 4); // another lattice is begun anew
});
