// Profiles and levels (clause 10).
export interface Level {
  readonly level: number;
  readonly tensors: number;
  readonly stateBytes: number;
  readonly groupFrames: number;
  readonly frames: number;
}

export const levels: readonly Level[] = [
  { level: 1, tensors: 1024, stateBytes: 67108864, groupFrames: 256, frames: 65536 },
  { level: 2, tensors: 4096, stateBytes: 1073741824, groupFrames: 4096, frames: 1048576 },
  { level: 3, tensors: 16384, stateBytes: 17179869184, groupFrames: 65536, frames: 16777216 },
  { level: 4, tensors: 65536, stateBytes: 1099511627776, groupFrames: 16777216, frames: 99999999 },
];

export interface Profile {
  readonly codings: readonly string[];
  /** The highest mode (table 6-2). */
  readonly lastMode: number;
}

export const profiles: ReadonlyMap<string, Profile> = new Map([
  ["baseline", { codings: ["none"], lastMode: 3 }],
  ["main", { codings: ["none", "zstd", "nmc"], lastMode: 3 }],
  ["lossy", { codings: ["none", "zstd", "nmc"], lastMode: 5 }],
]);
