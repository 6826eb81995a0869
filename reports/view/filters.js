// Which relations and images pass, in which order; the same in the link.
"use strict";
const ORDERS = {
  "": ["image id"],
  score: ["best score", "score", Math.max, -1],
  doubt: ["lowest score", "score", Math.min, 1],
  support: ["most captions", "support", Math.max, -1],
  lone: ["fewest captions", "support", Math.min, 1],
  wrong: ["most wrong"],
};
const state = { at: 0, on: -1, predicate: "", category: "", query: "", order: "", minScore: 0, hidden: new Set(), sides: new Set(), boxes: true };
let passing = new Uint8Array(index.kind.length);
let visible = [];  // places of images with any relation that passes, or all images
const lowered = { ids: ids.map(one => one.toLowerCase()), kinds: index.kinds.map(kind => kind.join(" ").toLowerCase()) };

const best = relation => {
  const a = index.score[relation], b = index.score_against?.[relation] ?? null;
  return a === null ? b : b === null ? a : Math.max(a, b);
};
const filtering = () => state.predicate || state.category || state.query || state.minScore > 0 || state.hidden.size > 0 || state.sides.size > 0;

function refilter(keep = false) {
  const words = state.query.toLowerCase().split(/\s+/).filter(Boolean).slice(0, 30);
  // of every kind: may it be shown, and which words its names lack
  const fits = index.kinds.map(([subject, predicate, object]) =>
    (!state.predicate || predicate === state.predicate) && (!state.category || subject === state.category || object === state.category));
  const lacks = lowered.kinds.map(text => words.reduce((bits, word, i) => text.includes(word) ? bits : bits | 1 << i, 0));
  const hidden = new Set([..."rwm-"].filter(letter => state.hidden.has(VERDICT[letter])));
  const all = !filtering();
  visible = [];
  passing = new Uint8Array(index.kind.length);
  for (let i = 0; i < ids.length; i++) {
    const id = lowered.ids[i];
    const named = words.reduce((bits, word, k) => id.includes(word) ? bits | 1 << k : bits, 0);
    let any = all;
    for (let r = index.first[i]; r < index.first[i + 1]; r++) {
      const kind = index.kind[r];
      if (!fits[kind] || lacks[kind] & ~named || hidden.has(index.verdict[r])) continue;
      // a gold relation that was scored lower, or never, is no gold of this threshold either
      if (state.minScore > 0 && !(best(r) >= state.minScore)) continue;
      if (state.sides.has(index.side?.[r])) continue;
      passing[r] = 1;
      any = true;
    }
    if (!any && words.length && named === (1 << words.length) - 1 && !state.predicate && !state.category) any = true;
    if (any) visible.push(i);
  }
  sortImages();
  if (!keep) state.on = -1;
  if (visible.length && !visible.includes(state.at)) state.at = visible.find(i => i > state.at) ?? visible[0];
  show();
}

function sortImages() {
  const [, column, pick, sign] = ORDERS[state.order];
  if (!state.order) return;
  const key = new Map(visible.map(i => {
    let value = null;
    for (let r = index.first[i]; r < index.first[i + 1]; r++) {
      if (!passing[r]) continue;
      const one = state.order === "wrong" ? -(index.verdict[r] === "w") : index.verdict[r] === "m" ? null : column === "score" ? best(r) : index.support[r];
      if (one !== null) value = value === null ? one : state.order === "wrong" ? value + one : pick(value, one);
    }
    return [i, value];
  }));
  const direction = sign || 1;
  visible.sort((a, b) => {
    const x = key.get(a), y = key.get(b);
    return (x === null) - (y === null) || direction * (x - y) || a - b;
  });
}

// places of the image's relations that pass, in the order of the list
function listed(place) {
  const found = [];
  for (let r = index.first[place]; r < index.first[place + 1]; r++) if (passing[r]) found.push(r);
  const [, column, , sign] = ORDERS[state.order];
  if (state.order === "wrong") return found.sort((a, b) => (index.verdict[b] === "w") - (index.verdict[a] === "w") || a - b);
  if (!column) return found;
  const value = r => column === "score" ? best(r) ?? -1 : index.support[r];
  return found.sort((a, b) => (index.verdict[a] === "m") - (index.verdict[b] === "m") || sign * (value(a) - value(b)) || a - b);
}

// --- the link: #image=..&predicate=..; an id alone is an image too

function writeLink() {
  const parts = new URLSearchParams();
  if (ids.length) parts.set("image", ids[state.at]);
  for (const [name, value] of Object.entries({ predicate: state.predicate, class: state.category, search: state.query, order: state.order }))
    if (value) parts.set(name, value);
  if (state.minScore > 0) parts.set("score", state.minScore.toFixed(2));
  if (state.hidden.size) parts.set("hide", [...state.hidden].join(","));
  if (state.sides.size) parts.set("sides", [...state.sides].join(","));
  if (!state.boxes) parts.set("boxes", "off");
  const link = "#" + parts;
  if (link !== location.hash) history.replaceState(null, "", link);
}

function readLink() {
  let text = location.hash.slice(1);
  if (text && !text.includes("=")) {
    try { text = "image=" + encodeURIComponent(decodeURIComponent(text)); } catch { text = ""; /* a broken link opens the first image */ }
  }
  const parts = new URLSearchParams(text);
  const names = (name, known) => new Set((parts.get(name) || "").split(",").filter(one => known.includes(one)));
  state.at = Math.max(0, ids.indexOf(parts.get("image")));
  state.predicate = parts.get("predicate") || "";
  state.category = parts.get("class") || "";
  state.query = parts.get("search") || "";
  state.order = parts.get("order") in ORDERS ? parts.get("order") : "";
  state.minScore = Math.min(Math.max(Number(parts.get("score")) || 0, 0), 1);
  state.hidden = names("hide", ["right", "wrong", "missed"]);
  state.sides = new Set([...names("sides", ["1", "2", "3"])].map(Number));
  state.boxes = parts.get("boxes") !== "off";
  state.on = -1;
}
