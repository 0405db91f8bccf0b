"use strict";
// All frames side by side: timelines, pictures and table. Goes on from page.js, and starts the page.

// ---- timelines ----
const curve = (object, values) => { // one that is interrupted where a number is missing
  let path = "", before = -2;
  values.forEach((value, row) => {
    if (value === null) return;
    const position = object.at[row], joined = position === before + 1;
    path += `${joined ? "L" : "M"}${position + 0.5} ${(1 - value).toFixed(3)}`;
    if (!joined) path += "h0"; // a point on its own is seen as well
    before = position;
  });
  return path;
};
const lane = (object, state) => { // one rectangle for each run of frames
  let path = "", start = null;
  for (let position = 0; position <= frames.length; position++) {
    const row = position <= last ? object.rows[position] : -1;
    const inside = row >= 0 && object.state[row] === state;
    if (inside && start === null) start = position;
    if (!inside && start !== null) {
      path += `M${start} ${state + 0.15}H${position}V${state + 0.85}H${start}Z`;
      start = null;
    }
  }
  return path;
};
const summary = (object) => {
  const { counts, confidence, lowest, overlap } = object.summary;
  const parts = [];
  if (confidence !== null) parts.push(`mean confidence ${confidence.toFixed(2)}`);
  if (lowest) parts.push(`lowest ${lowest[0].toFixed(2)} in frame ${lowest[1]}`);
  if (overlap !== null) parts.push(`mean IoU ${overlap.toFixed(3)}`);
  parts.push(`${counts[0]} remembered, ${counts[1]} segmented but not remembered, ${counts[2]} not segmented`);
  return parts.join("; ");
};
const ticks = (axis) => {
  const count = Math.min(6, frames.length);
  for (let tick = 0; tick < count; tick++) {
    const position = count > 1 ? Math.round(tick * last / (count - 1)) : 0;
    const label = axis.appendChild(element("span", frames[position]));
    label.style.left = `${100 * (position + 0.5) / frames.length}%`;
  }
};
objects.forEach((object) => {
  const figure = byId("timeline-template").content.cloneNode(true).firstElementChild;
  const find = (selector) => figure.querySelector(selector);
  find("figcaption strong").textContent = `${nameOf(object)}:`;
  find("figcaption span").textContent = summary(object);
  find(".curves").setAttribute("viewBox", `0 0 ${frames.length} 1`);
  find(".lanes").setAttribute("viewBox", `0 0 ${frames.length} 3`);
  find(".grid").setAttribute("d", `M0 .5H${frames.length}`);
  find(".given").setAttribute("d", object.given.map((position) => `M${position + 0.5} 0V1`).join(""));
  find(".confidence").setAttribute("d", curve(object, object.confidence));
  find(".overlap").setAttribute("d", curve(object, object.overlap));
  const mean = object.summary.overlap;
  if (mean !== null) find(".mean").setAttribute("d", `M0 ${1 - mean}H${frames.length}`);
  for (const state of [0, 1, 2]) find(`.lanes .state${state}`).setAttribute("d", lane(object, state));
  ticks(find(".axis"));

  const plot = find(".plot");
  plot.setAttribute("aria-label", `Timeline, ${nameOf(object).toLowerCase()}`);
  plot.setAttribute("aria-valuemin", frames[0]);
  plot.setAttribute("aria-valuemax", frames[last]);
  const point = (event) => {
    const area = plot.getBoundingClientRect();
    go(Math.floor((event.clientX - area.left) / area.width * frames.length));
  };
  plot.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    plot.setPointerCapture(event.pointerId);
    point(event);
  });
  plot.addEventListener("pointermove", (event) => { if (plot.hasPointerCapture(event.pointerId)) point(event); });
  byId("timelines").append(figure);
  const playhead = find(".playhead");
  views.push((position) => {
    playhead.style.left = `${100 * (position + 0.5) / frames.length}%`;
    plot.setAttribute("aria-valuenow", frames[position]);
    plot.setAttribute("aria-valuetext", `frame ${frames[position]}, ${spoken(object, position)}`);
  });
});
const judged = objects.some((object) => object.overlap.some((value) => value !== null));
for (const item of document.querySelectorAll(".if-overlap")) item.hidden = !judged;

// ---- pictures of the memory's decisions ----
const BATCH = 48; // pictures that are made at once
const pictures = new Map(); // position -> its button
const picturesOf = Object.keys(thumbnails).map((frame) => nearest(Number(frame))).sort((a, b) => a - b);
const statesAt = (position) =>
  objects.filter((object) => object.rows[position] >= 0).map((object) => object.state[object.rows[position]]);
