// What the reader chooses, and what is drawn then.

const ROWS_AT_ONCE = 400;
const ZOOM = 2;
const MOMENT_US = 400000;
const WINDOW_US_MIN = 200;
const MOMENTS_MAX = 200;

function begin() {
  const by = (id) => document.getElementById(id);
  const story = storyOf(readEvents(by("events").textContent));
  const state = {
    view: { from: story.begin, to: story.end },
    nodes: new Set(story.nodes),
    hidden: new Set(),
    text: "",
    chosen: null,
    drawn: 0,
    rows: [],
  };

  const shows = (event) => state.nodes.has(event.node) && !state.hidden.has(event.group);
  const matches = (event) => shows(event)
    && (!state.text || `${event.event} ${event.words}`.toLowerCase().includes(state.text));
  const how = () => ({ shows, chosen: state.chosen, choose });

  function drawPictures() {
    drawOverview(by("overview"), story, state.view);
    const left = drawPicture(by("picture"), story, state.view, how());
    const { from, to } = state.view;
    const many = left ? `; ${left} messages are not drawn, look closer` : "";
    by("window").textContent = `${timeOfDay(from)} to ${timeOfDay(to)}, ${duration(to - from)}${many}`;
  }

  function drawTable() {
    const { from, to } = state.view;
    const events = story.events.filter((it) => from <= it.at_us && it.at_us <= to && matches(it));
    state.rows = rowsOf(events, by("single").checked);
    state.drawn = 0;
    const all = events.length === story.events.length ? "" : ` of ${story.events.length}`;
    by("count").textContent = events.length
      ? `${events.length}${all} events` : "Nothing here: choose more of the run, or other filters.";
    drawMore();
  }

  function drawMore() {
    const part = { from: state.drawn, most: ROWS_AT_ONCE };
    const left = drawRows(by("rows").tBodies[0], story, state.rows, how(), part);
    state.drawn += ROWS_AT_ONCE;
    by("more").hidden = left === 0;
    by("more").textContent = `Show more (${left} rows are left)`;
  }

  function show(from, to) {
    const whole = story.end - story.begin;
    const length = Math.min(Math.max(to - from, WINDOW_US_MIN), whole);
    const start = Math.min(Math.max(from, story.begin), story.end - length);
    state.view = { from: start, to: start + length };
    drawPictures();
    drawTable();
  }

  function zoom(factor) {
    const { from, to } = state.view;
    const [middle, half] = [(from + to) / 2, ((to - from) / 2) * factor];
    show(middle - half, middle + half);
  }

  function pan(share) {
    const { from, to } = state.view;
    const by_us = (to - from) * share;
    show(from + by_us, to + by_us);
  }

  function choose(index) {
    state.chosen = index;
    const at = state.rows.findIndex((row) => (row.beats || [row.event])
      .some((event) => event.index === index));
    while (state.drawn <= at) drawMore();
    document.querySelectorAll("tr.hit").forEach((row) => row.classList.remove("hit"));
    const row = by(`row-${index}`);
    if (row) {
      row.classList.add("hit");
      row.scrollIntoView({ block: "nearest" });
    }
    drawPictures();
  }

  listMoments(by("moments"), story, (event) => {
    show(event.at_us - MOMENT_US, event.at_us + MOMENT_US);
    choose(event.index);
  });
  drawHead(by("rows"), story);
  by("summary").textContent = summaryOf(story);
  legend(by("legend"));
  boxes(by("nodes"), story.nodes.map((node) => [node, `${node}`]), (node, on) => {
    if (on) state.nodes.add(node); else state.nodes.delete(node);
    drawPictures();
    drawTable();
  });
  boxes(by("kinds"), groupsIn(story), (group, on) => {
    if (on) state.hidden.delete(group); else state.hidden.add(group);
    drawPictures();
    drawTable();
  });
  by("text").addEventListener("input", () => {
    state.text = by("text").value.trim().toLowerCase();
    drawTable();
  });
  by("single").addEventListener("change", drawTable);
  by("filters").addEventListener("submit", (event) => event.preventDefault());
  by("more").addEventListener("click", drawMore);
  const actions = {
    earlier: () => pan(-0.5), later: () => pan(0.5), closer: () => zoom(1 / ZOOM),
    farther: () => zoom(ZOOM), whole: () => show(story.begin, story.end),
  };
  for (const [id, act] of Object.entries(actions)) by(id).addEventListener("click", act);
  const keys = { ArrowLeft: "earlier", ArrowRight: "later", "+": "closer", "-": "farther",
    0: "whole" };
  document.addEventListener("keydown", (event) => {
    const isTyped = event.target.matches("input") || event.ctrlKey || event.metaKey || event.altKey;
    if (!isTyped && keys[event.key]) {
      actions[keys[event.key]]();
      event.preventDefault();
    }
  });
  chooseByDragging(by("overview"), story, show);
  chooseTheme(by("theme"));
  let width = 0;
  new ResizeObserver(() => {
    if (by("picture").clientWidth === width) return;
    width = by("picture").clientWidth;
    drawPictures();
  }).observe(by("picture"));
  drawPictures();
  drawTable();
}

