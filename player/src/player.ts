// The player: it asks for frames in time, shows them where the eye is, and goes on where one is refused.
import { Client, Refused, type FrameAnswer } from "./decoding/client.js";
import type { PackageInfo, Trouble } from "./decoding/messages.js";
import { Checks } from "./page/checks.js";
import { element, nameOf } from "./page/elements.js";
import { plays, showCameras, showFrame, showPackage, showWhere } from "./page/facts.js";
import { offerHeadset } from "./page/headset.js";
import { followLive } from "./page/live.js";
import { MediaPanel } from "./page/media.js";
import { clear, drawFrusta } from "./page/overlay.js";
import { notice, prepared, preparing } from "./page/notice.js";
import { QualityChoice } from "./page/quality.js";
import { unlocked } from "./page/secret.js";
import { showSignature } from "./page/signature.js";
import { Timeline } from "./page/timeline.js";
import { told, toldTrouble } from "./page/told.js";
import { Tracks } from "./page/tracks.js";
import { Flight } from "./pose/flight.js";
import { type Pose, poseOf, type View, viewOf } from "./pose/pose.js";
import { startBefore, startFlight } from "./pose/start.js";
import { makeStage, onServer, type Told, type Wanted, wantedOf } from "./render/choice.js";
import { NoPicture } from "./render/renderer.js";
import type { Stage } from "./render/stage.js";

/** Segments that are fetched before they are due. */
const ahead = 2;
/** Degrees that the longer side of a picture shows. */
const widest = 46;

export class Player {
  private readonly client = new Client();
  private readonly area = element("stage", HTMLElement);
  private canvas = element("picture", HTMLCanvasElement);
  private readonly overlay = element("overlay", HTMLCanvasElement);
  readonly flight: Flight;
  private readonly tracks: Tracks;
  private readonly media = new MediaPanel(this.client, (t) => void this.show(t));
  private info_: PackageInfo | null = null;
  private checks: Checks | null = null;
  private timeline: Timeline | null = null;
  private quality: QualityChoice | null = null;
  /** What the package of the quality that is seen says of itself. */
  private seen: PackageInfo | null = null;
  stage: Stage | null = null;
  private where: Wanted = { server: null, cells: null };
  /** Frame that is seen; -1 before the first. */
  private shown = -1;
  /** Frame whose picture is seen: that one, or an earlier one of its group where baking each would take too long. */
  pictured = -1;
  /** What is to be seen next; others that were asked for meanwhile are passed over. */
  private wanted: number | null = null;
  private showing: Promise<void> | null = null;
  /** The frame that was asked for last. */
  private asking = -1;
  private wholeNext = true;
  private playing = false;
  /** When the frame that is seen appeared, by the clock of the page. */
  private since = 0;
  private degrees = widest;
  private chosen = -1;
  /** Whether the eye has a place from which there is something to see. */
  private placed = false;

  constructor(private readonly asked: URLSearchParams) {
    this.flight = new Flight(this.area, {
      onmove: (_pose, moving) => {
        if (moving) this.tracks.free();
        this.moved(moving);
      },
    });
    this.tracks = new Tracks(() => this.follow());
    this.client.onbaking = preparing;
    new ResizeObserver(() => this.moved(false)).observe(this.area);
  }

  /** What the package says of itself; null before it is open. */
  get info(): PackageInfo | null {
    return this.info_;
  }

  get frame(): number {
    return this.shown;
  }

  async start(): Promise<void> {
    const url = this.asked.get("url");
    if (url === null) {
      notice("No package is named: nmc view PACKAGE, or ?url=ADDRESS.");
      return;
    }
    try {
      const address = new URL(url, location.href);
      if (!["http:", "https:"].includes(address.protocol)) throw new NoPicture(`an address of ${address.protocol} is not opened`);
      const keys = this.asked.getAll("key");
      if (!keys.every((key) => /^[0-9a-f]{64}$/.test(key))) throw new NoPicture("a key is 64 digits of base 16, in lower case");
      this.where = wantedOf(this.asked);
      const { info, qualities } = await unlocked((secret) => this.client.open(address.href, keys, secret));
      this.open(info, address);
      this.quality = new QualityChoice(qualities, () => void this.show(Math.max(0, this.shown)));
      void followLive(this.client, info, (now) => this.grow(now), (error) => notice(told(error)));
    } catch (error) {
      notice(`The package is not opened. ${told(error)}`);
      return;
    }
    // What grows is seen where it grows, unless another frame is asked for.
    const first = this.asked.get("frame") ?? (this.info_!.growing ? this.info_!.frames.length - 1 : 0);
    await this.show(Number(first) || 0);
    if (this.asked.has("track")) await this.tracks.fetch(this.asked.get("track")!).catch((error: unknown) => notice(told(error)));
    if (this.asked.has("play") || (this.info_!.growing && !this.asked.has("frame"))) this.play(true);
  }

