// Adds what a page can do beyond being read: switches, filters, sorting, and a reading of the score under pointer or key.
// Nothing on a page depends on it. No library, no request, no storage beyond the two switches.
"use strict";

const root = document.documentElement;

function remembered(key) {
  try { return localStorage.getItem("igsite-" + key); } catch { return null; }
}

function remember(key, value) {
  try { localStorage.setItem("igsite-" + key, value); } catch { /* a page opened from disk may have no storage */ }
}

function switches() {
  const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const set = {
    theme: (on) => { root.dataset.theme = on ? "dark" : "light"; },
    palette: (on) => { if (on) root.dataset.palette = "red-green"; else delete root.dataset.palette; },
  };
  const state = { theme: dark, palette: () => root.dataset.palette === "red-green" };
  for (const name of Object.keys(set)) {
    const kept = remembered(name);
    if (kept !== null) set[name](kept === "on");
  }
  for (const button of document.querySelectorAll("[data-switch]")) {
    const name = button.dataset.switch;
    button.setAttribute("aria-pressed", String(state[name]()));
    button.addEventListener("click", () => {
      const on = !state[name]();
      set[name](on);
      remember(name, on ? "on" : "off");
      button.setAttribute("aria-pressed", String(on));
    });
  }
  for (const box of document.querySelectorAll(".switches")) box.hidden = false;
}

function filters() {
  for (const form of document.querySelectorAll("[data-filters]")) {
    const rows = [...document.getElementById(form.dataset.filters).tBodies[0].rows];
    const texts = rows.map((row) => row.textContent.toLowerCase());
    const apply = () => {
      const words = form.elements.text.value.toLowerCase().split(/\s+/).filter(Boolean);
      const show = form.elements.show.value;
      const gold = form.elements.gold ? form.elements.gold.value : "";
      let count = 0;
      rows.forEach((row, i) => {
        const fits = words.every((word) => texts[i].includes(word))
          && (!show || row.dataset.state.split(" ").includes(show))
          && (!gold || row.dataset.gold === gold);
        row.hidden = !fits;
        count += fits ? 1 : 0;
      });
      form.elements.count.value = count === rows.length ? `${count} samples` : `${count} of ${rows.length} samples`;
    };
    form.addEventListener("input", apply);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.hidden = false;
    apply();
  }
}

// A number as pages write it: true minus signs, percentages, "3 of 4".
function numeric(text) {
  const value = parseFloat(text.replace(/−/g, "-").replace(/^[<>+± ]+/, ""));
  return Number.isNaN(value) ? -Infinity : value;
}

function sorting() {
  for (const table of document.querySelectorAll("table[data-sortable]")) {
    const heads = [...table.tHead.rows[0].cells];
    const body = table.tBodies[0];
    for (const head of heads.filter((cell) => cell.dataset.sort)) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const first = head.dataset.sort === "number" ? "descending" : "ascending";
        const order = head.ariaSort === null ? first : head.ariaSort === "ascending" ? "descending" : "ascending";
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", order);
        const column = head.cellIndex;
        const key = (row) => {
          const cell = row.cells[column];
          const text = cell.dataset.value ?? cell.textContent.trim();
          return head.dataset.sort === "number" ? numeric(text) : text.toLowerCase();
        };
        const keyed = [...body.rows].map((row) => [key(row), row]);
        const sign = order === "ascending" ? 1 : -1;
        keyed.sort(([a], [b]) => sign * (typeof a === "number" ? (a > b) - (a < b) : a.localeCompare(b)));
        body.append(...keyed.map(([, row]) => row));
      });
    }
  }
}

// Maps: arrow keys walk from piece to piece, and a line below reads out the piece, its score and its share.
function maps() {
  const found = [...document.querySelectorAll(".map")];
  if (!found.length) return;
  const line = document.createElement("p");
  line.className = "readout";
  line.setAttribute("aria-live", "polite");
  document.body.append(line);
  let here = null;
  const read = (piece) => {
    here?.classList.remove("here");
    here = piece;
    if (!piece) { line.textContent = ""; return; }
    piece.classList.add("here");
    const text = piece.textContent.trim();
    const shown = text ? (text.length > 60 ? text.slice(0, 60) + "…" : text) : "white space";
    line.textContent = `${shown}  ${piece.title.replace(" · ", ", ")} of all |score|`;
  };
  for (const map of found) {
    const pieces = [...map.querySelectorAll("span[title]")];
    if (!pieces.length) continue;
    map.tabIndex = 0;
    map.setAttribute("role", "group");
    map.setAttribute("aria-label", "Attribution map; arrow keys read out the scores");
    map.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      read(pieces[Math.max(0, Math.min(pieces.length - 1, pieces.indexOf(here) + step))]);
    });
    map.addEventListener("pointerover", (event) => {
      if (event.target.matches("span[title]")) read(event.target);
    });
    map.addEventListener("pointerleave", () => read(null));
    map.addEventListener("blur", () => read(null));
  }
}

switches();
filters();
sorting();
maps();
