// Step 7 of clause 7.1.1: the values of a manifest (clauses 5.4, 5.5, 9.1, 9.2.1, 9.3 and 10).
import type { Bytes } from "./bytes.js";
import { dtypes, tensorBytes } from "./dtypes.js";
import { feature, isEncrypted, plainLength } from "./encryption.js";
import { at, harmless, refuse } from "./errors.js";
import { checkCameras } from "./cameras.js";
import { objectFault } from "./json.js";
import { layout } from "./layout.js";
import { type Level, profiles } from "./levels.js";
import type { Row } from "./manifest.js";
import { checkMedia } from "./media.js";
import type { H5Object, Objects } from "./objects.js";
import { checkTraining } from "./training.js";

function column(objects: Objects, path: string): H5Object {
  const o = objects.get(path);
  if (o === undefined) throw new Error(`${path} was checked to be there`);
  return o;
}

function value(reason: string, path: string): never {
  return refuse("manifest/value", reason, at(path));
}

function checkTexts(objects: Objects): void {
  for (const e of layout) {
    const o = objects.get(e.path);
    if (o === undefined || o.kind !== "str" || e.path === "/model/tensors/name") continue;
    for (let i = 0, n = o.count; i < n; i++) {
      if (o.text(i) === null) value("the text is not UTF-8 or holds a zero byte", e.path);
    }
  }
}

function checkNumbers(objects: Objects): void {
  for (const e of layout) {
    const o = objects.get(e.path);
    if (o === undefined || o.type !== "f8" || e.path.startsWith("/quality/")) continue;
    let count = 0;
    for (let i = 0, n = o.count; i < n; i++) if (!Number.isFinite(o.number(i))) count += 1;
    if (count > 0) refuse("manifest/not-a-number", `${count} values are NaN or infinite`, at(e.path));
  }
}

const configurationLimit = 2 ** 24;

function characters(text: string): number {
  let count = text.length;
  for (let i = 0; i < text.length; i++) if ((text.charCodeAt(i) & 0xfc00) === 0xdc00) count -= 1;
  return count;
}

const keyDigestPath = "/encryption@key_digest";

function checkRoot(objects: Objects): string {
  const features = column(objects, "/@must_understand").text(0) ?? "";
  const unknown = features === "" ? [] : features.split(" ").filter((name) => name !== feature);
  if (unknown.length > 0) {
    refuse("manifest/must-understand", `the package needs feature ${harmless(unknown[0])}`, at("/@must_understand"));
  }
  if (isEncrypted(objects) && !objects.has(keyDigestPath)) {
    refuse("manifest/object-missing", "there is no key digest of encrypted segments", at(keyDigestPath));
  }
  const profile = column(objects, "/@profile").text(0) ?? "";
  if (!profiles.has(profile)) {
    refuse("profile/unknown", `profile ${harmless(profile)} is unknown; there are baseline, main and lossy`, at("/@profile"));
  }
  const configuration = column(objects, "/model@configuration").text(0) ?? "";
  if (characters(configuration) > configurationLimit) {
    value(`the configuration has more than ${configurationLimit} characters`, "/model@configuration");
  }
  const fault = objectFault(configuration);
  if (fault !== "") value(`the configuration ${fault}`, "/model@configuration");
  return profile;
}

function shapeOf(column: H5Object, i: number, width: number, path: string): number[] {
  const shape: number[] = [];
  let filled = false;
  for (let k = 0; k < width; k++) {
    const d = column.number(i * width + k);
    if (d < -1 || (filled && d !== -1)) {
      refuse("manifest/tensor-shape", "the shape is no dimensions and then -1", at(path));
    }
    if (d === -1) filled = true;
    else shape.push(d);
  }
  return shape;
}

/** Why a name of a tensor is not allowed (clause 5.4.3); empty where it is. */
export function nameFault(name: string | null, nameBytes: Bytes): string {
  return name === null || name.includes("\0")
    ? "it is not UTF-8 or holds a zero byte"
    : nameBytes.length < 1 || nameBytes.length > 1024
      ? `it has ${nameBytes.length} bytes`
      : name === "__metadata__"
        ? "safetensors gives it another meaning"
        : "";
}