  /** Shows frame t as soon as it is decoded; resolves when it is, or is refused, or another one was asked for and is. */
  async show(t: number): Promise<void> {
    const { info_ } = this;
    if (info_ === null) return;
    this.wanted = Math.max(0, Math.min(info_.frames.length - 1, Math.trunc(t)));
    // Nobody waits for the picture of the other one any more.
    if (this.showing !== null && this.wanted !== this.asking) this.client.passOver();
    await (this.showing ??= this.fetchWanted());
  }

  private async fetchWanted(): Promise<void> {
    try {
      while (this.wanted !== null) {
        this.asking = this.wanted;
        this.wanted = null;
        await this.fetch(this.asking);
        prepared();
      }
    } finally {
      this.showing = null;
    }
  }

  play(on: boolean): void {
    if (this.playing === on || this.info_ === null || (on && !plays(this.info_))) return;
    this.playing = on;
    const button = element("play", HTMLButtonElement);
    button.textContent = on ? "❚❚" : "▶";
    button.setAttribute("aria-label", on ? "Pause" : "Play");
    if (!on && this.pictured !== this.shown) void this.show(this.shown);
    if (!on) return;
    this.since = performance.now();
    this.later();
  }

  /** Where the eye is: camera-to-world, three rows of four. */
  get pose(): Pose {
    return this.flight.pose;
  }

  /** Places the eye. */
  look(pose: Pose): void {
    this.flight.set(pose);
  }

  /** The picture of the frame that is seen from a place, RGB rows from the top; for scripts. */
  picture(view: View): Promise<Uint8Array> {
    if (this.stage === null) return Promise.reject(new NoPicture("there is no picture"));
    return this.stage.picture(view);
  }

  /** The package has more frames now, or is finished. */
  private grow(info: PackageInfo): void {
    this.describe(info);
    this.checks?.grow(info.frames.length);
    this.timeline?.set(info.frames);
    this.timeline?.draw(Math.max(0, this.shown));
  }

  /** Takes what the package says of itself now, and shows it. */
  private describe(info: PackageInfo): void {
    this.info_ = this.seen = info;
    const { family, frames, psnrIs } = info;
    element("title", HTMLElement).textContent = `${document.title.replace(" · NMC", "")} — ${family}, ${frames.length} frames`;
    element("psnr-is", HTMLElement).textContent = psnrIs === null ? "PSNR (none recorded)" : `PSNR, ${psnrIs}`;
    element("seek", HTMLInputElement).max = String(frames.length - 1);
    for (const id of ["play", "previous", "next"]) element(id, HTMLButtonElement).disabled = !plays(info);
    showPackage(info);
    this.media.list(info.media);
  }

  private open(info: PackageInfo, address: URL): void {
    document.title = `${nameOf(address)} · NMC`;
    this.describe(info);
    this.checks = new Checks(info.frames.length);
    this.timeline = new Timeline(element("timeline", HTMLCanvasElement), info.frames, (t) => this.checks?.of(t) ?? null, (t) => this.seek(t));
    new ResizeObserver(() => this.timeline?.draw(Math.max(0, this.shown))).observe(element("timeline", HTMLCanvasElement));
    showSignature(info.signature);
    this.placed = startFlight(this.flight, info);
    if (info.cameras.length > 0) this.choose(info, 0);
    this.wire(info);
    this.setStage(info);
  }

  private setStage(info: PackageInfo): void {
    try {
      this.use(makeStage(this.canvas, () => this.fresh(), info, this.where, this.staged(info)));
    } catch (error) {
      this.noPicture(told(error));
    }
  }

