// Adds what a page can do beyond being read: switches, filters, sorting, saving, and a reading of the score under pointer or key.
// Nothing on a page depends on it. No library, no request but the rows of a long table, no storage beyond the two switches.
// It runs before the first paint, so that what it shows is there from the beginning and nothing moves later.
"use strict";

const root = document.documentElement;
const one = (selector) => document.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const query = new URLSearchParams(location.search);

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function button(text, act) {
  const made = make("button", { type: "button" }, text);
  made.addEventListener("click", act);
  return made;
}

// What is chosen on a page stands in its address, so that the address can be passed on.
function remember(values) {
  for (const [name, value] of Object.entries(values)) {
    if (value) query.set(name, value);
    else query.delete(name);
  }
  const text = query.toString();
  try { history.replaceState(null, "", location.pathname + (text && "?" + text) + location.hash); } catch { /* some browsers forbid it on disk */ }
  keep();
}

// What is chosen goes on to the neighbours of a page.
function keep() {
  for (const link of all("a[rel=prev],a[rel=next]")) link.search = query.toString();
}

function stored(key, value) {
  try {
    if (value === undefined) return localStorage.getItem("igsite-" + key);
    localStorage.setItem("igsite-" + key, value);
  } catch { /* a page opened from disk may have no storage */ }
  return null;
}

// What a reader chose for every page: "" is what the system, or the site, has.
function look(name, value) {
  if (value) root.dataset[name] = value;
  else delete root.dataset[name];
  stored(name, value);
}

function lookSwitches() {
  const theme = one("[data-switch=theme]"), palette = one("[data-switch=palette]");
  if (theme) {
    theme.value = root.dataset.theme ?? "";
    theme.addEventListener("change", () => look("theme", theme.value));
  }
  if (palette) {
    const show = () => palette.setAttribute("aria-pressed", "palette" in root.dataset);
    palette.addEventListener("click", () => { look("palette", "palette" in root.dataset ? "" : "red-green"); show(); });
    show();
  }
}

// The search box in the head of every page, and the key that leads to it.
function siteSearch() {
  const form = one(".site-search");
  if (!form) return;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    location.href = form.dataset.at + "?q=" + encodeURIComponent(form.elements.q.value);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
    event.preventDefault();
    (one("[data-search] input") ?? form.elements.q).focus();
  });
}

// Maps: the elements of each level, in the order of the numbers that the map carries.
const LEVELS = { token: ["t", "i"], word: ["w", "em.w,b"], sentence: ["s", "em.s,u"], segment: ["g", "em.g,span"] };

function levelOf(map) {
  const maps = map.closest(".maps");
  const level = maps?.querySelector("input[name=level]:checked")?.value ?? Object.keys(LEVELS).find((name) => maps?.classList.contains("by-" + LEVELS[name][0])) ?? "word";
  return level === "token" && map.classList.contains("coarse") ? "word" : level;
}

// The numbers of a map: score, and error where it is known, which a map carries in units of the score's last place. A difference has those of its two maps; errors add up.
function numbersOf(map, letter) {
  const own = (map) => map.dataset[letter].split(" ").map((pair) => pair.split("/")).map(([score, error]) => [score, /\D/.test(error) ? error : "" + error / 10 ** (score + ".").split(".")[1].length]);
  const of = map.closest("[data-of]")?.dataset.of.split(" ");
  if (!of) return own(map);
  // What lies outside all units comes first, where a map has it; one that has none has none of it.
  const outside = (map) => map.querySelector("em");
  const [a, b] = of.map((id) => one(`[id="${id}"] .map`)).map((map) => (outside(map) ? own(map) : [["0", "0"], ...own(map)]));
  const written = (number, digits) => "" + Number(number.toPrecision(digits));
  const all = a.map(([score, error], i) => [written(score - b[i][0], 4), error && b[i][1] && written(Number(error) + Number(b[i][1]), 2)]);
  return outside(map) ? all : all.slice(1);
}

