// Requests over HTTP: given up where nothing comes, tried again where that may help, never more than was announced.
import type { Bytes } from "decoder/bytes.js";

/** What cannot be had, or not as it was promised: nothing that the package itself is to blame for. */
export class TransferError extends Error {
  constructor(
    message: string,
    /** Whether it may go better another time. */
    readonly passing = false,
    /** What a server answered. */
    readonly status = 0,
  ) {
    super(message);
  }
}

/** Milliseconds in which so many bytes have to come, else a server is given up; those to wait before each new attempt. */
const stallLimit = 20_000;
const leastBytes = 20_000;
const pauses = [300, 1500];
/** Bytes of a reason that are read. */
const longestReason = 4096;

/** Counts what was asked for. */
export interface Traffic {
  requests: number;
  bytes: number;
}

/** Gives a request up when too little has come for a while: a server that sends a byte now and then holds nobody. */
class Patience {
  private readonly controller = new AbortController();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private come = 0;

  constructor() {
    this.begin();
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  more(bytes: number): void {
    this.come += bytes;
    if (this.come >= leastBytes) this.begin();
  }

  /** Begins anew, as where the header of an answer has come. */
  begin(): void {
    this.come = 0;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.controller.abort(), stallLimit);
  }

  end(): void {
    clearTimeout(this.timer);
  }
}

const patienceOf = new WeakMap<Response, Patience>();

export async function get(url: string, headers: Record<string, string>, traffic: Traffic): Promise<Response> {
  traffic.requests += 1;
  const patience = new Patience();
  let response: Response;
  try {
    response = await fetch(url, { headers, signal: patience.signal });
  } catch (error) {
    patience.end();
    const why = patience.signal.aborted ? "nothing came" : error instanceof Error ? error.message : String(error);
    throw new TransferError(`${url} does not answer: ${why}`, true);
  }
  if (!response.ok) {
    const why = await reason(response);
    patience.end();
    const passing = (response.status >= 500 && response.status !== 500) || response.status === 429;
    throw new TransferError(`${url} answers ${response.status} ${response.statusText}`.trim() + why, passing, response.status);
  }
  patience.begin();
  patienceOf.set(response, patience);
  return response;
}

/** What nmc serve says of an answer that is no file: words, and a code where there is one. */
async function reason(response: Response): Promise<string> {
  const length = Number(response.headers.get("Content-Length") ?? "NaN");
  try {
    if (response.headers.get("Content-Type") === "application/json" && length <= longestReason) {
      const { error, code } = (await response.json()) as { error?: unknown; code?: unknown };
      if (typeof error === "string") return `: ${error}${typeof code === "string" ? ` (${code})` : ""}`;
    }
    await response.body?.cancel();
  } catch {
    // what it says is not needed
  }
  return "";
}

/** Tries again what may go better: a server that was restarted, a connection that broke. */
export async function patiently<T>(attempt: () => Promise<T>): Promise<T> {
  for (let k = 0; ; k++) {
    try {
      return await attempt();
    } catch (error) {
      const pause = pauses[k];
      if (!(error instanceof TransferError) || !error.passing || pause === undefined) throw error;
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
}

/** The body, and no more than was announced: a server that sends more is cut off. */
export async function body(response: Response, expected: number, traffic: Traffic): Promise<Bytes> {
  const out = new Uint8Array(expected);
  let done = 0;
  if (response.body === null) throw new TransferError(`${response.url} sends nothing`);
  const reader = response.body.getReader();
  const patience = patienceOf.get(response);
  try {
    for (;;) {
      const { done: ended, value } = await reader.read();
      if (ended) break;
      patience?.more(value.length);
      if (done + value.length > expected) throw new TransferError(`${response.url} sends more than ${expected} bytes`);
      out.set(value, done);
      done += value.length;
    }
  } catch (error) {
    await reader.cancel().catch(() => undefined);
    if (error instanceof TransferError) throw error;
    throw new TransferError(`${response.url} breaks off after ${done} of ${expected} bytes`, true);
  } finally {
    patience?.end();
  }
  if (done !== expected) throw new TransferError(`${response.url} ends after ${done} of ${expected} bytes`, true);
  traffic.bytes += done;
  return out;
}

/** A document: its text, of so many bytes at most. */
export async function fetchText(url: string, limit: number): Promise<string> {
  const response = await patiently(() => get(url, {}, { requests: 0, bytes: 0 }));
  const length = Number(response.headers.get("Content-Length") ?? "NaN");
  if (!Number.isSafeInteger(length) || length > limit) {
    await response.body?.cancel();
    throw new TransferError(`${url} does not say how long it is, or is too long`);
  }
  return new TextDecoder("utf-8", { fatal: true }).decode(await body(response, length, { requests: 0, bytes: 0 }));
}
