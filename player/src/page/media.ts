// The media of a package (clause 16): a list, and one that plays, of bytes that were verified; and which frame serves it.
import { frameAt } from "decoder/media.js";
import type { Client } from "../decoding/client.js";
import type { MediumInfo } from "../decoding/messages.js";
import { bytesText, element } from "./elements.js";
import { told } from "./told.js";

/** A medium that is longer is not played: all of it is held, because only what was verified is played. */
const longest = 2 ** 28;
/** Chunks that are asked for together: frames that are asked for meanwhile come in between. */
const together = 8;
/** Positions of a map that are listed. */
const mostRows = 100;
const playable = /^(?:audio|video)\/|^image\/(?:png|jpeg)$/;

type Shown = HTMLMediaElement | HTMLImageElement;

export class MediaPanel {
  private readonly place = element("medium", HTMLElement);
  private readonly leads = element("medium-leads", HTMLInputElement);
  private listed = "";
  /** Counts what was chosen: what still comes of a medium that was chosen before is dropped. */
  private chosen = 0;
  private address: string | null = null;

  constructor(
    private readonly client: Client,
    private readonly seek: (frame: number) => void,
  ) {}

  list(media: readonly MediumInfo[]): void {
    const now = JSON.stringify(media);
    if (now === this.listed) return;
    this.listed = now;
    this.clear();
    element("media-part", HTMLElement).hidden = media.length === 0;
    element("media", HTMLElement).replaceChildren(
      ...media.map((medium) => {
        const [item, button, about] = [document.createElement("li"), document.createElement("button"), document.createElement("span")];
        const role = medium.role === "" ? "" : `, ${medium.role}`;
        button.textContent = medium.name;
        about.textContent = ` ${medium.type}${role}, ${bytesText(medium.length)}`;
        button.addEventListener("click", () => void this.choose(medium));
        item.append(button, about);
        return item;
      }),
    );
  }

  /** Fetches a medium, compares it, and shows it; why it is not shown is told. */
  private async choose(medium: MediumInfo): Promise<void> {
    this.clear();
    const turn = this.chosen;
    listMap(medium);
    try {
      const parts = await this.fetched(medium, turn);
      if (parts !== null && turn === this.chosen) this.appear(medium, new Blob(parts, { type: medium.type }));
    } catch (error) {
      if (turn === this.chosen) say(`${medium.name} is not played: ${told(error)}`, true);
    }
  }

  private async fetched(medium: MediumInfo, turn: number): Promise<Uint8Array<ArrayBuffer>[] | null> {
    const { index, name, type, length, chunks } = medium;
    if (!playable.test(type)) throw new Error(`${type} is not shown here; nmc unpack --media writes it`);
    if (length > longest) throw new Error(`it has ${length} bytes, and ${longest} are held here at most; nmc unpack --media writes it`);
    if (length === 0) throw new Error("it is empty");
    const parts: Uint8Array<ArrayBuffer>[] = [];
    let done = 0;
    for (let first = 0; first < chunks; first += together) {
      say(`${name}: ${bytesText(done)} of ${bytesText(length)} verified`);
      const part = await this.client.medium(index, first, Math.min(together, chunks - first));
      if (turn !== this.chosen) return null;
      // A playlist has the browser fetch what nobody verified.
      if (first === 0 && new TextDecoder().decode(part.subarray(0, 64)).trimStart().startsWith("#EXTM3U")) throw new Error("it is a playlist");
      parts.push(part);
      done += part.length;
    }
    return parts;
  }

  private appear(medium: MediumInfo, blob: Blob): void {
    const { name, type, chunks, map } = medium;
    const kind = type.split("/")[0]!;
    const shown = document.createElement(kind === "image" ? "img" : kind) as Shown;
    this.address = URL.createObjectURL(blob);
    shown.addEventListener("error", () => {
      if (this.place.contains(shown)) say(`${name} is verified, but this browser cannot show it.`, true);
    });
    shown.src = this.address;
    if (shown instanceof HTMLImageElement) shown.alt = name;
    else shown.controls = true;
    this.place.replaceChildren(shown);
    say(`${name}: verified, ${chunks} ${chunks === 1 ? "chunk" : "chunks"} of it compared with their SHA-256`);
    if (map === null) return;
    const serves = (text: string): void => void (element("medium-serves", HTMLElement).textContent = text);
    if (shown instanceof HTMLImageElement) serves(served(frameAt(map, 0)));
    else if (map.timescale === 0) serves("the map counts pictures, and which one plays the browser does not say");
    else {
      let before = -1;
      const look = (): void => {
        const frame = frameAt(map, Math.floor(shown.currentTime * map.timescale));
        serves(served(frame));
        if (frame >= 0 && frame !== before && this.leads.checked) this.seek(frame);
        before = this.leads.checked ? frame : -1;
      };
      for (const event of ["timeupdate", "seeked"]) shown.addEventListener(event, look);
      this.leads.onchange = look;
      element("medium-leads-part", HTMLElement).hidden = false;
      look();
    }
  }

  private clear(): void {
    this.chosen += 1;
    for (const media of this.place.querySelectorAll("audio, video")) (media as HTMLMediaElement).pause();
    this.place.replaceChildren();
    if (this.address !== null) URL.revokeObjectURL(this.address);
    this.address = null;
    this.leads.onchange = null;
    element("medium-leads-part", HTMLElement).hidden = true;
    for (const id of ["medium-serves", "medium-map"]) element(id, HTMLElement).replaceChildren();
    say("");
  }
}

function say(text: string, bad = false): void {
  const says = element("medium-says", HTMLElement);
  says.textContent = text;
  says.className = bad ? "bad" : "";
}

function served(frame: number): string {
  return frame < 0 ? "no frame serves what is shown" : `frame ${frame} serves what is shown`;
}

function listMap({ map }: MediumInfo): void {
  if (map === null) return;
  const rows = map.positions.slice(0, mostRows).map((position, i) => {
    const where = map.timescale === 0 ? `picture ${position}` : `${(position / map.timescale).toFixed(3)} s`;
    return `from ${where}: ${map.frames[i]! < 0 ? "no frame" : `frame ${map.frames[i]}`}`;
  });
  if (map.positions.length > mostRows) rows.push(`and ${map.positions.length - mostRows} more`);
  element("medium-map", HTMLElement).replaceChildren(
    ...rows.map((row) => {
      const item = document.createElement("li");
      item.textContent = row;
      return item;
    }),
  );
}
