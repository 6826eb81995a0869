// Lists, controls and keys around the image.
"use strict";
let shown = [];    // relations of this image that pass the filters
let scene = null;  // facts of this image
const FRAME = 78;  // pixels of an image in the strip

function go(step) {
  if (!visible.length) return;
  open(visible[(visible.indexOf(state.at) + step + visible.length) % visible.length]);
}

function open(place, on = -1) {
  if (place !== state.at) unzoom();
  state.at = place;
  state.on = on;
  show();
}

// the next relation with that verdict, in this image or a later one
function seek(verdict) {
  const letter = verdict[0], here = listed(state.at);
  const later = here.findIndex((r, i) => i > state.on && index.verdict[r] === letter);
  if (later >= 0) return pick(later);
  const start = visible.indexOf(state.at);
  for (let step = 1; step <= visible.length; step++) {
    const place = visible[(start + step) % visible.length], first = listed(place).findIndex(r => index.verdict[r] === letter);
    if (first >= 0) return open(place, first);
  }
}

function show() {
  const place = state.at;
  if (!ids.length) { $("count").textContent = "no images"; return; }
  $("name").textContent = "image " + ids[place];
  $("place").textContent = visible.length ? `${visible.indexOf(place) + 1} of ${visible.length}` : "nothing passes the filters";
  writeLink();
  roll(true);
  withFacts(place, facts => { if (state.at === place) fill(facts); });
}

function fill(facts) {
  scene = facts || null;
  if (!scene) {
    shown = [];
    $("relations").replaceChildren(make("p", { class: "empty" }, "The facts of this image cannot be read; are the files beside the page, or the server, still there?"));
    return;
  }
  shown = visible.length ? listed(state.at).map(r => scene.relations[r - index.first[state.at]]) : [];
  const missed = shown.filter(r => r.verdict === "missed").length, found = shown.length - missed;
  $("count").textContent = `${found} ${data.shown}` + (missed ? `, ${missed} missed` : "");
  $("relations").replaceChildren(...shown.map((r, i) => card(scene, r, i)));
  if (!shown.length) $("relations").append(make("p", { class: "empty" }, scene.relations.length ? "None passes the filters." : "Nothing was labelled here."));
  const used = new Set(shown.flatMap(r => r.evidence.map(e => e[0])));
  $("captions").replaceChildren(...scene.captions.map(([id, text]) => make("li", { class: used.has(id) ? "" : "idle" }, text)));
  if (!scene.captions.length) $("captions").append(make("p", { class: "empty" }, "none"));
  redraw();
  $("relations").children[state.on]?.scrollIntoView({ block: "nearest" });
  prefetch();
}

// the facts and the file of the next image are read while this one is looked at
function prefetch() {
  const next = visible[(visible.indexOf(state.at) + 1) % visible.length];
  if (data.scenes || next === undefined) return;
  withFacts(next, facts => { const href = facts && imageOf(next, facts); if (href) new Image().src = href; });
}

const panes = () => [...document.querySelectorAll(".pane")];
function redraw() {
  if (!scene) return;
  for (const pane of panes()) {
    const side = Number(pane.dataset.side);
    draw(pane, state.at, scene, shown.map((r, i) => [i, r]).filter(([, r]) => !side || r.side & side || r.verdict === "missed"));
  }
  light(state.on);
}

function quote(text, spans) {
  const quoted = make("blockquote");
  let at = 0;
  for (const [start, end, role] of spans) {
    quoted.append(text.slice(at, start), make("mark", { class: role, title: role }, text.slice(start, end)));
    at = end;
  }
  quoted.append(text.slice(at));
  return quoted;
}

const digits = value => value === null || value === undefined ? "–" : value.toFixed(2);
function scoreText(relation) {
  if (relation.verdict === "missed") return "";
  if (!comparing) return relation.score === null ? "" : relation.score.toFixed(2);
  return relation.side === 1 ? `A ${digits(relation.score)}` : relation.side === 2 ? `B ${digits(relation.score_against)}` : `A ${digits(relation.score)} B ${digits(relation.score_against)}`;
}

