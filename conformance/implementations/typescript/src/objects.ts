// The objects of a manifest, whatever program read them: values with a type, dimensions and bytes.
import { type Bytes, text, view } from "./bytes.js";

export type Kind = "str" | "u" | "i" | "f" | "other";

export const manifestFile = "manifest.h5";
export const manifestLimit = 268435456;
export const objectLimit = 256;

export class H5Object {
  constructor(
    readonly path: string,
    readonly kind: Kind,
    /** Bytes of an element; of a text of variable length 0. */
    readonly width: number,
    readonly dims: readonly bigint[],
    /** Elements in row-major order, little-endian; empty for texts of variable length. */
    readonly data: Bytes,
    private readonly texts: readonly Bytes[] | null = null,
  ) {}

  get count(): number {
    return this.dims.reduce((n, d) => n * Number(d), 1);
  }

  get type(): string {
    return this.kind === "str" ? "str" : `${this.kind}${this.width}`;
  }

  /** The bytes of text i without its padding. */
  textBytes(i: number): Bytes {
    if (this.texts !== null) return this.texts[i];
    const start = i * this.width;
    let end = start + this.width;
    while (end > start && this.data[end - 1] === 0) end -= 1;
    return this.data.subarray(start, end);
  }

  /** Text i, or null where it is not UTF-8 or holds a zero byte. */
  text(i: number): string | null {
    const bytes = this.textBytes(i);
    return bytes.includes(0) ? null : text(bytes);
  }

  number(i: number): number {
    const data = view(this.data);
    switch (this.type) {
      case "u1":
        return this.data[i];
      case "i4":
        return data.getInt32(4 * i, true);
      case "u4":
        return data.getUint32(4 * i, true);
      case "f8":
        return data.getFloat64(8 * i, true);
      case "i8":
        return Number(data.getBigInt64(8 * i, true));
      case "u8":
        return Number(data.getBigUint64(8 * i, true));
      default:
        throw new Error(`no numbers of type ${this.type}`);
    }
  }

  big(i: number): bigint {
    const data = view(this.data);
    return this.kind === "i" ? data.getBigInt64(8 * i, true) : data.getBigUint64(8 * i, true);
  }

  row(i: number, columns: number): Bytes {
    const size = columns * this.width;
    return this.data.subarray(i * size, (i + 1) * size);
  }
}

export type Objects = Map<string, H5Object>;
