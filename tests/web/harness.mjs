// Chromium and a server for the checks: opens pages and notes everything that a page must not do.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const PATHS = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const KINDS = { ".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".json": "application/json" };

// The folder under `/repo/`, as GitHub Pages has it: a folder's address is its index.html's.
function serve(folder) {
  const server = createServer((request, response) => {
    let path = decodeURIComponent(new URL(request.url, "http://here").pathname);
    if (path.endsWith("/")) path += "index.html";
    const file = join(folder, normalize(path.replace(/^\/repo\//, "/")));
    if (!path.startsWith("/repo/") || !existsSync(file)) return response.writeHead(404).end();
    response.writeHead(200, { "content-type": KINDS[extname(file)] ?? "application/octet-stream" }).end(readFileSync(file));
  });
  return new Promise((done) => server.listen(0, "127.0.0.1", () => done(server)));
}

export class Browser {
  static async start(folder) {
    const executablePath = process.env.CHROMIUM ?? PATHS.find(existsSync);
    const chrome = await chromium.launch({ executablePath, args: FLAGS });
    return Object.assign(new Browser(), { folder, chrome, server: await serve(folder) });
  }

  async stop() {
    await this.chrome.close();
    this.server.close();
  }

  // Runs one check; gives what went wrong, or nothing.
  async check(run) {
    const reader = new Reader(this);
    try {
      await run(reader);
      return reader.troubles.length ? reader.troubles.join("\n") : null;
    } catch (error) {
      const place = error.stack?.split("\n").find((line) => line.includes("/checks/"))?.trim() ?? "";
      return [error.message, place, ...reader.troubles].filter(Boolean).join("\n");
    } finally {
      for (const context of reader.contexts) await context.close();
    }
  }
}

// One reader: windows of its own, whose troubles are those of one check.
class Reader {
  troubles = [];
  contexts = [];

  constructor(browser) {
    this.browser = browser;
  }

  get origin() {
    return `http://127.0.0.1:${this.browser.server.address().port}/repo/`;
  }

  address(path, disk) {
    return disk ? pathToFileURL(this.browser.folder).href + "/" + path : this.origin + path;
  }

  // A window; `options` are Playwright's, with `width`, and `dark` for the system's theme.
  async window({ width = 1280, height = 900, dark = false, ...options } = {}) {
    const context = await this.browser.chrome.newContext({
      viewport: { width, height }, colorScheme: dark ? "dark" : "light", reducedMotion: "reduce", permissions: ["clipboard-read", "clipboard-write"], ...options,
    });
    context.setDefaultTimeout(10_000);
    this.contexts.push(context);
    context.on("page", (page) => this.watch(page));
    return context;
  }

  watch(page) {
    const trouble = (text) => this.troubles.push(`${page.url()}: ${text}`);
    page.on("console", (message) => trouble("console: " + message.text()));
    page.on("pageerror", (error) => trouble("error: " + error.message));
    // A page that is left before it has all its files gives up on them.
    page.on("requestfailed", (request) => request.failure()?.errorText !== "net::ERR_ABORTED" && trouble(`request failed: ${request.url()} ${request.failure()?.errorText}`));
    page.on("response", (response) => response.status() >= 400 && trouble(`${response.status()} for ${response.url()}`));
    page.on("request", (request) => {
      if (!/^(file|data|blob):/.test(request.url()) && !request.url().startsWith(this.origin)) trouble("asks another host: " + request.url());
    });
  }

  // Opens a page of the site in a window of its own; `disk` opens it as a file.
  async open(path, { disk = false, ...options } = {}) {
    const context = await this.window(options);
    const page = await context.newPage();
    await page.goto(this.address(path, disk));
    return page;
  }
}

// The middle of the first bit of an element that can be seen and pointed at, in the window.
export async function placeOf(element) {
  return element.evaluate((element) => {
    element.scrollIntoView({ block: "center" });
    const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT), range = document.createRange();
    while (walker.nextNode()) {
      for (const { index } of walker.currentNode.data.matchAll(/\S/g)) {
        range.setStart(walker.currentNode, index);
        range.setEnd(walker.currentNode, index + 1);
        const [box] = range.getClientRects();
        if (!box) continue;
        const place = { x: box.x + box.width / 2, y: box.y + box.height / 2 };
        if (element.contains(document.elementFromPoint(place.x, place.y))) return place;
      }
    }
    return null;
  });
}

// Every element of a list must pass; all that do not are told together.
export function each(list, problem) {
  assert(list.length, "nothing to check");
  const found = list.map(problem).filter(Boolean);
  assert(!found.length, `${found.length} of ${list.length}:\n${found.slice(0, 12).join("\n")}`);
}

// A number as pages write it.
export function number(text) {
  return Number(text.replace("−", "-").replace(/[+%×]/g, "").trim());
}

// Follows a link to another page, and waits until it is all there: a click alone returns while the page before it still
// stands, or while the next one is half read.
export async function follow(page, link) {
  const loaded = page.waitForEvent("load");
  await link.click();
  await loaded;
}

// Waits until a condition holds in the page, and says which where it does not.
export async function until(page, told, condition, argument) {
  await page.waitForFunction(condition, argument, { timeout: 10_000 }).catch(() => assert.fail("never: " + told));
}
