// axe-core on every kind of page, in every theme, at two widths, with everything open; and the keyboard.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { unfold } from "./maps.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
// What colours alone decide: the rest is the same in every theme.
const COLOURS = ["color-contrast", "link-in-text-block"];
// Rows of a table are alike: its first dozen stand for the rest.
const ALIKE = "tbody tr:nth-child(n+13)";

async function violations(page, only) {
  return page.evaluate(async ({ tags, only, alike }) => {
    const { violations } = await globalThis.axe.run({ exclude: document.querySelector(alike) ? [alike] : [] }, { runOnly: only ? { type: "rule", values: only } : { type: "tag", values: tags }, resultTypes: ["violations"] });
    return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.length} × ${nodes.slice(0, 3).map(({ html, any }) => html.slice(0, 160) + " " + (any[0]?.message ?? "")).join(" | ")}`);
  }, { tags: TAGS, only, alike: ALIKE });
}

const show = ({ theme, palette }) => {
  document.documentElement.dataset.theme = theme;
  if (palette) document.documentElement.dataset.palette = "red-green";
  else delete document.documentElement.dataset.palette;
};

export default (site) => [
  ...site.examples.map(({ path, kind }) => ({
    name: `axe finds nothing on ${path} (${kind}), light, dark and red/green, 1280 and 320 px`,
    async run(reader) {
      const context = await reader.window();
      await context.addInitScript(AXE);
      const page = await context.newPage(), found = [];
      await page.goto(reader.address(path));
      for (const width of [1280, 320]) {
        await page.setViewportSize({ width, height: 900 });
        await page.evaluate(() => document.querySelectorAll("details").forEach((details) => { details.open = !details.classList.contains("tools"); }));
        for (const look of [{ theme: "light" }, { theme: "dark" }, { theme: "light", palette: true }, { theme: "dark", palette: true }]) {
          await page.evaluate(show, look);
          const whole = look.theme === "light" && !look.palette;
          if (!whole && width === 320 && look.palette) continue;
          for (const problem of await violations(page, whole ? null : COLOURS)) found.push(`${width} px ${look.theme}${look.palette ? " red/green" : ""}: ${problem}`);
        }
        // A menu that is open covers what is below it: by itself, after the rest.
        const menu = page.locator(".tools:visible").first();
        if (width === 320 && (await menu.count())) {
          await menu.locator("summary").click();
          for (const problem of await violations(page, null)) found.push(`${width} px, a menu open: ${problem}`);
        }
      }
      assert(!found.length, found.join("\n"));
    },
  })),
  {
    name: "axe finds nothing at any level of a map, with signs and without",
    async run(reader) {
      const context = await reader.window();
      await context.addInitScript(AXE);
      const page = await context.newPage(), found = [];
      await page.goto(reader.address(site.first("sample", (text) => text.includes('class="map"')).path));
      await unfold(page);
      for (const mode of ["magnitude", "signed"]) {
        await page.locator(`.pick label:has(input[value=${mode}])`).click();
        for (const level of ["token", "sentence", "segment", "word"]) {
          await page.locator(`.pick label:has(input[value=${level}])`).click();
          for (const look of [{ theme: "light" }, { theme: "dark" }, { theme: "light", palette: true }, { theme: "dark", palette: true }]) {
            await page.evaluate(show, look);
            for (const problem of await violations(page, COLOURS)) found.push(`${mode} ${level} ${JSON.stringify(look)}: ${problem}`);
          }
        }
      }
      assert(!found.length, found.join("\n"));
    },
  },
  {
    name: "Tab reaches every control in the order of the page, and each shows its focus",
    async run(reader) {
      for (const kind of ["experiment", "sample", "map", "comparison", "page"]) {
        const example = site.first(kind);
        if (!example) continue;
        const page = await reader.open(example.path);
        const wanted = await page.evaluate(() => {
          const seen = (element) => element.checkVisibility() && !element.disabled;
          const chosen = [...document.querySelectorAll("a[href], button, input, select, summary, [tabindex='0']")].filter(seen)
            // One stop for a group of choices.
            .filter((element) => element.type !== "radio" || element.checked);
          chosen.forEach((element, i) => { element.dataset.stop = i; });
          return chosen.length;
        });
        const stops = [], unseen = [];
        const press = async (key) => {
          await page.keyboard.press(key);
          return page.evaluate(() => {
            const element = document.activeElement, { outlineStyle, outlineWidth } = getComputedStyle(element);
            const outer = element.closest("label") ? getComputedStyle(element.closest("label")) : null;
            const outlined = (outlineStyle !== "none" && parseFloat(outlineWidth) >= 1) || (outer && outer.outlineStyle !== "none");
            const { top, bottom, left, right } = element.getBoundingClientRect();
            // The bar that stays at the top must not lie over what has the focus.
            const bar = document.querySelector(".mapbar"), covered = bar && !bar.contains(element) && bottom <= bar.getBoundingClientRect().bottom && top >= bar.getBoundingClientRect().top;
            return { stop: element.dataset.stop, shown: outlined && !covered && bottom > 0 && top < innerHeight && right > 0 && left < innerWidth, html: element.outerHTML.slice(0, 100) };
          });
        };
        for (let turn = 0; turn < wanted + 5; turn++) {
          const { stop, shown, html } = await press("Tab");
          if (stop === undefined) break;
          stops.push(Number(stop));
          if (!shown) unseen.push(html);
        }
        // And back again.
        for (let turn = 0; turn < Math.min(wanted, 40); turn++) {
          const { stop, shown, html } = await press("Shift+Tab");
          if (stop !== undefined && !shown) unseen.push("back: " + html);
        }
        assert.deepEqual(stops, [...Array(wanted).keys()], example.path);
        assert.deepEqual(unseen, [], example.path);
      }
    },
  },
  {
    name: "fingers find what they aim at: controls are at least 24 px",
    async run(reader) {
      const page = await (await reader.window({ width: 360, hasTouch: true })).newPage();
      for (const { path } of site.examples) {
        await page.goto(reader.address(path));
        const small = await page.locator("button:visible, select:visible, summary:visible, .pick label:visible, input:visible:enabled:not([type=radio])").evaluateAll((all) => all.filter((element) => {
          const { width, height } = element.getBoundingClientRect();
          return width > 1 && (width < 24 || height < 24);
        }).map((element) => `${element.outerHTML.slice(0, 80)} ${element.getBoundingClientRect().width} × ${element.getBoundingClientRect().height}`));
        assert.deepEqual(small.slice(0, 5), [], path);
      }
    },
  },
];
