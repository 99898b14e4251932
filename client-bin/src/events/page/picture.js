// The pictures: the roles of all nodes over the whole run, and a part of it with the messages.

const SVG = "http://www.w3.org/2000/svg";
const ARROWS_MAX = 700;
const MARKS_MAX = 1500;

function draw(parent, name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes || {})) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

/** A picture of a stretch of time; `x` says where a time stands. */
function frame(svg, view, height) {
  svg.replaceChildren();
  const width = Math.max(svg.clientWidth || 320, 240);
  const left = width < 560 ? 34 : 74;
  const right = 12;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.style.height = `${height}px`;
  const scale = (width - left - right) / (view.to - view.from);
  const x = (at) => left + (at - view.from) * scale;
  const at = (position) => view.from + (position - left) / scale;
  return { svg, width, height, left, right, x, at };
}

function step(span, count) {
  const rough = span / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((it) => it * power).find((it) => it >= rough);
}

function axis(place, view, story) {
  const width = place.width - place.left - place.right;
  const every = step(view.to - view.from, Math.max(2, Math.floor(width / 110)));
  const first = Math.ceil((view.from - story.begin) / every);
  for (let n = first; story.begin + n * every <= view.to; n += 1) {
    const x = place.x(story.begin + n * every);
    draw(place.svg, "line", { class: "grid", x1: x, x2: x, y1: 0, y2: place.height - 16 });
    const text = n === 0 ? "0" : `+${duration(n * every)}`;
    draw(place.svg, "text", { class: "soft", x, y: place.height - 4, "text-anchor": "middle" },
      text);
  }
}

function bands(place, story, view, lane, thickness) {
  for (const node of story.nodes) {
    const y = lane(node);
    const narrow = place.left < 60;
    draw(place.svg, "text", { x: 8, y: y + 4 }, narrow ? node : `node ${node}`);
    for (const span of story.spans.get(node)) {
      if (span.to < view.from || view.to < span.from) continue;
      const from = Math.max(place.x(Math.max(span.from, view.from)), place.left);
      const to = place.x(Math.min(span.to, view.to));
      const band = draw(place.svg, "rect", {
        class: `band ${span.role}`, x: from, width: Math.max(to - from, 1),
        y: y - thickness / 2, height: thickness, rx: Math.min(3, thickness / 3),
      });
      const term = span.term === null ? "" : `, term ${span.term}`;
      draw(band, "title", {}, `node ${node}: ${span.role}${term}, ${duration(span.to - span.from)}`);
      if (span.role === "leader" && thickness > 11 && to - from > 60) {
        draw(place.svg, "text", { class: "inside", x: from + 6, y: y + 4 }, `term ${span.term}`);
      }
    }
  }
}

function drawOverview(svg, story, view) {
  const whole = { from: story.begin, to: story.end };
  const place = frame(svg, whole, story.nodes.length * 20 + 30);
  axis(place, whole, story);
  const lane = (node) => 16 + story.nodes.indexOf(node) * 20;
  bands(place, story, whole, lane, 12);
  const x = place.x(view.from);
  draw(svg, "rect", { class: "chosen", x, width: Math.max(place.x(view.to) - x, 2), y: 1,
    height: place.height - 18, rx: 3 });
  return place;
}

function arrowHeads(svg) {
  const defs = draw(svg, "defs");
  for (const name of ["entries", "votes", "beat", "other"]) {
    const head = draw(defs, "marker", { id: `head-${name}`, class: name, viewBox: "0 0 8 8",
      refX: 7, refY: 4, markerWidth: 6, markerHeight: 6, orient: "auto" });
    draw(head, "path", { d: "M0 0 8 4 0 8z" });
  }
}

/** Of too many arrows those of heartbeats go first. Says whether any did. */
function arrowsToDraw(story, view, shows) {
  const inside = story.arrows.filter((arrow) => {
    const until = arrow.arrival ? arrow.arrival.at_us : arrow.sent.at_us;
    return view.from <= until && arrow.sent.at_us <= view.to
      && shows(arrow.sent) && story.nodes.includes(arrow.to);
  });
  if (inside.length <= ARROWS_MAX) return [inside, 0];
  const rest = inside.filter((arrow) => !arrow.sent.is_heartbeat).slice(0, ARROWS_MAX);
  return [rest, inside.length - rest.length];
}

function drawArrow(place, lane, arrow, choose) {
  const name = messageClass(arrow.sent);
  const [y1, y2] = [lane(arrow.from), lane(arrow.to)];
  const away = Math.sign(y2 - y1) * 9;
  const x1 = place.x(arrow.sent.at_us);
  let [x2, y, lost] = [x1 + 6, y1 + away + (y2 - y1) * 0.3, true];
  if (arrow.arrival) [x2, y, lost] = [place.x(arrow.arrival.at_us), y2 - away, false];
  const line = draw(place.svg, "line", {
    class: `arrow ${name}${lost ? " lost" : ""}`, x1, y1: y1 + away, x2, y2: y,
    "marker-end": lost ? "" : `url(#head-${name})`,
  });
  const took = lost ? "no arrival was told" : duration(arrow.arrival.at_us - arrow.sent.at_us);
  draw(line, "title", {}, `${arrow.from} ${arrow.sent.words} (${took})`);
  line.addEventListener("click", () => choose(arrow.sent.index));
}

function drawMarks(place, story, view, { lane, shows, choose, chosen }) {
  let drawn = 0;
  for (const event of story.events) {
    if (event.at_us < view.from || view.to < event.at_us || !shows(event)) continue;
    if (event.event === "message" && event.index !== chosen) continue;
    drawn += 1;
    if (drawn > MARKS_MAX) return;
    const isBig = isMoment(event);
    const mark = draw(place.svg, "circle", {
      class: `mark${event.index === chosen ? " hit" : ""}`,
      cx: place.x(event.at_us), cy: lane(event.node), r: isBig ? 5 : 3,
    });
    draw(mark, "title", {}, `${timeOfDay(event.at_us)} node ${event.node} ${event.words}`);
    mark.addEventListener("click", () => choose(event.index));
  }
}

/** Draws the part that is chosen; returns how many arrows had no room. */
function drawPicture(svg, story, view, how) {
  const gap = story.nodes.length > 5 ? 54 : 78;
  const place = frame(svg, view, story.nodes.length * gap + 20);
  arrowHeads(svg);
  axis(place, view, story);
  const lane = (node) => 34 + story.nodes.indexOf(node) * gap;
  bands(place, story, view, lane, 16);
  const [arrows, left] = arrowsToDraw(story, view, how.shows);
  for (const arrow of arrows) drawArrow(place, lane, arrow, how.choose);
  drawMarks(place, story, view, { lane, ...how });
  return left;
}
