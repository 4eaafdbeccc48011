// The page and its worker, as files with fixed names that the wheel carries; nothing is fetched from elsewhere.
import { defineConfig } from "vite";

const here = (path: string): string => decodeURIComponent(new URL(path, import.meta.url).pathname);

const names = {
  entryFileNames: "[name].js",
  chunkFileNames: "[name].js",
  assetFileNames: "[name][extname]",
};

export default defineConfig({
  base: "./",
  resolve: {
    alias: {
      decoder: here("../conformance/implementations/typescript/src"),
      "@noble": here("./node_modules/@noble"),
      "hash-wasm": here("./node_modules/hash-wasm/dist/index.esm.js"),
    },
  },
  build: {
    target: "es2022",
    outDir: here("../tools/nmc_tools/player/page"),
    emptyOutDir: true,
    modulePreload: false,
    reportCompressedSize: false,
    rolldownOptions: { output: names },
  },
  worker: { format: "es", rolldownOptions: { output: names } },
});