// Pieces of a map at the level that has colour, each with its score, error and share as text.
function pieces(map) {
  const [letter, selector] = LEVELS[levelOf(map)];
  const numbers = numbersOf(map, letter);
  const total = numbers.reduce((sum, [score]) => sum + Math.abs(score), 0);
  const text = (number) => number.replace(/^(-?)\./, "$10.").replaceAll("-", "−");
  // What F becomes without each piece, where that was computed.
  const without = map.dataset["without" + letter.toUpperCase()]?.split(" ");
  const left = (f) => (f && f !== "?" ? `; F is ${text(f)} without it, ${text(map.dataset.f)} with it` : "");
  let count = -1;
  return all(selector, map).map((element) => {
    if (!element.classList.contains("more")) count++;
    const [score, error] = numbers[count] ?? ["0"];
    return {
      element, count, score, error,
      said: (score > 0 ? "+" : "") + text(score) + (error ? " ± " + text(error) : "") + (total ? `, ${(100 * Math.abs(score) / total).toFixed(1)}% of all |${map.closest("[data-of]") ? "difference" : "score"}|` : "") + left(without?.[count]),
    };
  });
}

function mapReading() {
  const found = all(".map");
  if (!found.length) return;
  const line = make("p", { class: "readout", "aria-live": "polite" });
  document.body.append(line);
  // A map that scrolls under a pointer at rest, as it does while keys are used, is not pointed at.
  let here = null, keyed = false;
  const read = (piece) => {
    here?.element.classList.remove("here");
    here = piece ?? null;
    line.textContent = "";
    if (!piece) return;
    piece.element.classList.add("here");
    const whole = piece.element.textContent, text = whole.trim();
    line.append(text ? (text.length > 60 ? text.slice(0, 60) + "…" : text) : whole.includes("\n") ? "line break" : "white space", make("b", {}, piece.said));
  };
  for (const map of found) {
    map.tabIndex = 0;
    map.setAttribute("role", "group");
    map.setAttribute("aria-label", "Attribution map; arrow keys read out the scores");
    map.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -1e9, End: 1e9 }[event.key];
      if (event.key === "Escape") read(null);
      if (!step) return;
      event.preventDefault();
      keyed = true;
      const list = pieces(map).filter((piece, i, list) => !i || list[i - 1].count !== piece.count);
      const at = list.findIndex((piece) => piece.element === here?.element);
      read(list[Math.max(0, Math.min(list.length - 1, at + step))]);
      here.element.scrollIntoView({ block: "nearest" });
    });
    const point = (event) => {
      keyed = false;
      const list = pieces(map);
      for (let element = event.target; element && element !== map; element = element.parentElement) {
        const piece = list.find((piece) => piece.element === element);
        if (piece) return read(piece);
      }
      read(null);
    };
    map.addEventListener("pointerover", (event) => { if (!keyed) point(event); });
    map.addEventListener("pointermove", (event) => { if (keyed) point(event); });
    // A finger that is lifted has left too; what it tapped stays until it taps elsewhere.
    map.addEventListener("pointerleave", (event) => { if (!keyed && event.pointerType === "mouse") read(null); });
    map.addEventListener("blur", () => { if (map.contains(here?.element)) read(null); });
  }
}

function mapSwitches() {
  keep();
  for (const name of ["level", "mode", "target", "baseline", "method", "model"]) {
    for (const input of all(`input[type=radio][name=${name}]`)) {
      if (input.value === query.get(name)) {
        input.checked = true;
        input.closest("details")?.setAttribute("open", "");
      }
      input.addEventListener("change", () => remember({ [name]: input.defaultChecked ? "" : input.value }));
    }
  }
}

