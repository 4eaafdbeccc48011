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

/** Whether a text, a name or anything within holds a surrogate without the other one. */
function hasLoneSurrogate(value: unknown): boolean {
  if (typeof value === "string") return /[\ud800-\udfff]/u.test(value);
  if (typeof value !== "object" || value === null) return false;
  if (Array.isArray(value)) return value.some(hasLoneSurrogate);
  return Object.entries(value).some(([name, inner]) => hasLoneSurrogate(name) || hasLoneSurrogate(inner));
}

/** Says why a text is no JSON object of clause 5.4.2; empty where it is one. */
export function objectFault(text: string): string {
  if (nesting(text) > nestingLimit) return `is nested more than ${nestingLimit} deep`;
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return "is no JSON";
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) return "is no JSON object";
  return hasLoneSurrogate(parsed) ? "holds a surrogate that is not one of a pair" : "";
}