function card(image, relation, index) {
  const noun = id => [nounOf(image, id), make("sub", {}, "#" + id)];
  const texts = new Map(image.captions);
  const item = make("li", { class: tone(relation), tabindex: "0", title: relation.rule ? "matched by " + relation.rule : null },
    make("div", { class: "fact" },
      make("span", { class: "mark" }, MARK[relation.verdict] || "•"),
      make("span", { class: "words" }, ...noun(relation.subject), " ", make("em", {}, relation.predicate), " ", ...noun(relation.object)),
      make("span", { class: "score" }, scoreText(relation))));
  const score = relation.verdict === "missed" ? null : relation.score ?? relation.score_against ?? null;
  if (score !== null) item.append(make("div", { class: "meter" }, make("i", { style: `width:${100 * score}%` })));
  if (!comparing && relation.tagger !== undefined) item.append(make("div", { class: "why" }, `quality ${digits(relation.score)}, tagger ${digits(relation.tagger)}`));
  if (relation.why) item.append(make("div", { class: "why" }, "missed: " + relation.why));
  if (relation.rule === "proposed") item.append(make("div", { class: "why" }, "proposed: no caption says it"));
  item.append(...relation.evidence.map(([id, spans]) => quote(texts.get(id), spans)));
  item.addEventListener("mouseenter", () => light(index));
  item.addEventListener("mouseleave", () => light(state.on));
  item.addEventListener("click", () => pick(state.on === index ? -1 : index));
  return item;
}

function pick(index) { state.on = index; light(index); $("relations").children[index]?.scrollIntoView({ block: "nearest" }); }

function light(index) {
  const relation = shown[index];
  for (const pane of panes()) {
    const svg = pane.firstElementChild;
    if (!svg) continue;
    svg.classList.toggle("dim", Boolean(relation));
    for (const part of svg.querySelectorAll("[data-relation]")) {
      const on = Number(part.dataset.relation) === index;
      part.classList.toggle("on", on);
      if (part.classList.contains("spare")) part.style.display = on ? "" : "none";
    }
    for (const part of svg.querySelectorAll("[data-box]"))
      part.classList.toggle("on", Boolean(relation) && [relation.subject, relation.object].includes(Number(part.dataset.box)));
  }
  [...$("relations").children].forEach((item, i) => item.classList.toggle("on", i === index));
}

// --- the strip holds elements only for the images in sight

function roll(follow) {
  const strip = $("strip"), film = $("film"), at = visible.indexOf(state.at);
  film.style.width = visible.length * FRAME + "px";
  if (follow && at >= 0) {
    if (at * FRAME < strip.scrollLeft) strip.scrollLeft = at * FRAME;
    else if ((at + 1) * FRAME > strip.scrollLeft + strip.clientWidth) strip.scrollLeft = (at + 1) * FRAME - strip.clientWidth;
  }
  const first = Math.max(0, Math.floor(strip.scrollLeft / FRAME) - 4), last = Math.min(visible.length, first + Math.ceil(strip.clientWidth / FRAME) + 8);
  const there = new Map([...film.children].map(frame => [frame.dataset.key, frame]));
  film.replaceChildren(...visible.slice(first, last).map((place, k) => {
    const frame = there.get(String(place)) || frameOf(place);
    frame.style.left = (first + k) * FRAME + "px";
    frame.setAttribute("aria-current", place === state.at);
    return frame;
  }));
}

function frameOf(place) {
  const frame = make("button", { type: "button", title: "image " + ids[place], tabindex: "-1", "data-key": place });
  const href = smallOf(place);
  if (href) {
    const small = make("img", { src: href, alt: "", loading: "lazy", decoding: "async" });
    small.addEventListener("error", () => small.replaceWith(ids[place]));
    frame.append(small);
  } else frame.append(ids[place]);
  frame.addEventListener("click", () => open(place));
  return frame;
}

