// What a map reads out under pointer and key, held against the record's own numbers at every level.
import assert from "node:assert/strict";
import { each, follow, placeOf, until } from "../harness.mjs";

const LETTERS = { token: "t", word: "w", sentence: "s", segment: "g" }, LEVELS = Object.keys(LETTERS);

// Where the units of a map stand in the prompt, and the prompt itself, as the page has them.
function outline(map) {
  const found = { text: "", b: [], u: [], span: [], outside: map.querySelector("em") !== null };
  const visit = (node) => {
    if (node.nodeType === Node.TEXT_NODE) { found.text += node.data; return; }
    if (node.matches("em, .special, .byte")) return;
    const start = [...found.text].length;
    node.childNodes.forEach(visit);
    found[node.localName]?.push([start, [...found.text].length]);
  };
  map.childNodes.forEach(visit);
  return found;
}

const within = (units, at) => units.findIndex(([start, end]) => start <= at && at < end);

// The word of each token by the rule that the program documents, −1 for none.
function wordsOf(record, units) {
  const prompt = [...record.prompt], blank = (character) => /\s/.test(character);
  const segment = (word) => within(units.span, units.b[word]?.[0]);
  return record.tokens.map((token) => {
    if (token.special) return -1;
    const text = prompt.slice(token.start, token.end);
    const blanks = text.findIndex((character) => !blank(character));
    const position = token.start + (blanks < 0 ? text.length : blanks);
    const here = within(units.span, blanks < 0 ? token.start : position);
    const next = units.b.findIndex(([, end]) => end > position), previous = (next < 0 ? units.b.length : next) - 1;
    return [next, previous].find((word) => word >= 0 && segment(word) === here) ?? (next >= 0 ? next : previous);
  });
}

// The values of a level: what lies outside all words first, where there is something.
function summed(values, level, words, units) {
  if (level === "token") return values;
  const list = { word: units.b, sentence: units.u, segment: units.span }[level];
  const sums = list.map(() => 0);
  let outside = 0;
  values.forEach((value, token) => {
    if (words[token] < 0) outside += value;
    else sums[level === "word" ? words[token] : within(list, units.b[words[token]][0])] += value;
  });
  return units.outside ? [outside, ...sums] : sums;
}

// The errors of tokens; of units they are shared out evenly.
function errorsOf({ scores, errors, unit_tokens, unit_errors }) {
  if (errors || !unit_errors) return errors;
  const shared = scores.map(() => 0);
  unit_tokens.forEach((tokens, unit) => tokens.forEach((token) => { shared[token] = unit_errors[unit] / tokens.length; }));
  return shared;
}

function expected(record, attribution, level, units) {
  const scores = attribution.scores, errors = errorsOf(attribution);
  const words = wordsOf(record, units);
  const sums = summed(scores, level, words, units), bounds = errors && summed(errors, level, words, units);
  const total = sums.reduce((sum, score) => sum + Math.abs(score), 0);
  return sums.map((score, i) => ({ score, error: bounds?.[i], share: (100 * Math.abs(score)) / total }));
}

function parse(said) {
  const [, score, error, share, left, whole] = said.match(/^([+−]?[\d.e−+]+?)(?: ± ([\d.e−]+))?(?:, ([\d.]+)% of all \|(?:score|difference)\|)?(?:; F is ([\d.e−]+) without it, ([\d.e−]+) with it)?$/) ?? assert.fail(`cannot read ${JSON.stringify(said)}`);
  const number = (text) => text && Number(text.replaceAll("−", "-"));
  return { score: number(score), error: number(error), share: share && Number(share), left: number(left), whole: number(whole) };
}

// Four digits, three where the number is written with an exponent.
const digits = (wanted) => (Math.abs(wanted) < 1e-4 ? 6e-3 : 6e-4);
const near = (a, b, relative, least = 1e-12) => Math.abs(a - b) <= relative * Math.abs(b) + least;

