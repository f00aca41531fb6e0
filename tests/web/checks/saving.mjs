// What a reader takes along: tables, figures and maps as files, links, embedded maps.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { each, follow } from "../harness.mjs";

// Opens the menu beside an element and takes what one of its entries saves.
async function saved(page, menu, entry) {
  if (!(await menu.evaluate((menu) => menu.open))) await menu.locator("summary").click();
  const [download] = await Promise.all([page.waitForEvent("download"), menu.getByRole("button", { name: entry, exact: true }).click()]);
  return { name: download.suggestedFilename(), bytes: readFileSync(await download.path()) };
}

// RFC 4180: the rows of a CSV file, quotes taken off.
function csv(text) {
  const rows = [[]];
  const end = text.matchAll(/("(?:[^"]|"")*"|[^,"\n]*)(,|\n)/gy);
  let at = 0;
  for (const match of end) {
    at = match.index + match[0].length;
    const cell = match[1].startsWith('"') ? match[1].slice(1, -1).replaceAll('""', '"') : match[1];
    rows.at(-1).push(cell);
    if (match[2] === "\n") rows.push([]);
  }
  assert.equal(at, text.length, `not CSV from ${JSON.stringify(text.slice(at, at + 40))} on`);
  return rows.slice(0, -1);
}

// Parsed as XML and drawn by the browser; gives its width and height.
async function drawn(page, { name, bytes }) {
  assert.match(name, /^[a-z0-9-]+\.svg$/);
  const text = bytes.toString("utf8");
  const found = await page.evaluate((text) => {
    const parsed = new DOMParser().parseFromString(text, "image/svg+xml");
    const image = new Image();
    return new Promise((done) => {
      const say = (ok) => done({ ok, root: parsed.documentElement.localName, failed: parsed.querySelector("parsererror")?.textContent, texts: [...parsed.querySelectorAll("text")].map((text) => text.textContent).join(""), width: image.naturalWidth, height: image.naturalHeight });
      image.onload = () => say(true);
      image.onerror = () => say(false);
      image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(text);
    });
  }, text);
  assert.deepEqual([found.root, found.failed, found.ok], ["svg", undefined, true]);
  assert(!text.includes("var("), "nothing in it depends on the page's style sheet");
  return { ...found, text };
}

// The picture's own size, out of its header, and how many colours it has.
async function picture(page, { name, bytes }) {
  assert.match(name, /^[a-z0-9-]+\.png$/);
  assert.deepEqual([...bytes.subarray(0, 8)], [137, 80, 78, 71, 13, 10, 26, 10]);
  const colours = await page.evaluate(async (data) => {
    const image = new Image();
    image.src = "data:image/png;base64," + data;
    await image.decode();
    const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d");
    canvas.drawImage(image, 0, 0);
    return new Set(new Uint32Array(canvas.getImageData(0, 0, image.width, image.height).data.buffer)).size;
  }, bytes.toString("base64"));
  assert(colours > 3, `${colours} colours`);
  return [bytes.readUInt32BE(16), bytes.readUInt32BE(20)];
}

