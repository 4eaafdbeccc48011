import assert from "node:assert/strict";
import { test } from "node:test";
import { judge, listVectors } from "./vectors.js";

for (const id of listVectors()) {
  test(id, () => {
    const { wrong, code } = judge(id);
    assert.equal(wrong, null);
    assert.ok(code, "refused with a code that is not expected");
  });
}
