import { harmless, UsageError } from "./errors.js";
import { run } from "./main.js";

try {
  process.exitCode = await run(process.argv.slice(2));
} catch (error) {
  const usage = error instanceof UsageError;
  process.stderr.write(`${usage ? "usage" : "failed"}: ${harmless(error instanceof Error ? error.message : String(error))}\n`);
  process.exitCode = usage ? 2 : 70;
}
