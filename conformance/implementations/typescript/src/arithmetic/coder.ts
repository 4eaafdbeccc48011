import type { Bytes } from "../bytes.js";
import type { DType } from "../dtypes.js";
import { Unsupported } from "../errors.js";

export interface PlaneInput {
  readonly row: number;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly old: Bytes;
}

export class Coder {
  reset(): void {}

  decode(_payload: Bytes, _planes: readonly PlaneInput[], _stream: string, _file: string): Bytes[] {
    throw new Unsupported("nmc");
  }
}