function checkTable(objects: Objects, rows: number, frames: number): Row[] {
  const names = column(objects, "/model/tensors/name");
  const types = column(objects, "/model/tensors/dtype");
  const roles = column(objects, "/model/tensors/role");
  const layers = column(objects, "/model/tensors/layer");
  const shapes = column(objects, "/model/tensors/shape");
  const firsts = objects.get("/model/tensors/first_frame");
  const width = Number(shapes.dims[1]);
  const known = new Map<string, number>();
  const table: Row[] = [];
  for (let i = 0; i < rows; i++) {
    const place = (name: string): string => `/model/tensors/${i}/${name}`;
    const nameBytes = names.textBytes(i);
    const name = names.text(i);
    const reason = nameFault(name, nameBytes);
    if (name === null || reason !== "") {
      return refuse("manifest/tensor-name", `the tensor name is not allowed: ${reason}`, at(place("name")));
    }
    const dtypeName = types.text(i) ?? "";
    const dtype = dtypes.get(dtypeName);
    if (dtype === undefined) {
      return refuse("manifest/tensor-dtype", `dtype ${harmless(dtypeName)} is unknown`, at(place("dtype")));
    }
    const key = `${dtypeName}\0${name}`;
    const first = known.get(key);
    if (first !== undefined) {
      refuse("manifest/tensor-duplicate", `rows ${first} and ${i} are both ${harmless(name)} of dtype ${dtypeName}`, at(place("name")));
    }
    known.set(key, i);
    const role = roles.number(i);
    if (role > 1) refuse("manifest/tensor-role", `role ${role} is unknown`, at(place("role")));
    const layer = layers.number(i);
    if (layer < -1) value(`layer ${layer} is negative`, place("layer"));
    const shape = shapeOf(shapes, i, width, place("shape"));
    const bytes = tensorBytes(dtype, shape);
    if (typeof bytes === "string") refuse("manifest/tensor-shape", bytes, at(place("shape")));
    const firstFrame = firsts === undefined ? 0 : firsts.number(i);
    if (firstFrame >= frames) value(`first_frame ${firstFrame} is not a frame`, place("first_frame"));
    if (i > 0 && firstFrame < table[i - 1].firstFrame) value("first_frame falls", place("first_frame"));
    table.push({ name, nameBytes, dtype, role, layer, shape, firstFrame });
  }
  return table;
}

function checkFrames(objects: Objects, level: Level, frames: number): void {
  if (column(objects, "/frames@timescale").number(0) < 1) value("the timescale is 0", "/frames@timescale");
  const coding = column(objects, "/frames/coding").data;
  const times = column(objects, "/frames/presentation_time");
  let group = 0;
  for (let t = 0; t < frames; t++) {
    if (coding[t] > 1) refuse("manifest/frame-coding", `frame type ${coding[t]} is unknown`, at(`/frames/${t}/coding`));
    if (t === 0 && coding[0] !== 0) {
      refuse("manifest/first-frame-key", "frame 0 is a delta frame; it shall be a key frame", at("/frames/0/coding"));
    }
    group = coding[t] === 0 ? 1 : group + 1;
    if (group > level.groupFrames) {
      refuse("profile/level-exceeded", `a group has more than ${level.groupFrames} frames, the bound of level ${level.level}`, at(`/frames/${t}/coding`));
    }
    if (t > 0 && times.big(t) <= times.big(t - 1)) {
      refuse("manifest/time-order", `presentation time ${times.big(t)} is not after ${times.big(t - 1)}`, at(`/frames/${t}/presentation_time`));
    }
  }
}

const sourceNameLimit = 1024;
const extrasLimit = 65536;
const allExtrasLimit = 2 ** 24;

