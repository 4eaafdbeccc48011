// Makes edited copies of the TypeScript decoder: node edited_typescript.mjs EDITS.json
// EDITS.json: [{"folder": …, "file": "json.ts", "text": …}, …]; each folder gets the built decoder
// with that one file in place of its own. Types are not looked at, as a program that runs has none.
import { createRequire } from "node:module";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "../implementations/typescript");
const ts = createRequire(join(root, "package.json"))("typescript");
const compilerOptions = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true };

for (const { folder, file, text } of JSON.parse(readFileSync(process.argv[2], "utf8"))) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  cpSync(join(root, "dist/src"), folder, { recursive: true });
  const { outputText } = ts.transpileModule(text, { compilerOptions, fileName: file });
  writeFileSync(join(folder, file.replace(/\.ts$/, ".js")), outputText);
}
