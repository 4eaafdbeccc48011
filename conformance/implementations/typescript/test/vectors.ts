// Runs the conformance vectors in this process. Used by vectors.test.ts and as a program.
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { gunzipSync } from "node:zlib";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { apply, decode } from "../src/main.js";
import { exitCode } from "../src/report.js";

interface Step {
  do: "symlink" | "fifo" | "grow" | "directory" | "remove" | "inflate";
  path: string;
  target?: string;
  size?: number;
}

export interface Vector {
  id: string;
  requires: string[];
  input: { path: string; prepare?: Step[] };
  request?: { frames?: number[]; max_level?: number; signed_by?: string[]; key?: string };
  expected: {
    outcome: "accept" | "reject";
    stage?: "open" | "frame" | "check";
    codes?: string[];
    state_digests?: (string | null)[];
    or_unsupported?: boolean;
  };
}

export const vectorsRoot = join(dirname(fileURLToPath(import.meta.url)), "../../../../vectors");

export function listVectors(): string[] {
  if (!existsSync(vectorsRoot)) return [];
  const folders = readdirSync(vectorsRoot, { withFileTypes: true }).filter((d) => d.isDirectory());
  return folders
    .flatMap((d) => readdirSync(join(vectorsRoot, d.name)).map((v) => join(d.name, v)))
    .filter((v) => existsSync(join(vectorsRoot, v, "vector.json")))
    .sort();
}

export function readVector(id: string): Vector {
  return JSON.parse(readFileSync(join(vectorsRoot, id, "vector.json"), "utf8")) as Vector;
}

function prepare(root: string, steps: readonly Step[]): void {
  for (const step of steps) {
    const path = join(root, step.path);
    if (step.do === "remove") rmSync(path, { recursive: true });
    else if (step.do === "symlink") symlinkSync(step.target ?? "", path);
    else if (step.do === "fifo") execFileSync("mkfifo", [path]);
    else if (step.do === "directory") mkdirSync(path);
    else if (step.do === "inflate") writeFileSync(path, gunzipSync(readFileSync(path)));
    else truncateSync(path, step.size ?? 0);
  }
}

/** What is wrong with the answer to a vector, or null; and whether the code was one that is expected. */
export function judge(id: string): { wrong: string | null; code: boolean } {
  const vector = readVector(id);
  const { expected, request } = vector;
  const temporary = mkdtempSync(join(tmpdir(), "nmc-vector-"));
  try {
    let input = join(vectorsRoot, id, vector.input.path);
    if (vector.input.prepare !== undefined) {
      const copy = join(temporary, "package.nmc");
      cpSync(input, copy, { recursive: true });
      prepare(copy, vector.input.prepare);
      input = copy;
    }
    const { frames = null, max_level: maxLevel = 4, signed_by: signedBy = [], key } = request ?? {};
    const carryOut = vector.requires.includes("messages") ? apply : decode;
    const outcome = carryOut({ input, output: null, frames, maxLevel, signedBy, key: key === undefined ? null : Uint8Array.from(Buffer.from(key, "hex")) });
    const exit = exitCode(outcome);
    const codes = outcome.report.findings.map((f) => f.code);
    const mustDecode = expected.outcome === "accept";
    const code = mustDecode || exit === 0 || codes.some((c) => expected.codes?.includes(c));
    const said = `exit ${exit} ${codes.join()} ${outcome.unsupported ?? ""}`;
    for (const { frame, digest } of outcome.frames) {
      const right = expected.stage === "open" ? null : (expected.state_digests?.[frame] ?? null);
      if (digest !== right && (digest !== null || mustDecode)) return { wrong: `frame ${frame} is ${digest}: ${said}`, code };
    }
    const exits = mustDecode ? [0] : expected.stage === "check" ? [0, 1] : expected.or_unsupported === true ? [1, 3] : [1];
    return { wrong: exits.includes(exit) ? null : said, code };
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}
