// A package that is still written: looked at again and again until it is finished.
import type { Client } from "../decoding/client.js";
import type { PackageInfo } from "../decoding/messages.js";
import { element } from "./elements.js";

/** Milliseconds between two looks, as of nmc.follow. */
const poll = 500;

/** Tells each time that a package has grown, and what went wrong, until it is finished. */
export async function followLive(
  client: Client,
  info: PackageInfo,
  grew: (info: PackageInfo) => void,
  trouble: (error: unknown) => void,
): Promise<void> {
  let now = info;
  say(now);
  while (now.growing) {
    await new Promise((resolve) => setTimeout(resolve, poll));
    try {
      const next = await client.look();
      if (next === null) continue;
      now = next;
      say(now);
      grew(now);
    } catch (error) {
      trouble(error);
    }
  }
}

function say(info: PackageInfo): void {
  const badge = element("live", HTMLElement);
  badge.hidden = !info.growing;
  badge.textContent = `live, ${info.frames.length} frames so far`;
}
