// The protocol of conformance/PROTOCOL.md: describe, decode, apply, serve.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type Bytes, hex } from "./bytes.js";
import type { State } from "./decode.js";
import { harmless, UsageError } from "./errors.js";
import { Receiver } from "./message.js";
import { openPackage } from "./package.js";
import { begin, enter, exitCode, type Outcome } from "./report.js";
import { writeState } from "./safetensors.js";

export const description = {
  protocol: 1,
  name: "nmc-decoder-typescript",
  version: "0.1.0",
  profiles: ["baseline", "main", "lossy"],
  levels: [1, 2, 3, 4],
  features: ["encryption", "hdf5", "max-level", "messages", "serve", "signatures"],
};

export interface Request {
  readonly input: string;
  /** Where frames are written; null only verifies them. */
  readonly output: string | null;
  /** All where it is null. */
  readonly frames: readonly number[] | null;
  readonly maxLevel: number;
  /** Public keys in base 16 that are demanded (clause 13.2.2). */
  readonly signedBy: readonly string[];
  /** The key of the segments (clause 14), 32 bytes. */
  readonly key: Bytes | null;
}

function frameFile(output: string, t: number): string {
  return join(output, `frame_${String(t).padStart(8, "0")}.safetensors`);
}

/** Applies messages one after the other (clause 15), up to the last that is asked for, or to one that is refused. */
export function apply(request: Pick<Request, "input" | "output" | "frames" | "maxLevel">): Outcome {
  const outcome = begin(request.input);
  const receiver = new Receiver(request.maxLevel);
  const named = (t: number): string => `message_${String(t).padStart(8, "0")}`;
  const wanted = request.frames;
  if (request.output !== null) mkdirSync(request.output, { recursive: true });
  for (let t = 0; wanted === null ? existsSync(join(request.input, named(t))) : t <= Math.max(...wanted); t++) {
    const path = join(request.input, named(t));
    if (!existsSync(path)) throw new UsageError(`there is no ${named(t)}`);
    const data = new Uint8Array(readFileSync(path));
    outcome.report.frames = t + 1;
    try {
      receiver.apply(data, named(t));
    } catch (error) {
      outcome.frames.push({ frame: t, digest: null });
      enter(outcome, error);
      return outcome;
    }
    if (wanted !== null && !wanted.includes(t)) continue;
    if (request.output !== null) writeState(frameFile(request.output, t), receiver.state, receiver.rows);
    outcome.frames.push({ frame: t, digest: hex(receiver.digest) });
    outcome.report.decoded += 1;
  }
  return outcome;
}

export function decode(request: Request): Outcome {
  const outcome = begin(request.input);
  let opened;
  try {
    opened = openPackage(request.input, { maxLevel: request.maxLevel, signedBy: request.signedBy, key: request.key });
  } catch (error) {
    enter(outcome, error);
    return outcome;
  }
  const { source, manifest, decoder } = opened;
  try {
    outcome.report.frames = manifest.frames;
    const frames = request.frames ?? Array.from({ length: manifest.frames }, (_, t) => t);
    for (const t of frames) {
      if (t >= manifest.frames) throw new UsageError(`there is no frame ${t}; the package has ${manifest.frames}`);
    }
    if (request.output !== null) mkdirSync(request.output, { recursive: true });
    for (const t of frames) {
      let state: State;
      try {
        state = decoder.frame(t);
      } catch (error) {
        outcome.frames.push({ frame: t, digest: null });
        enter(outcome, error);
        continue;
      }
      // What fails from here on is the host's, and says nothing about the package.
      if (request.output !== null) {
        writeState(frameFile(request.output, t), state, manifest.rows);
      }
      outcome.frames.push({ frame: t, digest: hex(manifest.stateDigest(t, manifest.stops)) });
      outcome.report.decoded += 1;
    }
  } finally {
    source.close();
  }
  return outcome;
}

function messages(outcome: Outcome): string[] {
  const lines = outcome.report.findings.map((f) => {
    const place = "pointer" in f.place ? f.place.pointer : `${f.place.file}${f.place.offset === null ? "" : `+${f.place.offset}`}`;
    return `${f.code} at ${harmless(place)}: ${f.message}`;
  });
  return outcome.unsupported === null ? lines : [...lines, `unsupported: ${outcome.unsupported}`];
}

