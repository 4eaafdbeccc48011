// A stage on the graphics processor: WebGL 2. Coarse while the eye moves, whole when it rests.
import type { SentLattice, SentTensor } from "../decoding/messages.js";
import { present, type XrSystem } from "../page/headset.js";
import { type Pose, resized, type View } from "../pose/pose.js";
import { type Extent, NoPicture, type Renderer } from "./renderer.js";
import type { Stage, Underway } from "./stage.js";

/** What a picture may take while the eye moves, and a part of one at any time, in milliseconds. */
const movingBudget = 50;
const partBudget = 80;
/** Pixels that are drawn in that time: at first what the slowest can, then as was measured. */
const firstPixels = 600;
const coarsest = 1 / 16;
/** How much finer each picture of an eye at rest may be than the one before, and how many budgets one may take. */
const finer = 4;
const patience = 8;

interface Target {
  readonly frame: WebGLFramebuffer;
  readonly texture: WebGLTexture;
  width: number;
  height: number;
}

interface Drawn extends Underway {
  began: number;
  rows: number;
  fence: WebGLSync | null;
}

export function context(canvas: HTMLCanvasElement): WebGL2RenderingContext | null {
  return canvas.getContext("webgl2", { alpha: false, antialias: false, depth: false, preserveDrawingBuffer: true, powerPreference: "high-performance" });
}

export class GraphicsStage implements Stage {
  readonly means: string;
  /** Whether a picture of a moving eye, or of a frame that is played, is not seen yet. */
  get busy(): boolean {
    return !this.disposed && !this.worn && (this.wanted?.moving === true || this.underway?.moving === true);
  }

  get whole(): boolean {
    return this.scale === 1 && this.underway === null && this.wanted === null;
  }