// --- controls

function options(select, label, counts) {
  select.replaceChildren(make("option", { value: "" }, label), ...counts.map(([name, n]) => make("option", { value: name }, n === null ? name : `${name} (${n})`)));
}

// what the controls say follows the state, whether a click or a link changed it
function setControls() {
  for (const [id, value] of [["predicate", state.predicate], ["category", state.category], ["order", state.order], ["search", state.query]])
    if ($(id).value !== value) $(id).value = value;
  $("min-score").value = state.minScore;
  $("min-score-value").textContent = state.minScore.toFixed(2);
  for (const chip of document.querySelectorAll(".chip")) chip.setAttribute("aria-pressed", !(state.hidden.has(chip.dataset.verdict) || state.sides.has(Number(chip.dataset.side))));
  $("boxes").setAttribute("aria-pressed", state.boxes);
}

function toggle(set, value) { set.has(value) ? set.delete(value) : set.add(value); setControls(); refilter(); }

function chip(name, text, attributes, set, value) {
  const button = make("button", { type: "button", class: "chip " + name, "aria-pressed": "true", ...attributes }, text);
  button.addEventListener("click", () => toggle(set(), value));
  $("verdicts").append(button, " ");
}

function toggleBoxes() { state.boxes = !state.boxes; setControls(); writeLink(); redraw(); }

const KEYS = [
  [["ArrowRight", "j"], "next image", () => go(1)],
  [["ArrowLeft", "k"], "previous image", () => go(-1)],
  [["ArrowDown"], "next relation", () => shown.length && pick((state.on + 1) % shown.length)],
  [["ArrowUp"], "previous relation", () => shown.length && pick((Math.max(state.on, 0) - 1 + shown.length) % shown.length)],
  [["w"], "next wrong relation", () => seek("wrong")],
  [["m"], "next missed relation", () => seek("missed")],
  [["b"], "boxes on or off", toggleBoxes],
  [["+", "="], "zoom in (also the wheel, or two fingers)", () => zoomBy(1.4, panes()[0])],
  [["-"], "zoom out", () => zoomBy(1 / 1.4, panes()[0])],
  [["0"], "the whole image (also a double click)", () => { unzoom(); redraw(); }],
  [["/"], "search", () => $("search").focus()],
  [["Enter"], "choose the relation in focus", () => { const i = [...$("relations").children].indexOf(document.activeElement); if (i >= 0) pick(i); }],
  [["Escape"], "choose none", () => pick(-1)],
  [["?"], "this list", () => $("help").open ? $("help").close() : $("help").showModal()],
];