// Interlinear maps: a word under pointer or key is marked in every row, and beside it stand the scores of all rows with their errors. A
// click, or Enter, keeps it.
function lines() {
  let pinned = query.get("word"), here = null;
  const box = make("div", { class: "said", role: "status" });
  const written = (text) => (text > 0 ? "+" : "") + text.replace(/^(-?)\./, "$10.").replace("-", "−");
  const text = (column) => column.firstChild.lastChild.textContent;
  const wordOf = (column) => text(column).replace(/[,.;:]+$/, "").toLowerCase();
  const columns = (frame) => [...(all(".inter", frame).find((list) => list.checkVisibility())?.children ?? [])];
  const light = (column) => {
    for (const other of all(".inter .on")) other.classList.remove("on");
    here = column;
    if (!column) return box.remove();
    const frame = column.closest(".lined"), list = column.parentElement, at = [...list.children].indexOf(column), word = wordOf(column);
    for (const other of columns(frame)) other.classList.toggle("on", wordOf(other) === word);
    const { words, unit } = frame.dataset, page = frame.querySelector(".inter").children[at].firstChild.dataset.h;
    const rows = list.dataset.v.split(";").map((row, i) => {
      const [score, error] = (row.split(" ")[at] || "").split("/");
      return make("tr", {}, make("th", { scope: "row" }, all(".who li", frame)[i].firstChild.textContent), make("td", { class: "num" }, score ? written(score) + (error ? " ± " + written(error).slice(+error > 0) : "") + " " + unit : "no map"));
    });
    box.replaceChildren(make("b", {}, text(column)), make("table", {}, make("tbody", {}, ...rows)));
    if (words && at < list.children.length - all(".r", list).length) box.append(make("a", { href: page ? words + page + "/index.html" : words.slice(0, -6) + "index.html?q=" + encodeURIComponent(word) + "#samples" }, "every sample with this word →"));
    box.classList.toggle("kept", word === pinned);
    frame.append(box);
    box.style.top = `${column.offsetTop + column.offsetHeight + 4}px`;
    box.style.left = `${Math.max(0, Math.min(column.offsetLeft, frame.clientWidth - box.offsetWidth))}px`;
  };
  const kept = () => light(pinned && all(".lined").flatMap(columns).find((column) => wordOf(column) === pinned));
  const pin = (column) => {
    pinned = pinned === wordOf(column) ? null : wordOf(column);
    remember({ word: pinned });
    light(column);
  };
  for (const frame of all(".lined")) {
    frame.tabIndex = 0;
    frame.setAttribute("role", "group");
    frame.setAttribute("aria-label", frame.previousElementSibling.textContent.split(".")[0] + "; arrow keys read them out");
    const of = (event) => event.target.closest(".inter > div");
    frame.addEventListener("pointerover", (event) => of(event) && light(of(event)));
    frame.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && kept());
    frame.addEventListener("click", (event) => of(event) && pin(of(event)));
    frame.addEventListener("focusout", (event) => frame.contains(event.relatedTarget) || kept());
    frame.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -1e9, End: 1e9 }[event.key];
      if (event.key === "Escape") { pinned = null; remember({ word: null }); light(null); }
      if (event.key === "Enter" && event.target === frame && here) pin(here);
      if (!step || event.target !== frame) return;
      event.preventDefault();
      const list = columns(frame);
      light(list[Math.max(0, Math.min(list.length - 1, list.indexOf(here) + step))]);
      here.scrollIntoView({ block: "nearest" });
    });
  }
  // The lists of the other methods are made of their numbers when they are asked for.
  const fill = () => {
    const chosen = all(".chooser input:checked").map((input) => input.className);
    for (const later of all(".later")) {
      if (!chosen.every((name) => later.classList.contains(name))) continue;
      const list = later.parentElement.querySelector(".inter").cloneNode(true), { v, m } = later.dataset;
      const [least, places, max] = m.split(" ").map(Number), rows = v.split(";").map((row) => row.split(" "));
      list.className = later.className.replace("later", "inter");
      list.dataset.v = v;
      [...list.children].forEach((column, at) => all("dd", column).forEach((cell, i) => {
        const [score, error] = (rows[i]?.[at] || "NaN").split("/").map(Number), size = Math.abs(score), shade = Math.round(20 * score / max);
        const seen = size >= least && size > (error || 0), digits = Math.max(0, Math.min(size < 10 ? places : places - 1, error ? Math.ceil(-Math.log10(error)) : 9));
        cell.removeAttribute("class");
        cell.textContent = seen ? (score < 0 ? "−" : "+") + (size < 1e9 ? size.toFixed(digits) : size.toExponential(2).replace("+", "")) : size >= 0 ? "·" : "–";
        if (seen && shade) cell.className = (shade > 0 ? "p" : "n") + Math.abs(shade);
      }));
      later.replaceWith(list);
    }
  };
  for (const input of all(".choices input")) input.addEventListener("change", () => { fill(); kept(); });
  fill();
  if (pinned) kept();
}

