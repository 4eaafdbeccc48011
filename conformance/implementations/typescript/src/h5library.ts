// Manifests that are not in the compact form are read by an HDF5 library in a process of its own
// (clause 5.3.1, note). This module is both sides: `readByLibrary` starts this file as a program,
// which answers with the objects as lines of JSON.
import { spawnSync } from "node:child_process";
import { readFileSync, writeSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Bytes, text } from "./bytes.js";
import { inFile, refuse, Refusal } from "./errors.js";
import { scanFile } from "./h5scan.js";
import { H5Object, type Kind, manifestFile, manifestLimit, type Objects } from "./objects.js";

const timeLimit = 15_000;
const self = fileURLToPath(import.meta.url);

interface Line {
  path: string;
  kind: Kind;
  width: number;
  dims: string[];
  data: string;
  texts: string[] | null;
}

interface Failure {
  code: string;
  message: string;
  path: string;
}

export function readByLibrary(file: Bytes, reason: string): Objects {
  const child = spawnSync(process.execPath, ["--max-old-space-size=1024", self], {
    input: file,
    timeout: timeLimit,
    killSignal: "SIGKILL",
    maxBuffer: 2 * manifestLimit,
    env: {},
  });
  const place = inFile(manifestFile);
  const last = child.status === 0 ? "" : "the HDF5 library failed";
  if (last !== "" || child.error !== undefined) {
    return refuse("manifest/unreadable", `the manifest is not a readable HDF5 file: ${reason}; ${last}`, place);
  }
  const objects: Objects = new Map();
  for (const line of child.stdout.toString("utf8").split("\n")) {
    if (line === "") continue;
    const value = JSON.parse(line) as Line | Failure;
    if ("code" in value) {
      const pointer = value.path.startsWith("/") ? { pointer: value.path } : place;
      throw new Refusal(value.code, `${value.message} (${reason})`, pointer);
    }
    const texts = value.texts?.map((t) => new Uint8Array(Buffer.from(t, "base64"))) ?? null;
    const data = new Uint8Array(Buffer.from(value.data, "base64"));
    objects.set(value.path, new H5Object(value.path, value.kind, value.width, value.dims.map(BigInt), data, texts));
  }
  return objects;
}

async function main(): Promise<void> {
  const file = new Uint8Array(readFileSync(0));
  const emit = (value: Line | Failure): void => {
    const bytes = Buffer.from(`${JSON.stringify(value)}\n`);
    for (let done = 0; done < bytes.length; ) done += writeSync(1, bytes, done);
  };
  try {
    for (const o of await scanFile(file)) {
      emit({
        path: o.path,
        kind: o.kind,
        width: o.width,
        dims: o.dims.map(String),
        data: Buffer.from(o.data).toString("base64"),
        texts: o.texts?.map((t) => Buffer.from(t).toString("base64")) ?? null,
      });
    }
  } catch (error) {
    if (error instanceof Refusal) {
      emit({ code: error.code, message: error.message, path: "pointer" in error.place ? error.place.pointer : "" });
    } else {
      const message = error instanceof Error ? error.message : "failed";
      emit({ code: "manifest/unreadable", message: text(Buffer.from(message)) ?? "failed", path: "" });
    }
  }
}

if (process.argv[1] === self) await main();
