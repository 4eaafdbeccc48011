// Which instant of a group is seen, where a frame is several and a server renders them.
import { element } from "./elements.js";

export class InstantChoice {
  private readonly part = element("instant-part", HTMLElement);
  private readonly slider = element("instant", HTMLInputElement);
  private readonly says = element("instant-says", HTMLElement);

  constructor(private readonly changed: () => void) {
    this.slider.oninput = () => this.changed();
  }

  /** The one that is chosen, from 0. */
  get wanted(): number {
    return Number(this.slider.value);
  }

  /** Frames show so many at most; one needs no choice. */
  offer(instants: number): void {
    this.slider.max = String(instants - 1);
    this.part.hidden = instants <= 1;
  }

  /** Says which one is seen: a group may have fewer than others. */
  show(instant: number): void {
    this.says.textContent = String(instant);
  }

  hide(): void {
    this.slider.oninput = null;
    this.part.hidden = true;
  }
}
