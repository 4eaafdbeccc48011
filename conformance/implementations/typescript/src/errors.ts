// What can go wrong: a package is refused with a code of annex A, or asks for what this program lacks.

/** One place of a finding (clause 11.2): a pointer into the manifest, or a file and a byte in it. */
export type Place =
  | { readonly pointer: string }
  | { readonly file: string; readonly offset: number | null };

export class Refusal extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly place: Place,
  ) {
    super(message);
    this.name = "Refusal";
  }
}

/** Clause 11.3: a profile, level, feature or size that this program says it does not have. */
export class Unsupported extends Error {
  constructor(readonly what: string) {
    super(what);
    this.name = "Unsupported";
  }
}

export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "UsageError";
  }
}

export function refuse(code: string, message: string, place: Place): never {
  throw new Refusal(code, message, place);
}

export function at(pointer: string): Place {
  return { pointer };
}

export function inFile(file: string, offset: number | null = null): Place {
  return { file, offset };
}

/** Clause 7.5: characters that a terminal would obey become harmless. */
export function harmless(text: string, limit = 200): string {
  const cut = text.length > limit ? `${text.slice(0, limit)}…` : text;
  return cut.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g, (c) => {
    return `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}
