// What is told over the picture: what is amiss, and what takes a while.
import { element } from "./elements.js";

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") element("notice", HTMLElement).hidden = true;
});

/** Tells something in words until it is clicked, Escape is pressed, or something else is told; nothing for "". `quiet`: it is no fault. */
export function notice(text: string, quiet = false): void {
  const note = element("notice", HTMLElement);
  note.textContent = text;
  note.hidden = text === "";
  note.className = quiet ? "quiet" : "";
  note.title = "click, or press Escape, to close";
  note.onclick = () => (note.hidden = true);
}

/** Tells how much of a frame's picture is prepared, 0 to 1. */
export function preparing(frame: number, share: number): void {
  element("preparing", HTMLElement).hidden = false;
  element("preparing-share", HTMLProgressElement).value = share;
  element("preparing-says", HTMLElement).textContent = `preparing the picture of frame ${frame}, ${Math.floor(100 * share)} %`;
}

export function prepared(): void {
  element("preparing", HTMLElement).hidden = true;
}
