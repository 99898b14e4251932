// What can be done to the cluster, and the bar of buttons for it.

import { button, byId, element, keep, setAttribute } from './dom.js';
import { say } from './toast.js';

/** How long time passes when one step is taken while it stands still. */
const STEP_MS = 50;

/** An order that waits for a leader takes half a minute at most; clearing a full store is long. */
const ORDER_MS = 60_000;

/** What waits for the cluster, which does nothing while time stands still. */
const NEED_TIME = ['add', 'remove', 'transfer'];

const SPEEDS = [['1', '1×'], ['2', '½×'], ['5', '⅕×'], ['10', '⅒×'], ['20', '1/20×']];

/** The orders of one page to the node that serves it. */
export class Play {
  constructor(model) {
    this.model = model;
  }

  /** Whether the page is that of a node which can be played with alone. */
  isAlone() {
    return this.model.hello?.playground === 'node';
  }

  /** Whether `action` exists where the page is: a node alone plays with itself only. */
  allows(action, node = null) {
    const playground = this.model.hello?.playground;
    if (this.model.state?.frozen && NEED_TIME.includes(action)) return false;
    if (playground === 'cluster') return true;
    if (playground !== 'node') return false;
    const own = ['kill', 'pause', 'campaign', 'step-down', 'cut', 'heal', 'delay'];
    if (action === 'transfer') return true;
    return own.includes(action) && (node === null || node === this.model.own());
  }

  /** Carries out an order. Resolves to {done, text}; never rejects. */
  async order(action, order = {}) {
    try {
      const answer = await fetch('/ui/play', {
        method: 'POST',
        // A page that is closed still ends its lesson.
        keepalive: true,
        signal: AbortSignal.timeout(ORDER_MS),
        headers: {
          'content-type': 'application/json',
          'x-kvorum-token': this.model.hello?.token ?? '',
        },
        body: JSON.stringify({ action, ...order }),
      });
      const text = await answer.text();
      try {
        const told = JSON.parse(text);
        return { done: told.done === true, text: told.text ?? told.error ?? text };
      } catch {
        return { done: answer.ok, text: text || `status ${answer.status}` };
      }
    } catch (error) {
      return { done: false, text: `no answer: ${error.message}` };
    }
  }

  /** The same for a person, who is told what became of it. */
  async ask(action, order = {}) {
    const { done, text } = await this.order(action, order);
    say(text, done ? 'done' : 'failed');
    return done;
  }
}

/** Asks before what cannot be undone. Resolves to whether it is wanted. */
export function confirmed(question, verb) {
  return new Promise((resolve) => {
    const dialog = element('dialog', { class: 'dialog', 'aria-label': question });
    const end = (answer) => {
      dialog.close();
      dialog.remove();
      resolve(answer);
    };
    dialog.append(
      element('p', { text: question }),
      element('div', { class: 'row end' },
        button('Keep it', () => end(false)),
        button(verb, () => end(true), { class: 'danger', id: 'confirm' })),
    );
    dialog.addEventListener('cancel', () => end(false));
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** The bar under the ring. */
export function showPlayground(model, play) {
  const bar = byId('playground');
  const freeze = button('Freeze', () => play.ask(model.state?.frozen ? 'thaw' : 'freeze'), {
    id: 'play-freeze', title: 'Time stands still for every node (f)',
  });
  const step = button('Step', () => play.ask('step', { ms: STEP_MS }), {
    id: 'play-step', title: `Let ${STEP_MS} ms pass (.)`, disabled: true,
  });
  const speed = element('select', {
    id: 'play-speed', 'aria-label': 'Slow motion', title: 'Slow motion',
    onchange: () => play.ask('time-scale', { scale: Number(speed.value) }),
  }, ...SPEEDS.map(([value, text]) => element('option', { value, text })));
  const clear = async () => {
    const question = 'Delete every key of this cluster? What is deleted does not come back.';
    if (await confirmed(question, 'Delete every key')) await play.ask('clear-store');
  };
  const groups = [
    ['time', [freeze, step, speed]],
    ['nodes', [
      button('Kill leader', () => play.ask('kill', { node: 0 }), { id: 'play-kill-leader' }),
      button('Step down', () => play.ask('step-down', { node: 0 }), { id: 'play-step-down' }),
      button('Revive all', () => play.ask('revive'), { id: 'play-revive' }),
      button('Add node', () => play.ask('add'), { id: 'play-add' }),
    ]],
    ['links', [button('Heal all', () => play.ask('heal'), { id: 'play-heal' })]],
    ['store', [button('Clear…', clear, {
      id: 'play-clear', class: 'danger-quiet', title: 'Delete every key',
    })]],
  ];
  keep(bar, groups, ([name]) => name, ([name, parts]) => (
    element('div', { class: 'group', role: 'group', 'aria-label': name }, ...parts)));

  model.listen('hello', ({ playground }) => {
    setAttribute(bar, 'hidden', playground === null);
    for (const id of ['play-kill-leader', 'play-revive', 'play-add', 'play-freeze',
      'play-step', 'play-speed', 'play-step-down']) {
      setAttribute(byId(id), 'hidden', playground !== 'cluster');
    }
  });
  // Nobody carries out what is asked of a node that does not answer.
  model.listen('connection', (connection) => {
    bar.inert = connection !== 'live';
  });
  model.listen('state', (state) => {
    const away = state.nodes.some((node) => node.state === 'dead');
    freeze.textContent = state.frozen ? 'Run' : 'Freeze';
    setAttribute(freeze, 'aria-pressed', state.frozen ? 'true' : 'false');
    step.disabled = !state.frozen;
    byId('play-revive').disabled = !away;
    byId('play-heal').disabled = !(state.links ?? []).length;
    byId('play-add').disabled = !play.allows('add');
    byId('play-kill-leader').disabled = !state.leader;
    byId('play-step-down').disabled = !state.leader;
    const known = SPEEDS.some(([value]) => Number(value) === state.scale);
    if (known && document.activeElement !== speed) speed.value = String(state.scale);
  });
  // A key does what its button does, where there is one that can be used.
  const press = (pressed) => !bar.hidden && !bar.inert && !pressed.hidden && pressed.click();
  return { freeze: () => press(freeze), step: () => press(step) };
}
