// What the events say together: which nodes there are, which role each had when, and which
// arrivals belong to which messages. Nothing here touches the page.

const SKEW_US = 5000;
const FLIGHT_US_MAX = 10e6;
const ANSWER_US_MAX = 1e6;

const KINDS = [
  { name: "elections", of: ["role", "timer", "vote_asked", "vote_given", "vote_refused",
    "vote_counted"] },
  { name: "messages", of: ["message"] },
  { name: "log", of: ["appended", "persisted", "committed", "replaced"] },
  { name: "catching up", of: ["behind", "caught_up", "snapshot"] },
  { name: "nodes and links", of: ["started", "stopped", "killed", "failed", "paused", "resumed", "link",
    "cut", "healed", "delayed", "members", "admitted", "waiting", "removed"] },
];
const OTHER_KINDS = "trouble";

function kindGroup(kind) {
  const group = KINDS.find((it) => it.of.includes(kind));
  return group ? group.name : OTHER_KINDS;
}

/** Reads a JSON document on each line; a line that was cut off is left out. */
function readEvents(text) {
  const events = [];
  for (const line of text.split("\n")) {
    if (!line.trim()) continue;
    try {
      const event = JSON.parse(line);
      if (Number.isFinite(event.node) && Number.isFinite(event.at_us)) events.push(event);
    } catch {
      // The program was ended in the middle of it.
    }
  }
  events.sort((one, other) => one.at_us - other.at_us || one.node - other.node
    || (one.seq || 0) - (other.seq || 0));
  events.forEach((event, index) => { event.index = index; event.group = kindGroup(event.event); });
  return events;
}

function storyOf(events) {
  const nodes = [...new Set(events.map((event) => event.node))].sort((a, b) => a - b);
  const begin = events.length ? events[0].at_us : 0;
  const end = events.length ? Math.max(events[events.length - 1].at_us, begin + 1000) : 1000;
  return {
    events, nodes, begin, end,
    addresses: addressesIn(events),
    spans: new Map(nodes.map((node) => [node, spansOf(events, node, end)])),
    arrows: arrowsIn(events),
    moments: events.filter(isMoment),
  };
}

function addressesIn(events) {
  const addresses = new Map();
  for (const event of events) {
    for (const [node, address] of Object.entries(event.addresses || {})) {
      addresses.set(Number(node), String(address));
    }
  }
  return addresses;
}

/** The roles of a node over time; `down` while it does not run. */
function spansOf(events, node, end) {
  const spans = [];
  const begin = (at, role, term) => {
    const last = spans[spans.length - 1];
    if (last && last.to === null) last.to = at;
    spans.push({ from: at, to: null, role, term });
  };
  for (const event of events) {
    if (event.node !== node) continue;
    if (event.event === "started") begin(event.at_us, "follower", event.term);
    if (event.event === "role") begin(event.at_us, event.role, event.term);
    if (["killed", "stopped", "failed"].includes(event.event)) begin(event.at_us, "down", null);
  }
  for (const span of spans) if (span.to === null) span.to = end;
  return spans.filter((span) => span.to > span.from);
}

function messageClass(event) {
  if (event.is_heartbeat) return "beat";
  const type = String(event.type);
  if (type.startsWith("AppendEntries")) return "entries";
  if (type.includes("Vote") || type === "TimeoutNow") return "votes";
  return "other";
}

/** Pairs what was sent with what arrived; `arrival` is missing where nobody told of one. */
function arrowsIn(events) {
  const underWay = new Map();
  const arrows = [];
  const key = (event, from, to) => `${event.type} ${event.id} ${from} ${to}`;
  const messages = events.filter((event) => event.event === "message");
  for (const event of messages) {
    if (event.to === undefined) continue;
    const arrow = { from: event.node, to: event.to, sent: event, arrival: null };
    arrows.push(arrow);
    const name = key(event, event.node, event.to);
    if (!underWay.has(name)) underWay.set(name, { arrows: [], first: 0 });
    underWay.get(name).arrows.push(arrow);
  }
  for (const event of messages) {
    if (event.from === undefined) continue;
    const waiting = underWay.get(key(event, event.from, event.node));
    if (!waiting) continue;
    // Answers to heartbeats share a number, so they are taken in turn; what else has the number
    // of an earlier message is that message, sent again because it was lost.
    const most = event.is_heartbeat ? ANSWER_US_MAX : FLIGHT_US_MAX;
    const isOver = (arrow) => arrow.arrival || event.at_us - arrow.sent.at_us >= most;
    const fits = (arrow) => !isOver(arrow) && arrow.sent.at_us <= event.at_us + SKEW_US;
    let arrow;
    if (event.is_heartbeat) {
      // Thousands may share it, and who comes later needs no look at those that are over.
      while (waiting.first < waiting.arrows.length && isOver(waiting.arrows[waiting.first])) {
        waiting.first += 1;
      }
      const next = waiting.arrows[waiting.first];
      arrow = next && fits(next) ? next : undefined;
    } else {
      arrow = waiting.arrows.findLast(fits);
    }
    if (arrow) arrow.arrival = event;
  }
  return arrows;
}

function isMoment(event) {
  switch (event.event) {
    case "role": return event.role === "leader" || event.role === "candidate";
    case "started": case "stopped": case "killed": case "failed": case "paused": case "resumed": case "cut":
    case "healed": case "behind": case "caught_up": case "members": case "snapshot":
    case "replaced": case "removed": case "fenced": case "disk_full": case "slow_disk":
      return true;
    default: return false;
  }
}

/** Rows of the table: an event each, or heartbeats that follow each other as one. */
function rowsOf(events, oneByOne) {
  const rows = [];
  for (const event of events) {
    const last = rows[rows.length - 1];
    if (!oneByOne && event.is_heartbeat) {
      if (last && last.beats) last.beats.push(event);
      else rows.push({ beats: [event] });
    } else {
      rows.push({ event });
    }
  }
  return rows.map((row) => (row.beats && row.beats.length === 1 ? { event: row.beats[0] } : row));
}

function timeOfDay(at_us) {
  const micros = String(Math.round(at_us % 1e6)).padStart(6, "0");
  return `${new Date(Math.floor(at_us / 1000)).toISOString().slice(11, 19)}.${micros}`;
}

function duration(us) {
  if (us < 1000) return `${Math.round(us)} µs`;
  if (us < 1e6) return `${(us / 1000).toFixed(us < 1e4 ? 1 : 0)} ms`;
  if (us < 120e6) return `${(us / 1e6).toFixed(us < 1e7 ? 2 : 1)} s`;
  return `${(us / 60e6).toFixed(1)} min`;
}
