// An image with its boxes and arrows, as large as its pane allows, and the part of it that zoom and pan leave.
"use strict";
const HUES = ["#e6a300", "#1f9bd6", "#d6409f", "#3aa655", "#8b6cf0", "#e0632b", "#17a398", "#c2475a", "#7d8f1c", "#4a6fd8"];
const MAX_ZOOM = 16;
const zoom = { by: 1, x: 0, y: 0 };  // x, y: image pixels at the upper left corner of a pane

// every text goes in as text: captions and class names may hold anything
function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "g", "rect", "path", "text", "image", "circle", "title"].includes(tag);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== null) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const hues = new Map();
function hue(category) {
  if (!hues.has(category)) hues.set(category, HUES[[...category].reduce((sum, letter) => (31 * sum + letter.codePointAt(0)) % 9973, 7) % HUES.length]);
  return hues.get(category);
}
const boxOf = (image, id) => image.boxes.find(b => b.id === id);
const tone = relation => relation.verdict || "plain";
const nounOf = (image, id) => { const box = boxOf(image, id); return box ? box.category : "box"; };

const ruler = document.createElement("canvas").getContext("2d");
function wide(text) { ruler.font = '600 12px system-ui, "Noto Sans", "DejaVu Sans", sans-serif'; return ruler.measureText(text).width; }
const clash = (a, b) => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;