// The pair of models that is chosen: in the address, and of all pairs the one that is shown.
function pairs() {
  const links = all(".cards a");
  const show = (pair) => {
    if (!links.some((link) => link.dataset.pair === pair)) return;
    for (const link of links) link.setAttribute("aria-current", link.dataset.pair === pair);
    for (const two of all(".two")) two.classList.toggle("chosen", two.dataset.pair === pair);
  };
  for (const link of links) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      show(link.dataset.pair);
      remember({ pair: link.dataset.pair });
    });
  }
  show(query.get("pair"));
}

// A number as pages write it: true minus signs, percentages, "3 of 4".
function numeric(text) {
  const value = parseFloat(text.replace(/−/g, "-").replace(/^[<>+± ]+/, ""));
  return Number.isNaN(value) ? -Infinity : value;
}

function cellKey(cell, kind) {
  const text = cell?.dataset.value ?? cell?.textContent.trim() ?? "";
  return kind === "number" ? numeric(text) : text.toLowerCase();
}

function compare(a, b) {
  return typeof a === "number" ? (a > b) - (a < b) : a.localeCompare(b, "en", { numeric: true });
}

// Calls back with the column and order that a reader asks for by a click on its head.
function sortable(table, sorted) {
  const heads = [...table.tHead.rows[0].cells];
  for (const head of heads.filter((cell) => cell.dataset.sort)) {
    const control = make("button", { type: "button" });
    control.append(...head.childNodes);
    head.append(control);
    const sort = (order) => {
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", order);
      sorted(head, order === "ascending" ? 1 : -1);
    };
    const first = head.dataset.sort === "number" ? "descending" : "ascending";
    const turned = { ascending: "descending", descending: "ascending" };
    control.addEventListener("click", () => sort(turned[head.getAttribute("aria-sort")] ?? first));
    head.addEventListener("sort", (event) => sort(event.detail));
  }
}

function sorting() {
  for (const table of all("table[data-sortable]:not([data-rows])")) {
    sortable(table, (head, sign) => {
      const body = table.tBodies[0];
      const keyed = [...body.rows].map((row) => [cellKey(row.cells[head.cellIndex], head.dataset.sort), row]);
      keyed.sort(([a], [b]) => sign * compare(a, b));
      body.append(...keyed.map(([, row]) => row));
    });
  }
}

// The table of samples. A long one comes in parts: the first stands in the page, the others are scripts that are asked for when the
// reader searches, filters or sorts, and only some of the rows that fit are shown at once.
const MANY = 200;
let taken = null;
// What a part calls.
globalThis.igsiteRows = (rows) => taken(rows);

function part(address) {
  return new Promise((resolve, reject) => {
    const script = make("script", { src: address });
    let rows = [];
    taken = (given) => { rows = given; };
    script.addEventListener("load", () => { script.remove(); resolve(rows); });
    script.addEventListener("error", () => { script.remove(); reject(); });
    document.head.append(script);
  });
}

