// A stage on a server that renders: pictures in parts, coarse while the eye moves, whole when it rests.
import type { XrSystem } from "../page/headset.js";
import { InstantChoice } from "../page/instant.js";
import { type Pose, resized, type View } from "../pose/pose.js";
import { Line } from "./line.js";
import { type Extent, NoPicture } from "./renderer.js";
import type { Stage, Underway } from "./stage.js";

/** What a picture may take while the eye moves, and a part of one that rests, in milliseconds. */
const movingBudget = 120;
const partBudget = 400;
/** Pixels that are asked for in that time: at first few, then as was measured. */
const firstPixels = 512;
const fewestPixels = 256;
const mostPixels = 1 << 20;
/** How much finer each picture of an eye at rest is than the one before. */
const finer = 4;
/** How long nothing is asked for until the eye rests, in milliseconds. */
const stillness = 250;

interface Asked extends Underway {
  readonly frame: number;
  readonly instant: number;
}

export class ServedStage implements Stage {
  readonly means: string;
  readonly cells = 0;
  private readonly line: Line;
  private readonly instant = new InstantChoice(() => this.turned());
  private readonly pen: CanvasRenderingContext2D;
  private frame = -1;
  private seen: View | null = null;
  private wanted: { readonly view: View; readonly moving: boolean } | null = null;
  private underway: Asked | null = null;
  /** Whether a part was asked for and is not here. */
  private asking = false;
  private partPixels = firstPixels;
  private movingPixels = firstPixels;
  /** Of the picture that is seen. */
  private scale = 0;
  private resting = 0;
  private disposed = false;
  private troubled = false;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    address: URL,
    digest: string,
    /** Called with why, when no picture comes, and with null when there is one again. */
    private readonly trouble: (why: string | null) => void,
  ) {
    const pen = canvas.getContext("2d", { alpha: false });
    if (pen === null) throw new NoPicture("this browser has no canvas");
    this.pen = pen;
    this.line = new Line(address, digest, this.instant);
    this.means = `the server at ${address.host}; its pictures are not verified`;
  }

  get busy(): boolean {
    return !this.disposed && (this.wanted?.moving === true || this.underway?.moving === true);
  }

  get whole(): boolean {
    return this.scale === 1 && this.underway === null && this.wanted === null;
  }

  take(frame: number): void {
    this.frame = frame;
    this.scale = 0;
  }

  show(view: View, moving: boolean): void {
    window.clearTimeout(this.resting);
    this.seen = view;
    this.wanted = { view, moving };
    void this.pump();
  }

  async picture(view: View): Promise<Uint8Array> {
    const image = await createImageBitmap(await this.line.ask({ frame: this.frame, instant: this.instant.wanted, view, format: "png" }));
    const pen = new OffscreenCanvas(view.width, view.height).getContext("2d");
    if (pen === null) throw new NoPicture("this browser has no canvas");
    pen.drawImage(image, 0, 0);
    image.close();
    const { data } = pen.getImageData(0, 0, view.width, view.height);
    return new Uint8Array(data.filter((_, i) => i % 4 !== 3));
  }

  present(_xr: XrSystem, _base: Pose, _scale: number): Promise<void> {
    return Promise.reject(new NoPicture("a headset takes no pictures of a server"));
  }

  extent(): Extent | null {
    return null;
  }

  dispose(): void {
    this.disposed = true;
    window.clearTimeout(this.resting);
    this.wanted = this.underway = null;
    this.line.close();
    this.instant.hide();
  }

  /** Another instant of the same frame: what was seen of it is as old as that of another frame. */
  private turned(): void {
    this.scale = 0;
    if (this.seen !== null) this.show(this.seen, true);
  }

  /** Asks for one part after the other; what is wanted meanwhile takes the place of a picture that rests. */
  private async pump(): Promise<void> {
    if (this.asking || this.frame < 0) return;
    this.asking = true;
    try {
      while (!this.disposed && this.next()) await this.part(this.underway!);
    } catch (error) {
      this.wanted = this.underway = null;
      this.troubled = true;
      if (!this.disposed) this.trouble(error instanceof Error ? error.message : String(error));
    } finally {
      this.asking = false;
    }
  }

  /** Whether there is something to ask for. */
  private next(): boolean {
    // A picture of a moving eye is finished, or there would be none while it moves.
    if (this.wanted !== null && this.underway?.moving !== true) {
      this.underway = this.begun(this.wanted.view, this.wanted.moving);
      this.wanted = null;
    }
    return this.underway !== null;
  }

  private begun(view: View, moving: boolean): Asked {
    const quick = Math.min(1, Math.sqrt(this.movingPixels / (view.width * view.height)));
    // What one part may hold need not come in steps.
    const whole = view.width * view.height <= this.partPixels;
    const rest = whole ? 1 : Math.min(1, Math.max(quick, finer * this.scale));
    const scale = moving ? quick : rest;
    const [width, height] = [view.width, view.height].map((n) => Math.max(1, Math.round(n * scale))) as [number, number];
    return { frame: this.frame, instant: this.instant.wanted, view, moving, scale, width, height, done: 0 };
  }

  private async part(at: Asked): Promise<void> {
    const { view, width, height, done } = at;
    const rows = at.moving ? height : Math.max(1, Math.min(height - done, Math.floor(this.partPixels / width)));
    const whole = resized(view, width, height);
    const seen: View = { ...whole, height: rows, cy: whole.cy - done };
    const began = performance.now();
    const coded = await this.line.ask({ frame: at.frame, instant: at.instant, view: seen, format: at.moving ? "jpeg" : "webp" });
    const image = await createImageBitmap(coded);
    this.measured(at.moving, rows * width, performance.now() - began);
    if (!this.disposed) this.appear(at, image, rows);
    image.close();
    at.done += rows;
    if (this.underway !== at || at.done < height) return;
    this.underway = null;
    if (at.frame === this.frame && at.instant === this.instant.wanted) this.scale = at.scale;
    if (this.wanted !== null) return;
    // A picture that is coarse is asked for again, finer; after one of a moving eye there may soon be another.
    if (at.moving) this.resting = window.setTimeout(() => this.show(view, false), stillness);
    else if (at.scale < 1) this.wanted = { view, moving: false };
  }

  private appear({ view, width, height, done }: Underway, image: ImageBitmap, rows: number): void {
    const { canvas, pen } = this;
    if (this.troubled) this.trouble(null);
    this.troubled = false;
    if (canvas.width !== view.width || canvas.height !== view.height) {
      canvas.width = view.width;
      canvas.height = view.height;
    }
    const scale = view.height / height;
    pen.imageSmoothingEnabled = width !== view.width;
    pen.drawImage(image, 0, 0, width, rows, 0, done * scale, view.width, rows * scale);
  }

  /** Sizes are led to the budget step by step. */
  private measured(moving: boolean, pixels: number, spent: number): void {
    const led = (budget: number): number =>
      Math.round(Math.min(mostPixels, Math.max(fewestPixels, pixels * Math.min(4, Math.max(0.25, budget / Math.max(spent, 1))))));
    const full = moving ? this.movingPixels : this.partPixels;
    // What was smaller than it might have been says only that it was not too large.
    if (pixels < full / 2 && led(moving ? movingBudget : partBudget) > full / 2) return;
    if (moving) this.movingPixels = led(movingBudget);
    else this.partPixels = led(partBudget);
  }
}
