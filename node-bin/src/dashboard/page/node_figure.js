// One node of the ring: its circle, its election timer, and the words beside it.

import { drawn, setAttribute, setText } from './dom.js';
import { count } from './format.js';
import { ASIDE_PX, LINE_PX, wordsFirst } from './ring_layout.js';
import { termColor } from './model.js';

const STATE_WORDS = { dead: 'dead', paused: 'paused', silent: 'no answer' };

/** Draws nothing yet; `update` and `tick` do. */
export function makeFigure(node, onOpen) {
  const figure = drawn('g', {
    class: 'node', tabindex: '0', role: 'button', 'data-node': node.id,
    onclick: (event) => onOpen(node.id, event.currentTarget),
    onkeydown: (event) => {
      if (event.key !== 'Enter' && event.key !== ' ') return;
      event.preventDefault();
      event.stopPropagation();
      onOpen(node.id, event.currentTarget);
    },
  });
  const parts = {
    halo: drawn('circle', { class: 'halo' }),
    body: drawn('circle', { class: 'body' }),
    track: drawn('circle', { class: 'timer-track' }),
    timer: drawn('circle', { class: 'timer', pathLength: '1' }),
    id: drawn('text', { class: 'id' }),
    term: drawn('text', { class: 'term' }),
    words: drawn('g', { class: 'words' }),
    crown: drawn('path', { class: 'crown', d: 'M-8 3 L-9 -5 L-4 -1 L0 -7 L4 -1 L9 -5 L8 3 Z' }),
    bars: drawn('path', { class: 'bars', d: 'M-3.5 -6 V6 M3.5 -6 V6' }),
    cross: drawn('path', { class: 'cross', d: 'M-6 -6 L6 6 M6 -6 L-6 6' }),
  };
  for (let line = 0; line < 4; line += 1) parts.words.append(drawn('text', {}));
  figure.append(...Object.values(parts));
  figure.parts = parts;
  figure.shown = 0;
  return figure;
}

/** The lines of words beside a node: as many as its place has room for, the vote going first. */
export function wordsOf(node, { isStacked, lines }) {
  const values = node.values ?? {};
  if (node.state !== 'up') {
    return [STATE_WORDS[node.state] ?? node.state, isStacked ? '' : (node.error ?? '')];
  }
  const role = node.role === 'follower' && node.member !== 'voter' ? node.member : node.role;
  const vote = node.vote ? `vote for ${node.vote}` : 'no vote';
  const commit = `commit ${count(values['raft/commit'])}`;
  const applied = `applied ${count(values['raft/applied'])}`;
  const far = isStacked ? [commit, applied] : [`${commit} · ${applied}`];
  const all = [role, vote, ...far];
  return all.length <= lines ? all : [role, ...far].slice(0, lines);
}

/** The term as it fits into a circle. */
function termWords(term, radius) {
  return radius < 28 && term > 9 ? `t ${term}` : `term ${term}`;
}

/** Brings a figure to what `node` says, at its place. */
export function updateFigure(figure, node, place) {
  const { parts } = figure;
  const { radius } = place;
  setAttribute(figure, 'transform', `translate(${place.x.toFixed(1)} ${place.y.toFixed(1)})`);
  setAttribute(figure, 'data-role', node.state === 'up' ? node.role : node.state);
  setAttribute(figure, 'data-state', node.state);
  setAttribute(parts.halo, 'r', radius + 13);
  setAttribute(parts.body, 'r', radius);
  for (const circle of [parts.track, parts.timer]) setAttribute(circle, 'r', radius + 7);
  const color = node.state === 'up' ? termColor(node.term) : 'var(--faint)';
  if (figure.style.getPropertyValue('--term') !== color) figure.style.setProperty('--term', color);

  setText(parts.id, node.id);
  setAttribute(parts.id, 'y', radius > 22 ? -1 : 5);
  setText(parts.term, node.state === 'up' && radius > 22 ? termWords(node.term, radius) : '');
  setAttribute(parts.term, 'y', 14);
  setAttribute(parts.crown, 'transform', `translate(0 ${-radius - 10})`);
  for (const mark of [parts.bars, parts.cross]) {
    setAttribute(mark, 'transform', `translate(${radius * 0.72} ${-radius * 0.72})`);
  }

  const lines = wordsOf(node, place);
  const first = wordsFirst(place, lines.length);
  for (const [line, text] of [...parts.words.children].entries()) {
    setText(text, lines[line] ?? '');
    setAttribute(text, 'x', place.isAside ? radius + ASIDE_PX : 0);
    setAttribute(text, 'y', first + line * LINE_PX);
    setAttribute(text, 'text-anchor', place.isAside ? 'start' : 'middle');
  }
  setAttribute(figure, 'aria-label', `Node ${node.id}: ${lines.filter(Boolean).join(', ')}, `
    + `term ${node.term ?? 0}`);
}

/** Lets the arc of the election timer shrink; `since_ms` have passed since the state came. */
export function tickFigure(figure, node, since_ms) {
  const { timer } = figure.parts;
  const runs = node.state === 'up' && node.timer && node.timer.of_ms > 0;
  setAttribute(figure.parts.track, 'visibility', runs ? null : 'hidden');
  setAttribute(timer, 'visibility', runs ? null : 'hidden');
  if (!runs) return;
  const left = Math.max(0, Math.min(1, (node.timer.left_ms - since_ms) / node.timer.of_ms));
  // A heartbeat winds the timer up again: the arc runs there instead of jumping.
  const shown = left > figure.shown ? figure.shown + (left - figure.shown) * 0.35 : left;
  figure.shown = shown;
  timer.setAttribute('stroke-dasharray', `${shown.toFixed(4)} 1`);
  setAttribute(timer, 'data-low', shown < 0.25);
}
