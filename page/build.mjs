// Puts src/ together into raftzmq/page/page.html, one file that fetches nothing.
// --check changes nothing, and says whether that file is what src/ makes.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const target = here("../raftzmq/page/page.html");

function bundled(entry) {
  const made = buildSync({
    entryPoints: [here(entry)],
    bundle: true,
    minify: true,
    format: "iife",
    target: ["es2022", "chrome111", "firefox113", "safari16.4"],
    charset: "utf8",
    write: false,
  });
  return made.outputFiles[0].text.trim();
}

const digest = (text) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
const script = bundled("src/main.ts").replaceAll("</script", "<\\/script");
const style = bundled("src/style.css");
// Only this script runs and only this style is used, whatever a recording holds.
const policy = `default-src 'none'; img-src data:; script-src ${digest(script)}; style-src ${digest(style)}`;
const page = readFileSync(here("src/index.html"), "utf8")
  .replace("{{policy}}", () => policy)
  .replace("{{style}}", () => style)
  .replace("{{script}}", () => script);

if (!process.argv.includes("--check")) {
  writeFileSync(target, page);
} else if (readFileSync(target, "utf8") !== page) {
  console.error("raftzmq/page/page.html is not what page/src makes: run `just page`");
  process.exit(1);
}
