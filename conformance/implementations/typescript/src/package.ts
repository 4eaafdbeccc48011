// A package: opened by the steps of clause 7.1.1, with a decoder of its frames.
import { Decoder } from "./decode.js";
import { openSource } from "./files.js";
import { readByLibrary } from "./h5library.js";
import { type Manifest, openManifest, type Options } from "./manifest.js";
import { readManifestFile, type Source } from "./source.js";
import { openZip } from "./zip.js";

export interface Package {
  readonly source: Source;
  readonly manifest: Manifest;
  readonly decoder: Decoder;
}

export function openPackage(path: string, options: Omit<Options, "library">): Package {
  const source = openSource(path, openZip);
  try {
    const manifest = openManifest(readManifestFile(source), { ...options, library: readByLibrary });
    return { source, manifest, decoder: new Decoder(source, manifest) };
  } catch (error) {
    source.close();
    throw error;
  }
}