export default (site) => {
  const sample = site.first("sample", (text) => text.includes('class="map"')), experiment = site.all("experiment")[0];
  const figure = site.first("map", (text) => /<figure><svg/.test(text)) ?? site.first("experiment", (text) => /<svg class="plot/.test(text));
  const map = site.first("map", (text) => text.includes('class="map"'));
  const menuOf = (element) => element.locator("xpath=following-sibling::details[contains(@class,'tools')]");
  return [
    {
      name: "tables: every one of a page saves CSV with its own cells, and copies",
      async run(reader) {
        for (const { path } of [experiment, sample, map]) {
          const page = await reader.open(path);
          for (const details of await page.locator("main details:has(table) > summary").all()) await details.click();
          for (const frame of await page.locator(".tooled:has(> .scroll)").all()) {
            const { name, bytes } = await saved(page, frame.locator("> .tools"), "CSV");
            assert.match(name, /^[a-z0-9-]+\.csv$/);
            const rows = csv(bytes.toString("utf8"));
            const wanted = await frame.locator("table").evaluate((table) => [...table.rows].map((row) => [...row.cells].map((cell) => cell.textContent.trim().replace(/\s+/g, " "))));
            assert.deepEqual(rows, wanted, `${path}: ${name}`);
            assert.equal(new Set(rows.map((row) => row.length)).size, 1, `${path}: ${name}: rows of one length`);
          }
          const first = page.locator(".tooled > .tools").first();
          if (!(await first.evaluate((menu) => menu.open))) await first.locator("summary").click();
          await first.getByRole("button", { name: /Copy/ }).first().click();
          assert.match(await page.evaluate(() => navigator.clipboard.readText()), /\S/);
        }
      },
    },
    {
      name: "a map saves CSV with the record's scores, SVG with all its words, and PNG",
      async run(reader) {
        const page = await reader.open(map.path), box = page.locator(".map").first(), menu = menuOf(box);
        const record = site.record(...map.of), of = record.attributions[0];
        const total = of.scores.reduce((sum, score) => sum + score, 0), size = of.scores.reduce((sum, score) => sum + Math.abs(score), 0);
        for (const level of ["token", "word", "sentence", "segment"]) {
          await page.locator(".pick label", { hasText: new RegExp(`^${level}$`) }).click();
          const { name, bytes } = await saved(page, menu, "CSV");
          assert.match(name, /\.csv$/);
          const rows = csv(bytes.toString("utf8"));
          assert.deepEqual(rows[0], [level, "score", "error"]);
          each(rows.slice(1), ([text, score, error], i) => (Number.isFinite(Number(score)) && score !== "" && Number.isFinite(Number(error)) ? null : `row ${i}: ${text},${score},${error}`));
          const sum = rows.slice(1).reduce((sum, row) => sum + Number(row[1]), 0);
          assert(Math.abs(sum - total) <= 1e-3 * size, `${level}: scores add up to ${sum}, the record's to ${total}`);
          if (level === "token") each(record.tokens, ({ text }, i) => (text.endsWith(rows[i + 1][0]) && rows[i + 1][0] ? null : `token ${i} is ${rows[i + 1][0]}, not ${text}`));
        }
        const frame = await box.boundingBox();
        const svg = await drawn(page, await saved(page, menu, "SVG"));
        const legend = page.locator(".mapbar .legend"), below = (await legend.boundingBox()).height + 16;
        assert(svg.width >= frame.width - 1 && Math.abs(svg.height - frame.height - below) <= 2, `${svg.width} × ${svg.height} from ${frame.width} × ${frame.height}`);
        assert.equal(svg.texts, (await box.innerText() + await legend.innerText()).replace(/\s+/g, ""), "every word that is seen, and the legend");
        const [width, height] = await picture(page, await saved(page, menu, "PNG"));
        assert(Math.abs(width - 2 * svg.width) <= 2 && Math.abs(height - 2 * svg.height) <= 2, `${width} × ${height}`);
      },
    },
    figure && {
      name: "a figure saves SVG and PNG, in light and dark",
      async run(reader) {
        for (const dark of [false, true]) {
          const page = await reader.open(figure.path, { dark }), plot = page.locator("figure svg.plot:not(.key)").first(), menu = menuOf(plot);
          const svg = await drawn(page, await saved(page, menu, "SVG"));
          assert(svg.texts);
          const [width, height] = await picture(page, await saved(page, menu, "PNG"));
          assert(Math.abs(width - 2 * svg.width) <= 2 && Math.abs(height - 2 * svg.height) <= 2, `${width} × ${height}, not twice ${svg.width} × ${svg.height}`);
        }
      },
    },
    {
      name: "a map's link and embed code are copied, and lead to that map at that level",
      async run(reader) {
        const page = await reader.open(sample.path), menu = menuOf(page.locator("article.model-map .map").last());
        const id = await page.locator("article.model-map").last().getAttribute("id");
        await page.locator(".pick label", { hasText: /^sentence$/ }).click();
        const copied = async (name) => {
          if (!(await menu.evaluate((menu) => menu.open))) await menu.locator("summary").click();
          await menu.getByRole("button", { name }).click();
          await menu.getByRole("button", { name: "Copied" }).waitFor();
          await menu.getByRole("button", { name }).waitFor();
          return page.evaluate(() => navigator.clipboard.readText());
        };
        const link = new URL(await copied("Copy link"));
        assert.deepEqual([link.hash, link.searchParams.get("level")], ["#" + id, "sentence"]);
        const code = await copied("Copy embed code");
        const frame = await page.evaluate((code) => {
          const frame = new DOMParser().parseFromString(code, "text/html").querySelector("iframe");
          return { src: frame.getAttribute("src"), title: frame.title };
        }, code);
        assert(frame.title);
        await page.goto(frame.src);
        assert.equal(await page.locator(".map").count(), 1);
        assert.equal(await page.locator("article").getAttribute("id"), id);
        assert(await page.locator("input[value=sentence]").isChecked());
        assert(await page.locator("main a[target=_top]").last().isVisible());
        assert.equal(await page.locator("main a:not([target=_top])").count(), 0, "no link opens the site in the frame");
        assert(await page.locator(".map u").first().isVisible());
        await page.locator(".map").focus();
        await page.keyboard.press("Home");
        assert.notEqual(await page.locator(".readout").textContent(), "");
        await follow(page, page.locator("main a[target=_top]").last());
        assert.equal(new URL(page.url()).hash, "#" + id);
        assert(await page.locator("h1").count());
        // A map page has several maps; each has a link of its own.
        await page.goto(reader.address(map.path) + "?embed=map-1-text");
        assert.equal(await page.locator(".map").count(), 1);
        assert.equal(await page.locator(".mapbar input[name=level]").count(), 4);
      },
    },
    {
      name: "save menus open and close by key, and give the focus back",
      async run(reader) {
        const page = await reader.open(sample.path), menu = page.locator(".tools").first(), summary = menu.locator("summary");
        const open = () => menu.evaluate((menu) => menu.open);
        await summary.focus();
        await page.keyboard.press("Enter");
        assert(await open());
        await page.keyboard.press("Tab");
        assert(await menu.locator("button").first().evaluate((button) => button === document.activeElement));
        await page.keyboard.press("Escape");
        assert(!(await open()));
        assert(await summary.evaluate((summary) => summary === document.activeElement));
        await page.keyboard.press("Enter");
        await page.locator("h1").click();
        assert(!(await open()), "a click elsewhere closes it");
        const box = async (locator) => locator.evaluate((element) => { const { left, right } = element.getBoundingClientRect(); return [left, right, innerWidth]; });
        for (const width of [320, 1280]) {
          await page.setViewportSize({ width, height: 800 });
          for (const menu of await page.locator(".tools").all()) {
            if (!(await menu.isVisible())) continue;
            await menu.locator("summary").click();
            const [left, right, all] = await box(menu.locator("> div"));
            assert(left >= 0 && right <= all, `${left} to ${right} of ${all}`);
            await page.keyboard.press("Escape");
          }
        }
      },
    },
    {
      name: "a menu that is open lies above all else",
      async run(reader) {
        const page = await reader.open(map.path);
        for (const menu of await page.locator(".tools:visible").all()) {
          await menu.locator("summary").click();
          const hidden = await menu.locator("button").evaluateAll((buttons) => buttons.filter((button) => {
            button.scrollIntoView({ block: "center", behavior: "instant" });
            const { x, y, width, height } = button.getBoundingClientRect();
            return !button.contains(document.elementFromPoint(x + width / 2, y + height / 2));
          }).map((button) => button.textContent));
          assert.deepEqual(hidden, [], await menu.locator("summary").getAttribute("aria-label"));
          await page.keyboard.press("Escape");
        }
      },
    },
  ].filter(Boolean);
};
