// Checks a built site in a real Chromium, as a reader meets it: `node run.mjs SITE [--only TEXT|TEXT]`.
//
// Every page is opened from disk or from a server on this machine; a page that asks another host for anything, says anything on the
// console or breaks its Content-Security-Policy fails the check that opened it. Ends with 1 where a check fails.
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { Browser } from "./harness.mjs";
import { Site } from "./site.mjs";
import access from "./checks/access.mjs";
import first from "./checks/first.mjs";
import layout from "./checks/layout.mjs";
import maps from "./checks/maps.mjs";
import saving from "./checks/saving.mjs";
import settings from "./checks/settings.mjs";
import tables from "./checks/tables.mjs";

const [folder, flag, only] = process.argv.slice(2);
if (!folder || !existsSync(resolve(folder, "index.html")) || (flag && flag !== "--only")) {
  console.error("usage: node run.mjs SITE [--only TEXT|TEXT]\n  SITE: a folder that igsite has built");
  process.exit(2);
}

const site = new Site(resolve(folder));
// Two lanes at once, one for each core that a small machine has; what uses the clipboard is in one of them.
const lanes = [[maps, settings, tables, saving], [first, layout, access]].map((lane) => lane.flatMap((of) => of(site)));
const browser = await Browser.start(site.folder);
const failed = [];
let done = 0;
const started = Date.now();
await Promise.all(lanes.map(async (checks) => {
  for (const { name, run } of checks) {
    if (only && !only.split("|").some((text) => name.includes(text))) continue;
    const before = Date.now();
    const error = await browser.check(run);
    console.log(`${error ? "FAILED" : "ok"} ${name} (${((Date.now() - before) / 1000).toFixed(1)} s)`);
    done++;
    if (!error) continue;
    failed.push(name);
    console.log(error.split("\n").map((line) => "    " + line).join("\n"));
  }
}));
await browser.stop();
for (const name of failed) console.log("failed: " + name);
console.log(`${done} browser checks of ${site.pages.length} pages in ${((Date.now() - started) / 1000).toFixed(0)} s: ${failed.length ? failed.length + " failed" : "all passed"}`);
process.exit(failed.length || !done ? 1 : 0);
