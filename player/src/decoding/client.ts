// The page's side of the worker: requests as promises, answered in their order.
import type { Answer, PackageInfo, QualityInfo, Request, Trouble } from "./messages.js";

export type FrameAnswer = Extract<Answer, { is: "frame" }>;

export class Refused extends Error {
  constructor(readonly trouble: Trouble) {
    super(trouble.message);
  }
}

interface Waiting {
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

export class Client {
  private readonly worker: Worker;
  private readonly waiting: Waiting[] = [];
  /** What was asked for before the worker was ready. */
  private early: Request[] | null = [];
  requests = 0;
  bytes = 0;
  /** Told how much of the lattice of a frame is worked out, where that takes a while. */
  onbaking: ((frame: number, done: number) => void) | null = null;

  constructor() {
    this.worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module", name: "worker" });
    this.worker.onmessage = ({ data }: MessageEvent<Answer>) => this.take(data);
    this.worker.onerror = (event) => {
      for (const w of this.waiting.splice(0)) {
        w.reject(new Refused({ code: "failed", message: event.message || "the decoder could not be started", place: "" }));
      }
    };
  }

  async open(url: string, keys: readonly string[], secret: string | null): Promise<{ readonly info: PackageInfo; readonly qualities: readonly QualityInfo[] }> {
    const answer = await this.ask({ do: "open", url, keys, secret });
    if (answer.is !== "opened") throw new Error("another answer was due");
    return answer;
  }

  /** What a package that grows is now; null where nothing came since. */
  async look(): Promise<PackageInfo | null> {
    const answer = await this.ask({ do: "look" });
    if (answer.is !== "seen") throw new Error("another answer was due");
    return answer.info;
  }

  async frame(asked: Omit<Extract<Request, { do: "frame" }>, "do">): Promise<FrameAnswer> {
    const answer = await this.ask({ do: "frame", ...asked });
    if (answer.is !== "frame") throw new Error("another answer was due");
    return answer;
  }

  /** Says that another frame is waited for than the one that was asked for; that one is answered soon. */
  passOver(): void {
    this.worker.postMessage({ do: "pass over" } satisfies Request);
  }

  /** Verified bytes of a medium: `count` of its chunks, the first of them `first`. */
  async medium(index: number, first: number, count: number): Promise<Uint8Array<ArrayBuffer>> {
    const answer = await this.ask({ do: "medium", index, first, count });
    if (answer.is !== "medium") throw new Error("another answer was due");
    return answer.data;
  }

  close(): void {
    this.worker.terminate();
  }

  private ask(request: Request): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ resolve, reject });
      if (this.early === null) this.worker.postMessage(request);
      else this.early.push(request);
    });
  }

  private take(answer: Answer): void {
    if (answer.is === "ready") {
      for (const request of this.early ?? []) this.worker.postMessage(request);
      this.early = null;
      return;
    }
    if (answer.is === "baking") {
      this.onbaking?.(answer.frame, answer.done);
      return;
    }
    const waiting = this.waiting.shift();
    if ("requests" in answer) [this.requests, this.bytes] = [answer.requests, answer.bytes];
    if ("trouble" in answer) waiting?.reject(new Refused(answer.trouble));
    else waiting?.resolve(answer);
  }
}
