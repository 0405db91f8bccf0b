"use strict";
// The frame that is shown: moving through the video, its outlines and its numbers. page_record.js goes on from here, with
// all frames side by side; both are classic scripts, so that they share their constants.
// Names as in the page's data (tracker/media/page.py): a position is an index into data.frames, a row one into an
// object's columns.
const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const thumbnails = JSON.parse(byId("thumbnails").textContent);
const { frames, objects, frame_rate: rate } = data;
const last = frames.length - 1;
const video = byId("video");
const views = []; // what changes with the frame: functions of its position
let current = -1;

for (const object of objects) {
  object.rows = new Int32Array(frames.length).fill(-1);
  object.at.forEach((position, row) => { object.rows[position] = row; });
}

// ---- text ----
const element = (tag, text, className) => {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
};
const number = (value, digits) => value === null ? "–" : value === "inf" ? "∞" : value.toFixed(digits);
const nameOf = (object) => objects.length > 1 ? `Object ${object.id}` : "Object";
const stateName = (object, row) => ["remembered", "segmented, not remembered", "not segmented"][object.state[row]];
const seconds = (position) => `${number(data.seconds[position], 2)} s`;
const spoken = (object, position) => {
  const row = object.rows[position];
  if (row < 0) return "not tracked";
  const overlap = object.overlap[row] === null ? "" : `, IoU ${number(object.overlap[row], 2)}`;
  return `confidence ${number(object.confidence[row], 2)}, ${stateName(object, row)}${overlap}`;
};
const sentence = (position) => `Frame ${frames[position]}: ` +
  objects.map((object) => (objects.length > 1 ? `object ${object.id}, ` : "") + spoken(object, position)).join("; ");

// ---- moving through the video ----
const nearest = (frame) => { // the first position at or after a frame number, or the last
  let low = 0, high = last;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (frames[middle] < frame) low = middle + 1; else high = middle;
  }
  return low;
};
const timeOf = (position) => (position + 0.5) / rate; // the middle of a picture: rounding cannot reach its neighbor
let wanted = null;
const seek = () => {
  if (wanted === null || video.seeking) return; // one at a time; the last wish wins
  video.currentTime = wanted;
  wanted = null;
};
video.addEventListener("seeked", seek);

const show = (position) => {
  if (position === current) return;
  current = position;
  document.documentElement.dataset.frame = String(frames[position]);
  for (const view of views) view(position);
};
let announcing = 0, addressing = 0;
const go = (position, { quiet = false } = {}) => {
  position = Math.min(Math.max(position, 0), last);
  video.pause();
  show(position);
  wanted = timeOf(position);
  seek();
  if (quiet) return;
  clearTimeout(announcing);
  announcing = setTimeout(() => { // a slider tells its own value
    if (document.activeElement?.getAttribute("role") !== "slider") byId("live").textContent = sentence(position);
  }, 300);
  clearTimeout(addressing);
  addressing = setTimeout(() => history.replaceState(null, "", `#frame=${frames[current]}`), 300);
};
const fromAddress = () => {
  const match = /^#frame=(\d+)$/.exec(location.hash);
  return match ? nearest(Number(match[1])) : null;
};
addEventListener("hashchange", () => { const position = fromAddress(); if (position !== null) go(position); });

const follow = () => { // while it plays
  if (video.requestVideoFrameCallback) {
    video.requestVideoFrameCallback((_, picture) => {
      if (video.paused) return;
      show(Math.min(Math.round(picture.mediaTime * rate), last));
      follow();
    });
  } else {
    requestAnimationFrame(() => {
      if (video.paused) return;
      show(Math.min(Math.floor(video.currentTime * rate + 0.001), last));
      follow();
    });
  }
};
const toggle = () => {
  if (!video.paused) return go(current);
  wanted = null;
  video.play().catch(() => {}); // a video that cannot play has its own message
};
video.addEventListener("play", () => { byId("play").textContent = "Pause"; follow(); });
video.addEventListener("pause", () => { byId("play").textContent = "Play"; });
video.addEventListener("ended", () => go(last));

const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1, PageDown: -10, PageUp: 10 };
document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  const slider = event.target.closest("[role=slider]");
  if (!slider && event.target.closest("input, select, .scroll")) return;
  if (!slider && !["ArrowLeft", "ArrowRight"].includes(event.key)) return;
  if (event.key in steps) go(current + steps[event.key] * (event.shiftKey ? 10 : 1));
  else if (event.key === "Home") go(0);
  else if (event.key === "End") go(last);
  else if (event.key === " ") toggle();
  else return;
  event.preventDefault();
});
byId("back").addEventListener("click", () => go(current - 1));
byId("forward").addEventListener("click", () => go(current + 1));
byId("play").addEventListener("click", toggle);
byId("stage").addEventListener("click", toggle);
byId("speed").addEventListener("change", (event) => { video.playbackRate = Number(event.target.value); });
views.push((position) => {
  byId("counter").textContent = `frame ${frames[position]}, ${seconds(position)}`;
  byId("back").disabled = position === 0;
  byId("forward").disabled = position === last;
});

