// What the page shows of a manifest.
import { hex } from "decoder/bytes.js";
import type { Manifest } from "decoder/manifest.js";
import { mediaOf } from "decoder/media.js";
import type { FrameInfo, PackageCamera, PackageInfo, SignatureInfo } from "./messages.js";

export function describe(manifest: Manifest, signature: SignatureInfo, growing: boolean): PackageInfo {
  const { objects } = manifest;
  const text = (path: string): string => objects.get(path)?.text(0) ?? "";
  const measured = objects.get("/quality/psnr");
  const declared = objects.get("/frames/declared_psnr");
  const times = objects.get("/frames/presentation_time");
  const mean = (t: number): number | null => {
    if (measured === undefined) {
      const said = declared?.number(t) ?? Number.NaN;
      return Number.isNaN(said) ? null : said;
    }
    const views = Number(measured.dims[1]);
    const values = Array.from({ length: views }, (_, v) => measured.number(t * views + v)).filter((x) => !Number.isNaN(x));
    return values.length === 0 ? null : values.reduce((a, b) => a + b, 0) / values.length;
  };
  const frames: FrameInfo[] = Array.from({ length: manifest.frames }, (_, t) => ({
    key: manifest.coding[t] === 0,
    time: times?.number(t) ?? t,
    bytes: manifest.segmentLength(t),
    stateBytes: manifest.stateBytes(t),
    digest: hex(manifest.stateDigest(t, manifest.stops)),
    psnr: mean(t),
  }));
  return {
    signature,
    family: text("/model@family"),
    configuration: JSON.parse(text("/model@configuration") || "{}") as Record<string, unknown>,
    profile: manifest.profile,
    level: manifest.level.level,
    sequence: text("/@sequence_id"),
    creator: text("/@creator"),
    manifestDigest: hex(objects.get("/@manifest_digest")?.data ?? new Uint8Array(0)),
    timescale: objects.get("/frames@timescale")?.number(0) ?? 1,
    tensors: manifest.rows.map(({ name, dtype, shape }) => ({ name, dtype: dtype.name, shape })),
    frames,
    psnrIs: measured !== undefined ? "measured" : declared !== undefined ? "declared" : null,
    cameras: cameras(manifest),
    media: mediaOf(objects).map((medium) => ({ ...medium, chunks: medium.chunks.length })),
    growing,
  };
}

function cameras({ objects }: Manifest): PackageCamera[] {
  const names = objects.get("/cameras/name");
  const sizes = objects.get("/cameras/size");
  const intrinsics = objects.get("/cameras/intrinsics");
  const poses = objects.get("/cameras/camera_to_world");
  if (names === undefined || sizes === undefined || intrinsics === undefined || poses === undefined) return [];
  return Array.from({ length: Number(names.dims[0]) }, (_, i) => ({
    name: names.text(i) ?? "",
    width: sizes.number(2 * i),
    height: sizes.number(2 * i + 1),
    fx: intrinsics.number(4 * i),
    fy: intrinsics.number(4 * i + 1),
    cx: intrinsics.number(4 * i + 2),
    cy: intrinsics.number(4 * i + 3),
    cameraToWorld: Array.from({ length: 12 }, (_, k) => poses.number(12 * i + k)),
  }));
}
