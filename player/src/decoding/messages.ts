// What the page and the worker that decodes say to each other.
import type { MediaMap } from "decoder/media.js";
import type { Region } from "../baking/bake.js";

/** Why something was refused or could not be had. */
export interface Trouble {
  /** A code of annex A; "unsupported" or "transfer" where it is none about the package. */
  readonly code: string;
  readonly message: string;
  readonly place: string;
}

export interface FrameInfo {
  readonly key: boolean;
  readonly time: number;
  readonly bytes: number;
  readonly stateBytes: number;
  readonly digest: string;
  /** Mean PSNR of the views that the package's record of quality has, in dB, or what is declared of a loss. */
  readonly psnr: number | null;
}

export interface PackageCamera {
  readonly name: string;
  readonly width: number;
  readonly height: number;
  readonly fx: number;
  readonly fy: number;
  readonly cx: number;
  readonly cy: number;
  /** Three rows of four: right, down and forward axes and the centre. */
  readonly cameraToWorld: readonly number[];
}

/** A medium of the package (clause 16); its bytes are asked for by chunks. */
export interface MediumInfo {
  readonly index: number;
  readonly name: string;
  readonly type: string;
  readonly role: string;
  readonly length: number;
  readonly chunks: number;
  readonly map: MediaMap | null;
}

/** What is known of the signatures of a package (clause 13). */
export interface SignatureInfo {
  readonly state: "unsigned" | "not looked for" | "signed" | "refused";
  readonly by: readonly { readonly key: string; readonly signer: string; readonly time: string }[];
  /** Keys that were asked for, each of which has signed. */
  readonly asked: readonly string[];
  readonly trouble: Trouble | null;
}

export interface PackageInfo {
  readonly signature: SignatureInfo;
  readonly family: string;
  readonly configuration: Readonly<Record<string, unknown>>;
  readonly profile: string;
  readonly level: number;
  readonly sequence: string;
  readonly creator: string;
  readonly manifestDigest: string;
  readonly timescale: number;
  readonly tensors: readonly { readonly name: string; readonly dtype: string; readonly shape: readonly number[] }[];
  readonly frames: readonly FrameInfo[];
  readonly psnrIs: "measured" | "declared" | null;
  readonly cameras: readonly PackageCamera[];
  readonly media: readonly MediumInfo[];
  /** Whether its writer is still at work. */
  readonly growing: boolean;
}

/** A quality of a presentation document. */
export interface QualityInfo {
  readonly name: string;
  /** Bits a second. */
  readonly bandwidth: number;
  readonly psnr: number | null;
}

export interface SentTensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: Uint8Array<ArrayBuffer>;
}

/** A field at the points of a lattice, in place of its tables. */
export interface SentLattice {
  /** On an edge. */
  readonly cells: number;
  /** The frame that it is of. */
  readonly frame: number;
  readonly regions: readonly Region[];
  /** Points that were worked out for this frame, and how long that took. */
  readonly points: number;
  readonly milliseconds: number;
}

export type Request =
  /** `keys` have to have signed; `secret` is the key of encrypted segments, in base 16. */
  | { readonly do: "open"; readonly url: string; readonly keys: readonly string[]; readonly secret: string | null }
  /**
   * Decode a frame; segments up to `ahead` frames later are fetched meanwhile. `all`: send every tensor. `quality`:
   * one of the presentation, the smallest first; null lets the line decide. `cells`: in place of its tables send the
   * field on a lattice with so many on an edge, 0 for the tables; `exact`: of this frame, however long that takes.
   */
  | {
      readonly do: "frame";
      readonly frame: number;
      readonly ahead: number;
      readonly all: boolean;
      readonly quality: number | null;
      readonly cells: number;
      readonly exact: boolean;
    }
  /** The frame that was asked for is not waited for any more: it is answered, but its lattice is not worked out to the end. */
  | { readonly do: "pass over" }
  /** Fetch `count` chunks of a medium, the first of them `first`; each is compared with its SHA-256. */
  | { readonly do: "medium"; readonly index: number; readonly first: number; readonly count: number }
  /** See whether a package that grows has more frames. */
  | { readonly do: "look" };

export type Answer =
  /** The decoder's modules are there; what is asked for before that would be lost. */
  | { readonly is: "ready" }
  | { readonly is: "opened"; readonly info: PackageInfo; readonly qualities: readonly QualityInfo[]; readonly requests: number; readonly bytes: number }
  /** How much of the lattice of the frame that was asked for is worked out, 0 to 1; its answer is still to come. */
  | { readonly is: "baking"; readonly frame: number; readonly done: number }
  /** What a package that grows is now; null where nothing came. */
  | { readonly is: "seen"; readonly info: PackageInfo | null }
  | { readonly is: "medium"; readonly data: Uint8Array<ArrayBuffer>; readonly requests: number; readonly bytes: number }
  | { readonly is: "refused"; readonly trouble: Trouble }
  | {
      readonly is: "frame";
      readonly frame: number;
      readonly quality: number;
      /** What the package of another quality than before says of itself; null where it is the same. */
      readonly info: PackageInfo | null;
      /** Tensors that are not those of the frame that was sent last. */
      readonly changed: readonly SentTensor[];
      /** Names of all tensors of the state. */
      readonly names: readonly string[];
      /** As was asked for; 0 for a family that has no tables. */
      readonly cells: number;
      /** Null where there is none, or an earlier one stays, and the tensors with it: of the group, or where the page passed over. */
      readonly lattice: SentLattice | null;
      readonly decodeMs: number;
      readonly requests: number;
      readonly bytes: number;
    }
  | { readonly is: "frame refused"; readonly frame: number; readonly trouble: Trouble };
