// The cameras (clause 5.6).
import { at, harmless, refuse } from "./errors.js";
import type { H5Object, Objects } from "./objects.js";

function wrong(reason: string, path: string): never {
  return refuse("manifest/cameras", reason, at(path));
}

/** The numerical criterion of clause 5.6.1: columns of one length, at right angles. */
function isSimilarity(m: readonly number[]): boolean {
  const norms = [0, 1, 2].map((k) => Math.hypot(m[k], m[4 + k], m[8 + k]));
  if (!norms.every((norm) => norm >= 1e-100 && norm <= 1e100)) return false;
  const unit = m.map((value, i) => (i % 4 < 3 ? value / norms[i % 4] : value));
  if (!norms.every((norm) => Math.abs(norm - norms[0]) <= 1e-4 * norms[0])) return false;
  return [[0, 1], [0, 2], [1, 2]].every(([i, j]) => {
    return Math.abs(unit[i] * unit[j] + unit[4 + i] * unit[4 + j] + unit[8 + i] * unit[8 + j]) <= 1e-4;
  });
}

function checkPose(pose: H5Object, camera: number): void {
  const r = Array.from({ length: 12 }, (_, k) => pose.number(12 * camera + k));
  for (let i = 0; i < 3; i++) {
    for (let j = 0; j < 3; j++) {
      const product = r[i] * r[j] + r[4 + i] * r[4 + j] + r[8 + i] * r[8 + j] - (i === j ? 1 : 0);
      if (!(Math.abs(product) <= 1e-6)) wrong("the first columns are no rotation", `/cameras/${camera}/camera_to_world`);
    }
  }
}

const coefficients: ReadonlyMap<string, number> = new Map([
  ["none", 0],
  ["opencv", 5],
]);

function checkDistortion(objects: Objects, cameras: number): void {
  const models = objects.get("/cameras/distortion_model");
  const values = objects.get("/cameras/distortion");
  if (models === undefined || values === undefined) return;
  const width = Number(values.dims[1]);
  for (let i = 0; i < cameras; i++) {
    const model = models.text(i) ?? "";
    const used = coefficients.get(model);
    const place = `/cameras/${i}/distortion_model`;
    if (used === undefined) return wrong(`distortion model ${harmless(model)} is unknown`, place);
    if (used > width) wrong(`distortion model ${model} has ${used} coefficients, there are ${width}`, place);
    for (let k = used; k < width; k++) {
      if (values.number(i * width + k) !== 0) wrong("a coefficient that the model does not use is not 0", `/cameras/${i}/distortion`);
    }
  }
}

export function checkCameras(objects: Objects): void {
  const convention = objects.get("/cameras@convention");
  const normalisation = objects.get("/cameras@normalisation");
  const sizes = objects.get("/cameras/size");
  const intrinsics = objects.get("/cameras/intrinsics");
  const poses = objects.get("/cameras/camera_to_world");
  if (convention === undefined || normalisation === undefined || sizes === undefined) return;
  if (intrinsics === undefined || poses === undefined) return;
  const name = convention.text(0) ?? "";
  if (name !== "camera-to-world opencv corner") wrong(`convention ${harmless(name)} is unknown`, "/cameras@convention");
  const m = Array.from({ length: 16 }, (_, k) => normalisation.number(k));
  if (m[12] !== 0 || m[13] !== 0 || m[14] !== 0 || m[15] !== 1) wrong("the last row is not 0 0 0 1", "/cameras@normalisation");
  if (!isSimilarity(m)) wrong("the normalisation is not a similarity", "/cameras@normalisation");
  const cameras = Number(sizes.dims[0]);
  for (let i = 0; i < cameras; i++) {
    if (sizes.number(2 * i) < 1 || sizes.number(2 * i + 1) < 1) wrong("an image without pixels", `/cameras/${i}/size`);
    if (!(intrinsics.number(4 * i) > 0 && intrinsics.number(4 * i + 1) > 0)) {
      wrong("a focal length is not above 0", `/cameras/${i}/intrinsics`);
    }
    checkPose(poses, i);
  }
  checkDistortion(objects, cameras);
}
