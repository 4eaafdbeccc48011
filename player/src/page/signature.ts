// What the page says of signatures: that one holds, and by which key; whose key that is, the user knows.
import type { SignatureInfo } from "../decoding/messages.js";
import { element } from "./elements.js";

export function showSignature({ state, by, asked, trouble }: SignatureInfo): void {
  const badge = element("signature", HTMLElement);
  badge.hidden = false;
  badge.className = `badge ${state === "refused" ? "bad" : asked.length > 0 ? "good" : ""}`;
  const count = by.length === 1 ? "" : ` by ${by.length} keys`;
  badge.textContent =
    state === "signed" ? (asked.length > 0 ? "signed as demanded" : `signed${count}`) : state === "refused" ? `signature refused: ${trouble?.code ?? ""}` : state === "unsigned" ? "unsigned" : "signatures not looked for";
  badge.title =
    state === "refused"
      ? (trouble?.message ?? "")
      : state === "not looked for"
        ? "a directory is signed by keys that have to be named"
        : by.map(({ key, signer, time }) => `${signer} ${time} ${key}`).join("; ");
}

export function signatureRows({ by, trouble }: SignatureInfo): (readonly [string, string, string?])[] {
  if (trouble !== null) return [["signature", `${trouble.code}: ${trouble.message}`]];
  return by.flatMap(({ key, signer, time }) => [
    ["signed by", `${signer === "" ? "no name" : signer}, ${time}`] as const,
    ["key", key, "mono"] as const,
  ]);
}