  private staged(info: PackageInfo): Told {
    return { lost: () => this.restart(info), trouble: (why) => (why === null ? notice("") : this.noPicture(why)) };
  }

  private use(stage: Stage): void {
    this.stage = stage;
    this.area.dataset["means"] = stage.means;
    element("drawn", HTMLElement).textContent = `drawn by ${stage.means}`;
  }

  private noPicture(why: string): void {
    notice(`There is no picture: ${why} Frames are decoded and checked all the same.`, true);
  }

  /** Another canvas in its place. */
  private fresh(): HTMLCanvasElement {
    const canvas = this.canvas.cloneNode() as HTMLCanvasElement;
    this.canvas.replaceWith(canvas);
    this.canvas = canvas;
    return canvas;
  }

  /** The graphics processor was lost: a new canvas, and every tensor again. */
  private restart(info: PackageInfo): void {
    this.stage?.dispose();
    this.stage = null;
    this.fresh();
    this.wholeNext = true;
    this.setStage(info);
    if (this.shown >= 0) void this.show(this.shown);
  }

  private async fetch(t: number): Promise<void> {
    const info = this.info_!;
    try {
      const [quality, cells] = [this.quality?.wanted ?? null, this.stage?.cells ?? 0];
      const answer = await this.client.frame({ frame: t, ahead: this.playing ? ahead : 0, all: this.wholeNext, quality, cells, exact: !this.playing });
      this.wholeNext = false;
      this.checks?.verified(t);
      this.appear(answer);
    } catch (error) {
      const trouble: Trouble = error instanceof Refused ? error.trouble : { code: "failed", message: String(error), place: "" };
      let next = t + 1;
      while (next < info.frames.length && !info.frames[next]!.key) next += 1;
      // What could not be had may come yet; what is damaged is damaged for the rest of its group.
      if (trouble.code !== "transfer") this.checks?.refused(t, next, trouble);
      const goes = next < info.frames.length ? ` Playing goes on at key frame ${next}.` : "";
      notice(`Frame ${t} is refused. ${toldTrouble(trouble)}${goes}`);
      this.timeline?.draw(Math.max(0, this.shown));
      // The frame that stays may have been passed over.
      if (!this.playing && this.pictured !== this.shown && t !== this.shown) this.wanted ??= this.shown;
      if (!this.playing) return;
      if (next < info.frames.length) this.wanted ??= next;
      else if (element("loop", HTMLInputElement).checked && trouble.code !== "transfer" && this.checks?.of(0) !== "refused") this.wanted ??= 0;
      else this.play(false);
    }
  }

  private appear(answer: FrameAnswer): void {
    const info = this.info_!;
    if (answer.info !== null) this.switched(answer.info);
    this.quality?.show(answer.quality);
    this.take(answer);
    this.shown = answer.frame;
    if (answer.cells === 0 || answer.lattice !== null) this.pictured = answer.frame;
    // A stage that is new takes something else: it is sent that, and all of it.
    if (answer.cells !== (this.stage?.cells ?? 0)) {
      this.wholeNext = true;
      this.wanted ??= answer.frame;
    }
    this.since = performance.now();
    if (!this.follow()) this.moved(this.playing);
    element("seek", HTMLInputElement).value = String(answer.frame);
    element("now", HTMLElement).textContent = `frame ${answer.frame} / ${info.frames.length - 1}`;
    showFrame(this.seen ?? info, answer, this.pictured, this.client);
    this.timeline?.draw(answer.frame);
    this.tracks.note(answer.frame, this.flight.pose);
  }

  /** The frames that come are of another package: one whose tensors are others needs another stage. */
  private switched(info: PackageInfo): void {
    const model = ({ family, configuration, tensors }: PackageInfo): string => JSON.stringify([family, configuration, tensors]);
    const same = this.seen !== null && model(this.seen) === model(info);
    this.seen = info;
    showPackage(info);
    if (same) return;
    this.stage?.dispose();
    this.stage = null;
    this.setStage(info);
  }

