// What the page knows: the newest state, the events and lines of late, and what became of them.

/** As many events and lines of logs are kept; older ones go. */
const JOURNAL_MAX = 3000;

/** As long a past the charts show. */
export const PAST_MS = 120_000;

/** Everything that views read. Views listen for what has changed: hello, state, events, lines,
 * connection. */
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
    while (this.looks.length > 2 && this.looks[0].at_ms < at_ms - PAST_MS) this.looks.shift();
    this.tell('state', state);
  }

  addEvents(events) {
    this.events.push(...events);
    if (this.events.length > JOURNAL_MAX) this.events.splice(0, this.events.length - JOURNAL_MAX);
    this.tell('events', events);
  }

  addLines(lines) {
    this.lines.push(...lines);
    if (this.lines.length > JOURNAL_MAX) this.lines.splice(0, this.lines.length - JOURNAL_MAX);
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
