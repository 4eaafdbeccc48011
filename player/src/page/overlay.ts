// The cameras of the package as frusta over the picture.
import type { PackageCamera } from "../decoding/messages.js";
import type { View } from "../pose/pose.js";

const near = 1e-3;

/** Where a point of the world is in a view: picture coordinates and depth. */
function seen(view: View, [x, y, z]: readonly [number, number, number]): [number, number, number] {
  const p = view.pose;
  const [a, b, c] = [x - p[3], y - p[7], z - p[11]];
  const depth = p[2] * a + p[6] * b + p[10] * c;
  return [(view.fx * (p[0] * a + p[4] * b + p[8] * c)) / depth + view.cx, (view.fy * (p[1] * a + p[5] * b + p[9] * c)) / depth + view.cy, depth];
}

export function drawFrusta(canvas: HTMLCanvasElement, view: View, cameras: readonly PackageCamera[], size: number, chosen: number): void {
  if (canvas.width !== view.width || canvas.height !== view.height) {
    canvas.width = view.width;
    canvas.height = view.height;
  }
  const pen = canvas.getContext("2d");
  if (pen === null) return;
  pen.clearRect(0, 0, canvas.width, canvas.height);
  const scale = Math.max(1, view.width / 900);
  pen.font = `${11 * scale}px system-ui, sans-serif`;
  cameras.forEach((camera, i) => {
    const m = camera.cameraToWorld;
    const world = (u: number, v: number): [number, number, number] => {
      const [a, b] = [(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy];
      const at = (k: number): number => m[4 * k + 3] + size * (m[4 * k] * a + m[4 * k + 1] * b + m[4 * k + 2]);
      return [at(0), at(1), at(2)];
    };
    const apex = seen(view, [m[3], m[7], m[11]]);
    const corners = ([[0, 0], [camera.width, 0], [camera.width, camera.height], [0, camera.height]] as const).map(([u, v]) => seen(view, world(u, v)));
    if (apex[2] < near || corners.some((c) => c[2] < near)) return;
    pen.strokeStyle = i === chosen ? "#ffffff" : "#e0a43acc";
    pen.lineWidth = (i === chosen ? 2 : 1) * scale;
    pen.beginPath();
    for (const c of corners) {
      pen.moveTo(apex[0], apex[1]);
      pen.lineTo(c[0], c[1]);
    }
    pen.moveTo(corners[3]![0], corners[3]![1]);
    for (const c of corners) pen.lineTo(c[0], c[1]);
    pen.stroke();
    pen.fillStyle = pen.strokeStyle;
    pen.fillText(camera.name, apex[0] + 4 * scale, apex[1] - 4 * scale);
  });
}

export function clear(canvas: HTMLCanvasElement): void {
  canvas.getContext("2d")?.clearRect(0, 0, canvas.width, canvas.height);
}
