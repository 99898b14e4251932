// The table: a column for each node, a row for each event.

function put(parent, name, text, className) {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  parent.append(element);
  return element;
}

function drawHead(table, story) {
  const row = document.createElement("tr");
  put(row, "th", "time (UTC)").scope = "col";
  for (const node of story.nodes) {
    const head = put(row, "th", `node ${node}`);
    head.scope = "col";
    if (story.addresses.has(node)) put(head, "small", story.addresses.get(node));
  }
  table.tHead.replaceChildren(row);
}

/** A row with something in the columns of some nodes. */
function drawRow(body, story, time, cells) {
  const row = put(body, "tr");
  put(row, "td", time);
  for (const node of story.nodes) {
    const text = cells.get(node);
    const cell = put(row, "td", text, text === undefined ? "empty" : "");
    cell.dataset.node = node;
  }
  return row;
}

function drawEvent(body, story, event, how) {
  const words = event.words || event.event;
  const row = drawRow(body, story, timeOfDay(event.at_us), new Map([[event.node, words]]));
  row.id = `row-${event.index}`;
  row.title = `+${duration(event.at_us - story.begin)}, ${event.event}, term ${event.term}`;
  if (isMoment(event)) row.classList.add("strong");
  if (event.event === "message") {
    row.querySelector("td:not(.empty):not(:first-child)")
      .classList.add("of-message", messageClass(event));
  }
  if (event.index === how.chosen) row.classList.add("hit");
  row.addEventListener("click", () => how.choose(event.index));
}

function drawBeats(body, story, beats, how) {
  const cells = new Map();
  for (const node of story.nodes) {
    const sent = beats.filter((it) => it.node === node && it.to !== undefined).length;
    const heard = beats.filter((it) => it.node === node && it.from !== undefined).length;
    if (sent + heard) cells.set(node, `${sent} sent, ${heard} heard`);
  }
  const took = duration(beats[beats.length - 1].at_us - beats[0].at_us);
  const row = drawRow(body, story, timeOfDay(beats[0].at_us), cells);
  put(row.firstChild, "div", `${beats.length} heartbeats, ${took}`);
  row.classList.add("beats");
  row.title = "Show them one by one";
  row.addEventListener("click", () => {
    const rest = document.createElement("tbody");
    for (const beat of beats) drawEvent(rest, story, beat, how);
    row.replaceWith(...rest.childNodes);
  });
}

/** Draws rows from `from` on, so many at most; returns how many are left. */
function drawRows(body, story, rows, how, { from, most }) {
  if (from === 0) body.replaceChildren();
  for (const row of rows.slice(from, from + most)) {
    if (row.beats) drawBeats(body, story, row.beats, how);
    else drawEvent(body, story, row.event, how);
  }
  return Math.max(rows.length - from - most, 0);
}
