// How pages lie: nothing moves while they load, nothing sticks out on a phone, nothing is cut on paper, and they weigh little.
import assert from "node:assert/strict";
import { each } from "../harness.mjs";

const SCRIPTS = 32_000, SAMPLE = 60_000, SHIFT = 0.001;

// What reaches beyond the window sideways, outside the regions that scroll by themselves.
function beyond() {
  const width = document.documentElement.clientWidth;
  const scrolls = (element) => element !== document.body && (getComputedStyle(element).overflowX !== "visible" || scrolls(element.parentElement));
  const out = [...document.querySelectorAll("body *")].filter((element) => {
    if (!element.checkVisibility() || element.closest(".skip, .visually-hidden, .readout") || scrolls(element.parentElement) || element.closest("svg") !== null && element.localName !== "svg") return false;
    const { left, right, width: own } = element.getBoundingClientRect();
    return own > 0 && (right > width + 1 || left < -1);
  });
  return { wide: document.documentElement.scrollWidth - width, out: out.slice(0, 5).map((element) => `${element.localName}.${element.className} ${element.textContent.trim().slice(0, 40)}`) };
}

// Regions that scroll on a screen: what they cut off on paper.
function cut() {
  return [...document.querySelectorAll(".scroll, pre, .map")].filter((box) => {
    const { overflowX } = getComputedStyle(box);
    return overflowX !== "visible" && box.scrollWidth > box.clientWidth + 1 && box.getClientRects().length;
  }).map((box) => `${box.localName}.${box.className} ${box.getAttribute("aria-label") ?? ""}: ${box.scrollWidth} in ${box.clientWidth}`);
}

export default (site) => [
  ...[1280, 360].map((width) => ({
    name: `nothing moves while a page loads, ${width} px wide`,
    async run(reader) {
      const page = await (await reader.window({ width })).newPage();
      for (const { path } of site.examples) {
        await page.goto(reader.address(path));
        const shifts = await page.evaluate(() => new Promise((done) => {
          new PerformanceObserver((list) => done(list.getEntries().map(({ value, sources }) => ({ value, of: sources.map(({ node }) => (node?.parentElement ?? node)?.outerHTML?.slice(0, 80)) })))).observe({ type: "layout-shift", buffered: true });
          setTimeout(() => done([]), 100);
        }));
        const all = shifts.reduce((sum, { value }) => sum + value, 0);
        assert(all < SHIFT, `${path}: ${all} ${JSON.stringify(shifts)}`);
      }
    },
  })),
  ...[320, 768].map((width) => ({
    name: `no page scrolls sideways at ${width} px, with everything open`,
    async run(reader) {
      const found = [];
      const page = await (await reader.window({ width })).newPage();
      for (const { path } of site.examples) {
        await page.goto(reader.address(path));
        await page.evaluate(() => document.querySelectorAll("details:not(.tools)").forEach((details) => { details.open = true; }));
        const { wide, out } = await page.evaluate(beyond);
        found.push(wide > 0 || out.length ? `${path}: ${wide} px too wide: ${out.join("; ")}` : null);
      }
      each(found, (problem) => problem);
    },
  })),
  {
    name: "how right each map of a page is stands in view on a narrow window",
    async run(reader) {
      const page = await (await reader.window({ width: 500 })).newPage(), found = [];
      for (const { path } of site.examples.filter(({ kind }) => kind === "map" || kind === "experiment")) {
        await page.goto(reader.address(path));
        await page.evaluate(() => document.querySelectorAll("details:not(.tools)").forEach((details) => { details.open = true; }));
        const heads = page.locator("th:text-is('Quality'), th:text-is('Maps numerically exact')");
        found.push(...await heads.evaluateAll((heads, path) => heads.map((head) => {
          const table = head.closest("table"), region = table.closest(".scroll").getBoundingClientRect();
          const cells = [...table.rows].map((row) => row.cells[head.cellIndex].getBoundingClientRect());
          return cells.every(({ left, right }) => left >= region.left && right <= region.right + 1) ? null : `${path}: ${head.textContent} is out of view`;
        }), path));
      }
      each(found, (problem) => problem);
    },
  },
  {
    name: "on paper nothing is cut, and there are no controls",
    async run(reader) {
      // A4 between margins of 10 mm.
      const page = await (await reader.window({ width: 718 })).newPage(), found = [];
      await page.emulateMedia({ media: "print" });
      for (const { path } of site.examples) {
        await page.goto(reader.address(path));
        const { wide } = await page.evaluate(beyond), hidden = await page.evaluate(cut);
        const controls = await page.locator("button:visible, input:not([disabled]):visible, select:visible, summary:visible:not(details:not(.tools) > summary)").evaluateAll((all) => all.filter((element) => !element.closest("th")).map((element) => element.outerHTML.slice(0, 80)));
        const folded = await page.locator("details:not(.tools, .deep, .folded, [open]) > :not(summary)").evaluateAll((all) => all.filter((inside) => !inside.closest(".deep, .folded, .two:not(.chosen)") && !inside.checkVisibility({ contentVisibilityAuto: true })).length);
        assert.equal(folded, 0, `${path}: what is folded up on a screen is not on paper`);
        found.push(wide > 0 || hidden.length || controls.length ? `${path}: ${wide} px too wide; cut: ${hidden.join("; ")}; controls: ${controls.join(" ")}` : null);
      }
      each(found, (problem) => problem);
    },
  },
  {
    name: "a sample page prints as PDF with its maps in colour",
    async run(reader) {
      const page = await reader.open(site.first("sample", (text) => text.includes('class="inter')).path, { dark: true });
      const pdf = await page.pdf({ format: "A4", margin: { top: "10mm", bottom: "10mm", left: "10mm", right: "10mm" } });
      assert.equal(pdf.subarray(0, 5).toString(), "%PDF-");
      await page.emulateMedia({ media: "print" });
      const { ink, paper, colours } = await page.evaluate(() => ({
        ink: getComputedStyle(document.body).color, paper: getComputedStyle(document.documentElement).backgroundColor,
        colours: [...document.querySelectorAll("#map .inter dd")].filter((word) => getComputedStyle(word).backgroundColor !== "rgba(0, 0, 0, 0)" && getComputedStyle(word).printColorAdjust === "exact").length,
      }));
      assert.deepEqual([ink, paper], ["rgb(27, 31, 36)", "rgb(255, 255, 255)"], "dark on white, whatever the screen's theme");
      assert(colours > 0);
    },
  },
  {
    name: "pages are light",
    async run() {
      // A page has one script; a second comes when its reader saves something, and the search page has another.
      const size = (name) => site.files.filter((path) => path.startsWith(`assets/${name}.`) && path.endsWith(".js")).reduce((sum, path) => sum + Buffer.byteLength(site.text(path)), 0);
      const [all, save, search] = ["igsite", "save", "search"].map(size);
      assert(all && save && search && all + Math.max(save, search) < SCRIPTS, `scripts are ${all}, ${save} and ${search} bytes`);
      each(site.all("sample"), ({ path }) => (Buffer.byteLength(site.text(path)) < SAMPLE ? null : `${path} is ${Buffer.byteLength(site.text(path))} bytes`));
    },
  },
  {
    name: "every page kind opens from disk without a word on the console",
    async run(reader) {
      const page = await (await reader.window()).newPage();
      for (const { path } of site.examples) {
        await page.goto(reader.address(path, true));
        assert(await page.locator("main").isVisible(), path);
      }
    },
  },
];