function differs({ said }, wanted, i) {
  const got = parse(said);
  const right = near(got.score, wanted.score, digits(wanted.score)) && near(got.share ?? 0, wanted.share || 0, 0, 0.12)
    && (wanted.error === undefined || !wanted.error ? true : got.error !== undefined && near(got.error, wanted.error, 0.06));
  return right ? null : `number ${i}: read out ${said}, the record has ${JSON.stringify(wanted)}`;
}

// The whole prompt of a sample is folded up.
export const unfold = (page) => page.locator("#whole:not([open]) > summary").click();
export const choose = (page, name) => page.locator(".pick label", { hasText: new RegExp(`^${name}$`) }).click();

// Everything that the arrow keys read out of a map, from its first piece to its last.
async function walk(page, map) {
  await map.focus();
  const press = async (key) => {
    await page.keyboard.press(key);
    return page.evaluate(() => {
      const line = document.querySelector(".readout"), here = [...document.querySelectorAll(".here")];
      const again = here.includes(globalThis.before);
      globalThis.before = here[0];
      return { said: line.querySelector("b")?.textContent ?? "", here: here.length, again };
    });
  };
  const found = [await press("Home")];
  for (;;) {
    const piece = await press("ArrowRight");
    if (piece.again || found.length > 2000) return found;
    found.push(piece);
  }
}

async function walked(page, record, attribution, map, levels = LEVELS) {
  const units = await map.evaluate(outline);
  assert.equal(units.text, record.prompt, "the text of the map is the prompt");
  for (const level of levels) {
    await choose(page, level);
    const wanted = expected(record, attribution, level, units), found = await walk(page, map);
    assert.equal(found.length, wanted.length, `pieces by ${level}`);
    each(found, (piece, i) => piece.here !== 1 ? `number ${i} is not marked` : differs(piece, wanted[i], i));
  }
}

