// Saving and copying: tables, figures and maps as files that say what they are. It comes when a reader opens a menu, and uses what
// igsite.js has.
"use strict";

function download(name, type, data) {
  const link = make("a", { href: URL.createObjectURL(new Blob([data], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// The name of a file: the page's, and what is saved of it (`claims-claim-040-words`).
function fileName(what) {
  const home = new URL(".", document.querySelector(".brand")?.href ?? location.href).pathname;
  const page = location.pathname.slice(home.length).split("/").filter((part) => !/^(experiments|samples|maps|pages|index.html)?$/.test(part));
  return [...page, what].join("-").toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "").slice(0, 80) || "igsite";
}

async function copy(text, told) {
  try { await navigator.clipboard.writeText(text); } catch {
    // Pages on disk may not write to the clipboard directly.
    const area = make("textarea", { class: "visually-hidden" });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  const before = told.textContent;
  told.textContent = "Copied";
  setTimeout(() => { told.textContent = before; }, 1500);
}

// A number of a page as programs read it: `−41.2%` is -0.412. Null where it is none.
function plain(text) {
  const [, number, percent] = /^[<>]?([+−-]?\d+(?:\.\d+)?(?:e[+−-]?\d+)?)(%?)$/.exec(text.replace(/^[×±]\s*/, "")) ?? [];
  if (!number) return null;
  const ascii = number.replaceAll("−", "-").replace("+", "");
  return percent ? String(+(ascii / 100).toPrecision(12)) : ascii;
}

// What a text of a table holds, each with what it adds to the column's name.
function values(text, given) {
  const whole = text.trim().replace(/\s+/g, " "), one = given ?? plain(whole);
  if (one !== null) return [[whole[0] === "±" ? " error" : "", one]];
  if (whole === "–" || whole === "·") return [["", ""]];
  const [, first, between, last] = /^(\S+?)( of | to |–)(\S+)$/.exec(whole) ?? [];
  const low = first && plain(first + (last.endsWith("%") && !first.endsWith("%") ? "%" : "")), high = first && plain(last);
  if (low && high) return between === " of " ? [["", low], [" of", high]] : [[" low", low], [" high", high]];
  return [["", whole]];
}

// A table as rows of cells with one value each. What stands in small type beside a value has a column of its own, and so has
// whatever names one (`data-column`).
function cells(table) {
  const [head, ...rows] = [...table.rows].map((row) => [...row.cells]);
  const found = rows.map((row) => row.map((cell) => {
    const own = all("[data-column], small, p", cell), twin = cell.cloneNode(true), of = new Map();
    all("[data-column], small, p, .visually-hidden", twin).forEach((part) => part.remove());
    const add = (name, value) => { while (of.has(name)) name += " 2"; of.set(name, value); };
    const text = cell.localName === "th" ? [["", twin.textContent.trim().replace(/\s+/g, " ")]] : values(twin.textContent, cell.dataset.value ?? null);
    for (const [name, value] of text) add(name, value);
    for (const part of own) {
      const beside = values(part.textContent.trim().replace(/^\((.*)\)$/, "$1"), part.dataset.value ?? null);
      for (const [name, value] of beside) add(part.dataset.column ? " " + part.dataset.column + name : name || (part.localName === "p" ? " text" : " beside"), value);
    }
    return of;
  }));
  const columns = head.flatMap((cell, i) => {
    const names = [...new Set(found.flatMap((row) => [...(row[i]?.keys() ?? [])]))];
    const used = names.filter((name) => name || names.length < 2 || found.some((row) => row[i]?.get(name)));
    return (used.length ? used : [""]).map((name) => [i, name, cell.textContent.trim().replace(/\s+/g, " ") + name]);
  });
  const titles = columns.map(([, , title]) => title), unlike = (title, i) => (titles.indexOf(title) < i ? `${title} ${titles.slice(0, i).filter((other) => other === title).length + 1}` : title);
  return [titles.map(unlike), ...found.map((row) => columns.map(([i, name]) => row[i]?.get(name) ?? ""))];
}

function delimited(rows, apart) {
  const quoted = (text) => (/[",\n\r\t]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  return rows.map((row) => row.map(quoted).join(apart) + "\n").join("");
}

const COPIED = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "opacity", "font-size", "font-family", "font-weight", "text-anchor", "visibility", "display"];

function svgElement(tag, attributes, text = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, typeof value === "number" ? Math.round(value * 10) / 10 : value);
  element.textContent = text;
  return element;
}

function rectangle({ x, y, width, height }, fill) {
  return svgElement("rect", { x, y, width, height, fill });
}

// Where something is from: the page's address, or on disk its place in the site.
function origin(element) {
  const home = new URL(".", document.querySelector(".brand")?.href ?? location.href).href;
  const page = document.querySelector("link[rel=canonical]")?.href ?? location.href.split(/[?#]/)[0].slice(location.protocol === "file:" ? home.length : 0);
  const id = element.closest("main [id]")?.id;
  return page + (id ? "#" + id : "");
}

// A picture that stands by itself: what it shows above, what is drawn, and where it is from below.
function sheet(element, told, parts) {
  const { color, fontFamily } = getComputedStyle(root), soft = getComputedStyle(root).getPropertyValue("--soft"), pen = make("canvas").getContext("2d");
  const edge = 16, width = Math.max(320, ...parts.map((part) => part.width)), svg = svgElement("svg", { xmlns: "http://www.w3.org/2000/svg", "font-family": fontFamily });
  let y = edge;
  const line = (text, size, fill, weight) => {
    y += size * 1.4;
    svg.append(svgElement("text", { x: edge, y: y - size * 0.35, fill, "font-size": size, "font-weight": weight }, text));
  };
  const write = (text, size, fill, weight = 400) => {
    pen.font = `${weight} ${size}px ${fontFamily}`;
    let held = "";
    for (const word of text.split(/\s+/)) {
      const longer = held ? held + " " + word : word;
      if (held && pen.measureText(longer).width > width) { line(held, size, fill, weight); held = word; } else held = longer;
    }
    if (held) line(held, size, fill, weight);
  };
  write(told[0], 17, color, 600);
  for (const text of told.slice(1)) write(text, 13, soft);
  y += 10;
  for (const { node, height } of parts) {
    node.setAttribute("x", edge);
    node.setAttribute("y", y);
    svg.append(node);
    y += height + 8;
  }
  write(origin(element), 11, soft);
  const size = { x: 0, y: 0, width: Math.ceil(width) + 2 * edge, height: Math.ceil(y) + edge };
  for (const name of ["width", "height"]) svg.setAttribute(name, size[name]);
  svg.setAttribute("viewBox", `0 0 ${size.width} ${size.height}`);
  svg.prepend(svgElement("title", {}, told[0]), svgElement("desc", {}, [...told.slice(1), origin(element)].join(" ")), rectangle(size, getComputedStyle(root).backgroundColor));
  return { text: new XMLSerializer().serializeToString(svg), width: size.width, height: size.height };
}

// A plot as part of a picture: what the style sheet says of it becomes its own, and what sticks out of its frame is let in.
function plotPart(svg, scale = 1) {
  const twin = svg.cloneNode(true), from = [svg, ...all("*", svg)], box = svg.viewBox.baseVal, drawn = svg.getBBox();
  [twin, ...all("*", twin)].forEach((element, i) => {
    const computed = getComputedStyle(from[i]);
    for (const name of COPIED) element.setAttribute(name, computed.getPropertyValue(name));
  });
  const x = Math.min(box.x, drawn.x), y = Math.min(box.y, drawn.y);
  const width = Math.max(box.x + box.width, drawn.x + drawn.width) - x, height = Math.max(box.y + box.height, drawn.y + drawn.height) - y;
  for (const [name, value] of [["width", width * scale], ["height", height * scale], ["viewBox", [x, y, width, height].join(" ")]]) twin.setAttribute(name, value);
  return { node: twin, width: width * scale, height: height * scale };
}

// What an element looks like as part of a picture.
function drawnPart(element) {
  const { width, height } = element.getBoundingClientRect();
  const node = svgElement("svg", { width, height, overflow: "visible", "font-family": getComputedStyle(element).fontFamily });
  const { backgroundColor } = getComputedStyle(element);
  if (backgroundColor !== "rgba(0, 0, 0, 0)") node.append(rectangle({ x: 0, y: 0, width, height }, backgroundColor));
  drawn(element, node);
  const right = [...element.children].map((part) => part.getBoundingClientRect().right - element.getBoundingClientRect().left);
  return { node, width: Math.max(width, ...right), height };
}

// A figure as a file: title and note above, the plot, its keys below.
function plotFile(svg) {
  const figure = svg.closest("figure"), title = figure.querySelector("figcaption b")?.textContent ?? figure.closest("section")?.querySelector("h2,h3")?.textContent ?? svg.getAttribute("aria-label");
  const note = figure.querySelector("figcaption span")?.textContent ?? svg.getAttribute("aria-label");
  const keys = all(".keys", figure).filter((keys) => keys.checkVisibility()).map(withDrawings);
  return sheet(svg, [title, ...(note && note !== title ? [note] : []), document.title], [plotPart(svg), ...keys]);
}

// An element that has drawings in it, such as keys with their signs.
function withDrawings(element) {
  const part = drawnPart(element), frame = element.getBoundingClientRect();
  for (const sign of all("svg", element).filter((sign) => sign.checkVisibility())) {
    const box = sign.getBoundingClientRect(), { node } = plotPart(sign);
    for (const [name, value] of Object.entries({ x: box.x - frame.x, y: box.y - frame.y, width: box.width, height: box.height })) node.setAttribute(name, value);
    part.node.append(node);
  }
  return part;
}

// A map as a file, with its legend below: words and colours where the browser has put them.
function mapFile(map) {
  const legend = ["[data-name]", "section", ".maps"].map((near) => map.closest(near)?.querySelector(".legend")).find(Boolean);
  const name = map.closest("[data-name]")?.dataset.name ?? document.title, about = map.closest("[data-about]")?.dataset.about;
  return sheet(map, [name, ...(about ? [about] : []), document.title], [map, legend].filter(Boolean).map(drawnPart));
}

// The maps of several models, word by word: what was chosen stands above them.
function saveLines(frame, asPicture) {
  const chosen = all("fieldset", frame.closest("section")).map((field) => `${field.querySelector("legend").textContent}: ${field.querySelector("label:has(:checked)")?.textContent.trim()}`);
  const label = frame.closest("section").querySelector("p.visually-hidden")?.textContent.split(". ")[0] ?? "";
  const legend = frame.closest("section").querySelector(".legend");
  const told = [document.querySelector("h1").textContent, [label, ...chosen].join(" · "), document.title], file = sheet(frame, told, [frame, legend].filter(Boolean).map(withDrawings));
  if (asPicture) savePicture(fileName("map"), file);
  else download(fileName("map") + ".svg", "image/svg+xml", file.text);
}

// Draws what an element holds.
function drawn(whole, svg) {
  const frame = whole.getBoundingClientRect();
  const place = (box) => ({ x: box.x - frame.x, y: box.y - frame.y, width: box.width, height: box.height });
  const line = ({ x, y, width, height }, stroke, style) => svg.append(svgElement("path", { d: `M${x} ${y + height - 2}h${width}`, stroke, "stroke-width": 2, "stroke-dasharray": style === "dashed" ? "4 3" : "none" }));
  for (const element of all("*:not(svg *)", whole)) {
    const look = getComputedStyle(element);
    for (const box of look.backgroundColor === "rgba(0, 0, 0, 0)" ? [] : element.getClientRects()) {
      svg.append(rectangle(place(box), look.backgroundColor));
      if (look.textDecorationLine === "underline") line(place(box), look.textDecorationColor, look.textDecorationStyle);
      if (parseFloat(look.borderBottomWidth) > 1) line(place(box), look.borderBottomColor, look.borderBottomStyle);
    }
  }
  const walker = document.createTreeWalker(whole, NodeFilter.SHOW_TEXT), range = document.createRange();
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (node.parentElement.closest(".visually-hidden, .hint, .said, .tools, .again")) continue;
    const { color, fontSize, fontFamily } = getComputedStyle(node.parentElement);
    for (const match of node.data.matchAll(/\S+/g)) {
      range.setStart(node, match.index);
      range.setEnd(node, match.index + match[0].length);
      const box = range.getClientRects()[0];
      if (!box) continue;
      const { x, y, height } = place(box);
      svg.append(svgElement("text", { x, y: y + height * 0.76, fill: color, "font-size": fontSize, "font-family": fontFamily }, match[0]));
    }
  }
}

function savePicture(name, { text, width, height }) {
  const image = new Image();
  image.onload = () => {
    const canvas = make("canvas", { width: Math.ceil(2 * width), height: Math.ceil(2 * height) });
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    canvas.toBlob((blob) => download(name + ".png", "image/png", blob));
  };
  image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(text);
}

function mapTable(map) {
  const rows = pieces(map).filter((piece, i, list) => !i || list[i - 1].count !== piece.count);
  const number = (text) => text?.replace(/^(-?)\./, "$10.") ?? "";
  return delimited([[levelOf(map), "score", "error"], ...rows.map((piece) => [piece.element.textContent, number(piece.score), number(piece.error)])], ",");
}

// The address of one map, as it is shown.
function permalink(map, embedded) {
  const address = new URL(location.href);
  const anchor = map.closest("[id^=map-], #map")?.id ?? "";
  // What is chosen of a map of all models stands in the address as it is.
  address.search = anchor === "map" ? query : "";
  for (const name of ["level", "mode"]) if (query.has(name)) address.searchParams.set(name, query.get(name));
  if (embedded) address.searchParams.set("embed", anchor);
  address.hash = embedded ? "" : anchor;
  return address.href;
}

// How high a frame of 720 pixels must be for all of a map to be seen in it.
function frameHeight(map) {
  const box = make("div", { class: "measured" }, map.cloneNode(true));
  (map.closest(".maps") ?? document.body).append(box);
  const height = box.offsetHeight;
  box.remove();
  return Math.max(420, height + (map.closest("#map") ? 330 : 210));
}

// The name of what is saved of a page, which no two things of it share.
function nameOf(element, what) {
  const kind = [".scroll > table", "figure svg.plot:not(.key)", ".map"].find((kind) => element.matches(kind));
  const place = all(kind).filter((other) => partOf(other) === what).indexOf(element);
  return fileName(place > 0 ? `${what}-${place + 1}` : what);
}

// What part of the page a table, figure or map is.
function partOf(element) {
  if (element.matches(".map")) return element.closest("[id^=map-]")?.id ?? element.closest("[data-name]")?.dataset.name ?? "map";
  const named = element.dataset.figure || element.closest("figure")?.dataset.figure || element.closest("main details[id]")?.id || element.closest("section[aria-labelledby]")?.getAttribute("aria-labelledby");
  return named || element.caption?.textContent.trim() || "table";
}

function saveTable(table) {
  if (table.dataset.csv) make("a", { href: table.dataset.csv, download: "" }).click();
  else download(nameOf(table, partOf(table)) + ".csv", "text/csv", delimited(cells(table), ","));
}

function copyTable(table, told) {
  copy(delimited(cells(table), "\t"), told);
}

function saveAs(element, file, asPicture) {
  const name = nameOf(element, partOf(element));
  if (asPicture) savePicture(name, file);
  else download(name + ".svg", "image/svg+xml", file.text);
}

function saveFigure(svg, asPicture) {
  saveAs(svg, plotFile(svg), asPicture);
}

function saveMap(map, asPicture) {
  saveAs(map, mapFile(map), asPicture);
}

function saveMapTable(map) {
  download(nameOf(map, partOf(map)) + ".csv", "text/csv", mapTable(map));
}

function embedCode(map) {
  const name = (map.closest("[data-name]")?.dataset.name ?? document.title).replaceAll('"', "&quot;");
  return `<iframe src="${permalink(map, true)}" title="${name}" width="720" height="${frameHeight(map)}" loading="lazy"></iframe>`;
}
