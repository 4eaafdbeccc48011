// A package: opened by the steps of clause 7.1.1, with a decoder of its frames.
import { Decoder } from "./decode.js";
import { type Manifest, openManifest, type Options } from "./manifest.js";
import { openSource, readManifestFile, type Source } from "./source.js";
import { openZip } from "./zip.js";

export interface Package {
  readonly source: Source;
  readonly manifest: Manifest;
  readonly decoder: Decoder;
}

export function openPackage(path: string, options: Options): Package {
  const source = openSource(path, openZip);
  try {
    const manifest = openManifest(readManifestFile(source), options);
    return { source, manifest, decoder: new Decoder(source, manifest) };
  } catch (error) {
    source.close();
    throw error;
  }
}
