// The worker: fetches segments, decodes them with the decoder of the conformance suite, and sends what changed.
// A frame leaves it only after its state digest was found right (clause 7.2).
import { unhex } from "decoder/bytes.js";
import type { Tensor } from "decoder/decode.js";
import { Lattices } from "../baking/lattices.js";
import { turns } from "../baking/turns.js";
import type { Answer, Request, SentTensor } from "./messages.js";
import { openPlaying, type Playing } from "./playing.js";
import { trouble } from "./trouble.js";

const scope = self as unknown as DedicatedWorkerGlobalScope;

let opened: Playing | null = null;
/** Tensors that the page has, by row of the package that is seen. */
let sent: ReadonlyMap<number, Tensor> = new Map();
/** Whether the page has yet to be sent all of a state: it did not wait for one that it had nothing of. */
let owed = false;
/** Whether the page waits for another frame than the one that it asked for. */
let passed = false;
let lattices = new Lattices();

function send(answer: Answer, transfer: Transferable[] = []): void {
  scope.postMessage(answer, transfer);
}

async function open(url: string, keys: readonly string[], secret: string | null): Promise<void> {
  opened?.close();
  opened = null;
  lattices = new Lattices();
  owed = false;
  const playing = await openPlaying(url, keys, secret === null ? null : unhex(secret));
  opened = playing;
  send({ is: "opened", info: playing.info(), qualities: playing.qualities, ...playing.traffic });
}

async function frame(playing: Playing, asked: Extract<Request, { do: "frame" }>): Promise<void> {
  const { quality, part, state, info, decodeMs } = await playing.frame(asked.frame, asked.ahead, asked.quality);
  const every = asked.all || info !== null || owed;
  const turn = turns(() => passed, (done) => send({ is: "baking", frame: asked.frame, done }));
  const { cells, lattice, stays, tables } = await lattices.of(playing, { quality, part, state, every, asked }, turn);
  owed = every && stays;
  const changed: SentTensor[] = [];
  const names: string[] = [];
  for (const [row, tensor] of state) {
    const { name } = part.manifest.rows[row]!;
    names.push(name);
    if (stays || tables.has(name) || (!every && sent.get(row)?.data === tensor.data)) continue;
    changed.push({ name, dtype: tensor.dtype.name, shape: tensor.shape, data: new Uint8Array(tensor.data) });
  }
  if (!stays) sent = new Map(state);
  const buffers = [...changed, ...(lattice?.regions ?? [])].map(({ data }) => data.buffer);
  send({ is: "frame", frame: asked.frame, quality, info, changed, names, cells, lattice, decodeMs, ...playing.traffic }, buffers);
}

async function medium(playing: Playing, asked: Extract<Request, { do: "medium" }>): Promise<void> {
  const data = new Uint8Array(await playing.medium(asked.index, asked.first, asked.count));
  send({ is: "medium", data, ...playing.traffic }, [data.buffer]);
}

/** One request after the other. */
let queue: Promise<void> = Promise.resolve();

scope.onmessage = ({ data }: MessageEvent<Request>): void => {
  // The page asks for one frame at a time.
  if (data.do === "frame" || data.do === "pass over") passed = data.do === "pass over";
  if (data.do === "pass over") return;
  queue = queue.then(async () => {
    try {
      if (data.do === "open") await open(data.url, data.keys, data.secret);
      else if (opened === null) throw new Error("no package is open");
      else if (data.do === "look") send({ is: "seen", info: await opened.look() });
      else if (data.do === "medium") await medium(opened, data);
      else await frame(opened, data);
    } catch (error) {
      const why = trouble(error);
      send(data.do === "frame" ? { is: "frame refused", frame: data.frame, trouble: why } : { is: "refused", trouble: why });
    }
  });
};

send({ is: "ready" });
