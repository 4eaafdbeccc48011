// The line to a server that renders: nmc serve --render, the protocol of nmc_tools.serve.rendering.
import { viewpointOf, type View } from "../pose/pose.js";
import { NoPicture } from "./renderer.js";

export interface Wish {
  readonly frame: number;
  /** Of a frame that is a group: which of its instants, from 0. */
  readonly instant: number;
  readonly view: View;
  readonly format: "png" | "webp" | "jpeg";
}

interface Waiting {
  readonly id: number;
  /** The picture comes after its description. */
  described: boolean;
  resolve(picture: Blob): void;
  reject(error: Error): void;
}

/** What is heard of instants: how many a frame shows at most, and which one a picture is of. */
export interface Instants {
  offer(instants: number): void;
  show(instant: number): void;
}

/** How long a picture may take, and how long a server that failed is left alone, in milliseconds. */
const patience = 120_000;
const pause = 2_000;
const quality = 92;

/** The address of a line: a WebSocket's, also where it is written as one of HTTP or beside the page. */
export function lineAddress(text: string, base: string): URL {
  const address = new URL(text, base);
  if (address.protocol === "http:") address.protocol = "ws:";
  if (address.protocol === "https:") address.protocol = "wss:";
  if (!["ws:", "wss:"].includes(address.protocol)) throw new NoPicture(`pictures are not taken from an address of ${address.protocol}`);
  return address;
}

/** One wish after the other; the line is opened when there is the first, and again after it broke. */
export class Line {
  private socket: WebSocket | null = null;
  private opening: Promise<void> | null = null;
  private waiting: Waiting | null = null;
  private last: Promise<unknown> = Promise.resolve();
  private count = 0;
  private failed = -pause;

  constructor(
    private readonly address: URL,
    /** Digest of the manifest that was verified here: pictures of another package are none of this one. */
    private readonly digest: string,
    private readonly instants: Instants,
  ) {}

  ask(wish: Wish): Promise<Blob> {
    const answer = this.last.then(async () => {
      await this.open();
      return this.send(wish);
    });
    this.last = answer.catch(() => undefined);
    return answer;
  }

  close(): void {
    this.break("the page has no use for it");
  }

  private open(): Promise<void> {
    if (this.socket?.readyState === WebSocket.OPEN) return Promise.resolve();
    if (this.opening !== null) return this.opening;
    if (performance.now() < this.failed + pause) return Promise.reject(new NoPicture(this.none()));
    this.opening = this.greeted().finally(() => (this.opening = null));
    return this.opening;
  }

  /** Resolves when the server has said what it renders. */
  private greeted(): Promise<void> {
    const socket = new WebSocket(this.address);
    this.socket = socket;
    return new Promise((resolve, reject) => {
      const late = window.setTimeout(() => socket.close(), patience);
      socket.onclose = ({ reason }) => {
        window.clearTimeout(late);
        reject(new NoPicture(this.none()));
        this.break(reason || "the line broke");
      };
      socket.onmessage = ({ data }: MessageEvent<string | Blob>) => {
        window.clearTimeout(late);
        const said = parsed(data);
        if (typeof said?.["manifest"] === "string" && said["manifest"] !== this.digest) {
          reject(new NoPicture(`the server at ${this.address.host} renders another package`));
          this.break("it renders another package");
          return;
        }
        const instants = Number(said?.["instants"] ?? 1);
        this.instants.offer(Number.isSafeInteger(instants) ? instants : 1);
        socket.onmessage = ({ data: next }: MessageEvent<string | Blob>) => this.take(next);
        resolve();
      };
    });
  }

  private send({ frame, instant, view, format }: Wish): Promise<Blob> {
    const { x, y, z, yaw, pitch, roll } = viewpointOf(view.pose);
    const { width, height, fx, fy, cx, cy } = view;
    const id = (this.count += 1);
    const wish = { id, frame, instant, pose: [x, y, z, yaw, pitch, roll], width, height, intrinsics: [fx, fy, cx, cy], format, quality };
    return new Promise((resolve, reject) => {
      const late = window.setTimeout(() => this.break("it takes too long"), patience);
      const done = (): void => {
        window.clearTimeout(late);
        this.waiting = null;
      };
      this.waiting = {
        id,
        described: false,
        resolve: (picture) => (done(), resolve(picture)),
        reject: (error) => (done(), reject(error)),
      };
      this.socket!.send(JSON.stringify(wish));
    });
  }

  private take(data: string | Blob): void {
    const { waiting } = this;
    if (waiting === null) return;
    if (data instanceof Blob) {
      if (waiting.described) waiting.resolve(data);
      return;
    }
    const said = parsed(data);
    if (typeof said?.["error"] === "string") waiting.reject(new NoPicture(`the server renders no picture: ${said["error"]}`));
    else if (said?.["id"] === waiting.id) {
      waiting.described = true;
      if (typeof said["instant"] === "number") this.instants.show(said["instant"]);
    }
  }

  private break(why: string): void {
    this.failed = performance.now();
    if (this.socket !== null) {
      // What an old line still says is nothing to a new one.
      this.socket.onclose = this.socket.onmessage = null;
      this.socket.close();
      this.socket = null;
    }
    this.waiting?.reject(new NoPicture(`the server at ${this.address.host} gives no more pictures: ${why}`));
  }

  private none(): string {
    return `the server at ${this.address.host} gives no pictures of this package`;
  }
}

function parsed(data: string | Blob): Record<string, unknown> | null {
  if (typeof data !== "string") return null;
  try {
    const said: unknown = JSON.parse(data);
    return typeof said === "object" && said !== null ? (said as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}
