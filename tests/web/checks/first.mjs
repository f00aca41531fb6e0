// What the first screens answer: the interlinear map under pointer and key, its switches, the tables that lead to evidence, and numbers that
// are the same wherever they stand. Measures are of the demo, where it is what was built.
import assert from "node:assert/strict";
import { each, follow, number, until } from "../harness.mjs";

const SCREEN = { width: 1280, height: 800 }, PHONE = { width: 360, height: 740 };
const MODELS = ["Demo Llama", "Demo Mistral", "Demo Falcon", "Demo Orca"];
const PAIR = "pair=demo-llama..demo-orca", PARTED = ["claim-040", "claim-105", "claim-111", "claim-115", "claim-187"];

// The columns of the list that is shown: the word, and where it and its cells lie.
const columns = (page) => page.locator("#map .lined").evaluate((frame) => {
  const box = (element) => { const { x, y, right, bottom } = element.getBoundingClientRect(); return { x, y: y + scrollY, right, bottom: bottom + scrollY }; };
  const list = [...frame.querySelectorAll(".inter")].find((list) => list.checkVisibility());
  return [...list.children].map((column) => ({
    word: column.firstChild.lastChild.textContent, rest: column.classList.contains("r"), at: box(column.firstChild),
    cells: [...column.querySelectorAll("dd")].map((cell) => ({ text: cell.textContent, ...box(cell) })),
  }));
});

const screens = (page) => page.evaluate(() => document.documentElement.scrollHeight / innerHeight);
const stops = (page) => page.evaluate(() => [...document.querySelectorAll("a[href], button, input, select, summary, [tabindex='0']")]
  .filter((element) => element.checkVisibility() && !element.disabled && element.tabIndex >= 0 && (element.type !== "radio" || element.checked)).length);
const rows = (page) => page.locator("table.samples tbody tr").count();
const apart = ([a, b]) => Math.hypot(Math.max(0, a.x - b.right, b.x - a.right), Math.max(0, a.y - b.bottom, b.y - a.bottom));
const meet = (a, b) => a.x < b.right - 0.5 && b.x < a.right - 0.5 && a.y < b.bottom - 0.5 && b.y < a.bottom - 0.5;
const readout = (page) => page.locator(".said").evaluate((box) => { const { x, y, right, bottom } = box.getBoundingClientRect(); return { x, y: y + scrollY, right, bottom: bottom + scrollY }; });

async function pages(page) {
  const pdf = await page.pdf({ format: "A4", margin: { top: "10mm", bottom: "10mm", left: "10mm", right: "10mm" } });
  return pdf.toString("latin1").match(/\/Type \/Page\b/g).length;
}

// Of every page the numbers that name what they are of: `[data-fact]`, and cells by the heads of their rows and columns.
const FACTS = { "Maps numerically exact": "model", Accuracy: "model", Right: null };
const facts = (page) => page.evaluate((kinds) => {
  const text = (element) => element.textContent.replace(/\s+/g, " ").trim();
  const found = [...document.querySelectorAll("[data-fact]")].map((element) => [element.dataset.fact, text(element)]);
  for (const table of document.querySelectorAll("table:not(.samples)")) {
    for (const head of table.tHead?.rows[0].cells ?? []) {
      if (!kinds[text(head)]) continue;
      for (const row of table.tBodies[0].rows) found.push([text(head) + ": " + text(row.cells[0]), text(row.cells[head.cellIndex])]);
    }
  }
  return found;
}, FACTS);

