// A package that is still written: looked at again and again until it is finished.
import type { Client } from "../decoding/client.js";
import type { PackageInfo } from "../decoding/messages.js";
import { element } from "./elements.js";

/** Milliseconds between two looks, as of nmc.follow. */
const poll = 500;

export class Live {
  private growing: boolean;

  constructor(
    private readonly client: Client,
    info: PackageInfo,
    private readonly grew: (info: PackageInfo) => void,
    private readonly trouble: (error: unknown) => void,
  ) {
    this.growing = info.growing;
    this.say(info);
    if (this.growing) setTimeout(() => void this.look(), poll);
  }

  /** Whether more frames may come. */
  get goes(): boolean {
    return this.growing;
  }

  private async look(): Promise<void> {
    try {
      const info = await this.client.look();
      if (info !== null) {
        this.growing = info.growing;
        this.say(info);
        this.grew(info);
      }
    } catch (error) {
      this.trouble(error);
    }
    if (this.growing) setTimeout(() => void this.look(), poll);
  }

  private say(info: PackageInfo): void {
    const badge = element("live", HTMLElement);
    badge.hidden = !info.growing;
    badge.textContent = `live, ${info.frames.length} frames so far`;
  }
}
