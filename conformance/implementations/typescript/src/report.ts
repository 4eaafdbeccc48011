// The report of a run (the schema `report`), and what this program keeps beside it for each frame.
import { clauses } from "./clauses.js";
import { harmless, type Place, Refusal, Unsupported, UsageError } from "./errors.js";

export interface Finding {
  readonly code: string;
  readonly severity: "error";
  readonly place: Place;
  readonly clause: string;
  readonly message: string;
  readonly hint: string;
}

export interface Report {
  readonly format_version: string;
  readonly path: string;
  accepted: boolean;
  frames: number;
  decoded: number;
  readonly findings: Finding[];
}

export interface FrameResult {
  readonly frame: number;
  /** The state digest in base 16, or null where the frame was not returned. */
  readonly digest: string | null;
}

export interface Outcome {
  readonly report: Report;
  readonly frames: FrameResult[];
  unsupported: string | null;
}

const messageLimit = 400;

export function begin(path: string): Outcome {
  const report = { format_version: "1.0", path, accepted: true, frames: 0, decoded: 0, findings: [] };
  return { report, frames: [], unsupported: null };
}

function add(outcome: Outcome, code: string, message: string, place: Place): void {
  outcome.report.accepted = false;
  const text = harmless(message, messageLimit);
  if (outcome.report.findings.some((f) => f.code === code && f.message === text)) return;
  // clause 11.2: the package itself is named by the path of the report
  const where = "file" in place && place.file === "." ? { ...place, file: outcome.report.path } : place;
  outcome.report.findings.push({ code, severity: "error", place: where, clause: clauses.get(code) ?? "", message: text, hint: "" });
}

/** Enters an error into the outcome, or throws it where it is none about the package or the host. */
export function enter(outcome: Outcome, error: unknown): void {
  if (error instanceof UsageError) throw error;
  if (error instanceof Refusal) {
    add(outcome, error.code, error.message, error.place);
  } else if (error instanceof Unsupported || (error instanceof RangeError && /allocation|length/i.test(error.message))) {
    outcome.report.accepted = false;
    outcome.unsupported = harmless(error.message, messageLimit);
  } else if (error instanceof Error && "syscall" in error) {
    add(outcome, "input/unreadable", error.message, { file: ".", offset: null });
  } else {
    throw error;
  }
}

/** The exit code of the protocol. */
export function exitCode(outcome: Outcome): number {
  if (outcome.report.findings.length > 0) return 1;
  return outcome.unsupported === null ? 0 : 3;
}
