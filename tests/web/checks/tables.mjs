// The table of samples (search, filters, order, all of it in the address; long ones in parts), and the order of other tables.
import assert from "node:assert/strict";
import { each, until } from "../harness.mjs";

// As a reader counts: the rows that are shown, and what the page says of them.
const rows = (page) => page.locator("table.samples tbody tr").evaluateAll((rows) => rows.filter((row) => row.dataset.state !== undefined).map((row) => ({
  title: row.cells[0].dataset.value, gold: row.dataset.gold, state: row.dataset.state.split(" "),
  // What is searched: the sample, its right option, the answers and the words; neither numbers nor the names of models.
  text: [...row.querySelectorAll("th, bdi")].map((part) => part.textContent).join(" ").toLowerCase(),
  answers: [...row.querySelectorAll(".is bdi")].map((answer) => answer.textContent),
  cells: [...row.cells].map((cell) => cell.dataset.value ?? cell.textContent.trim()),
})));
const count = (page) => page.locator("#sample-filters output").textContent();
const settled = (page) => until(page, "the count is said", () => /^\d+( of \d+)? samples$/.test(document.querySelector("#sample-filters output")?.value));

const collator = new Intl.Collator("en", { numeric: true });
const sorted = (keys, number, down) => [...keys].sort((a, b) => (down ? -1 : 1) * (number ? a - b : collator.compare(a.toLowerCase(), b.toLowerCase())));
const value = (text) => { const number = parseFloat(text.replace(/−/g, "-").replace(/^[<>+± ]+/, "")); return Number.isNaN(number) ? -Infinity : number; };