function samples() {
  const table = one("table[data-rows]");
  if (!table) return;
  const form = document.getElementById("sample-filters"), body = table.tBodies[0], fields = form.elements;
  const more = form.parentElement.querySelector(".pages");
  let rows = [...body.rows], missing = table.dataset.parts ? table.dataset.parts.split(" ") : [];
  const known = rows.length, count = Number(table.dataset.rows);
  const order = rows.slice();
  let column = null, sign = 1, limit = MANY;
  const texts = new Map();
  // What a sample says, its right option, the answers and the words of the maps; numbers and models' names are in most rows.
  const text = (row) => {
    if (!texts.has(row)) texts.set(row, all("th,bdi", row).map((part) => part.textContent).join(" ").toLowerCase());
    return texts.get(row);
  };
  const asked = () => ["text", "show", "gold", "answer"].some((name) => fields[name]?.value) || column;
  const show = () => {
    const words = fields.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const gold = fields.gold?.value, answer = fields.answer?.value;
    const fits = (row) => words.every((word) => text(row).includes(word))
      && (!fields.show.value || row.dataset.state.split(" ").includes(fields.show.value))
      && (!gold || row.dataset.gold === gold)
      && (!answer || row.dataset.answers.split(" ").includes(answer));
    let found = asked() ? order.filter(fits) : order.slice(0, known);
    if (column) {
      const keyed = found.map((row) => [cellKey(row.cells[column.cellIndex], column.dataset.sort), row]);
      found = keyed.sort(([a], [b]) => sign * compare(a, b)).map(([, row]) => row);
    }
    body.replaceChildren(...found.slice(0, Math.max(limit, known)));
    const left = found.length - body.rows.length;
    if (left > 0) {
      const cell = make("td", { colspan: table.tHead.rows[0].cells.length }, button(`Show ${Math.min(left, MANY)} more of ${left}`, () => {
        const first = body.rows.length - 1;
        limit += MANY;
        show();
        body.rows[first].querySelector("a").focus();
      }));
      body.append(make("tr", {}, cell));
    }
    if (more) more.hidden = asked();
    fields.count.value = asked() ? `${found.length} of ${count} samples` : `${count} samples`;
  };
  let reading = null;
  const read = async () => {
    const found = [];
    for (const address of missing) {
      const template = make("template");
      template.innerHTML = (await part(address)).join("");
      found.push(...template.content.children);
    }
    order.push(...found);
    missing = [];
  };
  const apply = async () => {
    remember({
      q: fields.text.value, show: fields.show.value, gold: fields.gold?.value, answer: fields.answer?.value,
      sort: column ? column.dataset.name + (sign < 0 ? "-down" : "-up") : "",
    });
    limit = MANY;
    if (asked() && missing.length) {
      fields.count.value = "Reading all samples…";
      try { await (reading ??= read()); } catch {
        reading = null;
        fields.count.value = "The other samples could not be read. The pages below have them.";
        return;
      }
    }
    show();
  };
  sortable(table, (head, turn) => { column = head; sign = turn; apply(); });
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(() => {
    column = null;
    for (const head of all("th", table.tHead)) head.removeAttribute("aria-sort");
    apply();
  }));
  fields.text.value = query.get("q") ?? "";
  for (const name of ["show", "gold", "answer"]) if (fields[name] && query.get(name)) fields[name].value = query.get(name);
  const [name, way] = (query.get("sort") ?? "").split("-");
  const head = [...table.tHead.rows[0].cells].find((cell) => name && cell.dataset.name === name);
  if (head) head.dispatchEvent(new CustomEvent("sort", { detail: way === "up" ? "ascending" : "descending" }));
  else if (asked()) apply();
  else show();
}

// Saving and copying: the menus are here, what they do is a script of its own that comes when one is opened.
let saver = null;
const saving = () => (saver ??= new Promise((done, failed) => {
  const script = make("script", { src: root.dataset.save });
  script.addEventListener("load", done);
  script.addEventListener("error", () => { saver = null; failed(); });
  document.head.append(script);
}));

