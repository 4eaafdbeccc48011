// Has one build of the TypeScript decoder sit the vectors within this process:
//   node sit.mjs FOLDER TESTS.json CACHE
// One line for each vector tried, the verdict last; it ends at the first one that is not good. What the
// HDF5 library answers in its own process is kept in CACHE, since it takes most of the time.
import childProcess from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { createRequire, syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, testsFile, cache] = process.argv.slice(2);
const { createBLAKE3 } = createRequire(new URL("../../implementations/typescript/package.json", import.meta.url))("hash-wasm");
const blake3 = await createBLAKE3();
const contentHash = (data) => blake3.init().update(data).digest("binary");
const say = (...words) => writeSync(1, `${words.join("\t").replaceAll("\n", " ")}\n`);

if (cache) {
  mkdirSync(cache, { recursive: true });
  const spawn = childProcess.spawnSync;
  childProcess.spawnSync = (command, args, options) => {
    const kept = join(cache, createHash("sha256").update(options.input).digest("hex"));
    if (existsSync(kept)) return { status: 0, stdout: readFileSync(kept) };
    const made = spawn(command, args, options);
    if (made.status === 0 && made.error === undefined) writeFileSync(kept, made.stdout);
    return made;
  };
  syncBuiltinESMExports();
}

const framed = (text) => {
  const bytes = Buffer.from(text, "utf8");
  const size = Buffer.alloc(4);
  size.writeUInt32LE(bytes.length);
  return Buffer.concat([size, bytes]);
};
const number = (value, size) => {
  const out = Buffer.alloc(8);
  out.writeBigUInt64LE(BigInt(value));
  return out.subarray(0, size);
};

/** The state digest of a file that was written (clause 4.5), by arithmetic of its own. */
function digestOf(path) {
  const file = readFileSync(path);
  const n = Number(file.readBigUInt64LE(0));
  const header = file.subarray(8, 8 + n).toString("utf8");
  const names = [...header.matchAll(/"((?:[^"\\]|\\.)*)":\{"dtype":"(\w+)","shape":\[([\d,]*)\],"data_offsets":\[(\d+),(\d+)\]\}/g)];
  const entries = names.map(([, name, dtype, shape, start, end]) => {
    const dims = shape === "" ? [] : shape.split(",");
    const head = [Buffer.from("nmc tensor 1\0"), framed(dtype), number(dims.length, 4), ...dims.map((d) => number(d, 8))];
    const data = file.subarray(8 + n + Number(start), 8 + n + Number(end));
    const digest = createHash("sha256").update(Buffer.concat(head)).update(contentHash(data)).digest();
    return [framed(JSON.parse(`"${name}"`)), Buffer.from(JSON.parse(`"${name}"`)), digest];
  });
  entries.sort((a, b) => Buffer.compare(a[1], b[1]));
  const hash = createHash("sha256").update("nmc state 1\0").update(number(entries.length, 4));
  for (const [name, , digest] of entries) hash.update(name).update(digest);
  return hash.digest("hex");
}

/** What is wrong with what a decoder did with a vector; empty where nothing is. */
function fault(test, exit, output) {
  const rejected = exit === 1;
  if (exit === 3) return test.orUnsupported ? "" : "unsupported";
  if (exit !== 0 && exit !== 1) return `exit ${exit}`;
  if (test.accept && rejected) return "it rejected a conforming package";
  if (!test.accept && !rejected && test.stage !== "check") return "it did not reject the package";
  const written = readdirSync(output);
  for (const name of written) {
    const t = Number(/^frame_(\d{8})\.safetensors$/.exec(name)?.[1] ?? -1);
    const wanted = test.frames.includes(t) ? test.digests[t] : null;
    if (!wanted) return `${name} shall not be there`;
    if (digestOf(join(output, name)) !== wanted) return `frame ${t} is another state`;
  }
  const missing = test.frames.some((t) => !written.includes(`frame_${String(t).padStart(8, "0")}.safetensors`));
  return missing && !rejected ? "a frame is missing" : "";
}

const { tests, work } = JSON.parse(readFileSync(testsFile, "utf8"));
const main = await import(pathToFileURL(join(folder, "main.js")).href);
let noticed = "";
const output = join(work, `output-${process.pid}`);
for (const test of tests) {
  say("at", test.id);
  rmSync(output, { recursive: true, force: true });
  mkdirSync(output);
  let wrong;
  try {
    const request = { do: test.do, input: test.input, frames: test.frames, output };
    if (test.maxLevel !== null) request.max_level = test.maxLevel;
    if (test.signedBy.length > 0) request.signed_by = test.signedBy;
    if (test.key !== "") request.key = test.key;
    const answer = main.answer(JSON.stringify(request));
    wrong = fault(test, answer.exit, output);
    const codes = (answer.report?.findings ?? []).map((f) => f.code);
    if (answer.report && answer.report.accepted !== (codes.length === 0 && answer.exit !== 3)) wrong ||= "its report says another thing";
    if (wrong === "" && answer.exit === 1 && !codes.some((c) => test.codes.includes(c))) noticed ||= test.id;
  } catch (error) {
    wrong = `it threw ${error}`;
  }
  if (wrong !== "") {
    say("killed", test.id, wrong);
    rmSync(output, { recursive: true, force: true });
    process.exit(0);
  }
}
rmSync(output, { recursive: true, force: true });
say(noticed === "" ? "survived" : "noticed", noticed, "");
