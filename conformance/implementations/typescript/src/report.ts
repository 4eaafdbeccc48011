// What a run of the decoder tells: an outcome for each frame, and what was refused.
import { hex } from "./bytes.js";
import { harmless, type Place, Refusal, Unsupported, UsageError } from "./errors.js";

export interface Finding {
  readonly code: string;
  readonly severity: "error";
  readonly place: Place;
  readonly message: string;
}

export interface FrameResult {
  readonly frame: number;
  readonly state_digest: string | null;
  readonly code?: string;
}

export interface Report {
  outcome: "decoded" | "rejected" | "unsupported";
  profile: string | null;
  level: number | null;
  frames: number | null;
  results: FrameResult[];
  findings: Finding[];
  unsupported: string | null;
}

export function emptyReport(): Report {
  return { outcome: "decoded", profile: null, level: null, frames: null, results: [], findings: [], unsupported: null };
}

/** Enters an error into the report, or throws it where it is none about the package. */
export function enter(report: Report, error: unknown): string {
  if (error instanceof UsageError) throw error;
  if (error instanceof Refusal) {
    report.outcome = "rejected";
    const known = report.findings.some((f) => f.code === error.code && f.message === error.message);
    if (!known) {
      report.findings.push({ code: error.code, severity: "error", place: error.place, message: harmless(error.message, 400) });
    }
    return error.code;
  }
  if (error instanceof Unsupported || error instanceof RangeError) {
    if (report.outcome === "decoded") report.outcome = "unsupported";
    report.unsupported = harmless(error.message, 400);
    return "unsupported";
  }
  if (error instanceof Error && "code" in error && typeof error.code === "string") {
    report.outcome = "rejected";
    const place = { file: "path" in error ? "(input)" : "(input)", offset: null };
    report.findings.push({ code: "input/unreadable", severity: "error", place, message: harmless(error.message, 400) });
    return "input/unreadable";
  }
  throw error;
}

export function entered(frame: number, digest: Uint8Array | null, code?: string): FrameResult {
  const state_digest = digest === null ? null : hex(digest);
  return code === undefined ? { frame, state_digest } : { frame, state_digest, code };
}

export const exitCodes = { decoded: 0, rejected: 1, unsupported: 3 } as const;
