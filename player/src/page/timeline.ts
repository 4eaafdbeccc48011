// The timeline: bytes of each frame as a bar, PSNR as a line, what was verified or refused below.
import type { FrameInfo } from "../decoding/messages.js";

export type Verdict = "verified" | "refused" | null;

const barColour = "#5b8dd6";
const keyColour = "#e0a43a";
const lineColour = "#f2f2f2";
const verifiedColour = "#67c587";
const refusedColour = "#e2554f";
const text = "#dfe4ea";

/** Draws on a canvas of any size; a click or drag on it seeks. */
export class Timeline {
  private most = 1;
  private range: readonly [number, number] | null = null;
  private frames: readonly FrameInfo[] = [];

  constructor(
    private readonly canvas: HTMLCanvasElement,
    frames: readonly FrameInfo[],
    private readonly verdict: (t: number) => Verdict,
    seek: (t: number) => void,
  ) {
    this.set(frames);
    const at = (event: PointerEvent): number => {
      const box = canvas.getBoundingClientRect();
      const { length } = this.frames;
      return Math.max(0, Math.min(length - 1, Math.floor(((event.clientX - box.left) / box.width) * length)));
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      seek(at(event));
    });
    canvas.addEventListener("pointermove", (event) => {
      if (event.buttons & 1) seek(at(event));
      const t = at(event);
      canvas.title = this.says(t);
    });
  }

  /** Shows these frames from now on. */
  set(frames: readonly FrameInfo[]): void {
    this.frames = frames;
    this.most = frames.reduce((most, { bytes }) => Math.max(most, bytes), 1);
    const values = frames.flatMap((f) => (f.psnr !== null && Number.isFinite(f.psnr) ? [f.psnr] : []));
    const [low, high] = values.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
    this.range = values.length === 0 ? null : [Math.floor(low - 0.5), Math.ceil(high + 0.5)];
  }

  says(t: number): string {
    const f = this.frames[t]!;
    const psnr = f.psnr === null ? "" : `, ${f.psnr.toFixed(2)} dB`;
    return `frame ${t}, ${f.key ? "key" : "delta"}, ${f.bytes} bytes${psnr}`;
  }

  draw(current: number): void {
    const { canvas, frames } = this;
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (width === 0 || height === 0) return;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const pen = canvas.getContext("2d");
    if (pen === null) return;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    const n = frames.length;
    const step = width / n;
    const base = height - 6;
    const room = base - 4;
    pen.fillStyle = "#ffffff22";
    pen.fillRect(current * step, 0, Math.max(step, 2), height);
    // Of frames that share a column of pixels the largest is seen.
    const columns = Math.min(n, Math.max(1, Math.floor(width)));
    for (let c = 0; c < columns; c++) {
      const [from, to] = [Math.floor((c * n) / columns), Math.max(Math.floor((c * n) / columns) + 1, Math.floor(((c + 1) * n) / columns))];
      let [bytes, key, refused, verified] = [0, false, false, true];
      for (let t = from; t < to; t++) {
        bytes = Math.max(bytes, frames[t]!.bytes);
        key ||= frames[t]!.key;
        refused ||= this.verdict(t) === "refused";
        verified &&= this.verdict(t) === "verified";
      }
      const [x, w] = [(c * width) / columns, Math.max(1, width / columns - (width / columns > 4 ? 1 : 0))];
      const h = Math.max(1, (room * bytes) / this.most);
      pen.fillStyle = key ? keyColour : barColour;
      pen.fillRect(x, base - h, w, h);
      if (refused || verified) {
        pen.fillStyle = refused ? refusedColour : verifiedColour;
        pen.fillRect(x, height - 4, w, 4);
      }
    }
    this.drawLine(pen, step, room);
    pen.fillStyle = "#ffffff";
    pen.fillRect((current + 0.5) * step - 1, 0, 2, height);
  }

  private drawLine(pen: CanvasRenderingContext2D, step: number, room: number): void {
    if (this.range === null) return;
    const [low, high] = this.range;
    pen.strokeStyle = lineColour;
    pen.lineWidth = 1.5;
    pen.beginPath();
    let down = false;
    this.frames.forEach(({ psnr }, t) => {
      if (psnr === null || !Number.isFinite(psnr)) {
        down = false;
        return;
      }
      const [x, y] = [(t + 0.5) * step, 4 + (room - 4) * (1 - (psnr - low) / (high - low))];
      if (down) pen.lineTo(x, y);
      else pen.moveTo(x, y);
      down = true;
    });
    pen.stroke();
    pen.fillStyle = text;
    pen.font = "10px system-ui, sans-serif";
    // Over bars of any colour.
    pen.strokeStyle = "#1c2026";
    pen.lineWidth = 3;
    for (const [value, y] of [[high, 11], [low, room]] as const) {
      pen.strokeText(`${value} dB`, 4, y);
      pen.fillText(`${value} dB`, 4, y);
    }
  }
}
