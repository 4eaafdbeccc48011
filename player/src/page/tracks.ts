// The user's tracks: loaded from CSV, or recorded while frames are shown.
import type { Pose, Viewpoint } from "../pose/pose.js";
import { readTrack, Recording, writeTrack } from "../pose/track.js";
import { element, save } from "./elements.js";

export class Tracks {
  private track: readonly Viewpoint[] | null = null;
  private recording: Recording | null = null;
  private recorded: readonly Viewpoint[] = [];
  private frames = 0;

  constructor(private readonly changed: () => void) {}

  /** Where the eye is at frame t; null where it is the user's own. */
  at(t: number): Viewpoint | null {
    if (this.track === null) return null;
    return this.track[Math.min(t, this.track.length - 1)] ?? null;
  }

  take(track: readonly Viewpoint[], name: string): void {
    this.track = track;
    this.stop();
    this.say(`${name}: ${track.length} viewpoints, one a frame`);
    this.changed();
  }

  /** Takes the track at an address. */
  async fetch(address: string): Promise<void> {
    const response = await fetch(new URL(address, location.href));
    if (!response.ok) throw new Error(`${address} answers ${response.status}`);
    this.take(readTrack(await response.text(), address), address);
  }

  free(): void {
    if (this.track === null) return;
    this.track = null;
    this.say("none: the eye is yours");
  }

  note(frame: number, pose: Pose): void {
    if (this.recording === null) return;
    this.recording.note(frame, pose);
    element("track-says", HTMLElement).textContent = `recording: ${this.recording.frames} of ${this.frames} frames`;
  }

  wire(frames: number, trouble: (why: string) => void): void {
    this.frames = frames;
    const input = element("track", HTMLInputElement);
    input.addEventListener("change", () => {
      const file = input.files?.[0];
      if (file === undefined) return;
      input.value = "";
      file.text().then((text) => this.take(readTrack(text, file.name), file.name)).catch((error: unknown) => trouble(error instanceof Error ? error.message : String(error)));
    });
    element("record", HTMLButtonElement).addEventListener("click", () => {
      if (this.recording !== null) this.stop();
      else {
        this.free();
        this.recording = new Recording();
        element("record", HTMLButtonElement).setAttribute("aria-pressed", "true");
        this.say("recording: play, and move the eye");
      }
    });
    element("save", HTMLButtonElement).addEventListener("click", () => save("track.csv", writeTrack(this.recorded)));
    element("free", HTMLButtonElement).addEventListener("click", () => this.free());
  }

  private stop(): void {
    element("record", HTMLButtonElement).setAttribute("aria-pressed", "false");
    if (this.recording === null) return;
    this.recorded = this.recording.track(this.frames);
    this.recording = null;
    element("save", HTMLButtonElement).disabled = this.recorded.length === 0;
    if (this.recorded.length > 0) {
      this.track = this.recorded;
      this.say(`recorded: ${this.recorded.length} viewpoints, one a frame`);
    }
  }

  private say(text: string): void {
    element("track-says", HTMLElement).textContent = text;
    element("free", HTMLButtonElement).disabled = this.track === null;
  }
}
