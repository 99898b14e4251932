// Every member with its health, and the alarms of the cluster.

import { byId, element, keep, setAttribute, setText } from './dom.js';
import { bytes, count } from './format.js';
import { nodeColor } from './model.js';

const COLUMNS = [
  ['Node', (node) => `node ${node.id}`],
  ['Health', (node, health) => healthOf(node, health)],
  ['Member', (node) => node.member ?? '–'],
  ['Role', (node) => (node.state === 'up' ? node.role : '–')],
  ['Term', (node) => count(node.term)],
  ['Applied', (node) => count(node.values?.['raft/applied'])],
  ['Behind', (node, _, commit) => behind(node, commit)],
  ['Memory', (node) => bytes(node.values?.['memory/resident_bytes'])],
  ['Disk free', (node) => bytes(node.values?.['disk/free_bytes'])],
  ['Version', (node) => node.values?.version ?? '–'],
  ['Address', (node) => node.address],
];

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
  const body = element('tbody', {});
  const table = element('table', {},
    element('thead', {}, element('tr', {}, ...COLUMNS.map(([text]) => element('th', { text, scope: 'col' })))),
    body);
  const note = element('p', { class: 'summary pad' });
  byId('members').append(element('div', { class: 'scroll' }, table), note);
  model.listen('state', (state) => {
    const commit = Math.max(0, ...state.nodes.map((node) => node.values?.['raft/commit'] ?? 0));
    keep(body, state.nodes, (node) => node.id, (node) => {
      const row = element('tr', {}, ...COLUMNS.map(([name]) => element('td', { 'data-label': name })));
      row.firstElementChild.style.setProperty('--node', nodeColor(node.id));
      return row;
    }, (row, node) => {
      const health = (state.health ?? []).find((one) => one.node === node.id);
      for (const [place, [, cell]] of COLUMNS.entries()) {
        setText(row.children[place], cell(node, health, commit));
      }
      const isWell = node.state === 'up' && (!health || health.ready);
      setAttribute(row, 'data-well', isWell ? 'true' : 'false');
    });
    const voters = model.voters().length;
    const quorum = Math.floor(voters / 2) + 1;
    setText(note, voters ? `${voters} vote, so ${quorum} of them must have an entry before it counts, `
      + `and ${voters - quorum} may be away.` : '');
  });
}

/** The alarms above everything. */
export function showAlarms(model) {
  const place = byId('alarms');
  model.listen('state', (state) => {
    const alarms = state.alarms ?? [];
    setAttribute(place, 'hidden', !alarms.length);
    keep(place, alarms, (alarm) => `${alarm.node} ${alarm.alarm}`, () => element('li', {}),
      (item, alarm) => setText(item, `node ${alarm.node}: ${alarm.alarm}${alarm.text ? `, ${alarm.text}` : ''}`));
  });
}
