// What a reader takes along: tables, figures and maps as files, links, embedded maps.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { each, follow } from "../harness.mjs";
import { unfold } from "./maps.mjs";

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

// What Python's float() reads.
const FLOAT = /^-?\d+(\.\d+)?(e[+-]?\d+)?$/;

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
      name: "tables: every one of a page saves CSV, a value a cell, with numbers that programs read, and copies",
      async run(reader) {
        const names = new Set();
        for (const { path } of [experiment, sample, map, ...site.all("model").slice(0, 1), ...site.all("comparison").slice(0, 1)]) {
          const page = await reader.open(path);
          for (const details of await page.locator("main details:has(table) > summary").all()) await details.click();
          for (const frame of await page.locator(".tooled:has(> .scroll)").all()) {
            // Of tables that take turns one is there.
            if (!(await frame.isVisible())) continue;
            const { name, bytes } = await saved(page, frame.locator("> .tools"), "CSV");
            assert.match(name, /^[a-z0-9-]+\.csv$/);
            assert(!names.has(path + name), `${path}: ${name} twice`);
            names.add(path + name);
            const rows = csv(bytes.toString("utf8")), [head] = rows;
            const at = `${path}: ${name}`;
            assert.equal(new Set(rows.map((row) => row.length)).size, 1, `${at}: rows of one length`);
            assert.equal(new Set(head).size, head.length, `${at}: columns have names of their own: ${head}`);
            if (await frame.locator("table[data-csv]").count()) continue;
            const shown = await frame.locator("table").evaluate((table) => ({
              rows: table.tBodies[0].rows.length,
              heads: [...table.tHead.rows[0].cells].map((cell) => ({ name: cell.textContent.trim().replace(/\s+/g, " "), number: [...table.tBodies[0].rows].every((row) => row.cells[cell.cellIndex]?.classList.contains("num") && /^([<>×±+−(]?\s*\d|[–·]?$)/.test(row.cells[cell.cellIndex].textContent.trim())) })),
              first: [...table.tBodies[0].rows].map((row) => row.cells[0].textContent),
            }));
            assert.equal(rows.length, 1 + shown.rows, at);
            // Every column that holds numbers on the page is of numbers here.
            for (const { name } of shown.heads.filter(({ number }) => number)) {
              const columns = [...head.keys()].filter((i) => head[i] === name || head[i].startsWith(name + " "));
              for (const i of columns) each(rows.slice(1), (row) => (FLOAT.test(row[i]) || row[i] === "" ? null : `${at}: ${head[i]}: ${JSON.stringify(row[i])} is no number`));
            }
            assert(!/[−×±]/.test(rows.slice(1).flat().filter((cell) => /^[−×±]/.test(cell)).join("")), at);
          }
          const first = page.locator(".tooled:has(> .scroll) > .tools:visible").first();
          if (!(await first.evaluate((menu) => menu.open))) await first.locator("summary").click();
          await first.getByRole("button", { name: /Copy/ }).first().click();
          assert.match(await page.evaluate(() => navigator.clipboard.readText()), /\S/);
        }
      },
    },
    {
      name: "a cell's several values become columns: counts, intervals, errors, percentages",
      async run(reader) {
        const page = await reader.open(experiment.path);
        await page.evaluate(() => {
          const table = (rows) => `<div class="scroll"><table id="made-up"><caption>Made up</caption><thead><tr><th>Model<th>Accuracy<th>Score<th>Range<th>Plain</tr></thead><tbody>${rows}</tbody></table></div>`;
          document.querySelector("main").insertAdjacentHTML("beforeend", table("<tr><th>A, B<td class=num>79.2% <small>19 of 24</small><td class=num>−0.0412 <small>± 0.0020</small><td class=num>86–100%<td class=num data-value=0.00034>&lt;0.1%<tr><th>C<td class=num>–<td class=num>+1e−5<td class=num>0.12 to 0.30<td class=num>12"));
        });
        const made = await page.evaluate(async () => { await saving(); return delimited(cells(document.getElementById("made-up")), ","); });
        assert.deepEqual(csv(made), [
          ["Model", "Accuracy", "Accuracy beside", "Accuracy of", "Score", "Score error", "Range low", "Range high", "Plain"],
          ["A, B", "0.792", "19", "24", "-0.0412", "0.0020", "0.86", "1", "0.00034"],
          ["C", "", "", "", "1e-5", "", "0.12", "0.30", "12"],
        ]);
      },
    },
    {
      name: "the tables of samples and models lie beside the pages as data: a column a model, numbers for programs",
      async run(reader) {
        const [id] = experiment.of, page = await reader.open(experiment.path);
        for (const name of ["samples", "models"]) {
          const path = `data/${id}/${id}-${name}.csv`, rows = csv(site.text(path));
          assert(rows.length > 1 && new Set(rows.map((row) => row.length)).size === 1, path);
          const numbers = [...rows[0].keys()].filter((i) => /(probability|score|error|accuracy|evaluations)$/.test(rows[0][i]));
          for (const i of numbers) each(rows.slice(1), (row) => (FLOAT.test(row[i]) || row[i] === "" ? null : `${path}: ${rows[0][i]}: ${row[i]}`));
          assert(await page.locator(`main a[href$="${id}-${name}.csv"]`).count(), `${path} is linked`);
        }
        const rows = csv(site.text(`data/${id}/${id}-samples.csv`));
        assert.equal(rows.length - 1, site.all("sample").filter(({ of }) => of[0] === id).length);
        const table = page.locator("table[data-csv]").first();
        if (await table.count()) {
          const { name } = await saved(page, page.locator(".tooled:has(> .scroll > table[data-csv]) > .tools").first(), "CSV");
          assert.match(name, new RegExp(`^${id}-[a-z]+\\.csv$`));
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
        const file = await saved(page, menu, "SVG"), svg = await drawn(page, file);
        assert.match(file.name, new RegExp(`${map.of.join("-").toLowerCase().replace(/[^a-z0-9]+/g, "-")}`));
        const legend = page.locator(".mapbar .legend");
        assert(svg.width >= frame.width - 1 && svg.height > frame.height + (await legend.boundingBox()).height, `${svg.width} × ${svg.height} from ${frame.width} × ${frame.height}`);
        const bare = (text) => text.replace(/\s+/g, "");
        assert(bare(svg.texts).includes(bare(await box.innerText() + await legend.innerText())), "every word that is seen, and the legend");
        // It says what it is of.
        const [, model, id] = map.of, baseline = of.baseline?.replace(/^token:/, "") ?? of.imported.baseline;
        for (const wanted of [await page.locator("h1").innerText(), record.sample.id, `“${of.target.text.trim()}”`, `(${of.target.kind})`, baseline, of.error_estimate === null ? "" : "error", `maps/${model}/${id}/`]) assert(bare(svg.texts).includes(bare(wanted)), `${wanted} is not in ${svg.texts}`);
        assert.match(svg.text, /<title>[^<]+<\/title><desc>[^<]+<\/desc>/);
        const [width, height] = await picture(page, await saved(page, menu, "PNG"));
        assert(Math.abs(width - 2 * svg.width) <= 2 && Math.abs(height - 2 * svg.height) <= 2, `${width} × ${height}`);
      },
    },
    figure && {
      name: "a figure saves SVG and PNG, in light and dark",
      async run(reader) {
        for (const dark of [false, true]) {
          const page = await reader.open(figure.path, { dark }), plot = page.locator("figure svg.plot:not(.key)").first(), menu = menuOf(plot);
          await page.evaluate(() => document.querySelectorAll("main details:not(.tools)").forEach((details) => { details.open = true; }));
          const svg = await drawn(page, await saved(page, menu, "SVG")), box = plot.locator("xpath=ancestor::figure");
          const bare = (text) => text.replace(/\s+/g, ""), title = box.locator("figcaption b");
          if (await title.count()) assert(bare(svg.texts).includes(bare(await title.innerText())), "the title");
          for (const key of await box.locator(".keys li").all()) assert(bare(svg.texts).includes(bare(await key.innerText())), "its keys");
          assert(bare(svg.texts).includes(bare(figure.path.replace(/index.html$/, ""))), "where it is from");
          // Nothing sticks out.
          const out = await page.evaluate((text) => {
            document.body.insertAdjacentHTML("beforeend", text);
            const svg = document.body.lastElementChild, frame = svg.getBoundingClientRect();
            const out = [...svg.querySelectorAll("text")].filter((text) => { const box = text.getBoundingClientRect(); return box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 1; }).map((text) => text.textContent);
            svg.remove();
            return out;
          }, svg.text);
          assert.deepEqual(out, []);
          const [width, height] = await picture(page, await saved(page, menu, "PNG"));
          assert(Math.abs(width - 2 * svg.width) <= 2 && Math.abs(height - 2 * svg.height) <= 2, `${width} × ${height}, not twice ${svg.width} × ${svg.height}`);
        }
      },
    },
    {
      name: "a map's link and embed code are copied, and lead to that map at that level",
      async run(reader) {
        const page = await reader.open(sample.path), menu = menuOf(page.locator("article.model-map .map").last());
        await unfold(page);
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
          return { src: frame.getAttribute("src"), title: frame.title, width: Number(frame.width), height: Number(frame.height) };
        }, code);
        assert(frame.title);
        await page.setViewportSize(frame);
        await page.goto(frame.src);
        assert.equal(await page.locator(".map").count(), 1);
        assert.equal(await page.locator("article").getAttribute("id"), id);
        const { inner, name } = await page.evaluate(() => ({ inner: document.documentElement.scrollHeight, name: document.querySelector("h1").getBoundingClientRect().bottom }));
        assert(inner <= frame.height && name < 80, `${inner} in ${frame.height}, its title down to ${name}`);
        assert.match(await page.locator("h1").innerText(), new RegExp(sample.of[1]));
        await page.locator("details.options > summary").click();
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
        // The map of all models together.
        await page.setViewportSize({ width: 1280, height: 800 });
        await page.goto(reader.address(sample.path));
        const lines = menuOf(page.locator("#map .lined"));
        await lines.locator("summary").click();
        await lines.getByRole("button", { name: "Copy embed code" }).click();
        await lines.getByRole("button", { name: "Copied" }).waitFor();
        const all = await page.evaluate(async () => {
          const frame = new DOMParser().parseFromString(await navigator.clipboard.readText(), "text/html").querySelector("iframe");
          return { src: frame.getAttribute("src"), width: Number(frame.width), height: Number(frame.height) };
        });
        await page.setViewportSize(all);
        await page.goto(all.src);
        assert.equal(await page.locator(".inter:visible").count(), 1);
        assert.equal(await page.locator("header.site-header, footer").count(), 0);
        const whole = await page.evaluate(() => document.documentElement.scrollHeight);
        assert(whole <= all.height, `${whole} in ${all.height}`);
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
        await unfold(page);
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
