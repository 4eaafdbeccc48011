// What was checked: each frame verified or refused, and why. The first refusal of a group is the one that is told.
import type { Trouble } from "../decoding/messages.js";
import type { Verdict } from "./timeline.js";
import { element } from "./elements.js";

const shown = 50;

export class Checks {
  private readonly verdicts: Verdict[];
  private readonly badge = element("verdict", HTMLElement);
  private readonly text = element("checks", HTMLElement);
  private readonly list = element("findings", HTMLElement);
  private readonly told = new Set<string>();

  constructor(frames: number) {
    this.verdicts = new Array<Verdict>(frames).fill(null);
    this.say();
  }

  /** There are more frames now. */
  grow(frames: number): void {
    while (this.verdicts.length < frames) this.verdicts.push(null);
    this.say();
  }

  of(t: number): Verdict {
    return this.verdicts[t] ?? null;
  }

  verified(t: number): void {
    if (this.verdicts[t] === "verified") return;
    this.verdicts[t] = "verified";
    this.say();
  }

  refused(from: number, to: number, trouble: Trouble): void {
    for (let t = from; t < to; t++) this.verdicts[t] = "refused";
    const line = `frame ${from}${to - from > 1 ? ` to ${to - 1}` : ""}: ${trouble.code}${trouble.place === "" ? "" : ` at ${trouble.place}`}: ${trouble.message}`;
    if (!this.told.has(line) && this.told.size < shown) {
      this.told.add(line);
      const item = document.createElement("li");
      item.textContent = line;
      this.list.append(item);
    }
    this.say();
  }

  private say(): void {
    const count = (v: Verdict): number => this.verdicts.filter((x) => x === v).length;
    const [good, bad, all] = [count("verified"), count("refused"), this.verdicts.length];
    this.text.textContent = `${good} of ${all} frames decoded and compared with their digests${bad === 0 ? "" : `; ${bad} refused`}`;
    this.badge.hidden = good + bad === 0;
    this.badge.textContent = bad > 0 ? `${bad} frames refused` : good === all ? "all frames verified" : `${good} / ${all} verified`;
    this.badge.className = `badge ${bad > 0 ? "bad" : "good"}`;
  }
}