function menu(label, items) {
  const box = make("details", { class: "tools" }, make("summary", { "aria-label": label, title: label }, "⤓"));
  const list = make("div");
  for (const [text, act] of items) list.append(button(text, async (event) => { const told = event.currentTarget; await saving(); act(told); }));
  box.append(list);
  box.addEventListener("toggle", saving);
  box.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && box.open) { box.open = false; box.firstChild.focus(); }
  });
  box.addEventListener("focusout", (event) => { if (!box.contains(event.relatedTarget)) box.open = false; });
  return box;
}

// Puts a tool beside what it is for.
function beside(element, tool) {
  const frame = make("div", { class: "tooled" });
  element.replaceWith(frame);
  frame.append(element, tool);
}

function tools() {
  if (!root.dataset.save) return;
  for (const table of all(".scroll > table")) {
    beside(table.parentElement, menu("Save the table: " + (table.caption?.textContent.trim() ?? ""), [["CSV", () => saveTable(table)], ["Copy", (told) => copyTable(table, told)]]));
  }
  for (const svg of all("figure svg.plot:not(.key)")) {
    svg.closest("figure").append(menu("Save the figure: " + (svg.getAttribute("aria-label") ?? "Plot"), [["SVG", () => saveFigure(svg)], ["PNG", () => saveFigure(svg, true)]]));
  }
  for (const map of all(".map")) {
    const items = [["CSV", () => saveMapTable(map)], ["SVG", () => saveMap(map)], ["PNG", () => saveMap(map, true)]];
    if (map.closest("[id^=map-]")) items.push(["Copy link", (told) => copy(permalink(map), told)], ["Copy embed code", (told) => copy(embedCode(map), told)]);
    beside(map, menu("Save or share this map: " + (map.closest("[data-name]")?.dataset.name ?? document.title), items));
  }
  for (const frame of all("#map .lined")) beside(frame, menu("Save this map", [["SVG", () => saveLines(frame)], ["PNG", () => saveLines(frame, true)], ["Copy embed code", (told) => copy(embedCode(frame), told)]]));
  for (const box of all("pre[data-copy]")) beside(box, button("Copy", async (event) => { const told = event.currentTarget; await saving(); copy(box.textContent, told); }));
}

// `?embed=ID` leaves of a page one map that fits a frame: what it is of, the map, its legend, and the way back. The switches are
// folded up.
function embed() {
  const id = query.get("embed"), chosen = id && document.getElementById(id);
  if (!chosen) return;
  root.classList.add("embed");
  const block = chosen.closest("[data-name]") ?? chosen, bar = block.closest(".maps")?.querySelector(".mapbar");
  const back = make("a", { href: location.pathname + "#" + id }, document.title);
  const about = block.querySelector("[data-about]")?.dataset.about;
  const kept = make("main", { id: "main", class: "maps wide" }, make("h1", {}, block.dataset.name ?? document.title), block);
  if (bar) {
    const legend = bar.querySelector(".legend");
    if (legend && !block.querySelector(".legend")) kept.append(legend);
    kept.append(make("details", { class: "options" }, make("summary", {}, "Options"), bar));
  }
  if (about) kept.append(make("p", { class: "small" }, about));
  kept.append(make("p", { class: "small" }, back));
  document.body.replaceChildren(kept);
  // The rest of the site is too large for a frame in somebody's page.
  for (const link of all("a", kept)) link.target = "_top";
}

root.classList.add("js");
root.dataset.save = document.currentScript.dataset.save ?? "";
for (const name of ["theme", "palette"]) {
  const kept = stored(name);
  // Older sites said whether it was on.
  if (kept) look(name, { on: name === "theme" ? "dark" : "red-green", off: name === "theme" ? "light" : "" }[kept] ?? kept);
}
document.addEventListener("DOMContentLoaded", () => {
  embed();
  lookSwitches();
  siteSearch();
  mapSwitches();
  mapReading();
  pairs();
  lines();
  sorting();
  samples();
  tools();
});