let chosen = [];
const caption = (position) => objects.filter((object) => object.rows[position] >= 0).flatMap((object) => {
  const row = object.rows[position];
  const lines = [data.states[object.state[row]], `confidence ${number(object.confidence[row], 2)}`];
  return objects.length > 1 ? `${object.id}: ${lines.join(", ")}` : lines;
});
const picture = (position) => {
  const button = element("button", undefined, `state${Math.max(...statesAt(position))}`);
  button.type = "button";
  const image = button.appendChild(element("img"));
  image.alt = "";
  image.src = `data:image/jpeg;base64,${thumbnails[frames[position]]}`;
  const text = button.appendChild(element("span"));
  text.append(element("strong", `Frame ${frames[position]}`));
  for (const line of caption(position)) text.append(element("br"), line);
  button.addEventListener("click", () => {
    go(position);
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    byId("stage").scrollIntoView({ block: "nearest", behavior: calm ? "auto" : "smooth" });
  });
  pictures.set(position, button);
  return button;
};
const mark = (button, isCurrent) => {
  if (isCurrent) button?.setAttribute("aria-current", "true"); else button?.removeAttribute("aria-current");
};
const morePictures = () => {
  const gallery = byId("gallery"), shown = gallery.children.length;
  for (const position of chosen.slice(shown, shown + BATCH)) {
    gallery.appendChild(element("li")).append(picture(position));
    mark(pictures.get(position), position === current);
  }
  byId("gallery-more").hidden = gallery.children.length >= chosen.length;
};
const choosePictures = () => {
  const state = byId("gallery-filter").value;
  chosen = state === "all" ? picturesOf : picturesOf.filter((position) => statesAt(position).includes(Number(state)));
  pictures.clear();
  byId("gallery").replaceChildren();
  morePictures();
};
let markedPicture = -1;
views.push((position) => {
  mark(pictures.get(markedPicture), false);
  mark(pictures.get(position), true);
  markedPicture = position;
});
if (picturesOf.length) {
  byId("gallery").style.setProperty("--aspect", `${width} / ${height}`);
  byId("gallery-section").hidden = false;
  ["all", 0, 1, 2].forEach((state) => {
    const count = picturesOf.filter((position) => state === "all" || statesAt(position).includes(state)).length;
    if (!count) return;
    const option = byId("gallery-filter").appendChild(element("option"));
    option.value = state;
    option.textContent = `${state === "all" ? "all" : data.states[state]} (${count})`;
  });
  byId("gallery-filter").addEventListener("change", choosePictures);
  byId("gallery-more").addEventListener("click", morePictures);
}

// ---- table, made when it is opened, a page at a time ----
const PAGE = 100; // rows
const columns = [ // heading, whether it is text, and what stands in it
  ["object", false, (object) => object.id],
  ["time", false, (object, row) => seconds(object.at[row])],
  ["confidence", false, (object, row) => number(object.confidence[row], 3)],
  ["IoU", false, (object, row) => number(object.overlap[row], 3)],
  ["uncertainty", false, (object, row) => number(object.uncertainty[row], 3)],
  ["average before", false, (object, row) => number(object.average[row], 3)],
  ["decision", true, (object, row) => stateName(object, row)],
  ["box x, y, w, h", false, (object, row) => object.box[row]?.map((value) => value.toFixed(1)).join(", ") ?? "–"],
  ["reason", true, (object, row) => data.reasons[object.reason[row]]],
].filter(([heading]) => (heading !== "IoU" || judged) && (heading !== "object" || objects.length > 1));
const entries = []; // [position, object] of every row
let page = 0, tableRows = new Map();
const tableRow = ([position, object]) => {
  const line = element("tr"), row = object.rows[position];
  const button = line.appendChild(element("td")).appendChild(element("button", frames[position]));
  button.type = "button";
  button.setAttribute("aria-label", `Go to frame ${frames[position]}`);
  button.addEventListener("click", () => go(position));
  for (const [, isText, value] of columns) line.append(element("td", value(object, row), isText ? "text" : ""));
  if (!tableRows.has(position)) tableRows.set(position, []);
  tableRows.get(position).push(line);
  return line;
};
const markRows = (position, isCurrent) => { for (const line of tableRows.get(position) ?? []) mark(line, isCurrent); };
const turnTo = (wish) => {
  const pages = Math.ceil(entries.length / PAGE);
  page = Math.min(Math.max(wish, 0), pages - 1);
  const start = page * PAGE, shown = entries.slice(start, start + PAGE);
  tableRows = new Map();
  byId("table-body").replaceChildren(...shown.map(tableRow));
  markRows(current, true);
  byId("page-range").textContent = `rows ${start + 1} to ${start + shown.length} of ${entries.length}`;
  byId("page-back").disabled = page === 0;
  byId("page-forward").disabled = page === pages - 1;
};
const turnToCurrent = () => {
  turnTo(Math.floor(entries.findIndex(([position]) => position >= current) / PAGE));
  tableRows.get(current)?.[0].scrollIntoView({ block: "nearest" });
};
byId("numbers").addEventListener("toggle", () => {
  if (!byId("numbers").open) return;
  if (!entries.length) {
    frames.forEach((_, position) => {
      for (const object of objects) if (object.rows[position] >= 0) entries.push([position, object]);
    });
    for (const [heading, isText] of [["frame", false], ...columns]) {
      const head = element("th", heading, isText ? "text" : "");
      head.scope = "col";
      byId("table-head").firstElementChild.append(head);
    }
  }
  turnToCurrent();
});
byId("page-back").addEventListener("click", () => turnTo(page - 1));
byId("page-forward").addEventListener("click", () => turnTo(page + 1));
byId("page-current").addEventListener("click", turnToCurrent);
let markedRows = -1;
views.push((position) => {
  markRows(markedRows, false);
  markRows(position, true);
  markedRows = position;
});

loadVideo();
go(fromAddress() ?? 0, { quiet: true });
if (picturesOf.length) choosePictures();