function summaryOf(story) {
  if (!story.events.length) return "No events.";
  const terms = story.events.map((event) => event.term || 0).reduce((a, b) => Math.max(a, b), 0);
  const day = new Date(story.begin / 1000).toISOString().slice(0, 10);
  const count = story.nodes.length === 1 ? "1 node" : `${story.nodes.length} nodes`;
  return `${count} · ${story.events.length} events · ${duration(story.end - story.begin)} from `
    + `${day} ${timeOfDay(story.begin)} UTC · up to term ${terms}`;
}

function listMoments(list, story, choose) {
  for (const event of story.moments.slice(0, MOMENTS_MAX)) {
    const button = put(put(list, "li"), "button");
    button.type = "button";
    put(button, "time", `+${duration(event.at_us - story.begin)}`);
    put(button, "span", `node ${event.node} ${event.words}`);
    const role = { killed: "down", stopped: "down", started: "follower" }[event.event] || event.role;
    if (role) button.style.setProperty("--of-role", `var(--${role})`);
    button.addEventListener("click", () => choose(event));
  }
  if (!story.moments.length) put(list, "li", "Nothing but messages.");
}

function groupsIn(story) {
  const names = [...KINDS.map((it) => it.name), OTHER_KINDS];
  const count = (name) => story.events.filter((event) => event.group === name).length;
  return names.map((name) => [name, `${name} (${count(name)})`]).filter(([name]) => count(name));
}

function boxes(fieldset, choices, change) {
  for (const [value, text] of choices) {
    const label = put(fieldset, "label");
    const box = put(label, "input");
    box.type = "checkbox";
    box.checked = true;
    box.addEventListener("change", () => change(value, box.checked));
    label.append(` ${text}`);
  }
}

function legend(list) {
  const roles = ["leader", "candidate", "pre-candidate", "follower", "down"];
  const messages = [["entries", "entries and answers"], ["votes", "votes"],
    ["beat", "heartbeats"], ["other", "other messages"]];
  const add = (colour, text, className) => {
    const item = put(list, "li");
    const sample = put(item, "i", "", className);
    if (colour === "down") sample.style.border = "1px dashed var(--down)";
    else sample.style.background = `var(--${colour})`;
    item.append(text);
  };
  for (const role of roles) add(role, role === "down" ? "does not run" : role, "");
  for (const [name, text] of messages) add(name, text, "thin");
  put(list, "li", "a dashed arrow has no arrival that was told");
}

function chooseByDragging(svg, story, show) {
  let from = null;
  const at = (event) => {
    const box = svg.getBoundingClientRect();
    const left = box.width < 560 ? 34 : 74;
    const share = (event.clientX - box.left - left) / (box.width - left - 12);
    return story.begin + Math.min(Math.max(share, 0), 1) * (story.end - story.begin);
  };
  svg.addEventListener("pointerdown", (event) => {
    from = at(event);
    svg.setPointerCapture(event.pointerId);
  });
  svg.addEventListener("pointerup", (event) => {
    if (from === null) return;
    const [one, other] = [from, at(event)].sort((a, b) => a - b);
    const least = (story.end - story.begin) / 40;
    from = null;
    if (other - one < least / 4) show(one - least, one + least);
    else show(one, other);
  });
}

function chooseTheme(button) {
  button.addEventListener("click", () => {
    const root = document.documentElement;
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const now = root.dataset.theme || (dark ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
  });
}

document.addEventListener("DOMContentLoaded", begin);
