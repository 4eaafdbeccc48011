// What a package and a frame of it say of themselves.
import type { FrameAnswer } from "../decoding/client.js";
import type { PackageInfo } from "../decoding/messages.js";
import { type Pose, viewpointOf } from "../pose/pose.js";
import { bytesText, element, fill } from "./elements.js";
import { signatureRows } from "./signature.js";

export function showPackage(info: PackageInfo): void {
  const total = info.frames.reduce((sum, f) => sum + f.bytes, 0);
  const raw = info.frames.reduce((sum, f) => sum + f.stateBytes, 0);
  fill(element("facts", HTMLElement), [
    ["family", info.family],
    ["profile", `${info.profile}, level ${info.level}`],
    ["frames", `${info.frames.length}, ${info.frames.filter((f) => f.key).length} key, ${info.timescale} ticks a second`],
    ["segments", `${bytesText(total)} of ${bytesText(raw)}, ratio ${(raw / Math.max(1, total)).toFixed(2)}`],
    ["sequence", info.sequence, "mono"],
    ["manifest", info.manifestDigest, "mono"],
    ...signatureRows(info.signature),
  ]);
}

export function showFrame(info: PackageInfo, answer: FrameAnswer, pictured: number, traffic: { readonly requests: number; readonly bytes: number }): void {
  const f = info.frames[answer.frame]!;
  fill(element("frame-facts", HTMLElement), [
    ["frame", `${answer.frame}, ${f.key ? "key" : "delta"}`],
    ["segment", bytesText(f.bytes)],
    ["PSNR", f.psnr === null ? "not recorded" : `${f.psnr.toFixed(2)} dB`],
    ["changed", `${answer.changed.length} of ${answer.names.length} tensors`],
    ["decoded in", `${answer.decodeMs.toFixed(0)} ms`],
    ...(answer.cells > 0 ? [["baked", bakedText(answer, pictured)] as const] : []),
    ["fetched", `${traffic.requests} requests, ${bytesText(traffic.bytes)}`],
    ["state", f.digest, "mono"],
  ]);
}

function bakedText({ lattice, cells }: FrameAnswer, pictured: number): string {
  if (lattice === null) return pictured < 0 ? "there is no picture yet" : `the picture is of frame ${pictured}`;
  return `${lattice.points} of ${(cells + 1) ** 3} points in ${lattice.milliseconds.toFixed(0)} ms`;
}

/** The cameras as buttons. */
export function showCameras(info: PackageInfo, choose: (i: number) => void): void {
  element("cameras-part", HTMLElement).hidden = info.cameras.length === 0;
  element("cameras", HTMLElement).replaceChildren(
    ...info.cameras.map((camera, i) => {
      const [item, button] = [document.createElement("li"), document.createElement("button")];
      button.textContent = camera.name;
      button.title = `${camera.width} × ${camera.height}`;
      button.addEventListener("click", () => choose(i));
      item.append(button);
      return item;
    }),
  );
}

/** Where the eye is; `speed` tells how large the scene is, and so how many digits count. */
export function showWhere({ pose, speed }: { readonly pose: Pose; readonly speed: number }): void {
  const { x, y, z, yaw, pitch, roll } = viewpointOf(pose);
  const digits = Math.max(0, Math.min(12, 2 - Math.floor(Math.log10(speed))));
  const [a, b, c] = [x, y, z].map((v) => v.toFixed(digits));
  element("where", HTMLElement).textContent = `x ${a} y ${b} z ${c} · yaw ${yaw.toFixed(0)}° pitch ${pitch.toFixed(0)}° roll ${roll.toFixed(0)}°`;
}

/** Whether there is more than one frame, or will be. */
export function plays({ frames, growing }: PackageInfo): boolean {
  return growing || frames.length > 1;
}