  private readonly target: Target;
  private underway: Drawn | null = null;
  private wanted: { readonly view: View; readonly moving: boolean } | null = null;
  private ticking = 0;
  private movingPixels = firstPixels;
  private partPixels = firstPixels;
  /** Of the picture that is seen. */
  private scale = 0;
  private disposed = false;
  /** Whether a headset draws, and the page need not. */
  private worn = false;
  onlost: (() => void) | null = null;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly gl: WebGL2RenderingContext,
    private readonly renderer: Renderer,
  ) {
    const info = gl.getExtension("WEBGL_debug_renderer_info");
    const name = String(gl.getParameter(info === null ? gl.RENDERER : info.UNMASKED_RENDERER_WEBGL));
    this.means = `WebGL 2, ${name}${renderer.says === undefined ? "" : `; ${renderer.says}`}`;
    this.target = { frame: gl.createFramebuffer(), texture: gl.createTexture(), width: 0, height: 0 };
    canvas.addEventListener("webglcontextlost", this.lost);
    this.warm();
  }

  get cells(): number {
    return this.renderer.cells ?? 0;
  }

  take(_frame: number, changed: readonly SentTensor[], names: readonly string[], lattice: SentLattice | null): void {
    this.renderer.update(changed, names, lattice);
    this.underway = this.dropped();
    this.scale = Math.min(this.scale, coarsest);
  }

  show(view: View, moving: boolean): void {
    this.wanted = { view, moving };
    if (this.ticking === 0 && !this.disposed && !this.worn) this.ticking = requestAnimationFrame(() => this.tick());
  }

  picture(view: View): Promise<Uint8Array> {
    const { gl } = this;
    const { width, height } = view;
    this.underway = this.dropped();
    this.resize(width, height);
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.target.frame);
    gl.viewport(0, 0, width, height);
    gl.disable(gl.SCISSOR_TEST);
    this.renderer.draw(view);
    const all = new Uint8Array(4 * width * height);
    gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, all);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    const out = new Uint8Array(3 * width * height);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const from = 4 * ((height - 1 - y) * width + x);
        out.set(all.subarray(from, from + 3), 3 * (y * width + x));
      }
    }
    return Promise.resolve(out);
  }

  async present(xr: XrSystem, base: Pose, scale: number): Promise<void> {
    this.underway = this.dropped();
    this.wanted = null;
    this.worn = true;
    try {
      await present(xr, this.gl, base, scale, (view, corner) => this.renderer.draw(view, corner));
    } finally {
      this.worn = false;
    }
  }

  extent(): Extent | null {
    return this.renderer.extent?.() ?? null;
  }

  dispose(): void {
    const { gl } = this;
    this.disposed = true;
    cancelAnimationFrame(this.ticking);
    this.underway = this.dropped();
    this.canvas.removeEventListener("webglcontextlost", this.lost);
    gl.deleteFramebuffer(this.target.frame);
    gl.deleteTexture(this.target.texture);
    this.renderer.dispose();
  }

  private readonly lost = (event: Event): void => {
    event.preventDefault();
    this.disposed = true;
    this.onlost?.();
  };

  /** Draws one pixel of nothing: the program is made ready while the first frame is fetched and decoded. */
  private warm(): void {
    const { gl } = this;
    this.resize(1, 1);
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.target.frame);
    gl.viewport(0, 0, 1, 1);
    this.renderer.draw({ pose: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0], width: 1, height: 1, fx: 1, fy: 1, cx: 0.5, cy: 0.5 });
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.flush();
  }

  private dropped(): null {
    if (this.underway !== null) this.gl.deleteSync(this.underway.fence);
    return null;
  }

  private resize(width: number, height: number): void {
    const { gl, target } = this;
    if (target.width >= width && target.height >= height) return;
    target.width = Math.max(target.width, width);
    target.height = Math.max(target.height, height);
    gl.bindTexture(gl.TEXTURE_2D, target.texture);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, target.width, target.height, 0, gl.RGBA, gl.UNSIGNED_BYTE, null);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.LINEAR);
    gl.bindFramebuffer(gl.FRAMEBUFFER, target.frame);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, target.texture, 0);
    if (gl.checkFramebufferStatus(gl.FRAMEBUFFER) !== gl.FRAMEBUFFER_COMPLETE) throw new NoPicture("a picture of this size cannot be drawn here");
  }

  /** Looks whether the part at hand is done, and begins the next part or picture. */
  private tick(): void {
    this.ticking = 0;
    if (this.disposed || this.worn) return;
    const { gl } = this;
    const part = this.underway;
    if (part !== null && part.fence !== null) {
      const state = gl.clientWaitSync(part.fence, 0, 0);
      if (state === gl.TIMEOUT_EXPIRED) {
        this.again();
        return;
      }
      gl.deleteSync(part.fence);
      part.fence = null;
      const spent = performance.now() - part.began;
      this.measured(part, spent);
      part.done += part.rows;
      if (part.done >= part.height) {
        this.appear(part);
        this.underway = null;
        // A picture that was coarse because the eye moved is drawn again when it rests.
        if (this.wanted === null && part.scale < 1) this.wanted = { view: part.view, moving: false };
        this.scale = part.scale;
      }
    }
    if (this.wanted !== null && (this.underway === null || !this.underway.moving)) {
      this.begin(this.wanted.view, this.wanted.moving);
      this.wanted = null;
    }
    if (this.underway !== null) this.drawPart(this.underway);
    if (this.underway !== null || this.wanted !== null) this.again();
  }

  /** A time holds what waiting costs, too: sizes are led to the budget step by step, never worked out from one time. */
  private measured({ moving, rows, width, height }: Drawn, spent: number): void {
    const pixels = rows * width;
    const led = (budget: number): number => Math.max(256, pixels * Math.min(2, Math.max(0.5, budget / Math.max(spent, 1e-3))));
    // What was smaller than it might have been says only that it was not too large.
    const enough = led(partBudget);
    if (pixels >= this.partPixels / 2 || enough < this.partPixels / 2 || enough > this.partPixels) this.partPixels = enough;
    if (moving && rows === height) this.movingPixels = led(movingBudget);
  }

  private again(): void {
    if (this.ticking === 0) this.ticking = requestAnimationFrame(() => this.tick());
  }

  private begin(view: View, moving: boolean): void {
    this.underway = this.dropped();
    const whole = view.width * view.height;
    const quick = Math.max(coarsest, Math.min(1, Math.sqrt(this.movingPixels / whole)));
    const rest = whole <= patience * this.movingPixels ? 1 : Math.min(1, Math.max(quick, finer * this.scale));
    const scale = moving || this.scale === 0 ? quick : rest;
    const width = Math.max(1, Math.round(view.width * scale));
    const height = Math.max(1, Math.round(view.height * scale));
    this.underway = { view, moving, scale, width, height, done: 0, began: 0, rows: 0, fence: null };
  }

  private drawPart(part: Drawn): void {
    const { gl } = this;
    const { width, height, view } = part;
    if (this.canvas.width !== view.width || this.canvas.height !== view.height) {
      this.canvas.width = view.width;
      this.canvas.height = view.height;
    }
    this.resize(width, height);
    part.rows = this.renderer.whole === true ? height : rowsOf(height - part.done, Math.floor(this.partPixels / width));
    part.began = performance.now();
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.target.frame);
    gl.viewport(0, 0, width, height);
    gl.enable(gl.SCISSOR_TEST);
    gl.scissor(0, height - part.done - part.rows, width, part.rows);
    this.renderer.draw(resized(view, width, height));
    gl.disable(gl.SCISSOR_TEST);
    part.fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
    gl.flush();
  }

  private appear({ width, height }: Underway): void {
    const { gl, canvas } = this;
    gl.bindFramebuffer(gl.READ_FRAMEBUFFER, this.target.frame);
    gl.bindFramebuffer(gl.DRAW_FRAMEBUFFER, null);
    gl.blitFramebuffer(0, 0, width, height, 0, 0, canvas.width, canvas.height, gl.COLOR_BUFFER_BIT, gl.LINEAR);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
  }
}

/** How many of the rows that are left are drawn, about so many: in pairs from the bottom, as processors shade two by two. */
export function rowsOf(left: number, about: number): number {
  const below = Math.max(0, left - Math.max(2, about));
  return left - below + (below & 1);
}