// pane: an element to fill. relations: [[index in the list, relation], ...]
function draw(pane, place, image, relations) {
  const fit = Math.min(pane.clientWidth / image.width, pane.clientHeight / image.height), scale = fit * zoom.by;
  const width = Math.max(1, Math.floor(Math.min(pane.clientWidth, image.width * scale)));
  const height = Math.max(1, Math.floor(Math.min(pane.clientHeight, image.height * scale)));
  zoom.x = Math.min(Math.max(zoom.x, 0), Math.max(0, image.width - width / scale));
  zoom.y = Math.min(Math.max(zoom.y, 0), Math.max(0, image.height - height / scale));
  const left = zoom.x * scale, top = zoom.y * scale;
  const svg = make("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "image " + image.id, "data-scale": scale });
  const href = imageOf(place, image);
  const note = text => make("text", { x: width / 2, y: height - 12, "text-anchor": "middle", class: "note" }, "not shown: " + text);
  if (href) {
    const drawn = make("image", { href, x: -left, y: -top, width: image.width * scale, height: image.height * scale, preserveAspectRatio: "none" });
    drawn.addEventListener("error", () => drawn.replaceWith(note("the image file cannot be read")));
    svg.append(drawn);
  } else svg.append(note(image.no_thumbnail));
  const taken = [];
  const inside = r => r.x >= 0 && r.y >= 0 && r.x + r.w <= width && r.y + r.h <= height;
  const spotFor = options => {
    const spot = options.find(r => inside(r) && !taken.some(t => clash(t, r)));
    if (spot) taken.push(spot);
    return spot;
  };
  const within = (v, size, max) => Math.min(Math.max(v, 0), Math.max(0, max - size));
  const used = new Set(relations.flatMap(([, r]) => [r.subject, r.object]));
  const frames = make("g"), names = make("g"), arrows = make("g"), tags = make("g");
  const middle = new Map();
  for (const box of image.boxes) {
    const [w, h] = [box.xywh[2] * scale, box.xywh[3] * scale], x = box.xywh[0] * scale - left, y = box.xywh[1] * scale - top;
    const colour = hue(box.category), quiet = !used.has(box.id);
    middle.set(box.id, [x + w / 2, y + h / 2]);
    if (x > width || y > height || x + w < 0 || y + h < 0) continue;
    const kind = "box" + (state.boxes ? "" : " off");
    frames.append(make("g", { class: kind, "data-box": box.id, opacity: quiet ? .55 : 1 },
      make("rect", { x, y, width: w, height: h, fill: "none", stroke: "#fff", "stroke-opacity": .75, "stroke-width": quiet ? 2.5 : 4, rx: 2 }),
      make("rect", { x, y, width: w, height: h, fill: "none", stroke: colour, "stroke-width": quiet ? 1 : 2, rx: 2, "stroke-dasharray": box.crowd ? "5 4" : null })));
    const text = `${box.category} ${box.id}`, tw = wide(text) + 10, th = 18;
    const corners = [[x, y - th], [x, y], [x + w - tw, y - th], [x + w - tw, y], [x, y + h - th], [x, y + h], [x + w - tw, y + h - th], [x + w - tw, y + h]];
    const kept = corners.map(([cx, cy]) => ({ x: within(cx, tw, width), y: within(cy, th, height), w: tw, h: th }));
    const spot = (state.boxes && spotFor(kept)) || kept[0];
    names.append(make("g", { class: kind, "data-box": box.id },
      make("rect", { x: spot.x, y: spot.y, width: tw, height: th, rx: 3, fill: colour }),
      make("text", { x: spot.x + 5, y: spot.y + 13, fill: "#fff", stroke: "#0007", "stroke-width": 2.5, "paint-order": "stroke" }, text)));
  }
  const lanes = new Map();
  for (const [index, relation] of relations) {
    const from = middle.get(relation.subject), to = middle.get(relation.object);
    if (!from || !to) continue;
    const key = relation.subject + ">" + relation.object, lane = lanes.get(key) || 0;
    lanes.set(key, lane + 1);
    const dx = to[0] - from[0], dy = to[1] - from[1], length = Math.hypot(dx, dy) || 1;
    const nx = length > 1 ? -dy / length : 1, ny = length > 1 ? dx / length : 0;
    const bend = Math.max(.16 * length, 30) + 30 * lane;
    const bound = (v, max) => zoom.by > 1 ? v : Math.min(Math.max(v, 8), max - 8);
    const cx = bound(from[0] + dx / 2 + nx * bend, width), cy = bound(from[1] + dy / 2 + ny * bend, height);
    const along = t => [(1 - t) ** 2 * from[0] + 2 * t * (1 - t) * cx + t * t * to[0], (1 - t) ** 2 * from[1] + 2 * t * (1 - t) * cy + t * t * to[1]];
    const [bx, by] = along(.9), turn = Math.atan2(to[1] - by, to[0] - bx), tip = 11;
    const wing = side => `${to[0] - tip * Math.cos(turn + side)} ${to[1] - tip * Math.sin(turn + side)}`;
    const missed = relation.verdict === "missed";
    const colour = `var(--tone)`, curve = `M${from} Q${cx} ${cy} ${to}`;
    const arrow = make("g", { class: "arrow " + tone(relation) + (missed ? " spare" : ""), "data-relation": index },
      make("path", { d: curve, fill: "none", stroke: "transparent", "stroke-width": 14 }),
      make("path", { d: curve, fill: "none", stroke: "var(--panel)", "stroke-width": 5.5, "stroke-opacity": .85 }),
      make("path", { d: curve, fill: "none", style: `stroke:${colour}`, "stroke-width": 2.6, "stroke-dasharray": missed ? "6 5" : null }),
      make("circle", { cx: from[0], cy: from[1], r: 4.5, style: `fill:${colour}`, stroke: "var(--panel)", "stroke-width": 1.5 }),
      make("path", { d: `M${to} L${wing(.45)} L${wing(-.45)} Z`, style: `fill:${colour}`, stroke: "var(--panel)", "stroke-width": 1 }));
    arrow.addEventListener("click", () => pick(state.on === index ? -1 : index));
    arrows.append(arrow);
    const mark = MARK[relation.verdict] ? MARK[relation.verdict] + " " : "";
    const score = missed ? null : pane.dataset.side === "2" ? relation.score_against : relation.score;
    const text = mark + relation.predicate + (score === null || score === undefined ? "" : " " + score.toFixed(2));
    const tw = wide(text) + 12, th = 20;
    const spots = [.5, .42, .58, .34, .66, .26, .74].map(along).flatMap(([px, py]) =>
      [[0, 0], [0, -11], [0, 11]].map(([ox, oy]) => ({ x: within(px + ox - tw / 2, tw, width), y: within(py + oy - th / 2, th, height), w: tw, h: th })));
    const away = Math.max(from[0], to[0]) < 0 || Math.min(from[0], to[0]) > width || Math.max(from[1], to[1]) < 0 || Math.min(from[1], to[1]) > height;
    const spot = missed || away ? null : spotFor(spots);
    const at = spot || spots[0];
    const tag = make("g", { class: "tag " + tone(relation) + (spot ? "" : " spare"), "data-relation": index },
      make("rect", { x: at.x, y: at.y, width: tw, height: th, rx: 10, fill: "var(--panel)", style: `stroke:${colour}`, "stroke-width": 1.4 }),
      make("text", { x: at.x + 6, y: at.y + 14, style: `fill:${colour}` }, text));
    tags.append(tag);
  }
  svg.append(frames, arrows, names, tags);
  pane.replaceChildren(svg);
}

// --- zoom and pan, the same in both panes

// by: factor; x, y: pixels of the pane that stay where they are, by default its middle
function zoomBy(by, pane, x, y) {
  const svg = pane?.querySelector("svg");
  if (!svg) return;
  const scale = Number(svg.dataset.scale), wanted = Math.min(Math.max(zoom.by * by, 1), MAX_ZOOM);
  [x, y] = [x ?? svg.clientWidth / 2, y ?? svg.clientHeight / 2];
  const after = scale * wanted / zoom.by;
  zoom.x += x / scale - x / after;
  zoom.y += y / scale - y / after;
  zoom.by = wanted;
  redraw();
}

function unzoom() { Object.assign(zoom, { by: 1, x: 0, y: 0 }); }

function listenToPane(pane) {
  const fingers = new Map();
  let moved = 0;
  const corner = () => pane.querySelector("svg").getBoundingClientRect();
  pane.addEventListener("wheel", event => {
    event.preventDefault();
    const box = corner();
    zoomBy(Math.exp(-event.deltaY * (event.deltaMode ? .05 : .0016)), pane, event.clientX - box.x, event.clientY - box.y);
  }, { passive: false });
  pane.addEventListener("dblclick", () => { unzoom(); redraw(); });
  pane.addEventListener("pointerdown", event => { fingers.set(event.pointerId, [event.clientX, event.clientY]); moved = 0; });
  pane.addEventListener("pointermove", event => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const [dx, dy] = [event.clientX - before[0], event.clientY - before[1]];
    const others = [...fingers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    moved += Math.abs(dx) + Math.abs(dy);
    if (others.length) {  // two fingers: pinch
      const [ox, oy] = others[0], box = corner();
      const apart = Math.hypot(event.clientX - ox, event.clientY - oy), was = Math.hypot(before[0] - ox, before[1] - oy) || 1;
      zoomBy(apart / was, pane, (event.clientX + ox) / 2 - box.x, (event.clientY + oy) / 2 - box.y);
    } else if (zoom.by > 1 && moved > 3) {
      const scale = Number(pane.querySelector("svg").dataset.scale);
      zoom.x -= dx / scale;
      zoom.y -= dy / scale;
      redraw();
    }
  });
  const lift = event => fingers.delete(event.pointerId);
  for (const end of ["pointerup", "pointercancel", "pointerleave"]) pane.addEventListener(end, lift);
  // what ends a drag is no click on an arrow
  pane.addEventListener("click", event => { if (moved > 6) event.stopPropagation(); }, true);
}
