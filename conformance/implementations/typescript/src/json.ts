// JSON objects in the texts of a manifest (clause 5.4.2).

const nestingLimit = 100;

/** How deep objects and lists are nested, the outermost one counted. */
function nesting(json: string): number {
  let [depth, deepest, quoted] = [0, 0, false];
  for (let i = 0; i < json.length; i++) {
    const c = json[i];
    if (quoted) {
      if (c === "\\") i += 1;
      else if (c === '"') quoted = false;
    } else if (c === '"') quoted = true;
    else if (c === "{" || c === "[") deepest = Math.max(deepest, ++depth);
    else if (c === "}" || c === "]") depth -= 1;
  }
  return deepest;
}

/** Whether an escape in a JSON text is a surrogate without the other one, also in a member that is said twice. */
function hasLoneSurrogate(json: string): boolean {
  const escapes = /\\(?:u([0-9a-fA-F]{4})|[^u])/g;
  let [high, end] = [false, 0];
  for (let found = escapes.exec(json); found !== null; found = escapes.exec(json)) {
    if (high && found.index !== end) return true;
    const unit = found[1] === undefined ? 0 : Number.parseInt(found[1], 16);
    const isLow = (unit & 0xfc00) === 0xdc00;
    if (isLow !== high) return true;
    high = (unit & 0xfc00) === 0xd800;
    end = escapes.lastIndex;
  }
  return high;
}

/** Says why a text is not a JSON object of clause 5.4.2; empty where it is one. */
export function objectFault(text: string): string {
  if (nesting(text) > nestingLimit) return `is nested more than ${nestingLimit} deep`;
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return "is not JSON";
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) return "is not a JSON object";
  return hasLoneSurrogate(text) ? "holds a surrogate that is not one of a pair" : "";
}
