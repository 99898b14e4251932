// What the page knows: the newest state, the events and lines of late, and what became of them.

/** As many events and lines of logs are kept; older ones go. */
const JOURNAL_MAX = 3000;

/** As long a past the charts show, and of as many looks at most. */
export const PAST_MS = 120_000;
const LOOKS_MAX = 1_000;

function addTo(journal, items) {
  journal.push(...items);
  if (journal.length > JOURNAL_MAX) journal.splice(0, journal.length - JOURNAL_MAX);
}

/** Everything that views read. Views listen for what has changed: hello, state, events, lines,
 * past, connection. */
export class Model {
  constructor() {
    this.hello = null;
    this.state = null;
    /** When the state came, by the page's own clock, as animations go by it. */
    this.received_ms = 0;
    this.connection = 'loading';
    this.events = [];
    this.lines = [];
    /** Looks of the last minutes: {at_ms, nodes: Map of id to values}. */
    this.looks = [];
    this.listeners = new Map();
  }

  listen(topic, listener) {
    const listeners = this.listeners.get(topic) ?? [];
    listeners.push(listener);
    this.listeners.set(topic, listeners);
  }

  tell(topic, what) {
    for (const listener of this.listeners.get(topic) ?? []) listener(what);
  }

  setHello(hello) {
    this.hello = hello;
    this.tell('hello', hello);
  }

  /** A stream begins, which tells again what happened of late. */
  forget() {
    this.events = [];
    this.lines = [];
    this.tell('past', null);
  }

  setConnection(connection) {
    if (this.connection === connection) return;
    this.connection = connection;
    this.tell('connection', connection);
  }

  setState(state) {
    this.state = state;
    this.received_ms = performance.now();
    const at_ms = state.at_us / 1000;
    const nodes = new Map();
    for (const node of state.nodes) {
      if (node.state === 'up' && node.values) nodes.set(node.id, node.values);
    }
    this.looks.push({ at_ms, nodes });
    const isPast = () => this.looks[0].at_ms < at_ms - PAST_MS || this.looks.length > LOOKS_MAX;
    while (this.looks.length > 2 && isPast()) this.looks.shift();
    this.tell('state', state);
  }

  addEvents(events) {
    addTo(this.events, events);
    this.tell('events', events);
  }

  /** What happened before the stream began. */
  addPast(events) {
    addTo(this.events, events);
    this.tell('past', events);
  }

  addLines(lines) {
    addTo(this.lines, lines);
    this.tell('lines', lines);
  }

  /** The nodes as they were last seen, in the order of their numbers. */
  nodes() {
    return this.state?.nodes ?? [];
  }

  node(id) {
    return this.nodes().find((node) => node.id === id) ?? null;
  }

  /** The number of whoever leads, or null. */
  leader() {
    return this.state?.leader || null;
  }

  voters() {
    return this.nodes().filter((node) => node.member === 'voter' || node.member === 'outgoing');
  }

  /** The node that serves this page. */
  own() {
    return this.hello?.node ?? null;
  }

  /** What lies on the way from one node to another: {cut, delay_ms} or null. */
  link(from, to) {
    const found = (this.state?.links ?? []).find((link) => link.from === from && link.to === to);
    return found && (found.cut || found.delay_ms > 0) ? found : null;
  }
}

/** Of which colour a term is: neighbours differ, and eight later they begin again. */
export function termColor(term) {
  return term > 0 ? `var(--term-${term % 8})` : 'var(--faint)';
}

/** Of which colour a node's line in a chart is. */
export function nodeColor(id) {
  return `var(--node-${(id - 1) % 7})`;
}
