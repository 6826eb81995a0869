// What the page knows: the index of all relations at once, the facts of an image when it is shown.
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const $ = id => document.getElementById(id);
const index = data.index;
const ids = index.images;
const comparing = Boolean(index.side) || Boolean(data.against);
const VERDICT = { r: "right", w: "wrong", m: "missed", "-": null };
const MARK = { right: "✓", wrong: "✗", missed: "○" };
const MOST_CHUNKS = 40;
const chunks = new Map();   // number -> facts of its images, the last read last
const waiting = new Map();  // number -> what to do once they are there

// files beside the page call this, since a page opened as a file may not read others
window.relforgeFacts = (number, scenes) => {
  chunks.set(number, scenes);
  if (chunks.size > MOST_CHUNKS) chunks.delete(chunks.keys().next().value);
  const then = waiting.get(number) || [];
  waiting.delete(number);
  for (const one of then) one();
};

// then(facts) at once where they are at hand, else when they are read
function withFacts(place, then) {
  if (data.scenes) return then(data.scenes[place]);
  const number = index.chunk[place], give = () => then(chunks.get(number)?.[index.at[place]]);
  if (chunks.has(number)) return give();
  if (waiting.has(number)) return void waiting.get(number).push(give);
  waiting.set(number, [give]);
  const script = document.createElement("script");
  script.src = `facts/${number}.js`;
  script.onload = () => script.remove();
  script.onerror = () => { script.remove(); const all = waiting.get(number) || []; waiting.delete(number); for (const one of all) one(); };
  document.head.append(script);
}

const imageOf = (place, scene) => data.scenes ? scene.thumbnail : scene?.no_thumbnail ? null : `images/${place}.jpg`;
const smallOf = place => data.scenes ? data.scenes[place].thumbnail : `${data.small || "images"}/${place}.jpg`;
