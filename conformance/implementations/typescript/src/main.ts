// The command line: describe, decode.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { harmless, UsageError } from "./errors.js";
import { openPackage } from "./package.js";
import { emptyReport, enter, entered, exitCodes, type Report } from "./report.js";
import { writeState } from "./safetensors.js";

export const description = {
  name: "nmc-decoder-typescript",
  version: "0.1.0",
  role: "decoder",
  profiles: ["baseline", "main"],
  levels: [1, 2, 3, 4],
  features: ["hdf5"],
};

export interface Request {
  readonly input: string;
  readonly output: string | null;
  readonly frames: readonly number[] | null;
  readonly maxLevel: number;
}

export function decode(request: Request): Report {
  const report = emptyReport();
  let opened;
  try {
    opened = openPackage(request.input, { maxLevel: request.maxLevel });
  } catch (error) {
    enter(report, error);
    return report;
  }
  const { source, manifest, decoder } = opened;
  try {
    report.profile = manifest.profile;
    report.level = manifest.level.level;
    report.frames = manifest.frames;
    const frames = request.frames ?? Array.from({ length: manifest.frames }, (_, t) => t);
    for (const t of frames) {
      if (t >= manifest.frames) throw new UsageError(`there is no frame ${t}; the package has ${manifest.frames}`);
    }
    if (request.output !== null) mkdirSync(request.output, { recursive: true });
    for (const t of frames) {
      try {
        const state = decoder.frame(t);
        if (request.output !== null) {
          writeState(join(request.output, `frame_${String(t).padStart(8, "0")}.safetensors`), state, manifest.rows);
        }
        report.results.push(entered(t, manifest.stateDigest(t)));
      } catch (error) {
        report.results.push(entered(t, null, enter(report, error)));
      }
    }
  } finally {
    source.close();
  }
  return report;
}

function parseFrames(text: string): number[] {
  return text.split(",").map((part) => {
    if (!/^[0-9]{1,8}$/.test(part)) throw new UsageError(`--frames takes numbers parted by commas, not ${harmless(part)}`);
    return Number(part);
  });
}

export function run(args: readonly string[]): number {
  const [command, ...rest] = args;
  if (command === "describe" && rest.length === 0) {
    process.stdout.write(`${JSON.stringify(description)}\n`);
    return 0;
  }
  if (command !== "decode") throw new UsageError("give a command: describe, or decode --input P --output DIR");
  const values = new Map<string, string>();
  for (let i = 0; i < rest.length; i += 2) {
    if (!["--input", "--output", "--frames", "--report", "--max-level"].includes(rest[i]) || rest[i + 1] === undefined) {
      throw new UsageError(`unknown option, or one without a value: ${harmless(rest[i])}`);
    }
    values.set(rest[i], rest[i + 1]);
  }
  const input = values.get("--input");
  const output = values.get("--output");
  if (input === undefined) throw new UsageError("--input is missing");
  const frames = values.get("--frames");
  const maxLevel = Number(values.get("--max-level") ?? 4);
  if (![1, 2, 3, 4].includes(maxLevel)) throw new UsageError("--max-level is 1 to 4");
  const report = decode({ input, output: output ?? null, frames: frames === undefined ? null : parseFrames(frames), maxLevel });
  const path = values.get("--report");
  if (path !== undefined) writeFileSync(path, `${JSON.stringify(report, null, 1)}\n`);
  for (const f of report.findings) {
    const place = "pointer" in f.place ? f.place.pointer : `${f.place.file}${f.place.offset === null ? "" : `+${f.place.offset}`}`;
    process.stderr.write(`${f.code} at ${harmless(place)}: ${f.message}\n`);
  }
  if (report.unsupported !== null) process.stderr.write(`unsupported: ${report.unsupported}\n`);
  return exitCodes[report.outcome];
}
