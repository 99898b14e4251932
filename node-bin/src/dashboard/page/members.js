// Every member with its health, and the alarms of the cluster.

import { byId, element, keep, setAttribute, setText } from './dom.js';
import { bytes, count } from './format.js';
import { nodeColor } from './model.js';

/** A row for each thing that is known of a node; the nodes stand side by side. */
const ROWS = [
  ['Health', (node, health) => healthOf(node, health)],
  ['Member', (node) => node.member ?? '–'],
  ['Role', (node) => (node.state === 'up' ? node.role : '–')],
  ['Term', (node) => count(node.term)],
  ['Applied', (node) => count(node.values?.['raft/applied'])],
  ['Behind', (node, _, commit) => behind(node, commit)],
  ['Snapshot', (node) => count(node.values?.['raft/snapshot'])],
  ['Revision', (node) => count(node.values?.['store/revision'])],
  ['Clients', (node) => clients(node.values)],
  ['Watches', (node) => count(node.values?.['watches/count'])],
  ['Memory', (node) => bytes(node.values?.['memory/resident_bytes'])],
  ['Live data', (node) => bytes(node.values?.['store/live_bytes'])],
  ['Disk free', (node) => bytes(node.values?.['disk/free_bytes'])],
  ['Version', (node) => node.values?.version ?? '–'],
  ['Address', (node) => node.address],
];

function clients(values) {
  const known = ['native', 'redis', 'streams'].map((kind) => values?.[`clients/${kind}`]);
  return known.every((value) => value === undefined) ? '–'
    : count(known.reduce((all, value) => all + (value ?? 0), 0));
}

function healthOf(node, health) {
  if (node.state !== 'up') return node.state === 'silent' ? 'no answer' : node.state;
  if (!health) return 'up';
  return health.ready ? 'ready' : (health.text || 'not ready');
}

function behind(node, commit) {
  const applied = node.values?.['raft/applied'];
  return typeof applied === 'number' ? count(Math.max(0, commit - applied)) : '–';
}

/** The table of members. */
export function showMembers(model) {
  const head = element('tr', {});
  const body = element('tbody', {}, ...ROWS.map(([name]) => element('tr', { 'data-fact': name })));
  const table = element('table', {}, element('thead', {}, head), body);
  const note = element('p', { class: 'summary pad' });
  byId('members').append(element('div', { class: 'scroll' }, table), note);
  model.listen('state', (state) => {
    const commit = Math.max(0, ...state.nodes.map((node) => node.values?.['raft/commit'] ?? 0));
    const places = [{ id: 0 }, ...state.nodes];
    keep(head, places, (node) => node.id, (node) => {
      const cell = element('th', { scope: 'col', text: node.id ? `node ${node.id}` : '' });
      if (node.id) cell.style.setProperty('--node', nodeColor(node.id));
      return cell;
    });
    for (const [place, [name, told]] of ROWS.entries()) {
      keep(body.children[place], places, (node) => node.id,
        (node) => element(node.id ? 'td' : 'th', node.id ? {} : { scope: 'row', text: name }),
        (cell, node) => {
          if (!node.id) return;
          const health = (state.health ?? []).find((one) => one.node === node.id);
          setText(cell, told(node, health, commit));
          const isWell = node.state === 'up' && (!health || health.ready);
          setAttribute(cell, 'data-well', isWell ? 'true' : 'false');
        });
    }
    const voters = model.voters().length;
    const quorum = Math.floor(voters / 2) + 1;
    setText(note, voters ? `${voters} vote, so ${quorum} of them must have an entry before it `
      + `counts, and ${voters - quorum} may be away.` : '');
  });
}

/** The alarms above everything. */
export function showAlarms(model) {
  const place = byId('alarms');
  model.listen('state', (state) => {
    const alarms = state.alarms ?? [];
    setAttribute(place, 'hidden', !alarms.length);
    keep(place, alarms, (alarm) => `${alarm.node} ${alarm.alarm}`, () => element('li', {}),
      (item, alarm) => setText(item, `node ${alarm.node}: `
        + `${alarm.alarm}${alarm.text ? `, ${alarm.text}` : ''}`));
  });
}
