// A package: opened by the steps of clause 7.1.1, with a decoder of its frames.
import { Decoder } from "./decode.js";
import { unlock } from "./encryption.js";
import { openSource } from "./files.js";
import { readByLibrary } from "./h5library.js";
import { type Manifest, openManifest, type Options } from "./manifest.js";
import { compareDigest, demand, type Signature } from "./signatures.js";
import { readManifestFile, type Source } from "./source.js";
import { openZip } from "./zip.js";

export interface Package {
  readonly source: Source;
  readonly manifest: Manifest;
  /** Where keys were demanded: all signatures, each verified. */
  readonly signatures: readonly Signature[];
  readonly decoder: Decoder;
}

export function openPackage(path: string, options: Omit<Options, "library">): Package {
  const source = openSource(path, openZip);
  try {
    const file = readManifestFile(source);
    const keys = options.signedBy ?? [];
    const signatures = keys.length === 0 ? [] : demand(source, file, keys);
    const manifest = openManifest(file, { ...options, library: readByLibrary });
    compareDigest(signatures, manifest.digest);
    const key = unlock(manifest, options.key ?? null);
    return { source, manifest, signatures, decoder: new Decoder(source, manifest, manifest.stops, key) };
  } catch (error) {
    source.close();
    throw error;
  }
}