export default (site) => {
  const demo = site.pages.some(({ path }) => path === "experiments/claims/samples/claim-187/index.html");
  const sample = demo ? site.pages.find(({ path }) => path.endsWith("claims/samples/claim-187/index.html")) : site.first("sample", (text) => text.includes('class="inter'));
  const experiment = site.pages.find(({ path }) => path === `experiments/${sample.of[0]}/index.html`);
  const comparison = site.pages.find(({ path }) => path === `experiments/${sample.of[0]}/comparison/index.html`);
  const checks = [
    {
      name: "a word under the pointer is marked in every row, and beside it stand the scores of all rows",
      async run(reader) {
        for (const size of [SCREEN, PHONE]) {
          const page = await reader.open(sample.path, size), all = await columns(page);
          for (const [index, column] of all.entries()) {
            const word = page.locator("#map .inter:visible > div").nth(index).locator("dt");
            await word.scrollIntoViewIfNeeded();
            await word.hover();
            const box = await readout(page);
            assert(apart([box, column.at]) <= 200, `${column.word}: ${apart([box, column.at])} px from its word`);
            const hidden = all.filter(({ at }) => Math.abs(at.y - column.at.y) < 2 && meet(box, at));
            assert.deepEqual(hidden.map(({ word }) => word), [], `the readout of ${column.word} covers words of its row`);
            const lit = await page.locator("#map .inter .on dd:visible").evaluateAll((cells) => cells.filter((cell) => getComputedStyle(cell).outlineStyle === "solid").length);
            assert(lit >= column.cells.length, `${column.word}: ${lit} cells`);
            assert.equal(await page.locator(".said tr").count(), column.cells.length);
          }
          await page.mouse.move(2, 2);
          assert.equal(await page.locator(".said").count(), 0);
        }
      },
    },
    {
      name: "keys go through the words; Enter keeps one in the address, Escape lets it go",
      async run(reader) {
        const page = await reader.open(sample.path), frame = page.locator("#map .lined"), marked = () => page.locator("#map .on dt").first().textContent();
        await frame.focus();
        await page.keyboard.press("Home");
        const first = await marked();
        await page.keyboard.press("ArrowRight");
        assert.notEqual(await marked(), first);
        await page.keyboard.press("Enter");
        const word = new URL(page.url()).searchParams.get("word");
        assert((await marked()).toLowerCase().includes(word));
        await page.reload();
        assert((await marked()).toLowerCase().includes(word), "after a reload");
        await frame.focus();
        await page.keyboard.press("Escape");
        assert.equal(new URL(page.url()).search, "");
        assert.equal(await page.locator(".said").count(), 0);
      },
    },
    {
      name: "the lists of every target, baseline and method hold the records’ scores",
      async run(reader) {
        const page = await reader.open(sample.path);
        const models = await page.locator("#map .who li > a:first-child").evaluateAll((links) => links.map((link) => decodeURIComponent(link.getAttribute("href").match(/maps\/([^/]+)\//)[1])));
        const records = models.map((model) => site.record(sample.of[0], model, sample.of[1]));
        const switches = await page.locator("#map .choices fieldset").evaluateAll((all) => all.map((one) => [...one.querySelectorAll("input")].map(({ name, value, className }) => ({ name, value, className }))));
        let seen = 0;
        const visit = async (left, chosen) => {
          if (left.length) {
            for (const option of left[0]) {
              await page.locator(`#map .choices label:has(input.${option.className})`).click();
              await visit(left.slice(1), { ...chosen, [option.name]: option });
            }
            return;
          }
          const list = page.locator("#map .inter:visible");
          assert.equal(await list.count(), 1, JSON.stringify(chosen));
          const values = (await list.getAttribute("data-v")).split(";").map((row) => row.split(" ").map((pair) => Number(pair.split("/")[0])));
          const points = (await page.locator("#map .lined").getAttribute("data-unit")) === "points";
          records.forEach((record, i) => {
            const place = chosen.target ? Number(chosen.target.className.slice(1)) : 0;
            const alike = record.attributions.filter(({ method, baseline }) => (!chosen.method || method === chosen.method.value) && (!chosen.baseline || baseline === chosen.baseline.value));
            const map = alike[place], sum = map.scores.reduce((sum, score) => sum + score, 0) * (points ? 100 : 1);
            const own = values[i].reduce((sum, score) => sum + score, 0), room = 0.006 * values[i].length;
            assert(Math.abs(sum - own) <= room, `${models[i]} ${JSON.stringify(chosen)}: ${own}, the record has ${sum}`);
            seen++;
          });
        };
        await visit(switches, {});
        assert(seen >= records.length);
      },
    },
    {
      name: "what is chosen stands in the address, outlives a reload, and goes on with “next”",
      async run(reader) {
        const page = await reader.open(sample.path), choices = page.locator("#map .choices fieldset");
        if (!(await choices.count())) return;
        const wanted = {};
        for (const choice of await choices.all()) {
          const last = choice.locator("label").last(), input = last.locator("input");
          await last.click();
          wanted[await input.getAttribute("name")] = await input.getAttribute("value");
        }
        const holds = async (when) => {
          const query = new URL(page.url()).searchParams;
          for (const [name, value] of Object.entries(wanted)) {
            assert.equal(query.get(name), value, `${name} ${when}`);
            assert.equal(await page.locator(`#map input[name=${name}]:checked`).getAttribute("value"), value, `${name} ${when}`);
          }
        };
        await holds("at once");
        await page.reload();
        await holds("after a reload");
        await follow(page, page.locator((await page.locator("a[rel=next]").count()) ? "a[rel=next]" : "a[rel=prev]"));
        assert(!page.url().includes(sample.path), page.url());
        await holds("on the next sample");
      },
    },
    {
      name: "forced colours: what is chosen differs from what is not by more than a colour",
      async run(reader) {
        const page = await reader.open(sample.path, { forcedColors: "active" });
        const alike = await page.locator(".pick:visible").evaluateAll((all) => all.filter((pick) => pick.querySelectorAll("label").length > 1).map((pick) => {
          const look = (label) => { const { borderTopWidth, borderTopStyle, fontWeight, outlineStyle, outlineWidth } = getComputedStyle(label); return [borderTopWidth, borderTopStyle, fontWeight, outlineStyle, outlineWidth].join(); };
          return look(pick.querySelector("label:has(:checked)")) === look(pick.querySelector("label:not(:has(:checked))")) ? pick.textContent : null;
        }));
        each(alike, (text) => text);
        const shades = await page.locator("#map .inter dd[class]:visible").evaluateAll((cells) => cells.map((cell) => getComputedStyle(cell).backgroundImage));
        assert(new Set(shades).size > 1, "cells keep their shades");
      },
    },
    comparison && {
      name: "both maps of every comparison explain the same",
      async run(reader) {
        const page = await reader.open(comparison.path);
        const frames = await page.locator(".two .lined .who").evaluateAll((all) => all.map((who) => [...who.children].map((row) => row.dataset.target)));
        for (const targets of frames) assert(targets.length === 2 && targets[0] && targets[0] === targets[1], JSON.stringify(targets));
        assert(frames.length || (await page.locator(".two .none").count()) || site.text(comparison.path).includes("same answer"));
      },
    },
    comparison && {
      name: "a pair of models is chosen by its card, stands in the address, and outlives a reload",
      async run(reader) {
        const page = await reader.open(comparison.path), cards = page.locator(".cards a");
        for (const card of await cards.all()) {
          await card.click();
          const pair = await card.getAttribute("data-pair");
          assert.equal(new URL(page.url()).searchParams.get("pair"), pair);
          assert.deepEqual(await page.locator(".two:visible").evaluateAll((all) => all.map((two) => two.dataset.pair)), [pair]);
        }
        const last = new URL(page.url()).searchParams.get("pair");
        await page.reload();
        assert.deepEqual(await page.locator(".two:visible").evaluateAll((all) => all.map((two) => two.dataset.pair)), [last]);
      },
    },
    {
      name: "every count leads to as many rows: chips, claims, and the cells of words and answers",
      async run(reader) {
        const page = await reader.open(experiment.path);
        for (const label of await page.locator("#sample-filters .pick label").all()) {
          const count = number((await label.textContent()).match(/(\d+)\s*$/)[1]);
          await label.click();
          await until(page, "the rows of the choice", (count) => document.querySelectorAll("table.samples tbody tr").length === count, count);
        }
        await page.goto(reader.address(experiment.path));
        for (const [text, href] of await page.locator(".claims a[href*='?show=']").evaluateAll((links) => links.map((link) => [link.textContent, link.getAttribute("href")]))) {
          const count = number(text.match(/\d+/)?.[0] ?? "1");
          await page.goto(new URL(href, reader.address(experiment.path)).href);
          await until(page, "the rows of the claim", (count) => document.querySelectorAll("table.samples tbody tr").length === count, count);
          assert.equal(await rows(page), count, text);
        }
        await page.goto(reader.address(experiment.path));
        // All models together: a cell has as many samples as the section that it leads to has rows.
        const cells = await page.locator(".answer-words").first().locator("td a").evaluateAll((links) => links.map((link) => [link.href, link.querySelector("small").textContent]));
        const open = await (await reader.window()).newPage();
        let at = "";
        for (const [href, told] of cells) {
          const [address, anchor] = href.split("#");
          if (address !== at) await open.goto(address);
          at = address;
          const table = open.locator(`section[aria-labelledby="${anchor}"] table`);
          assert.equal(Number(await table.getAttribute("data-rows-of")), number(told.replace("in", "")), href);
          assert.equal(await table.locator("tbody tr").count(), Math.min(100, number(told.replace("in", ""))), href);
        }
        assert(cells.length);
      },
    },
    {
      name: "equal labels carry equal numbers on all pages",
      async run(reader) {
        const page = await (await reader.window()).newPage(), ids = [...new Set(site.all("experiment").map(({ of }) => of[0]))];
        for (const id of ids) {
          const title = (await (async () => { await page.goto(reader.address(`experiments/${id}/index.html`)); return page.locator("h1").textContent(); })()).replace(/draft$/, "").trim();
          const known = new Map();
          const put = (where, label, text) => {
            // A share may have its count beside it.
            const value = label.startsWith("Accuracy") ? text.split(" ")[0] : text.match(/^\d+ of \d+(?= \()/)?.[0] ?? text;
            if (known.has(label)) assert.equal(value, known.get(label)[0], `“${label}” on ${where} and on ${known.get(label)[1]}`);
            else known.set(label, [value, where]);
          };
          const own = site.pages.filter(({ path, kind }) => ["experiment", "comparison"].includes(kind) && path.startsWith(`experiments/${id}/`));
          for (const { path } of own) {
            await page.goto(reader.address(path));
            for (const [label, value] of await facts(page)) put(path, label, value);
          }
          // The front page has a card for it, and each model's page a row.
          await page.goto(reader.address("index.html"));
          const card = page.locator("article.card", { has: page.locator("h3", { hasText: title }) });
          const exact = await card.locator("dt:text-is('Maps numerically exact') + dd").allTextContents();
          const claim = known.get("exact")?.[0];
          if (exact.length && claim) assert.equal(claim.replace(" maps", ""), exact[0].trim(), "exact maps on the front page and in the claim");
          const heads = await card.locator("thead th").allTextContents(), column = heads.findIndex((head) => head.trim() === "Maps numerically exact");
          for (const row of await card.locator("tbody tr").all()) {
            const cells = (await row.locator("th, td").allTextContents()).map((text) => text.replace(/\s+/g, " ").trim());
            put("index.html", "Maps numerically exact: " + cells[0], cells[column]);
          }
          for (const { path } of site.all("model")) {
            await page.goto(reader.address(path));
            const model = (await page.locator("h1").textContent()).trim();
            const line = page.locator("section[aria-labelledby=numbers] tbody tr", { has: page.locator("th", { hasText: title }) });
            if (!(await line.count())) continue;
            const place = (await page.locator("section[aria-labelledby=numbers] thead th").allTextContents()).findIndex((head) => head.trim() === "Maps numerically exact");
            put(path, "Maps numerically exact: " + model, (await line.first().locator("th, td").nth(place).textContent()).replace(/\s+/g, " ").trim());
          }
          // Exact maps add up over the samples, and ranks on a sample are those of the comparison's lists.
          const samples = site.pages.filter(({ path, kind }) => kind === "sample" && path.startsWith(`experiments/${id}/`));
          if (samples.length > 40) continue;
          let count = 0, of = 0;
          for (const { path } of samples) {
            await page.goto(reader.address(path));
            const told = (await page.locator(".trust").textContent()).match(/(?:(\d+) of|All) (\d+)\s+maps of this sample that have a test/);
            if (told) { count += Number(told[1] ?? told[2]); of += Number(told[2]); }
            const title = (await page.locator(".meta bdi").first().textContent()).trim();
            for (const row of await page.locator("#agreement tbody tr").evaluateAll((rows) => rows.map((row) => [...row.cells].map((cell) => cell.textContent.trim())))) {
              put(path, `Spearman ${title}: ${row[0]}, ${row[1]}`, row[4].split(/[\s(]/)[0]);
            }
          }
          if (claim && !claim.includes("Imported") && /maps/.test(claim)) assert.equal(`${count} of ${of} maps`, claim, "the samples of " + id);
          const compared = own.find(({ kind }) => kind === "comparison");
          if (!compared) continue;
          await page.goto(reader.address(compared.path));
          for (const [title, first, second, value] of await page.locator(".pair-list tbody tr").evaluateAll((rows) => rows.map((row) => [row.cells[0].querySelector("a").textContent, ...[...row.querySelectorAll("td div > a")].map((link) => link.textContent), row.cells[2].textContent.trim()]))) {
            if (known.has(`Spearman ${title}: ${first}, ${second}`)) put(compared.path, `Spearman ${title}: ${first}, ${second}`, value);
          }
        }
      },
    },
  ].filter(Boolean);
  if (!demo) return checks;
  const hearsay = async (page) => (await columns(page)).find(({ word }) => word.startsWith("hearsay"));
  return [
    ...checks,
    ...[true, false].map((javaScriptEnabled) => ({
      name: `first screen S1: four models’ scores of the strongest word, ${javaScriptEnabled ? "with" : "without"} scripts`,
      async run(reader) {
        const page = await reader.open(sample.path, { ...SCREEN, javaScriptEnabled });
        const cells = (await page.locator("#map .inter:visible > div", { hasText: "hearsay" }).locator("dd").all());
        const seen = [];
        for (const cell of cells) { const { y, height } = await cell.boundingBox(); if (y >= 0 && y + height <= 800 && number(await cell.textContent()) > 10) seen.push(cell); }
        assert(seen.length >= 4, `${seen.length}`);
      },
    })),
    {
      name: "first screen S2, S3, S4, S8: one instruction at most, a word lights up in four rows, the readout names all models, two screens at most",
      async run(reader) {
        const page = await reader.open(sample.path, SCREEN);
        const copies = await page.evaluate(() => {
          const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
          let seen = 0;
          while (walker.nextNode()) if (/select/.test(walker.currentNode.data) && walker.currentNode.parentElement.checkVisibility()) seen++;
          return seen;
        });
        assert(copies <= 1, `${copies} copies`);
        await page.locator("#map .inter:visible > div", { hasText: "hearsay" }).hover();
        assert.equal(await page.locator("#map .on dd:visible").count(), 4);
        assert.deepEqual(await page.locator(".said th").allTextContents(), MODELS);
        each(await page.locator(".said td").allTextContents(), (text) => (/^[+−][\d.]+ ± [\d.]+ points$/.test(text) ? null : text));
        assert(await page.locator(".said a").isVisible(), "the way to every sample with the word");
        const tall = await screens(page);
        assert(tall <= 2, `${tall} screens`);
      },
    },
    {
      name: "first screen S5: targets to choose, restored from the address",
      async run(reader) {
        const page = await reader.open(sample.path, SCREEN);
        assert(await page.locator("#map input[name=target]").count() >= 2);
        const before = (await hearsay(page)).cells.map(({ text }) => text);
        await page.goto(reader.address(sample.path) + "?target=gold&baseline=zero&method=gim");
        assert.deepEqual(await page.locator("#map .choices input:checked").evaluateAll((inputs) => inputs.map(({ value }) => value)), ["gold", "zero", "gim"]);
        assert.notDeepEqual((await hearsay(page)).cells.map(({ text }) => text), before);
      },
    },
    {
      name: "first screen S6: a sample prints on three pages",
      async run(reader) {
        const count = await pages(await reader.open(sample.path));
        assert(count <= 3, `${count} pages`);
      },
    },
    {
      name: "first screen S7: fifteen keys to the first word",
      async run(reader) {
        const page = await reader.open(sample.path, SCREEN);
        await page.keyboard.press("Tab");
        await page.keyboard.press("Tab");
        assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the map");
        await page.keyboard.press("Enter");
        let count = 3;
        while (count < 40 && !(await page.evaluate(() => document.activeElement.classList.contains("lined")))) { await page.keyboard.press("Tab"); count++; }
        assert(count <= 15, `${count} keys`);
      },
    },
    {
      name: "first screen S9: on a phone the models’ scores of a word are near each other",
      async run(reader) {
        const { cells } = await hearsay(await reader.open(sample.path, PHONE));
        assert(cells.at(-1).bottom - cells[0].y <= 300);
      },
    },
    {
      name: "first screen E1 to E4: samples with all answers, four screens, the words of an answer, tab stops",
      async run(reader) {
        const page = await reader.open(experiment.path, SCREEN);
        const seen = await page.locator("table.samples tbody tr").evaluateAll((rows) => rows.filter((row) => [...row.querySelectorAll(".is")].length === 4 && row.getBoundingClientRect().bottom <= innerHeight && [...row.querySelectorAll(".is")].every((answer) => answer.getBoundingClientRect().right <= innerWidth)).length);
        assert(seen >= 8, `E1: ${seen}`);
        const tall = await screens(page);
        assert(tall <= 4, `E2: ${tall}`);
        const { y } = await page.locator(".answer-words:visible th", { hasText: "E (false)" }).boundingBox();
        assert(y <= 1700, `E3: ${y}`);
        const count = await stops(page);
        assert(count <= 120, `E4: ${count}`);
      },
    },
    {
      name: "first screen C1 to C4: where two models part, four on the screen, tab stops, three screens",
      async run(reader) {
        const page = await reader.open(comparison.path + "?" + PAIR, SCREEN);
        assert.deepEqual(await page.locator(".two:visible .lined.apart .of a").allTextContents(), PARTED, "C1");
        const seen = await page.locator(".two:visible .lined.apart").evaluateAll((frames) => frames.filter((frame) => [...frame.querySelectorAll("dd")].every((cell) => cell.getBoundingClientRect().bottom <= innerHeight)).length);
        assert(seen >= 4, `C2: ${seen}`);
        const count = await stops(page);
        assert(count <= 150, `C3: ${count}`);
        const tall = await screens(page);
        assert(tall <= 3, `C4: ${tall}`);
      },
    },
  ];
};
