// Which charts there are, and how their lines follow from what nodes say of themselves.

import { bytes, micros, short } from './format.js';

/** Rates are taken over so long, so that one look more or less does not shake them. */
const RATE_SPAN_MS = 1_000;

const numbers = (list) => list.filter((value) => typeof value === 'number');
const sum = (list) => numbers(list).reduce((all, value) => all + value, 0);
const most = (list) => (numbers(list).length ? Math.max(...numbers(list)) : null);

/** How fast a counter of one node grows at the look `place`, for each second. */
function rateOf(looks, place, id, path) {
  const now = looks[place];
  const value = now.nodes.get(id)?.[path];
  if (typeof value !== 'number') return null;
  for (let before = place - 1; before >= 0; before -= 1) {
    const past = looks[before];
    const was = past.nodes.get(id)?.[path];
    // A counter that went back belongs to another run of the node.
    if (typeof was !== 'number' || was > value) return null;
    if (now.at_ms - past.at_ms >= RATE_SPAN_MS || before === 0) {
      return ((value - was) * 1000) / Math.max(1, now.at_ms - past.at_ms);
    }
  }
  return null;
}

function rateOfAll(looks, place, path) {
  const rates = [...looks[place].nodes.keys()].map((id) => rateOf(looks, place, id, path));
  return numbers(rates).length ? sum(rates) : null;
}

const perNode = (path) => ({ perNode: (values) => values[path] });
const overAll = (fold, path) => (looks, place) => (
  fold([...looks[place].nodes.values()].map((values) => values[path])));

/**
 * The charts: each with `lines`, which are {name, at(looks, place)}, or with `perNode(values)`
 * for a line of each node.
 */
export const CHARTS = [
  {
    id: 'operations', title: 'Operations', unit: '/s', show: short, lines: [
      { name: 'writes', at: (looks, place) => rateOfAll(looks, place, 'requests/writes') },
      { name: 'reads', at: (looks, place) => rateOfAll(looks, place, 'requests/reads') },
    ],
  },
  {
    id: 'write-time', title: 'Write time', unit: '', show: micros, lines: [
      { name: 'p50', at: overAll(most, 'requests/write_time/p50_us') },
      { name: 'p99', at: overAll(most, 'requests/write_time/p99_us') },
    ],
  },
  {
    id: 'read-time', title: 'Read time', unit: '', show: micros, lines: [
      { name: 'p50', at: overAll(most, 'requests/read_time/p50_us') },
      { name: 'p99', at: overAll(most, 'requests/read_time/p99_us') },
    ],
  },
  { id: 'sync', title: 'Sync, p99', unit: '', show: micros, ...perNode('disk/sync/p99_us') },
  {
    id: 'log', title: 'Log behind snapshot', unit: 'entries', show: short,
    perNode: (values) => (typeof values['raft/last'] === 'number'
      ? values['raft/last'] - (values['raft/snapshot'] ?? 0) : null),
  },
  {
    id: 'memory', title: 'Memory', unit: '', show: bytes, base: 1024,
    ...perNode('memory/resident_bytes'),
  },
  {
    id: 'live', title: 'Live data', unit: '', show: bytes, base: 1024,
    ...perNode('store/live_bytes'),
  },
  {
    id: 'clients', title: 'Watches and leases', unit: '', show: short, lines: [
      { name: 'watches', at: overAll(sum, 'watches/count') },
      { name: 'leases', at: overAll(most, 'store/leases') },
      { name: 'clients', at: (looks, place) => sum(['native', 'redis', 'streams'].map((kind) => (
        overAll(sum, `clients/${kind}`)(looks, place)))) },
    ],
  },
];

/** The lines of a chart as {name, node, points: [[at_ms, value or null]]}. */
export function linesOf(chart, looks) {
  if (chart.perNode) {
    const ids = new Set(looks.flatMap((look) => [...look.nodes.keys()]));
    return [...ids].sort((one, other) => one - other).map((id) => ({
      name: `node ${id}`, node: id,
      points: looks.map((look) => {
        const values = look.nodes.get(id);
        return [look.at_ms, values ? chart.perNode(values) ?? null : null];
      }),
    }));
  }
  return chart.lines.map((line) => ({
    name: line.name, node: null,
    points: looks.map((look, place) => [look.at_ms, line.at(looks, place)]),
  }));
}
