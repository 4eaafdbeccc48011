import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Malformed, Payload, RawBits } from "../src/arithmetic/bits.js";
import { lg } from "../src/arithmetic/decisions.js";
import { columnsOf, NarrowTensor, WideTensor } from "../src/arithmetic/tensor.js";
import { hex, utf8 } from "../src/bytes.js";
import { stateDigest, tensorDigest } from "../src/digest.js";
import { dtypes, tensorBytes, type DType } from "../src/dtypes.js";
import { harmless } from "../src/errors.js";
import { lookup3 } from "../src/lookup3.js";
import { answer } from "../src/main.js";
import { Receiver } from "../src/message.js";
import { addWords } from "../src/streams.js";
import { zstdDecode } from "../src/zstd/decoder.js";
import { xxh64 } from "../src/zstd/xxh64.js";
import { vectorsRoot } from "./vectors.js";

function dtype(name: string): DType {
  const found = dtypes.get(name);
  assert.ok(found);
  return found;
}

test("lookup3 of annex D.6", () => {
  assert.equal(lookup3(utf8("Four score and seven years ago")), 0x17770551);
});

test("digests of annex E.6", () => {
  const step = Uint8Array.of(0xe8, 0x03, 0, 0, 0, 0, 0, 0);
  const digest = tensorDigest("I64", [], step);
  assert.equal(hex(digest), "fd4ccd4d86d3e5a89860b7568e215e285934c16e34f4bfc68d85823686f30000");
  const names = ["step", "front.bias", "rear.weight"];
  const digests = [
    digest,
    Buffer.from("f350763e15b219dca0d65760708cf71ab4e59c5d41bcbda500d1ae00bbb004e5", "hex"),
    Buffer.from("1da025d6cdd73abff5352d91ef5db8e5d4a2c0a62f4b343e52d5acc371342b8e", "hex"),
  ];
  const state = stateDigest(names.map((name, i) => ({ name: utf8(name), digest: digests[i] })));
  assert.equal(hex(state), "fa6a52dce183653aa054efd3468aca3425a7ceb9257a7dedf72f6504ef0f446b");
});

test("sizes of tensors", () => {
  assert.equal(tensorBytes(dtype("F6_E2M3"), [4, 5]), 15);
  assert.equal(typeof tensorBytes(dtype("F6_E2M3"), [3]), "string");
  assert.equal(tensorBytes(dtype("F4"), [2 ** 47, 0]), 0);
  assert.equal(typeof tensorBytes(dtype("U8"), [2 ** 24, 0, 2 ** 24]), "string");
  assert.equal(tensorBytes(dtype("C64"), []), 8);
});

test("lines of clause 8.1.2", () => {
  const f32 = dtype("F32");
  assert.equal(columnsOf([], f32), 1);
  assert.equal(columnsOf([7], f32), 7);
  assert.equal(columnsOf([3, 4, 5, 8], f32), 40);
  assert.equal(columnsOf([2, 2, 2, 2, 2], f32), 16);
  assert.equal(columnsOf([9, 70000], f32), 65536);
  assert.equal(columnsOf([10, 3], dtype("C64")), 6);
  assert.equal(columnsOf([], dtype("C64")), 2);
});

test("addition wraps in every width", () => {
  const ones = new Uint8Array(8).fill(255);
  for (const width of [1, 2, 4, 8]) {
    const one = new Uint8Array(8);
    for (let i = 0; i < 8; i += width) one[i] = 1;
    assert.deepEqual(addWords(ones, one, width), new Uint8Array(8), `${8 * width} bits`);
  }
});

test("moves of the static variant are modulo 2^w, narrow and wide", () => {
  const none = (n: number) => [new Uint16Array(n), new Uint8Array(n)] as const;
  const narrow = new NarrowTensor(0, dtype("I8"), [2], Uint8Array.of(5, 255), ...none(2));
  const raw = () => new RawBits(Uint8Array.of(0b11, 0));
  narrow.shifted(0, 2, 2, true, raw()); // 5 - (8 - 1 + 3)
  narrow.shifted(1, 2, 0, false, raw()); // 255 + 1
  assert.deepEqual([...narrow.result()], [251, 0]);
  const old = new Uint8Array(new BigUint64Array([5n, 2n ** 64n - 1n]).buffer);
  const wide = new WideTensor(0, dtype("I64"), [2], old, ...none(2));
  wide.shifted(0, 2, 2, true, raw());
  wide.shifted(1, 2, 0, false, raw());
  assert.deepEqual([...new BigUint64Array(wide.result().buffer)], [2n ** 64n - 5n, 0n]);
});

test("logarithm, raw bits and counts", () => {
  assert.equal(lg(1), 0);
  assert.equal(lg(4096), 12 * 256);
  for (let a = 2; a < 65536; a++) assert.ok(lg(a) >= lg(a - 1));
  const bits = new RawBits(Uint8Array.of(0b10110101, 0xff, 0x01, 0x80, 0x7f, 1, 2, 3, 4));
  assert.equal(bits.raw(3), 0b101);
  assert.equal(bits.raw(0), 0);
  assert.equal(bits.raw(31), 0b11_10000000_00000001_11111111_10110 >>> 0);
  assert.throws(() => bits.big(64), Malformed);
  assert.equal(new Payload(Uint8Array.of(0xff, 0x01)).count(), 255);
  assert.throws(() => new Payload(new Uint8Array(10).fill(0x80)).count(), Malformed);
});

test("zstandard: raw and run blocks, checksum", () => {
  const head = [0x28, 0xb5, 0x2f, 0xfd, 0x20, 6];
  const frame = Uint8Array.from([...head, 0x18, 0, 0, 97, 98, 99, 0x1b, 0, 0, 120]);
  assert.deepEqual(zstdDecode(frame, 6), utf8("abcxxx"));
  assert.throws(() => zstdDecode(frame, 7), /content size/);
  assert.throws(() => zstdDecode(Uint8Array.from([...frame, 0]), 6), /after the frame/);
  assert.equal(xxh64(new Uint8Array(0)), 0xef46db3751d8e999n);
});

test("texts of a package are harmless, requests are checked", () => {
  assert.equal(harmless("a\u001b[31m\n"), "a\\u001b[31m\\u000a");
  assert.deepEqual(answer('{"do":"decode"}'), { exit: 2, message: "a request is describe, or decode or apply with input and output" });
  assert.equal((answer("nonsense") as { exit: number }).exit, 2);
});

test("a receiver keeps its state where a message is refused", () => {
  const read = (id: string, t: number): Uint8Array => new Uint8Array(readFileSync(join(vectorsRoot, "15-messages", id, "package.nmc", `message_0000000${t}`)));
  const receiver = new Receiver(4);
  receiver.apply(read("three", 0), "first");
  const before = hex(receiver.digest);
  assert.throws(() => receiver.apply(read("state-of-before", 1), "second"), { code: "decoding/state-digest-mismatch" });
  assert.throws(() => receiver.apply(read("three", 2), "third"), { code: "decoding/parent-digest-mismatch" });
  assert.equal(hex(receiver.digest), before);
  receiver.apply(read("three", 1), "second");
  assert.notEqual(hex(receiver.digest), before);
});
