// A state as a safetensors file: the tensors in the order of the tensor table.
import { closeSync, openSync, writeSync } from "node:fs";
import { le64, utf8 } from "./bytes.js";
import type { State } from "./decode.js";
import type { Row } from "./manifest.js";

export function writeState(path: string, state: State, rows: readonly Row[]): void {
  // A name such as "__proto__" or "7" must stay a key of its own, in its place: the text is put together.
  const entries: string[] = [];
  let offset = 0;
  for (const [row, tensor] of state) {
    const end = offset + tensor.data.length;
    const fields = `"dtype":"${tensor.dtype.name}","shape":[${tensor.shape.join(",")}],"data_offsets":[${offset},${end}]`;
    entries.push(`${JSON.stringify(rows[row].name)}:{${fields}}`);
    offset = end;
  }
  let header = utf8(`{${entries.join(",")}}`);
  const padded = new Uint8Array(Math.ceil(header.length / 8) * 8).fill(0x20);
  padded.set(header);
  header = padded;
  const fd = openSync(path, "w");
  try {
    writeAll(fd, le64(header.length));
    writeAll(fd, header);
    for (const tensor of state.values()) writeAll(fd, tensor.data);
  } finally {
    closeSync(fd);
  }
}

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(fd, bytes, done, Math.min(bytes.length - done, 2 ** 30));
  }
}