export default (site) => {
  const drawn = (text) => text.includes('class="map"');
  const maps = site.all("map").filter(({ path }) => drawn(site.text(path)));
  // Of each experiment the first, and one whose text is not ASCII.
  const chosen = maps.filter(({ of, path }, i) => maps.findIndex((other) => other.of[0] === of[0]) === i || /[🦀ש]/u.test(site.text(path))).slice(0, 4);
  const replaced = site.first("map", (text) => text.includes(" data-without-w="));
  const page = maps[0], sample = site.first("sample", drawn), different = site.first("map", (text) => text.includes("data-of="));
  const coloured = (page) => page.locator(".map").first().evaluate((map) => Object.fromEntries(["i", "b", "u", "span"].map((name) => [name, [...map.querySelectorAll(name)].filter((e) => getComputedStyle(e).backgroundColor !== "rgba(0, 0, 0, 0)").length])));
  return [
    ...chosen.map(({ path, of }) => ({
      name: `arrow keys read out the record's numbers at every level: ${path}`,
      async run(reader) {
        const page = await reader.open(path), record = site.record(...of);
        // Targets that are the same tokens share a map.
        const key = ({ method, target, baseline }) => method + target.token_ids.join() + baseline;
        const drawn = record.attributions.filter((one, i, all) => one.scores.length && all.findIndex((other) => key(other) === key(one)) === i);
        const maps = await page.locator(".attribution .map").all();
        assert.equal(maps.length, drawn.length);
        for (const [i, map] of maps.entries()) await walked(page, record, drawn[i], map, i ? ["word"] : LEVELS);
      },
    })),
    {
      name: "a sample's maps read out the first attribution of each model",
      async run(reader) {
        const page = await reader.open(sample.path, { disk: true });
        await unfold(page);
        for (const article of await page.locator("article.model-map").all()) {
          const model = (await article.locator("h2 a").getAttribute("href")).match(/maps\/([^/]+)\//)[1];
          const record = site.record(sample.of[0], model, sample.of[1]);
          if (record.attributions[0].scores.length) await walked(page, record, record.attributions[0], article.locator(".map"), ["token", "word"]);
        }
      },
    },
    replaced && {
      name: "where occlusion took words away, every map of the same target reads out what F is without them",
      async run(reader) {
        const page = await reader.open(replaced.path), record = site.record(...replaced.of);
        const occlusion = record.attributions.find(({ method, units }) => method === "occlusion" && units === "word");
        const same = ({ target, baseline }) => target.token_ids.join() + baseline === occlusion.target.token_ids.join() + occlusion.baseline;
        // Targets that are the same tokens share a map.
        const key = ({ method, target, baseline }) => method + target.token_ids.join() + baseline;
        const drawn = record.attributions.filter((one, i, all) => one.scores.length && all.findIndex((other) => key(other) === key(one)) === i);
        await choose(page, "word");
        for (const [i, map] of (await page.locator(".attribution .map").all()).entries()) {
          if (!same(drawn[i])) continue;
          const units = await map.evaluate(outline), words = wordsOf(record, units), first = units.outside ? 1 : 0;
          const left = new Map(occlusion.unit_tokens.map(([token], unit) => [words[token] + first, occlusion.f_input - occlusion.unit_scores[unit]]));
          each(await walk(page, map), ({ said }, piece) => {
            const got = parse(said), wanted = left.get(piece);
            if (wanted === undefined) return got.left === undefined ? null : `number ${piece}: ${said}`;
            return near(got.left, wanted, digits(wanted)) && near(got.whole, occlusion.f_input, 6e-4) ? null : `number ${piece}: ${said}, not ${wanted}`;
          });
        }
      },
    },
    different && {
      name: "a difference reads out the first map less the second",
      async run(reader) {
        const page = await reader.open(different.path), record = site.record(...different.of);
        const key = ({ method, target, baseline }) => method + target.token_ids.join() + baseline;
        const drawn = record.attributions.filter((one, i, all) => one.scores.length && all.findIndex((other) => key(other) === key(one)) === i);
        for (const box of (await page.locator("details[data-of]").all()).slice(0, 3)) {
          await box.locator("summary").first().click();
          const map = box.locator(".map"), units = await map.evaluate(outline);
          const parts = (await box.getAttribute("data-of")).split(" ").map((id) => drawn[Number(id.match(/\d+/)[0]) - 1]);
          for (const level of ["word", "sentence", "segment"]) {
            await choose(page, level);
            const found = await walk(page, map);
            const [a, b] = parts.map((map) => expected(record, map, level, units));
            assert.equal(found.length, a.length, `pieces by ${level}`);
            assert(found.every(({ said }) => !said.includes("|score|")), "a share is one of the differences");
            each(found, ({ said }, i) => near(parse(said).score, a[i].score - b[i].score, 1e-3, 1.1e-3 * (Math.abs(a[i].score) + Math.abs(b[i].score))) ? null : `number ${i} by ${level}: ${said}, not ${a[i].score} − ${b[i].score}`);
          }
        }
      },
    },
    {
      name: "the pointer reads out what it is on, and nothing when it leaves",
      async run(reader) {
        const window = await reader.open(page.path), record = site.record(...page.of), map = window.locator(".map").first();
        const units = await map.evaluate(outline);
        for (const [level, selector] of [["token", "i:not(.more)"], ["word", "b"], ["sentence", "u"], ["segment", "span"]]) {
          await choose(window, level);
          const wanted = expected(record, record.attributions[0], level, units), first = units.outside && level !== "token" ? 1 : 0;
          for (const index of [0, Math.floor((wanted.length - first) / 2), wanted.length - first - 1]) {
            const place = await placeOf(map.locator(selector).nth(index));
            if (!place) continue;
            await window.mouse.move(place.x, place.y);
            const said = await window.locator(".readout b").textContent();
            assert.equal(differs({ said }, wanted[index + first], index), null, level);
          }
        }
        await window.mouse.move(2, 2);
        assert.equal(await window.locator(".readout").textContent(), "");
      },
    },
    {
      name: "a finger's tap reads out and stays, another beside the map ends it",
      async run(reader) {
        const window = await reader.open(page.path, { hasTouch: true, width: 390 });
        await window.locator(".map b").nth(2).tap();
        await window.waitForTimeout(100);
        assert.match(await window.locator(".readout").textContent(), /% of all/);
        await window.locator("h1").tap();
        assert.equal(await window.locator(".readout").textContent(), "");
      },
    },
    {
      name: "Escape and leaving the map end a reading by keys",
      async run(reader) {
        const window = await reader.open(page.path), line = window.locator(".readout"), map = window.locator(".map").first();
        await map.focus();
        await window.keyboard.press("End");
        assert.match(await line.textContent(), /% of all/);
        await window.keyboard.press("Escape");
        assert.equal(await line.textContent(), "");
        await window.keyboard.press("ArrowLeft");
        assert.notEqual(await line.textContent(), "");
        await window.keyboard.press("Tab");
        assert.equal(await line.textContent(), "");
      },
    },
    {
      name: "the level switch moves colour and legend, stands in the address, and outlives reload and back",
      async run(reader) {
        const window = await reader.open(sample.path);
        await unfold(window);
        for (const [level, element] of [["token", "i"], ["sentence", "u"], ["segment", "span"], ["word", "b"]]) {
          await choose(window, level);
          const counts = await coloured(window);
          assert(counts[element] > 0, `${level} has colour: ${JSON.stringify(counts)}`);
          for (const other of ["i", "b", "u", "span"]) if (other !== element) assert.equal(counts[other], 0, `${other} beside ${level}`);
          assert.equal(new URL(window.url()).searchParams.get("level"), level === "word" ? null : level);
          const ends = await window.locator(".mapbar .legend .at:visible").evaluateAll((ends) => ends.map((end) => end.className));
          assert.equal(ends.length, 3, "two ends and a shade as numbers");
          each(ends, (end) => (end.split(" ").includes(LETTERS[level]) ? null : `${end} at ${level}`));
        }
        await choose(window, "segment");
        await window.reload();
        assert((await coloured(window)).span > 0, "after a reload");
        await follow(window, window.locator("article.model-map h2 a").first());
        assert.match(window.url(), /\/maps\//);
        await window.goBack();
        await until(window, "segment is chosen after going back", () => document.querySelector("input[value=segment]").checked);
        assert((await coloured(window)).span > 0, "after going back");
      },
    },
    {
      name: "every piece of a map stands in its line, the rest of a token that goes on in another word or segment too",
      async run(reader) {
        const window = await reader.open(page.path);
        await choose(window, "token");
        const shown = await window.locator(".map").first().evaluate((map) => {
          // Whether a site has such a token hangs on its tokenizers.
          map.querySelector("b i").classList.add("more");
          return [...map.querySelectorAll("*")].map((piece) => [piece.outerHTML.slice(0, 40), getComputedStyle(piece).display]);
        });
        each(shown, ([piece, display]) => (["inline", "none"].includes(display) ? null : `${piece}: ${display}`));
      },
    },
    {
      name: "magnitude only takes sign out of colour and legend, and stands in the address",
      async run(reader) {
        const window = await reader.open(sample.path);
        await unfold(window);
        const hues = () => window.locator(".map").first().evaluate((map) => new Set([...map.querySelectorAll("b, em.w")].map((e) => getComputedStyle(e).backgroundColor.match(/^rgba?\((\d+, \d+, \d+)/)[1]).filter((c) => c !== "0, 0, 0")).size);
        const lines = () => window.locator(".map").first().evaluate((map) => [...map.querySelectorAll("*")].filter((e) => getComputedStyle(e).textDecorationLine !== "none").length);
        assert.equal(await hues(), 2);
        assert(await lines() > 0);
        await choose(window, "magnitude only");
        assert.equal(await hues(), 1);
        assert.equal(await lines(), 0);
        assert.equal(await window.locator(".mapbar .legend :is(.low, .sign):visible").count(), 0);
        assert.equal(new URL(window.url()).searchParams.get("mode"), "magnitude");
        await window.reload();
        assert.equal(await hues(), 1);
        await choose(window, "sign");
        assert.equal(new URL(window.url()).search, "");
      },
    },
  ].filter(Boolean);
};