  /** Hands a frame to the stage; one that cannot be drawn here nor on a server is told, and the checks go on. */
  private take(answer: FrameAnswer): void {
    try {
      this.stage?.take(answer.frame, answer.changed, answer.names, answer.lattice);
    } catch (error) {
      this.stage?.dispose();
      this.stage = null;
      if (this.where.server === null) this.noPicture(told(error));
      else {
        this.use(onServer(this.fresh(), this.seen!, this.where.server, error, this.staged(this.seen!)));
        this.stage!.take(answer.frame, answer.changed, answer.names, null);
      }
    }
    const extent = this.placed ? null : (this.stage?.extent() ?? null);
    if (extent === null) return;
    this.placed = true;
    startBefore(this.flight, extent);
  }

  private async advance(): Promise<void> {
    const info = this.info_;
    if (!this.playing || info === null) return;
    const last = info.frames.length - 1;
    const loop = element("loop", HTMLInputElement).checked;
    if (this.showing === null && this.stage?.busy !== true) {
      const ended = this.shown >= last;
      if (ended && info.growing) return this.later();
      if (ended && !loop) return this.play(false);
      const next = ended ? 0 : this.shown + 1;
      const speed = Number(element("speed", HTMLSelectElement).value);
      // The last frame stays as long as the one before.
      const [from, to] = next === 0 ? [last - 1, last] : [this.shown, next];
      const ticks = info.frames[to]!.time - info.frames[from]!.time;
      const due = this.since + (1000 * ticks) / info.timescale / speed;
      if (performance.now() >= due - 4) {
        await this.show(next);
        if (this.shown === next) this.since = Math.max(due, performance.now() - 100);
      }
    }
    this.later();
  }

  private later(): void {
    requestAnimationFrame(() => void this.advance());
  }

  private readonly seek = (t: number): void => void this.show(t);

  private moved(moving: boolean): void {
    if (this.shown >= 0) this.tracks.note(this.shown, this.flight.pose);
    const view = this.view();
    if (view === null) return;
    if (this.shown >= 0) this.stage?.show(view, moving);
    if (element("frusta", HTMLInputElement).checked) {
      drawFrusta(this.overlay, view, this.info_?.cameras ?? [], this.flight.speed * 0.15, this.chosen);
    } else clear(this.overlay);
    showWhere(this.flight);
  }

  private view(): View | null {
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const [width, height] = [Math.round(this.area.clientWidth * ratio), Math.round(this.area.clientHeight * ratio)];
    if (width === 0 || height === 0) return null;
    return viewOf(this.flight.pose, width, height, this.degrees);
  }

  /** Takes the eye along a track; false where there is none. */
  private follow(): boolean {
    const at = this.tracks.at(Math.max(0, this.shown));
    if (at === null) return false;
    this.flight.pose = poseOf(at);
    this.moved(this.playing);
    return true;
  }

  private choose(info: PackageInfo, i: number): void {
    const camera = info.cameras[i]!;
    this.chosen = i;
    this.degrees = (2 * Math.atan((0.5 * Math.max(camera.width, camera.height)) / Math.max(camera.fx, camera.fy)) * 180) / Math.PI;
    this.tracks.free();
    this.flight.set(camera.cameraToWorld);
  }

  private wire(info: PackageInfo): void {
    const seek = element("seek", HTMLInputElement);
    seek.addEventListener("input", () => this.seek(Number(seek.value)));
    const on = (id: string, act: () => void): void => element(id, HTMLButtonElement).addEventListener("click", act);
    on("play", () => this.play(!this.playing));
    on("previous", () => this.seek(this.shown - 1));
    on("next", () => this.seek(this.shown + 1));
    document.addEventListener("keydown", (event) => {
      if (event.code !== "Space" || (event.target instanceof HTMLElement && ["BUTTON", "INPUT", "SELECT", "SUMMARY"].includes(event.target.tagName))) return;
      event.preventDefault();
      this.play(!this.playing);
    });
    element("frusta", HTMLInputElement).addEventListener("change", () => this.moved(false));
    showCameras(info, (i) => this.choose(info, i));
    // A scene as wide as an arm reaches: whoever stands before it sees all of it.
    void offerHeadset((xr) => {
      this.stage?.present(xr, this.flight.pose, this.flight.speed).then(() => this.moved(false)).catch((error: unknown) => notice(told(error)));
    });
    this.tracks.wire(info.frames.length, (why) => notice(why));
  }
}
