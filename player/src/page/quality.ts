// Which quality of a presentation document is played: what the line bears, or what is chosen.
import type { QualityInfo } from "../decoding/messages.js";
import { element } from "./elements.js";

export class QualityChoice {
  private readonly list = element("quality", HTMLSelectElement);
  private readonly says = element("quality-says", HTMLElement);

  constructor(
    private readonly qualities: readonly QualityInfo[],
    changed: () => void,
  ) {
    element("quality-part", HTMLElement).hidden = qualities.length === 0;
    this.list.replaceChildren(new Option("auto", ""), ...qualities.map(({ name, bandwidth, psnr }, q) => new Option(`${name}, ${rate(bandwidth)}${psnr === null ? "" : `, ${psnr.toFixed(1)} dB`}`, String(q))));
    this.list.addEventListener("change", changed);
  }

  /** The one that is chosen; null where the line decides. */
  get wanted(): number | null {
    return this.list.value === "" ? null : Number(this.list.value);
  }

  /** Says which one is seen. */
  show(quality: number): void {
    this.list.dataset["shown"] = String(quality);
    const shown = this.qualities[quality];
    if (shown !== undefined) this.says.textContent = this.wanted === null ? shown.name : "";
  }
}

function rate(bits: number): string {
  return bits < 1e6 ? `${(bits / 1e3).toFixed(0)} kbit/s` : `${(bits / 1e6).toFixed(1)} Mbit/s`;
}
