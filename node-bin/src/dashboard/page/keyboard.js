// What keys do, and the page that says so.

import { button, drawn, element } from './dom.js';
import { closeMenu } from './menu.js';

const WORDS = [
  ['1 … 9', 'open the menu of a node'],
  ['c k m l', 'charts, keys, members, lessons'],
  ['e', 'filter what happens'],
  ['/', 'keys that begin with …'],
  ['f', 'freeze, or let time run again'],
  ['.', 'one step while time stands still'],
  ['→', 'the next step of a lesson'],
  ['p', 'pause a lesson, or go on with it'],
  ['t', 'dark or light'],
  ['?', 'this page'],
  ['Esc', 'close what is open'],
  ['Tab Enter', 'reach and open nodes, links and buttons'],
];

const PICTURE_WORDS = [
  ['The colour of a node and of an entry is its term. A number in an entry is its term as well.'],
  ['The arc around a follower is its election timer: at zero it asks for votes. Each word of the '
    + 'leader winds it up again.'],
  ['A filled entry is committed, an outlined one is not. Small letters: ∅ the first entry of a '
    + 'leader, C a change of members, B a node\'s directory.'],
  ['Dots are messages, sampled under load and slower than they were. A dot that ends at a cut '
    + 'was lost.'],
];

/** The keys of the page; `does` has a function for each. */
export function startKeyboard(does) {
  const act = {
    c: () => does.tab('charts'), k: () => does.tab('keys'), m: () => does.tab('members'),
    l: () => does.tab('lessons'), e: does.filter, '/': does.prefix, f: does.freeze,
    '.': does.step, t: does.theme, '?': showHelp, ArrowRight: does.next, p: does.pause,
  };
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && closeMenu()) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest?.('input, textarea, select, dialog, .menu')) return;
    // Among tabs arrows go to the next one.
    if (event.target.closest?.('[role=tablist]') && event.key.startsWith('Arrow')) return;
    if (/^[1-9]$/.test(event.key)) does.node(Number(event.key));
    else if (Object.hasOwn(act, event.key)) act[event.key]();
    else return;
    event.preventDefault();
  });
}

/** The page that says what keys do and what the pictures mean. */
export function showHelp() {
  if (document.querySelector('dialog')) return;
  const dialog = element('dialog', { class: 'dialog help', 'aria-label': 'Keyboard and legend' });
  dialog.append(
    element('h2', { text: 'Keyboard' }),
    element('dl', { class: 'keyboard' }, ...WORDS.flatMap(([keys, text]) => [
      element('dt', {}, ...keys.split(' ').map((key) => (
        key === '…' ? key : element('kbd', { text: key })))),
      element('dd', { text }),
    ])),
    element('h2', { text: 'What is seen' }),
    ...PICTURE_WORDS.map(([text]) => element('p', { text })),
    timerPicture(),
    element('div', { class: 'row end' }, button('Close', () => dialog.close())));
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

function timerPicture() {
  return drawn('svg', {
    class: 'help-picture', viewBox: '0 0 180 40', role: 'img', 'aria-label': 'Timers',
  },
    ...[0.9, 0.5, 0.12].flatMap((share, place) => [
      drawn('circle', { cx: 30 + place * 60, cy: 20, r: 15, class: 'timer-track' }),
      drawn('circle', {
        cx: 30 + place * 60, cy: 20, r: 15, class: 'timer', pathLength: 1,
        'stroke-dasharray': `${share} 1`, 'data-low': share < 0.25,
      }),
    ]));
}
