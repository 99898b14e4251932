// The logs of all nodes side by side, one column for each index.

import { byId, element, keep, setAttribute, setText } from './dom.js';
import { count, plural } from './format.js';
import { termColor } from './model.js';

const CELL_PX = 26;
/** The column of names, and what the panel keeps free at its sides. */
const NAME_PX = 92 + 24;
/** What is in an entry that is no command. */
const MARKS = { empty: '∅', configure: 'C', bind: 'B' };

export class Logs {
  constructor(model) {
    this.model = model;
    this.place = byId('log-rows');
    this.heading = element('div', { class: 'log-row log-indexes', 'aria-hidden': 'true' });
    this.rows = element('div', { class: 'log-body' });
    this.place.append(this.heading, this.rows);
    model.listen('state', () => this.show());
    new ResizeObserver(() => this.show()).observe(this.place);
  }

  show() {
    const nodes = this.model.nodes().filter((node) => node.log);
    const last = Math.max(0, ...nodes.map((node) => node.log.last));
    const columns = Math.max(4, Math.floor((this.place.clientWidth - NAME_PX) / CELL_PX));
    const first = Math.max(1, last - columns + 1);
    const indexes = Array.from({ length: columns }, (_, column) => first + column);
    this.place.style.setProperty('--columns', columns);
    const isTold = (index) => index > 0 && index <= last && index % 5 === 0;
    keep(this.heading, [0, ...indexes], (index) => index,
      () => element('span', { class: 'tick' }),
      (tick, index) => setText(tick, isTold(index) ? shortIndex(index) : ''));
    keep(this.rows, this.model.nodes(), (node) => node.id, makeRow,
      (row, node) => this.updateRow(row, node, indexes));
    const commit = Math.max(0, ...nodes.map((node) => node.log.commit));
    setText(byId('logs-summary'), last
      ? `${plural(last, 'entry').replace('entrys', 'entries')}, committed to ${count(commit)}`
      : 'empty');
  }

  updateRow(row, node, indexes) {
    const [name, cells] = row.children;
    setAttribute(row, 'data-state', node.state);
    setText(name.firstElementChild, `node ${node.id}`);
    const snapshot = node.log?.snapshot ?? 0;
    const last = node.log?.last ?? 0;
    const behind = indexes[0] - last - 1;
    const note = !node.log ? 'no log seen' : behind > 0 ? `${count(behind)} behind`
      : snapshot > 0 ? `snapshot ${count(snapshot)}` : '';
    setText(name.lastElementChild, note);
    const entries = new Map((node.log?.entries ?? []).map((entry) => [entry[0], entry]));
    keep(cells, indexes, (index) => index, () => element('span', { class: 'cell' }),
      (cell, index) => updateCell(cell, index, entries.get(index), node.log, snapshot));
  }
}

function makeRow() {
  const name = element('div', { class: 'log-name' }, element('b', {}), element('small', {}));
  return element('div', { class: 'log-row' }, name, element('div', { class: 'cells' }));
}

function updateCell(cell, index, entry, log, snapshot) {
  const isInSnapshot = log && index <= snapshot;
  const isStored = log && index >= log.first && index <= log.last;
  const kind = entry ? (index <= log.commit ? 'committed' : 'open')
    : isInSnapshot ? 'snapshot' : isStored ? 'stored' : 'none';
  setAttribute(cell, 'data-kind', kind);
  setAttribute(cell, 'data-boundary', snapshot > 0 && index === snapshot);
  if (!entry) {
    setText(cell, '');
    setAttribute(cell, 'data-mark', null);
    setAttribute(cell, 'title', isInSnapshot ? `entry ${index} is in the snapshot`
      : kind === 'stored' ? `entry ${index} is on disk only` : null);
    return;
  }
  const [, term, what, size] = entry;
  const color = termColor(term);
  if (cell.style.getPropertyValue('--term') !== color) cell.style.setProperty('--term', color);
  setText(cell, term);
  setAttribute(cell, 'data-mark', MARKS[what] ?? null);
  setAttribute(cell, 'title', `entry ${index}, term ${term}: ${what}, ${plural(size, 'byte')}, `
    + `${kind === 'committed' ? 'committed' : 'not committed'}`);
}

function shortIndex(index) {
  return index < 100_000 ? String(index) : `…${String(index).slice(-4)}`;
}