// ---- the video's bytes ----
const notice = (text) => { byId("notice").textContent = text; byId("notice").hidden = false; };
const bytesOf = (part) => {
  const text = atob(part.textContent);
  const bytes = new Uint8Array(text.length);
  for (let index = 0; index < text.length; index++) bytes[index] = text.charCodeAt(index);
  part.remove(); // its text is a third larger than the bytes
  return bytes;
};
const loadVideo = () => {
  const parts = [...document.querySelectorAll(".video-part")].map(bytesOf);
  video.src = URL.createObjectURL(new Blob(parts, { type: byId("media-type").textContent }));
};
video.addEventListener("error", () => notice(
  `This browser cannot play the video (${byId("media-type").textContent}). Timeline, pictures and numbers work without it.`));
video.addEventListener("loadedmetadata", () => {
  const expected = frames.length / rate;
  if (Math.abs(video.duration - expected) > Math.max(1.5 / rate, 0.01 * expected)) notice(
    `The video lasts ${video.duration.toFixed(2)} s, but ${frames.length} frames should last ${expected.toFixed(2)} s: ` +
    "pictures and numbers may not belong together.");
});

// ---- outlines on the video ----
const drawing = byId("outlines");
const shape = (tag, className) => { // made in the name space of the drawing
  const made = document.createElementNS(drawing.namespaceURI, tag);
  if (className) made.setAttribute("class", className);
  return made;
};
const [width, height] = data.size;
byId("stage").style.aspectRatio = `${width} / ${height}`;
byId("stage").style.width = `min(100%, calc(65vh * ${width / height}))`;
drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
objects.forEach((object) => {
  const group = drawing.appendChild(shape("g", "outline"));
  group.setAttribute("transform", "translate(0.5 0.5)"); // corners are pixel centers, the drawing starts at a pixel's edge
  group.style.setProperty("--object", object.color);
  const polygons = [group.appendChild(shape("polygon", "halo")), group.appendChild(shape("polygon", "edge"))];
  const label = group.appendChild(shape("text"));
  label.setAttribute("font-size", Math.max(width, height) / 32);
  label.setAttribute("stroke-width", Math.max(width, height) / 160);
  if (objects.length > 1) label.textContent = object.id;
  views.push((position) => {
    const row = object.rows[position];
    const corners = row < 0 ? null : object.polygon[row];
    group.style.display = corners ? "" : "none";
    if (!corners) return;
    for (const polygon of polygons) polygon.setAttribute("points", corners.join(" "));
    label.setAttribute("x", corners[0]);
    label.setAttribute("y", corners[1] - height / 90);
    group.classList.toggle("moved", object.state[row] === 2);
  });
});
byId("outline").addEventListener("change", (event) => { drawing.style.display = event.target.checked ? "" : "none"; });

// ---- the numbers of one frame ----
objects.forEach((object) => {
  const box = byId("readout-template").content.cloneNode(true).firstElementChild;
  const [symbol, words] = box.querySelector(".decision").children;
  box.style.setProperty("--object", object.color);
  box.querySelector("h3").textContent = nameOf(object);
  const facts = ["Confidence", "IoU", "Uncertainty", "Average before", "Box x, y, w, h"].map((term) => {
    const pair = box.querySelector("dl").appendChild(element("div"));
    pair.append(element("dt", term), element("dd"));
    return pair;
  });
  facts[1].hidden = object.overlap.every((value) => value === null);
  byId("readouts").append(box);
  views.push((position) => {
    const row = object.rows[position];
    box.classList.toggle("absent", row < 0);
    words.textContent = "not tracked in this frame";
    if (row < 0) return;
    symbol.className = `box state${object.state[row]}`;
    const reason = data.reasons[object.reason[row]];
    words.textContent = stateName(object, row) + (reason ? ` (${reason})` : "");
    [number(object.confidence[row], 3), number(object.overlap[row], 3), number(object.uncertainty[row], 3),
      number(object.average[row], 3), object.box[row] ? object.box[row].map((value) => Math.round(value)).join(", ") : "–"]
      .forEach((text, at) => { facts[at].lastChild.textContent = text; });
  });
});
