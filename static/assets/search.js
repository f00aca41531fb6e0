// Search: reads the index that the page loads behind this script, finds, ranks and shows. src/render/search.rs makes the index;
// what counts as a word is said in src/render/search/words.rs, and here in the same way.
"use strict";

const igsiteSearch = (() => {
  const alone = /[\u0e01-\u0e7f\u3041-\u30ff\u3400-\u9fff\u{20000}-\u{3ffff}]/gu;
  const words = (text) => text.normalize("NFKD").replace(/[\p{M}'’]/gu, "").toLowerCase().replace(/\p{M}/gu, "")
    .replace(/ς/g, "σ").replace(alone, " $& ").match(/[\p{Alphabetic}\p{N}]+/gu) ?? [];

  // What pack.rs did, undone: 13 bits from two of 91 characters, deflate, numbers from bits.
  function bytesOf(text, length) {
    const bytes = new Uint8Array(length + 2);
    const digit = (at) => { const code = text.charCodeAt(at); return code - (code > 92 ? 36 : 35); };
    for (let at = 0, end = 0, group = 0, held = 0; at < text.length; at += 2) {
      group = group << 13 | digit(at) * 91 + digit(at + 1);
      for (held += 13; held >= 8; group &= (1 << held) - 1) bytes[end++] = group >> (held -= 8);
    }
    return bytes.subarray(0, length);
  }

  async function unpack(length, text) {
    const stream = new Blob([bytesOf(text, length)]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
    const view = new DataView(bytes.buffer);
    let at = 0;
    const part = () => {
      const size = view.getUint32(at, true);
      at += 4 + size;
      return new TextDecoder().decode(bytes.subarray(at - size, at));
    };
    const index = JSON.parse(part());
    const list = part();
    const total = index.sets.reduce((sum, set) => sum + set.ids.length, index.entries.length);
    let place = at * 8;
    const bit = () => bytes[place >> 3] >> (7 - (place++ & 7)) & 1;
    const take = (count) => { let value = 0; while (count--) value = value << 1 | bit(); return value; };
    let word = "";
    index.words = list.split(/(?=[\x01-\x1f])/).filter(Boolean).map((added) => {
      word = word.slice(0, added.charCodeAt(0) - 1) + added.slice(1);
      let length = 0;
      while (!bit()) length++;
      const places = new Uint32Array(1 << length | take(length));
      const low = 31 - Math.clz32(Math.max(1, Math.floor(9 * total / (13 * places.length))));
      for (let i = 0, next = 0; i < places.length; i++) {
        let high = 0;
        while (bit()) high++;
        places[i] = next + (high << low | take(low));
        next = places[i] + 1;
      }
      return [word, places];
    });
    index.total = total;
    index.titles = index.entries.map((entry) => words(entry.title));
    let first = index.entries.length;
    for (const set of index.sets) {
      set.first = first;
      first += set.ids.length;
      set.names = set.ids.map(words);
      set.goldWords = set.golds.map(words);
      set.modelWords = set.models.map(words);
    }
    return index;
  }

  // What models say of a sample: their answers, and whether they are right.
  const answer = (set, model, at) => set.answers[set.given[model].charCodeAt(at) - 48];
  const right = (set, model, at) => answer(set, model, at) === set.golds[set.gold[at]];
  const STATES = {
    wrong: (set, models, at) => set.gold[at] >= 0 && models.some((model) => !right(set, model, at)),
    right: (set, models, at) => set.gold[at] >= 0 && models.every((model) => right(set, model, at)),
    differ: (set, models, at) => models.some((model) => set.given[model][at] !== set.given[models[0]][at]),
  };
  STATES.differs = STATES.disagree = STATES.disagrees = STATES.differ;

  // The models that a query names: by a word that not every model has.
  function named(set, wanted) {
    const has = (model, word) => set.modelWords[model].some((other) => other.startsWith(word));
    const all = [...set.models.keys()], telling = wanted.filter((word) => all.length < 2 || !all.every((model) => has(model, word)));
    return all.filter((model) => telling.some((word) => has(model, word)));
  }

  // What each document is worth for one word: rare words are worth more, whole words more than beginnings, titles and ids most.
  function worth(index, wanted) {
    const score = new Float32Array(index.total);
    const give = (place, value) => { if (value > score[place]) score[place] = value; };
    const rare = (count) => Math.log(1 + index.total / count);
    let low = 0, high = index.words.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (index.words[middle][0] < wanted) low = middle + 1; else high = middle;
    }
    for (; low < index.words.length && index.words[low][0].startsWith(wanted); low++) {
      const [word, places] = index.words[low];
      const value = rare(places.length) * (word === wanted ? 1 : 0.6);
      for (const place of places) give(place, value);
    }
    const among = (list) => (list.includes(wanted) ? 1 : list.some((word) => word.startsWith(wanted)) ? 0.6 : 0);
    index.titles.forEach((title, place) => give(place, 3 * rare(1) * among(title)));
    for (const set of index.sets) {
      // All samples of an experiment are those of its models.
      const all = [...set.models.keys()], models = set.asked.length ? set.asked : all, holds = STATES[wanted];
      const ofModel = set.modelWords.some((name) => among(name));
      if (ofModel || holds) set.ids.forEach((_, at) => (ofModel || holds(set, models, at)) && give(set.first + at, ofModel ? 0.01 : 1));
      const golds = set.goldWords.map(among);
      const value = rare(set.ids.length / Math.max(1, set.golds.length));
      set.names.forEach((name, at) => {
        give(set.first + at, 2 * rare(1) * among(name));
        if (set.gold[at] >= 0) give(set.first + at, value * golds[set.gold[at]]);
      });
    }
    return score;
  }

  function find(index, query) {
    const wanted = [...new Set(words(query))];
    for (const set of index.sets) set.asked = named(set, wanted);
    const scores = wanted.map((word) => worth(index, word));
    const found = [];
    for (let place = 0; scores.length && place < index.total; place++) {
      const sum = scores.reduce((sum, score) => sum + score[place], 0);
      // Names of models alone are no reason to show all of their samples.
      if (sum > 0.1 && scores.every((score) => score[place])) found.push([sum, place]);
    }
    return found.sort(([a, i], [b, j]) => b - a || i - j).map(([, place]) => place);
  }

  // The texts of samples lie in small scripts beside the index; each is loaded once, when a result shows one of its texts.
  const chunks = new Map();
  function excerpts(page, index, number) {
    if (!chunks.has(number)) {
      const waiting = {};
      waiting.texts = new Promise((done) => { waiting.done = done; });
      chunks.set(number, waiting);
      const script = document.createElement("script");
      script.src = `${page.dataset.excerpts}${number}.js?${index.version}`;
      script.onerror = () => waiting.done([]);
      document.head.append(script);
    }
    return chunks.get(number).texts;
  }

  const element = (name, text = "", className = "") => {
    const made = document.createElement(name);
    if (text) made.textContent = text;
    if (className) made.className = className;
    return made;
  };

  // A text with the words that were looked for marked.
  function marked(text, wanted) {
    const line = document.createDocumentFragment();
    for (const piece of text.split(/([\p{Alphabetic}\p{N}\p{M}'’]+)/u)) {
      const hit = words(piece).some((word) => wanted.some((begin) => word.startsWith(begin)));
      line.append(hit ? element("mark", piece) : piece);
    }
    return line;
  }

  function result(page, index, place, wanted) {
    const item = element("li"), link = element("a"), about = element("p", "", "about");
    const set = index.sets.findLast((set) => set.first <= place);
    if (set) {
      const at = place - set.first, sample = place - index.entries.length;
      link.href = set.before + (set.slugs[at] ?? set.ids[at]) + set.behind;
      link.append(marked(set.ids[at], wanted));
      const gold = set.golds[set.gold[at]];
      const said = set.asked.map((model) => `; ${set.models[model]}: ${answer(set, model, at) ?? "another answer"}`).join("");
      item.append(link, element("small", ` ${set.title}${gold === undefined ? "" : `, right: ${gold}`}${said}`), about);
      excerpts(page, index, Math.floor(sample / index.chunk)).then((texts) => about.append(marked(texts[sample % index.chunk] ?? "", wanted)));
    } else {
      const entry = index.entries[place];
      link.href = entry.href;
      link.append(marked(entry.title, wanted));
      about.append(marked(entry.about, wanted));
      item.append(link, about);
    }
    link.dir = about.dir = "auto";
    return item;
  }

  function show(page, index, query) {
    const results = page.querySelector(".results"), status = page.querySelector("[role=status]");
    const wanted = words(query);
    const found = find(index, query);
    const kind = (place) => index.entries[place]?.kind ?? "sample";
    results.replaceChildren();
    const counts = [];
    for (const [name, one, many] of [["experiment", "experiment", "Experiments"], ["page", "page", "Pages"], ["model", "model", "Models"], ["sample", "sample", "Samples"]]) {
      const places = found.filter((place) => kind(place) === name);
      if (!places.length) continue;
      counts.push(`${places.length} ${one}${places.length > 1 ? "s" : ""}`);
      const section = element("section"), list = element("ol"), more = element("button", `More ${many.toLowerCase()}`);
      more.type = "button";
      const grow = (count) => {
        const first = list.children.length;
        list.append(...places.slice(first, first + count).map((place) => result(page, index, place, wanted)));
        more.hidden = list.children.length >= places.length;
        return list.children[first];
      };
      grow(10);
      more.addEventListener("click", () => grow(20)?.querySelector("a").focus());
      section.append(element("h2", `${many} (${places.length})`), list, more);
      results.append(section);
    }
    status.textContent = !wanted.length ? "" : counts.length ? `Found: ${counts.join(", ")}.` : "Nothing found. Each word must be in what is found, at least as the beginning of a word.";
  }

  function start(index) {
    const page = document.querySelector("[data-search]"), form = page.querySelector("form"), field = form.elements.q;
    const look = () => {
      show(page, index, field.value);
      const address = new URL(location.href);
      address.search = field.value ? `?q=${encodeURIComponent(field.value)}` : "";
      try { history.replaceState(null, "", address); } catch { /* Some browsers forbid it for pages from disk. */ }
    };
    field.value = new URLSearchParams(location.search).get("q") ?? "";
    let timer;
    field.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(look, 80); });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      clearTimeout(timer);
      look();
      page.querySelector(".results a")?.focus();
    });
    page.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      const stops = [field, ...page.querySelectorAll(".results a")];
      const here = stops.indexOf(document.activeElement);
      if (!step || here < 0 || !stops[here + step]) return;
      event.preventDefault();
      stops[here + step].focus();
    });
    look();
    field.focus();
  }

  return {
    index: (length, text) => unpack(length, text).then(start).catch((error) => {
      document.querySelector("[data-search] [role=status]").textContent = "This browser cannot read the search index; the front page lists every experiment, and its page every sample.";
      console.warn(error);
    }),
    excerpts: (number, texts) => chunks.get(number)?.done(texts),
  };
})();
