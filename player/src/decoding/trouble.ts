// Errors as the page tells them.
import { harmless, Refusal, Unsupported } from "decoder/errors.js";
import type { Trouble } from "./messages.js";
import { TransferError } from "./requests.js";

const messageLimit = 400;

export function trouble(error: unknown): Trouble {
  if (error instanceof Refusal) {
    const { place } = error;
    const where = "pointer" in place ? place.pointer : place.offset === null ? place.file : `${place.file}, byte ${place.offset}`;
    return { code: error.code, message: harmless(error.message, messageLimit), place: harmless(where) };
  }
  const message = harmless(error instanceof Error ? error.message : String(error), messageLimit);
  if (error instanceof TransferError) return { code: "transfer", message, place: "" };
  if (error instanceof Unsupported || error instanceof RangeError) return { code: "unsupported", message, place: "" };
  return { code: "failed", message, place: "" };
}