export default (site) => {
  const experiments = site.all("experiment").map((page) => ({ ...page, size: Number(site.text(page.path).match(/data-rows="(\d+)"/)?.[1]) }));
  const short = experiments.find(({ path }) => !site.text(path).includes('class="pages"')), long = experiments.find(({ path }) => site.text(path).includes('class="pages"'));
  const plain = site.first("sample", (text) => text.includes("data-sortable"));
  return [
    {
      name: "samples: search, filters, count and reset; all of it outlives a reload",
      async run(reader) {
        const page = await reader.open(short.path), all = await rows(page), search = page.getByRole("searchbox", { name: "Search", exact: true });
        assert.equal(all.length, short.size);
        assert.equal(await count(page), `${all.length} samples`);
        const word = all[1].text.match(/[a-z]{3,}/g).find((word) => !all[0].text.includes(word));
        await search.fill(word.toUpperCase());
        const wanted = all.filter((row) => row.text.includes(word));
        assert.deepEqual((await rows(page)).map((row) => row.title), wanted.map((row) => row.title));
        assert.equal(await count(page), `${wanted.length} of ${all.length} samples`);
        await page.reload();
        assert.equal(await search.inputValue(), word.toUpperCase());
        assert.equal((await rows(page)).length, wanted.length);
        for (const nowhere of ["no such words anywhere", "+0."]) {
          await search.fill(nowhere);
          assert.equal(await count(page), `0 of ${all.length} samples`, nowhere);
        }
        await page.getByRole("button", { name: "Reset" }).click();
        await until(page, "all rows after a reset", (all) => document.querySelectorAll("table.samples tbody tr").length === all, all.length);
        assert.equal(new URL(page.url()).search, "");
        for (const value of await page.locator("#sample-filters input[name=show]").evaluateAll((inputs) => inputs.map((input) => input.value).filter(Boolean))) {
          await page.locator(`#sample-filters label:has(input[value="${value}"])`).click();
          const wanted = all.filter((row) => row.state.includes(value)).map((row) => row.title);
          assert.deepEqual((await rows(page)).map((row) => row.title), wanted, `show=${value}`);
          await page.reload();
          assert.deepEqual((await rows(page)).map((row) => row.title), wanted, `show=${value} after a reload`);
        }
        await page.getByRole("button", { name: "Reset" }).click();
        await until(page, "no choice after a reset", () => location.search === "");
        for (const [name, of] of [["gold", (value) => (row) => row.gold === value], ["answer", (value) => (row) => row.answers.includes(value)]]) {
          const select = page.locator(`#sample-filters select[name=${name}]`);
          if (!(await select.count())) continue;
          for (const value of await select.locator("option").evaluateAll((options) => options.map((option) => option.value).filter(Boolean))) {
            await select.selectOption(value);
            const wanted = all.filter(of(value)).map((row) => row.title);
            assert.deepEqual((await rows(page)).map((row) => row.title), wanted, `${name}=${value}`);
            await page.reload();
            assert.deepEqual((await rows(page)).map((row) => row.title), wanted, `${name}=${value} after a reload`);
          }
          await page.getByRole("button", { name: "Reset" }).click();
          await until(page, "no filter after a reset", () => location.search === "");
        }
      },
    },
    {
      name: "samples: every column sorts both ways, by mouse and key, and the order outlives a reload",
      async run(reader) {
        const page = await reader.open(short.path);
        const heads = page.locator("table.samples thead th[data-sort]");
        for (let index = 0; index < await heads.count(); index++) {
          const head = heads.nth(index), { at, number } = await head.evaluate((head) => ({ at: head.cellIndex, number: head.dataset.sort === "number" }));
          for (const way of ["click", "key"]) {
            if (way === "click") await head.getByRole("button").click();
            else { await head.getByRole("button").focus(); await page.keyboard.press("Enter"); }
            const order = await head.getAttribute("aria-sort");
            const keys = (await rows(page)).map((row) => (number ? value(row.cells[at]) : row.cells[at]));
            assert.deepEqual(keys, sorted(keys, number, order === "descending"), `column ${at} ${order}`);
            assert.equal(order, number === (way === "click") ? "descending" : "ascending");
            assert.equal(await page.locator("thead [aria-sort]").count(), 1);
            await page.reload();
            assert.deepEqual((await rows(page)).map((row) => (number ? value(row.cells[at]) : row.cells[at])), keys, `column ${at} ${order} after a reload`);
          }
        }
      },
    },
    ...(long ? [true, false] : []).map((disk) => ({
      name: `a long table searches, filters and sorts over all its parts, ${disk ? "from disk" : "from a server"}`,
      async run(reader) {
        const page = await reader.open(long.path, { disk }), shown = (await rows(page)).length;
        assert(shown < long.size);
        assert.equal(await count(page), `${long.size} samples`);
        assert(await page.locator("nav.pages").isVisible());
        const last = site.text(site.all("table page").filter(({ of }) => of[0] === long.of[0]).at(-1).path);
        const title = [...last.matchAll(/<th scope=row data-value="([^"]*)"/g)].at(-1)[1];
        const search = page.getByRole("searchbox", { name: "Search", exact: true });
        await search.fill(title);
        await settled(page);
        assert((await rows(page)).some((row) => row.title === title), "the last sample is found");
        assert(!(await page.locator("nav.pages").isVisible()));
        await page.reload();
        await settled(page);
        assert((await rows(page)).some((row) => row.title === title), "and after a reload");
        await search.fill("");
        await page.locator("nav.pages").waitFor();
        assert.equal((await rows(page)).length, shown);

        const head = page.locator("table.samples th[data-name=sample]");
        await head.getByRole("button").click();
        await settled(page);
        assert.equal(await count(page), `${long.size} of ${long.size} samples`);
        const more = page.getByRole("button", { name: /^Show \d+ more of/ });
        while (await more.count()) {
          const before = (await rows(page)).length;
          await more.click();
          const after = await rows(page);
          assert(after.length > before);
          assert(await page.evaluate((at) => document.querySelectorAll("table.samples tbody tr")[at].contains(document.activeElement), before), "the focus goes on to the first new row");
        }
        const titles = (await rows(page)).map((row) => row.title);
        assert.equal(new Set(titles).size, long.size, "every sample once");
        assert.deepEqual(titles, sorted(titles, false, false));
        // A search while parts are on their way ends in what was asked for last.
        await page.goto(reader.address(long.path, disk));
        await search.pressSequentially(title.slice(0, 3));
        await search.fill(title);
        await until(page, "the search that was typed last", (title) => [...document.querySelectorAll("table.samples tbody th")].some((head) => head.dataset.value === title), title);
        assert((await rows(page)).every((row) => row.text.includes(title.toLowerCase())));
      },
    })),
    long && {
      name: "a long table's pages have every sample once without scripts",
      async run(reader) {
        const page = await reader.open(long.path, { javaScriptEnabled: false }), titles = [];
        const links = page.locator("nav.pages a");
        const pages = await links.count();
        for (let index = 0; index < pages; index++) {
          await links.nth(index).click();
          // The first link may lead to where we are, and load nothing.
          await page.locator("nav.pages [aria-current=page]", { hasText: new RegExp(`^\\D*${index + 1}\\D*$`) }).waitFor();
          await page.waitForLoadState();
          titles.push(...await page.locator("table.samples tbody th").evaluateAll((heads) => heads.map((head) => head.dataset.value)));
        }
        assert.equal(titles.length, long.size);
        assert.equal(new Set(titles).size, long.size);
      },
    },
    {
      name: "other tables sort by mouse and key",
      async run(reader) {
        const page = await reader.open(plain.path);
        for (const details of await page.locator("details:has(table) > summary").all()) await details.click();
        const tables = await page.locator("table[data-sortable]").all();
        for (const table of tables) {
          for (const head of await table.locator("thead th[data-sort]").all()) {
            const { at, number } = await head.evaluate((head) => ({ at: head.cellIndex, number: head.dataset.sort === "number" }));
            const cells = async () => (await table.locator("tbody tr").evaluateAll((rows, at) => rows.map((row) => row.cells[at].dataset.value ?? row.cells[at].textContent.trim()), at)).map((text) => (number ? value(text) : text));
            const before = (await cells()).length;
            await head.getByRole("button").click();
            assert.deepEqual(await cells(), sorted(await cells(), number, (await head.getAttribute("aria-sort")) === "descending"));
            await page.keyboard.press("Space");
            assert.deepEqual(await cells(), sorted(await cells(), number, (await head.getAttribute("aria-sort")) === "descending"));
            each(await cells(), (key) => (key === undefined ? "a row without this cell" : null));
            assert.equal((await cells()).length, before);
          }
        }
      },
    },
  ].filter(Boolean);
};
