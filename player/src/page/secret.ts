// The key of encrypted segments (clause 14.2.1): from the fragment of the address, which no server is sent, or asked for.
import { Refused } from "../decoding/client.js";
import { NoPicture } from "../render/renderer.js";
import { element } from "./elements.js";

const name = "decrypt-key";

/** The key in a text: 64 digits of base 16, or a line of a key file that ends with them. */
function keyIn(text: string): string | null {
  return /(?:^|\s)([0-9a-f]{64})\s*$/.exec(text)?.[1] ?? null;
}

/** The key that an address gives; one in the query would be sent to the server, and stand in its logs. */
export function secretOf(address: Location): string | null {
  if (new URLSearchParams(address.search).has(name)) throw new NoPicture(`a key in the query is told to the server: write #${name}=… in place of ?${name}=…, and take another key`);
  const said = new URLSearchParams(address.hash.slice(1)).get(name);
  if (said !== null && keyIn(said) === null) throw new NoPicture("a key is 64 digits of base 16, in lower case");
  return said;
}

/** Opens with the key of the address, or with one that the user gives where it is missing or wrong. */
export async function unlocked<T>(open: (secret: string | null) => Promise<T>): Promise<T> {
  let secret = secretOf(location);
  for (;;) {
    try {
      return await open(secret);
    } catch (error) {
      const code = error instanceof Refused ? error.trouble.code : "";
      if (code !== "encryption/key-missing" && code !== "encryption/key-wrong") throw error;
      secret = await asked(code === "encryption/key-missing" ? "The segments are encrypted." : "This is another key.");
    }
  }
}

function asked(why: string): Promise<string> {
  const [form, said] = [element("secret", HTMLFormElement), element("secret-says", HTMLElement)];
  const [typed, file] = [element("secret-key", HTMLInputElement), element("secret-file", HTMLInputElement)];
  said.textContent = why;
  form.hidden = false;
  typed.focus();
  return new Promise((resolve) => {
    const take = (text: string): void => {
      const key = keyIn(text);
      said.textContent = key === null ? "A key is 64 digits of base 16, or the file that nmc keygen --symmetric makes." : "";
      if (key === null) return;
      form.hidden = true;
      typed.value = "";
      resolve(key);
    };
    form.onsubmit = (event) => {
      event.preventDefault();
      take(typed.value);
    };
    file.onchange = () => {
      const given = file.files?.[0];
      if (given !== undefined) void given.slice(0, 4096).text().then(take);
      file.value = "";
    };
  });
}
