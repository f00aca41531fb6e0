// What a built site holds: its pages by kind, and the records that its maps must agree with.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const KINDS = [
  ["front", /^index\.html$/],
  ["not found", /^404\.html$/],
  ["models", /^models\/index\.html$/],
  ["model", /^models\/[^/]+\/index\.html$/],
  ["experiment", /^experiments\/([^/]+)\/index\.html$/],
  ["comparison", /^experiments\/([^/]+)\/comparison\/index\.html$/],
  ["table page", /^experiments\/([^/]+)\/pages\/\d+\/index\.html$/],
  ["sample", /^experiments\/([^/]+)\/samples\/([^/]+)\/index\.html$/],
  ["word", /^experiments\/([^/]+)\/words\/([^/]+)\/index\.html$/],
  ["map", /^experiments\/([^/]+)\/maps\/([^/]+)\/([^/]+)\/index\.html$/],
  ["page", /\/index\.html$/],
];

export class Site {
  constructor(folder) {
    this.folder = folder;
    const files = readdirSync(folder, { recursive: true }).map(String).sort();
    this.pages = files.filter((path) => path.endsWith(".html")).map((path) => {
      const [kind, pattern] = KINDS.find(([, pattern]) => pattern.test(path)) ?? ["page", /$/];
      return { path, kind, of: path.match(pattern).slice(1) };
    });
    this.files = files;
  }

  text(path) {
    return readFileSync(join(this.folder, path), "utf8");
  }

  all(kind) {
    return this.pages.filter((page) => page.kind === kind);
  }

  first(kind, fits = () => true) {
    return this.all(kind).find((page) => fits(this.text(page.path), page));
  }

  // One page of every kind, those of experiments once an experiment: what is looked at as a whole.
  get examples() {
    const seen = new Set();
    return this.pages.filter(({ kind, path, of }) => {
      const key = kind === "page" ? path : kind === "model" ? kind : `${kind} ${of[0] ?? ""}`;
      return !seen.has(key) && seen.add(key);
    });
  }

  record(experiment, model, sample) {
    return JSON.parse(this.text(`data/${experiment}/${model}/${sample}.json`));
  }
}