function parseFrames(text: string): number[] {
  return text.split(",").map((part) => {
    if (!/^[0-9]{1,8}$/.test(part)) throw new UsageError(`--frames takes numbers parted by commas, not ${harmless(part)}`);
    return Number(part);
  });
}

function parseLevel(level: unknown): number {
  if (typeof level !== "number" || ![1, 2, 3, 4].includes(level)) throw new UsageError("the highest level is 1 to 4");
  return level;
}

function parseKeys(keys: unknown): string[] {
  const key = (k: unknown): k is string => typeof k === "string" && /^[0-9a-f]{64}$/.test(k) && k.length === 64;
  if (!Array.isArray(keys) || !keys.every(key)) throw new UsageError("a key is 64 digits of base 16, in lower case");
  return keys;
}

function parseKey(key: unknown): Bytes | null {
  if (key === undefined) return null;
  if (typeof key !== "string" || !/^[0-9a-f]{64}$/.test(key) || key.length !== 64) throw new UsageError("a key is 64 digits of base 16, in lower case");
  return Uint8Array.from(Buffer.from(key, "hex"));
}

const applyOptions = ["--input", "--output", "--frames", "--report", "--max-level"];
const decodeOptions = [...applyOptions, "--signed-by", "--key"];

function framesCommand(args: readonly string[], known: readonly string[], carryOut: (request: Request) => Outcome): number {
  const values = new Map<string, string>();
  for (let i = 0; i < args.length; i += 2) {
    if (!known.includes(args[i]) || args[i + 1] === undefined) {
      throw new UsageError(`unknown option, or one without a value: ${harmless(args[i])}`);
    }
    values.set(args[i], args[i + 1]);
  }
  const input = values.get("--input");
  const output = values.get("--output");
  if (input === undefined || output === undefined) throw new UsageError("--input or --output is missing");
  const frames = values.get("--frames");
  const outcome = carryOut({
    input,
    output,
    frames: frames === undefined ? null : parseFrames(frames),
    maxLevel: parseLevel(Number(values.get("--max-level") ?? 4)),
    signedBy: parseKeys(values.get("--signed-by")?.split(",") ?? []),
    key: parseKey(values.get("--key")),
  });
  const path = values.get("--report");
  if (path !== undefined) writeFileSync(path, `${JSON.stringify(outcome.report)}\n`);
  for (const line of messages(outcome)) process.stderr.write(`${line}\n`);
  return exitCode(outcome);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

/** Answers one line of `serve`. */
export function answer(line: string): object {
  try {
    const request: unknown = JSON.parse(line);
    if (!isObject(request)) throw new UsageError("a request is an object");
    if (request["do"] === "describe") return { exit: 0, description };
    const { input, output, frames, max_level: level, signed_by: keys, key } = request;
    const carryOut = request["do"] === "decode" ? decode : request["do"] === "apply" ? apply : null;
    if (carryOut === null || typeof input !== "string" || typeof output !== "string") {
      throw new UsageError("a request is describe, or decode or apply with input and output");
    }
    const whole = (n: unknown): n is number => typeof n === "number" && Number.isInteger(n) && n >= 0;
    if (frames !== undefined && !(Array.isArray(frames) && frames.every(whole))) throw new UsageError("frames are numbers");
    const signedBy = parseKeys(keys ?? []);
    const outcome = carryOut({ input, output, frames: frames ?? null, maxLevel: parseLevel(level ?? 4), signedBy, key: parseKey(key) });
    return { exit: exitCode(outcome), report: outcome.report, message: messages(outcome).join("; ") };
  } catch (error) {
    if (error instanceof UsageError || error instanceof SyntaxError) return { exit: 2, message: harmless(error.message) };
    throw error;
  }
}

async function serve(): Promise<number> {
  for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
    if (line.trim() !== "") process.stdout.write(`${JSON.stringify(answer(line))}\n`);
  }
  return 0;
}

export async function run(args: readonly string[]): Promise<number> {
  const [command, ...rest] = args;
  if (command === "describe" && rest.length === 0) {
    process.stdout.write(`${JSON.stringify(description)}\n`);
    return 0;
  }
  if (command === "decode") return framesCommand(rest, decodeOptions, decode);
  if (command === "apply") return framesCommand(rest, applyOptions, apply);
  if (command === "serve" && rest.length === 0) return serve();
  throw new UsageError("give a command: describe, serve, or decode or apply --input P --frames 0,1 --output DIR");
}