function start() {
  const two = comparing ? ` · A: ${data.run} · B: ${data.against}` : ` · ${data.run}`;
  document.querySelector("h1").append(data.dataset, make("small", {}, `${ids.length} of ${data.total} images` + (data.left_out ? `, ${data.left_out} left out` : "") + two));
  document.body.classList.toggle("two", comparing);
  for (const [side, label] of comparing ? [["1", "A: " + data.run], ["2", "B: " + data.against]] : [["", ""]]) {
    const pane = make("div", { class: "pane", "data-side": side || null });
    listenToPane(pane);
    $("canvas").append(label ? make("figure", {}, make("figcaption", {}, label), pane) : pane);
  }
  const kinds = new Map(), verdicts = { r: 0, w: 0, m: 0, "-": 0 }, sides = [0, 0, 0, 0];
  for (let r = 0; r < index.kind.length; r++) {
    kinds.set(index.kind[r], (kinds.get(index.kind[r]) || 0) + 1);
    verdicts[index.verdict[r]]++;
    if (index.side) sides[index.side[r]]++;
  }
  const sums = pick => [...[...kinds].reduce((m, [k, n]) => { for (const name of new Set(pick(index.kinds[k]))) m.set(name, (m.get(name) || 0) + n); return m; }, new Map())]
    .sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  options($("predicate"), "any", sums(kind => [kind[1]]));
  options($("category"), "any", sums(kind => [kind[0], kind[2]]));
  $("order").replaceChildren(...Object.entries(ORDERS).filter(([name]) => name !== "wrong" || data.gold).map(([value, [label]]) => make("option", { value }, label.replace("score", data.measure))));
  $("min-score-label").firstChild.textContent = data.measure + " ≥ ";
  $("min-score-label").hidden = !index.score.some(one => one !== null) && !(index.score_against || []).some(one => one !== null);
  if (data.gold) for (const letter of "rwm")
    chip(VERDICT[letter], `${MARK[VERDICT[letter]]} ${VERDICT[letter]} ${verdicts[letter]}`, { "data-verdict": VERDICT[letter] }, () => state.hidden, VERDICT[letter]);
  if (comparing) for (const [side, label] of [[3, "both"], [1, "only A"], [2, "only B"]])
    chip("plain", `${label} ${sides[side]}`, { "data-side": side }, () => state.sides, side);
  $("wrong").hidden = !data.gold;
  for (const [id, name] of [["predicate", "predicate"], ["category", "category"], ["order", "order"]])
    $(id).addEventListener("change", event => { state[name] = event.target.value; event.target.blur(); refilter(); });
  let typing = 0;
  $("search").addEventListener("input", event => { clearTimeout(typing); typing = setTimeout(() => { state.query = event.target.value.trim(); refilter(); }, 80); });
  $("search").addEventListener("keydown", event => { if (["Enter", "Escape"].includes(event.key)) event.target.blur(); });
  $("min-score").addEventListener("input", event => { state.minScore = Number(event.target.value); $("min-score-value").textContent = state.minScore.toFixed(2); refilter(); });
  $("reset").addEventListener("click", () => {
    Object.assign(state, { predicate: "", category: "", query: "", minScore: 0, order: "" });
    state.hidden.clear();
    state.sides.clear();
    setControls();
    refilter();
  });
  $("back").addEventListener("click", () => go(-1));
  $("next").addEventListener("click", () => go(1));
  $("wrong").addEventListener("click", () => seek("wrong"));
  $("boxes").addEventListener("click", toggleBoxes);
  $("in").addEventListener("click", () => zoomBy(1.4, panes()[0]));
  $("out").addEventListener("click", () => zoomBy(1 / 1.4, panes()[0]));
  $("keys").addEventListener("click", () => $("help").showModal());
  $("help").addEventListener("click", () => $("help").close());
  $("help").append(make("h2", {}, "Keys"), make("dl", {}, ...KEYS.flatMap(([names, label]) => [
    make("dt", {}, ...names.flatMap(name => [make("kbd", {}, { ArrowRight: "→", ArrowLeft: "←", ArrowDown: "↓", ArrowUp: "↑" }[name] || name), " "])),
    make("dd", {}, label)])));
  document.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(SELECT|INPUT)$/.test(event.target.tagName)) return;
    const act = KEYS.find(([names]) => names.includes(event.key))?.[2];
    if (!act || ($("help").open && event.key !== "?")) return;
    if (event.key !== "Enter") event.preventDefault();
    act();
  });
  window.addEventListener("hashchange", () => { const before = state.at; readLink(); if (state.at !== before) unzoom(); setControls(); refilter(); });
  $("strip").addEventListener("scroll", () => roll(false), { passive: true });
  let width = 0, height = 0;
  new ResizeObserver(([{ contentRect: size }]) => {
    if (size.width === width && size.height === height) return;
    [width, height] = [size.width, size.height];
    redraw();
    roll(true);
  }).observe($("canvas"));
  readLink();
  setControls();
  refilter();
}
start();
