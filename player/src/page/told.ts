// What is told of an error: its code and place where it has them, and its words.
import { Refused } from "../decoding/client.js";
import type { Trouble } from "../decoding/messages.js";

export function toldTrouble({ code, message, place }: Trouble): string {
  const where = place === "" ? "" : ` at ${place}`;
  return code === "transfer" || code === "failed" ? `${message}.` : `${code}${where}: ${message}.`;
}

export function told(error: unknown): string {
  if (error instanceof Refused) return toldTrouble(error.trouble);
  return error instanceof Error ? `${error.message}.` : String(error);
}
