// The switches of every page, pages without scripts, and the ways from page to page.
import assert from "node:assert/strict";
import { each, follow } from "../harness.mjs";
import { choose, unfold } from "./maps.mjs";

export default (site) => {
  const sample = site.first("sample", (text) => text.includes('class="map"'));
  const map = site.first("map", (text) => text.includes('class="map"'));
  const style = (page) => page.evaluate(() => {
    const { backgroundColor, color } = getComputedStyle(document.documentElement);
    const positive = getComputedStyle(document.documentElement).getPropertyValue("--pos");
    return { backgroundColor, color, positive };
  });
  const search = site.first("page", (text) => text.includes("data-search"));
  return [
    ...(search ? [false, true] : []).map((disk) => ({
      name: `the search finds a sample by its name and leads to it, ${disk ? "from disk" : "from a server"}`,
      async run(reader) {
        const page = await reader.open(search.path, { disk }), id = sample.of[1], results = page.locator(".results a");
        await page.getByRole("searchbox").fill(id);
        await results.first().waitFor();
        assert.match(await page.getByRole("status").textContent(), /\d/);
        assert.equal(new URL(page.url()).searchParams.get("q"), id);
        await page.reload();
        await results.first().waitFor();
        await follow(page, page.locator(`.results a[href="../${sample.path}"]`));
        assert.match(await page.locator(".meta").textContent(), new RegExp(id));
        await page.goto(reader.address(search.path, disk));
        await page.getByRole("searchbox").fill("no such words anywhere");
        await page.waitForTimeout(300);
        assert.equal(await results.count(), 0);
      },
    })),
    ...[false, true].map((disk) => ({
      name: `the theme and the red/green switch work and hold on other pages, ${disk ? "from disk" : "from a server"}`,
      async run(reader) {
        const page = await reader.open("index.html", { disk });
        const before = await style(page), theme = page.getByRole("combobox", { name: "Theme" }), palette = page.getByRole("button", { name: "Red/green maps" });
        assert.equal(await theme.inputValue(), "");
        await theme.selectOption("dark");
        await palette.click();
        const after = await style(page);
        each(Object.keys(after), (name) => (after[name] === before[name] ? `${name} stays ${after[name]}` : null));
        for (const path of [sample.path, "models/index.html"]) {
          await page.goto(reader.address(path, disk));
          assert.deepEqual(await style(page), after);
          assert.equal(await theme.inputValue(), "dark");
          assert.equal(await palette.getAttribute("aria-pressed"), "true");
        }
        await theme.selectOption("");
        await palette.click();
        await page.reload();
        assert.deepEqual(await style(page), before);
      },
    })),
    {
      name: "the system's theme is heeded until a reader chooses one, and again when the choice is taken back",
      async run(reader) {
        const page = await reader.open("index.html", { dark: true });
        const theme = page.getByRole("combobox", { name: "Theme" }), { backgroundColor: dark } = await style(page);
        await theme.selectOption("light");
        const { backgroundColor: light } = await style(page);
        assert.notEqual(light, dark);
        await theme.selectOption("dark");
        assert.equal((await style(page)).backgroundColor, dark);
        await page.emulateMedia({ colorScheme: "light" });
        assert.equal((await style(page)).backgroundColor, dark, "a choice holds whatever the system has");
        await theme.selectOption("");
        assert.equal((await style(page)).backgroundColor, light);
        await page.emulateMedia({ colorScheme: "dark" });
        assert.equal((await style(page)).backgroundColor, dark);
      },
    },
    {
      name: "every page has a search box, the key / leads to it, and the navigation leads to the experiments",
      async run(reader) {
        const page = await reader.open(sample.path), box = page.locator(".site-search input");
        await page.locator("main h1").click();
        await page.keyboard.press("/");
        assert(await box.evaluate((box) => box === document.activeElement));
        assert.equal(await box.inputValue(), "", "the key itself is not typed");
        await page.keyboard.type(sample.of[1] + "/");
        const loaded = page.waitForEvent("load");
        await page.keyboard.press("Enter");
        await loaded;
        assert.equal(new URL(page.url()).searchParams.get("q"), sample.of[1] + "/");
        await page.locator(`.results a[href="../${sample.path}"]`).waitFor();
        // On the search page itself there is one box.
        assert.equal(await page.getByRole("searchbox").count(), 1);
        await page.locator("main h1").click();
        await page.keyboard.press("/");
        assert.equal(await page.evaluate(() => document.activeElement.id), "q");
        await follow(page, page.getByRole("navigation", { name: "Site" }).getByRole("link", { name: "Experiments" }));
        assert(await page.locator("#experiments").count());
      },
    },
    {
      name: "the search knows models and whether they are right",
      async run(reader) {
        const set = site.all("sample").filter(({ of }) => of[0] === sample.of[0]), models = [...new Set(site.all("map").filter(({ of }) => of[0] === sample.of[0]).map(({ of }) => of[1]))];
        const records = (model) => set.map(({ of }) => ({ of, record: site.record(of[0], model, of[1]) }));
        const page = await reader.open(search.path), links = page.locator(".results section:has(h2:text-matches('^Samples')) a");
        const found = async (query) => {
          await page.getByRole("searchbox").fill(query);
          await page.waitForTimeout(200);
          for (const more of await page.getByRole("button", { name: "More samples" }).all()) while (await more.isVisible()) await more.click();
          const hrefs = await links.evaluateAll((links) => links.map((link) => link.getAttribute("href")));
          return hrefs.map((href) => href.match(/experiments\/(.+)\/samples\/(.+)\/index/)).filter(([, id]) => id === sample.of[0]).map(([, , slug]) => slug).sort();
        };
        const wrong = (model) => records(model).filter(({ record }) => record.correct === false).map(({ of }) => of[1]);
        assert.deepEqual(await found("wrong"), [...new Set(models.flatMap(wrong))].sort());
        const answers = (slug) => new Set(models.map((model) => site.record(sample.of[0], model, slug).prediction.text.trim()));
        assert.deepEqual(await found("differ"), set.map(({ of }) => of[1]).filter((slug) => answers(slug).size > 1).sort());
      },
    },
    {
      name: "the first Tab is a link past the navigation",
      async run(reader) {
        const page = await reader.open(sample.path);
        await page.keyboard.press("Tab");
        const link = page.locator(".skip").first();
        assert(await link.evaluate((element) => element === document.activeElement));
        const box = await link.boundingBox();
        assert(box.x >= 0 && box.y >= 0, "it is seen when it has the focus");
        await page.keyboard.press("Enter");
        assert.equal(await page.evaluate(() => document.activeElement.id), "main");
        await page.keyboard.press("Tab");
        assert(await page.evaluate(() => document.activeElement.closest("main") !== null));
      },
    },
    {
      name: "previous and next lead through the samples and back",
      async run(reader) {
        const samples = site.all("sample").filter(({ of }) => of[0] === sample.of[0]).length;
        const page = await reader.open(sample.path, { disk: true });
        while (await page.locator("a[rel=prev]").count()) await follow(page, page.locator("a[rel=prev]"));
        const titles = [];
        for (;;) {
          titles.push(await page.title());
          if (titles.length > samples || !(await page.locator("a[rel=next]").count())) break;
          await follow(page, page.locator("a[rel=next]"));
        }
        assert.equal(new Set(titles).size, samples);
        await follow(page, page.locator("a[rel=prev]"));
        assert.equal(await page.title(), titles.at(-2));
      },
    },
    {
      name: "without scripts nothing is missing, and the level switch works",
      async run(reader) {
        const page = await reader.open(sample.path, { javaScriptEnabled: false });
        const shot = async (element) => (await element.screenshot()).toString("base64");
        assert(await page.locator("#map .inter:visible dd").first().isVisible());
        const targets = page.locator("#map input[name=target]");
        if (await targets.count()) {
          const before = await shot(page.locator("#map .lined"));
          await page.locator("#map label:has(input[name=target])").last().click();
          assert.notEqual(await shot(page.locator("#map .lined")), before, "the maps of another target");
        }
        assert.equal(await page.locator(".scripted:visible, .hint:visible, .said").count(), 0, "no control that does nothing");
        await unfold(page);
        const first = page.locator(".map").first();
        assert(await first.isVisible());
        const word = await shot(first);
        await choose(page, "segment");
        assert.notEqual(await shot(first), word, "the colours are others");
        for (const locator of [page.locator(".switches"), page.locator(".filters"), page.locator(".tools"), page.locator(".readout")]) {
          for (const element of await locator.all()) assert(!(await element.isVisible()), "no control that does nothing");
        }
        const closed = page.locator("details:not([open]) > summary:visible");
        while (await closed.count()) await closed.first().click();
        assert(await page.locator(".word-table").isVisible());
        await page.goto(reader.address(map.path));
        assert(await page.locator(".map").first().isVisible());
        await page.goto(reader.address(site.all("experiment")[0].path));
        assert(await page.locator("table.samples tbody tr").first().isVisible());
        assert(!(await page.locator(".filters").isVisible()));
      },
    },
    {
      name: "with scripts a page has the same text as without",
      async run(reader) {
        const words = async (page) => (await page.locator("main").evaluate((main) => {
          const twin = main.cloneNode(true);
          // What only scripts bring, and what a script fills in.
          twin.querySelectorAll(".tools, .tooled > button, output, noscript").forEach((element) => element.remove());
          return twin.textContent;
        })).replace(/\s+/g, " ").trim();
        const page = await (await reader.window()).newPage();
        for (const { path } of site.examples) {
          await page.goto(reader.address(path));
          const parsed = await page.evaluate((html) => {
            const twin = new DOMParser().parseFromString(html, "text/html").querySelector("main");
            twin.querySelectorAll("output, noscript").forEach((element) => element.remove());
            return twin.textContent;
          }, site.text(path));
          assert.equal(await words(page), parsed.replace(/\s+/g, " ").trim(), path);
        }
      },
    },
  ];
};