/** Clause 5.4.5. */
function checkSources(objects: Objects, frames: number): void {
  const names = objects.get("/frames/source_name");
  const extras = objects.get("/frames/extras");
  let sum = 0;
  for (let t = 0; t < frames; t++) {
    const name = names?.text(t) ?? "";
    if (/[/\\]/.test(name) || name === "." || name === ".." || (names?.textBytes(t).length ?? 0) > sourceNameLimit) {
      value("the source name is not a name of a file alone, or too long", `/frames/${t}/source_name`);
    }
    const size = extras?.textBytes(t).length ?? 0;
    sum += size;
    if (size > extrasLimit) value(`the extras have more than ${extrasLimit} bytes`, `/frames/${t}/extras`);
    if (sum > allExtrasLimit) value(`all extras together have more than ${allExtrasLimit} bytes`, "/frames/extras");
    const fault = size === 0 ? "" : objectFault(extras?.text(t) ?? "");
    if (fault !== "") value(`the text of the extras ${fault}`, `/frames/${t}/extras`);
  }
}

function checkPsnr(declared: H5Object | undefined, place: (i: number) => string): void {
  for (let i = 0, n = declared?.count ?? 0; i < n; i++) {
    const psnr = declared?.number(i) ?? -1;
    if (psnr !== -1 && !(psnr >= 0 && psnr <= 1000)) value("the PSNR is neither -1 nor a number from 0 to 1000", place(i));
  }
}

/** Clauses 5.4.6 and 5.4.7. Returns the number of refinements. */
function checkRefinements(objects: Objects, profile: string): number {
  checkPsnr(objects.get("/frames/declared_psnr"), (t) => `/frames/${t}/declared_psnr`);
  const starts = objects.get("/refinements/start");
  if (starts === undefined) return 0;
  const count = Number(starts.dims[1]);
  if (count < 1 || count > 8) value(`there are ${count} refinements of a frame; 1 to 8 are allowed`, "/refinements/start");
  if (profile !== "lossy") value(`the profile ${profile} has no refinements`, "/refinements/start");
  checkPsnr(objects.get("/refinements/declared_psnr"), (i) => `/frames/${Math.floor(i / count)}/refinements/${i % count}/declared_psnr`);
  return count;
}

function checkSizes(objects: Objects, level: Level, frames: number, table: readonly Row[], refinements: number): void {
  const lengths = column(objects, "/frames/segment_length");
  const sizes = column(objects, "/frames/state_bytes");
  let rows = 0;
  for (let t = 0; t < frames; t++) {
    while (rows < table.length && table[rows].firstFrame <= t) rows += 1;
    const state = sizes.number(t);
    if (state > level.stateBytes) {
      refuse("profile/level-exceeded", `the state has ${sizes.big(t)} bytes, more than ${level.stateBytes}, the bound of level ${level.level}`, at(`/frames/${t}/state_bytes`));
    }
    const bound = (refinements + 1) * (state + Math.floor(state / 64) + 65536 + 273 * rows);
    const stored = lengths.number(t);
    const length = isEncrypted(objects) ? plainLength(stored) : stored;
    if (length === null) return refuse("encryption/length", `no encrypted segment has ${stored} bytes`, at(`/frames/${t}/segment_length`));
    if (length > bound) {
      refuse("profile/level-exceeded", `the segment has ${lengths.big(t)} bytes, more than ${bound}`, at(`/frames/${t}/segment_length`));
    }
  }
}

export function checkValues(objects: Objects, level: Level, frames: number, rows: number): { profile: string; table: Row[] } {
  const profile = checkRoot(objects);
  checkTexts(objects);
  checkNumbers(objects);
  if (frames < 1) value("there is no frame", "/frames/coding");
  const table = checkTable(objects, rows, frames);
  checkFrames(objects, level, frames);
  checkSources(objects, frames);
  const refinements = checkRefinements(objects, profile);
  checkSizes(objects, level, frames, table, refinements);
  checkTraining(objects, frames, table);
  checkCameras(objects);
  checkMedia(objects, frames);
  return { profile, table };
}
