// What happens, as it happens: events and lines of the nodes' logs, with filters.

import { button, byId, element, setAttribute } from './dom.js';
import { clockTime } from './format.js';
import { nodeColor } from './model.js';

/** As many rows are in the document; older ones go. */
const ROWS_MAX = 400;
/** Within so many pixels of its end the list follows what comes. */
const NEAR_END_PX = 24;

const KINDS = [
  ['', 'all kinds'], ['role', 'roles'], ['vote', 'votes'], ['message', 'messages'],
  ['log', 'log and commits'], ['members', 'members'], ['fault', 'faults and links'],
];

const KIND_OF = {
  role: 'role', timer: 'role', no_majority_of_states: 'fault',
  vote_asked: 'vote', vote_given: 'vote', vote_refused: 'vote', vote_counted: 'vote',
  message: 'message',
  appended: 'log', replaced: 'log', persisted: 'log', committed: 'log', behind: 'log',
  caught_up: 'log', snapshot: 'log',
  members: 'members', waiting: 'members', admitted: 'members', removed: 'members',
};

/** To which kind of the filter an event belongs; what is not listed is a fault or a link. */
function kindOf({ event }) {
  return Object.hasOwn(KIND_OF, event) ? KIND_OF[event] : 'fault';
}

const UNTOLD = new Set(['node', 'seq', 'at_us', 'event', 'id', 'addresses', 'term']);

/** An event in words: its fields as they are, for their names are stable. */
export function wordsOf(event) {
  const words = [];
  if (event.event === 'message') {
    words.push(`${event.type} ${event.to ? `to ${event.to}` : `from ${event.from}`}`);
  }
  if (event.first !== undefined) {
    words.push(event.first === event.last ? event.first : `${event.first}–${event.last}`);
  }
  const isTold = ([name, value]) => !UNTOLD.has(name) && value !== null && value !== false
    && !(event.event === 'message' && ['to', 'from', 'type'].includes(name))
    && !(event.first !== undefined && ['first', 'last'].includes(name));
  for (const [name, value] of Object.entries(event).filter(isTold)) {
    const label = name.replace(/^is_/, '').replace(/_/g, ' ');
    words.push(value === true ? label : `${label} ${shown(value)}`);
  }
  if (event.term) words.push(`term ${event.term}`);
  return words.join(' · ');
}

/** Entries as term/index, lists with commas. */
function shown(value) {
  if (Array.isArray(value)) return value.length ? value.join(', ') : 'none';
  if (typeof value !== 'object') return value;
  return 'index' in value ? `${value.term}/${value.index}` : JSON.stringify(value);
}

export class Journal {
  constructor(model) {
    this.model = model;
    this.source = 'events';
    this.isHeld = false;
    this.build();
    model.listen('events', (events) => this.source === 'events' && this.append(events));
    model.listen('lines', (lines) => this.source === 'lines' && this.append(lines));
    model.listen('past', () => this.isHeld || this.redraw());
    model.listen('state', () => this.showNodes());
  }

  build() {
    const choose = (source, text) => button(text, () => this.show(source), {
      id: `journal-${source}`, 'aria-pressed': source === this.source ? 'true' : 'false',
    });
    this.sources = [choose('events', 'Events'), choose('lines', 'Log')];
    this.kind = element('select', { 'aria-label': 'Kind of event', onchange: () => this.redraw() },
      ...KINDS.map(([value, text]) => element('option', { value, text })));
    this.node = element('select', { 'aria-label': 'Node', onchange: () => this.redraw() },
      element('option', { value: '', text: 'all nodes' }));
    this.text = element('input', {
      type: 'search', id: 'journal-text', placeholder: 'filter',
      'aria-label': 'Rows with these words',
      oninput: () => this.redraw(),
    });
    this.beats = element('input', {
      type: 'checkbox', id: 'journal-beats', onchange: () => this.redraw(),
    });
    this.hold = button('Hold', () => this.toggle(), {
      'aria-pressed': 'false', title: 'Stop the list',
    });
    this.list = element('ol', { class: 'rows', tabindex: '0', 'aria-label': 'What happened' });
    this.empty = element('p', { class: 'empty', text: 'nothing yet' });
    byId('journal').append(
      element('div', { class: 'journal-bar' },
        element('div', { class: 'pair', role: 'group', 'aria-label': 'Source' }, ...this.sources),
        this.node, this.kind, this.text,
        element('label', { class: 'check' }, this.beats, 'heartbeats'), this.hold),
      this.empty, this.list);
  }

  show(source) {
    this.source = source;
    for (const one of this.sources) {
      setAttribute(one, 'aria-pressed', one.id === `journal-${source}` ? 'true' : 'false');
    }
    this.kind.disabled = source !== 'events';
    this.beats.disabled = source !== 'events';
    this.redraw();
  }

  toggle() {
    this.isHeld = !this.isHeld;
    setAttribute(this.hold, 'aria-pressed', this.isHeld ? 'true' : 'false');
    if (!this.isHeld) this.redraw();
  }

  showNodes() {
    const known = [...this.node.options].map((option) => option.value).slice(1);
    for (const { id } of this.model.nodes()) {
      if (!known.includes(String(id))) {
        this.node.append(element('option', { value: id, text: `node ${id}` }));
      }
    }
  }

  isWanted(item) {
    if (this.node.value && String(item.node) !== this.node.value) return false;
    const words = this.text.value.trim().toLowerCase();
    if (this.source === 'lines') return !words || item.line.toLowerCase().includes(words);
    if (!this.beats.checked && isBeat(item)) return false;
    if (this.kind.value && kindOf(item) !== this.kind.value) return false;
    return !words || `${item.event} ${wordsOf(item)}`.toLowerCase().includes(words);
  }

  redraw() {
    const items = this.source === 'events' ? this.model.events : this.model.lines;
    this.list.replaceChildren();
    this.put(items.filter((item) => this.isWanted(item)).slice(-ROWS_MAX));
    this.list.scrollTop = this.list.scrollHeight;
  }

  append(items) {
    if (this.isHeld) return;
    this.put(items.filter((item) => this.isWanted(item)).slice(-ROWS_MAX));
  }

  put(items) {
    setAttribute(this.empty, 'hidden', items.length > 0 || this.list.children.length > 0);
    if (!items.length) return;
    const { list } = this;
    const isNear = list.scrollHeight - list.scrollTop - list.clientHeight < NEAR_END_PX;
    list.append(...items.map((item) => this.row(item)));
    while (list.children.length > ROWS_MAX) list.firstElementChild.remove();
    if (isNear) list.scrollTop = list.scrollHeight;
  }

  row(item) {
    const node = element('b', { class: 'row-node', text: item.node });
    node.style.setProperty('--node', nodeColor(item.node));
    if (this.source === 'lines') {
      return element('li', { class: 'line' }, node,
        element('span', { class: 'row-text', text: item.line }));
    }
    const text = wordsOf(item);
    return element('li', { 'data-kind': kindOf(item) },
      element('time', { text: clockTime(item.at_us) }), node,
      element('span', { class: 'row-name', text: item.event.replace(/_/g, ' ') }),
      element('span', { class: 'row-text', text, title: text }));
  }
}

/** Heartbeats and answers to them say nothing that the arcs of the timers do not show. */
function isBeat(event) {
  return event.event === 'message' && event.is_heartbeat === true;
}
