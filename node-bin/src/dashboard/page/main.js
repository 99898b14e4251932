// Puts the page together.

import { byId, button, element, keep, setAttribute, setText } from './dom.js';
import { Charts } from './charts.js';
import { Journal } from './journal.js';
import { Keys } from './keys.js';
import { Lessons } from './lessons.js';
import { Logs } from './logs.js';
import { Model } from './model.js';
import { Play, showPlayground } from './play.js';
import { Ring } from './ring.js';
import { count } from './format.js';
import { follow } from './live.js';
import { showAlarms, showMembers } from './members.js';
import { showHelp, startKeyboard } from './keyboard.js';
import { startTheme, turnTheme } from './theme.js';

startTheme();

const model = new Model();
const play = new Play(model);

// On a phone logs and events are views among the others; a wide page shows them always.
const TABS = [
  ['charts', 'Charts'], ['logs', 'Logs', 'narrow'], ['keys', 'Keys'], ['members', 'Members'],
  ['lessons', 'Lessons'], ['journal', 'Events', 'narrow'],
];

let charts = null;
let keys = null;

function showTab(name) {
  document.body.dataset.tab = name;
  for (const tab of byId('tabs').children) {
    const isShown = tab.dataset.key === name;
    setAttribute(tab, 'aria-selected', isShown ? 'true' : 'false');
    setAttribute(tab, 'tabindex', isShown ? '0' : '-1');
  }
  if (name === 'charts') charts?.show(true);
  keys?.turn();
}

function makeTabs() {
  const tabs = byId('tabs');
  keep(tabs, TABS, ([name]) => name, ([name, text, kind]) => (
    button(text, () => showTab(name), {
      role: 'tab', id: `tab-${name}`, class: kind ?? null,
      'aria-controls': name === 'logs' ? 'logs' : `panel-${name}`,
    })));
  tabs.addEventListener('keydown', (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const shown = [...tabs.children].filter((tab) => tab.offsetParent !== null);
    const now = shown.indexOf(document.activeElement);
    const next = shown[(now + step + shown.length) % shown.length];
    next.focus();
    showTab(next.dataset.key);
    event.preventDefault();
  });
}

function showFacts() {
  const up = (state) => state.nodes.filter((node) => node.state === 'up').length;
  const facts = (state) => [
    ['leader', state?.leader ? `node ${state.leader}` : 'none'],
    ['term', state ? count(state.term) : '–'],
    ['nodes', state ? `${up(state)} / ${state.nodes.length}` : '–'],
    ['cluster', model.hello?.cluster ? model.hello.cluster.slice(0, 8) : '–'],
    ['version', model.hello?.version ?? '–'],
  ];
  const show = () => keep(byId('facts'), facts(model.state), ([name]) => name,
    ([name]) => element('div', { class: `fact fact-${name}` },
      element('dt', { text: name }), element('dd', {})),
    (fact, [, value]) => setText(fact.lastElementChild, value));
  show();
  model.listen('hello', show);
  model.listen('state', show);
}

function showConnection() {
  const words = { loading: 'connecting', live: 'live', broken: 'lost', full: 'too many pages' };
  const show = () => {
    const place = byId('connection');
    const own = model.own();
    setText(place, words[model.connection] + (own ? ` · node ${own}` : ''));
    setAttribute(place, 'data-state', model.connection);
    setAttribute(document.body, 'data-connection', model.connection);
    const lost = byId('lost');
    const isLost = model.connection === 'broken' || model.connection === 'full';
    setAttribute(lost, 'hidden', !isLost);
    if (!isLost) return;
    const doors = Object.entries(model.hello?.doors ?? {}).filter(([id]) => Number(id) !== own);
    const why = model.connection === 'full'
      ? 'This node serves as many pages as it can; this one comes when another is closed.'
      : `${own ? `Node ${own}, which serves this page, does not answer; what is seen is old.`
        : 'The node that serves this page does not answer.'} The page comes back by itself `
        + 'when it does.';
    lost.replaceChildren(why, ...doors.flatMap(([id, door], place) => [
      place === 0 ? ' Or go on at ' : ', ',
      element('a', { href: `http://${door}/`, text: `node ${id}` }),
    ]));
  };
  model.listen('connection', show);
  model.listen('hello', show);
}

makeTabs();
showFacts();
showConnection();
showAlarms(model);
const ring = new Ring(model, play);
new Logs(model);
charts = new Charts(model);
keys = new Keys(model);
showMembers(model);
const bar = showPlayground(model, play);
const lessons = new Lessons(model, play, () => showTab('lessons'));
new Journal(model);

byId('theme').onclick = () => {
  turnTheme();
  charts.show(true);
};
byId('help').onclick = showHelp;
startKeyboard({
  tab: showTab,
  node: (id) => ring.openById(id),
  filter: () => {
    showTab(matchMedia('(max-width: 899px)').matches ? 'journal' : document.body.dataset.tab);
    byId('journal-text').focus();
  },
  prefix: () => {
    showTab('keys');
    byId('key-prefix').focus();
  },
  freeze: bar.freeze,
  step: bar.step,
  theme: () => byId('theme').click(),
  next: () => lessons.next(),
  pause: () => lessons.turnHold(),
});
showTab('charts');
follow(model, () => lessons.isPlaying());
