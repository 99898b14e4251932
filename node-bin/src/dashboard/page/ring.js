// The ring of nodes with the links between them.

import { byId, drawn, keep, setAttribute, setText } from './dom.js';
import { along, layOut, linkEnds, markPlaces, wordsBox } from './ring_layout.js';
import { bytes, count, plural } from './format.js';
import { makeFigure, tickFigure, updateFigure, wordsOf } from './node_figure.js';
import { Flights } from './flights.js';
import { confirmed } from './play.js';
import { openMenu } from './menu.js';

const DELAYS_MS = [100, 500];

/** A node alone goes on by itself: nobody could ask it to. */
const PAUSE_MS = 10_000;

/** How far beside each other both directions of a link run when they differ. */
const ASIDE_PX = 4;

export class Ring {
  constructor(model, play) {
    this.model = model;
    this.play = play;
    this.place = byId('ring');
    this.links = drawn('g', { class: 'links' });
    this.flying = drawn('g', { class: 'flights', 'aria-hidden': 'true' });
    this.figures = drawn('g', { class: 'nodes' });
    this.svg = drawn('svg', { class: 'ring-picture', role: 'group', 'aria-label': 'Ring of nodes' },
      this.links, this.flying, this.figures);
    this.place.append(this.svg);
    this.layout = null;
    this.isCalm = matchMedia('(prefers-reduced-motion: reduce)');
    this.flights = new Flights(model, this.flying);
    model.listen('state', () => this.show());
    model.listen('events', (events) => this.layout
      && this.flights.take(events, this.layout, this.isCalm.matches));
    new ResizeObserver(() => this.show()).observe(this.place);
    this.showLegend();
    const frame = () => {
      this.tick();
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  show() {
    const { state } = this.model;
    if (!state) return;
    const { width, height } = this.place.getBoundingClientRect();
    if (width < 50 || height < 50) return;
    const ids = state.nodes.map((node) => node.id);
    this.layout = layOut(ids, width, height);
    setAttribute(this.svg, 'viewBox', `0 0 ${width} ${height}`);
    this.showLinks(ids);
    keep(this.figures, state.nodes, (node) => node.id,
      (node) => makeFigure(node, (id, figure) => this.openNode(id, figure)),
      (figure, node) => {
        updateFigure(figure, node, this.layout.places.get(node.id));
        setAttribute(figure, 'data-own', node.id === this.model.own());
      });
    if (this.isCalm.matches) this.tick();
    this.summarize(state);
  }

  summarize(state) {
    const up = state.nodes.filter((node) => node.state === 'up').length;
    const lead = state.leader ? `node ${state.leader} leads in term ${count(state.term)}`
      : `nobody leads, term ${count(state.term)}`;
    const time = state.frozen ? ' · time stands still'
      : state.scale > 1 ? ` · ${state.scale}× slower` : '';
    setText(byId('summary'), `${lead} · ${up} of ${plural(state.nodes.length, 'node')} up${time}`);
  }

  showLinks(ids) {
    const pairs = [];
    for (const [index, from] of ids.entries()) {
      for (const to of ids.slice(index + 1)) pairs.push([from, to]);
    }
    const marks = this.placeMarks(pairs);
    keep(this.links, pairs, ([from, to]) => `${from}-${to}`,
      ([from, to]) => this.makeLink(from, to),
      (group, [from, to]) => this.updateLink(group, from, to, marks));
  }

  /** The directions of a link that are drawn: one for both if they do not differ. */
  waysOf(from, to) {
    const { places } = this.layout;
    const [one, other] = [places.get(from), places.get(to)];
    const [there, back] = [this.model.link(from, to), this.model.link(to, from)];
    const way = (start, end, fault, aside, isBoth) => (
      { start, end, ends: linkEnds(start, end, aside), fault, isBoth });
    if (describe(there) === describe(back)) return [way(one, other, there, 0, true)];
    return [way(one, other, there, ASIDE_PX, false), way(other, one, back, ASIDE_PX, false)];
  }

  /** Where the marks of links stand that are cut or delayed: beside words and other marks. */
  placeMarks(pairs) {
    const { places } = this.layout;
    const taken = this.model.nodes().flatMap((node) => {
      const place = places.get(node.id);
      return wordsBox(place, wordsOf(node, place));
    });
    const marked = pairs.flatMap(([from, to]) => this.waysOf(from, to))
      .filter(({ fault }) => fault)
      .map(({ start, end, ends, fault, isBoth }) => (
        { key: `${start.id}-${end.id}`, ends, width: markWidth(fault), at: shareOf(isBoth) }));
    return markPlaces(marked, taken);
  }

  makeLink(from, to) {
    const open = (event) => this.openLink(from, to, event.currentTarget);
    return drawn('g', {
      class: 'link', role: 'button', 'data-link': `${from}-${to}`, onclick: open,
      tabindex: '0',
      onkeydown: (event) => {
        if (event.key !== 'Enter' && event.key !== ' ') return;
        event.preventDefault();
        event.stopPropagation();
        open(event);
      },
    }, drawn('line', { class: 'touch' }), drawn('g', { class: 'ways' }));
  }

  updateLink(group, from, to, marks) {
    const ways = this.waysOf(from, to);
    const [touch, drawing] = group.children;
    const { places } = this.layout;
    for (const [name, value] of Object.entries(linkEnds(places.get(from), places.get(to)))) {
      setAttribute(touch, name, value.toFixed(1));
    }
    const alive = this.model.node(from).state === 'up' && this.model.node(to).state === 'up';
    for (const way of ways) {
      way.at = marks.get(`${way.start.id}-${way.end.id}`) ?? shareOf(way.isBoth);
    }
    const sign = JSON.stringify([alive, ways.map(({ ends, fault, at }) => (
      [ends, describe(fault), at]))]);
    if (group.sign !== sign) {
      group.sign = sign;
      drawing.replaceChildren(...ways.flatMap((way) => drawWay(way, alive)));
    }
    const [there, back] = [this.model.link(from, to), this.model.link(to, from)];
    const words = ways.length === 1 ? describe(there) || 'whole'
      : `${from} to ${to} ${describe(there) || 'whole'}, back ${describe(back) || 'whole'}`;
    setAttribute(group, 'aria-label', `Link ${from} to ${to}: ${words}`);
    setAttribute(group, 'data-cut', Boolean(there?.cut || back?.cut));
    setAttribute(group, 'data-delayed', Boolean(there?.delay_ms || back?.delay_ms));
  }

  tick() {
    const { state, received_ms } = this.model;
    if (!state || !this.layout) return;
    const isLive = this.model.connection === 'live' && !state.frozen;
    const since_ms = isLive ? performance.now() - received_ms : 0;
    for (const figure of this.figures.children) {
      const node = this.model.node(Number(figure.dataset.node));
      if (node) tickFigure(figure, node, this.isCalm.matches ? 0 : since_ms);
    }
    if (!state.frozen) this.flights.move(performance.now());
  }

  openNode(id, figure) {
    const node = this.model.node(id);
    if (!node) return;
    const box = figure.querySelector('.body').getBoundingClientRect();
    openMenu({
      title: `Node ${id}`,
      facts: factsOf(node, this.model),
      actions: this.nodeActions(node),
      at: { x: box.right + 10, y: box.top },
      opener: figure,
    });
  }

  nodeActions(node) {
    const { id } = node;
    const isUp = node.state === 'up' || node.state === 'silent';
    const offers = [
      ['campaign', 'Stand for election', isUp && node.role !== 'leader'],
      ['transfer', 'Make it the leader', isUp && node.role !== 'leader'],
      ['step-down', 'Step down', node.role === 'leader' && isUp],
      ['pause', this.play.isAlone() ? `Pause for ${PAUSE_MS / 1000} s` : 'Pause', isUp],
      ['resume', 'Resume', node.state === 'paused'],
      ['kill', 'Kill', node.state !== 'dead', true],
      ['revive', 'Revive', node.state === 'dead'],
      ['remove', 'Remove for ever', true, true],
    ];
    const actions = offers
      .filter(([action, , fits]) => fits && this.play.allows(action, id))
      .map(([action, text, , danger]) => ({
        text, danger, id: `node-${action}`, act: () => this.actOn(action, id),
      }));
    if (this.play.allows('cut', id) && this.model.nodes().length > 1) {
      actions.push({ text: 'Cut off from all', id: 'node-cut-off', act: () => this.cutOff(id) });
    }
    return actions;
  }

  async actOn(action, id) {
    const question = this.question(action, id);
    if (question && !(await confirmed(question, action === 'kill' ? 'Kill' : 'Remove'))) return;
    const isPauseAlone = action === 'pause' && this.play.isAlone();
    await this.play.ask(action, isPauseAlone ? { node: id, ms: PAUSE_MS } : { node: id });
  }

  /** What is asked before something that this page cannot undo, or null. */
  question(action, id) {
    const isOwn = id === this.model.own();
    if (action === 'remove') {
      return `Remove node ${id} for ever? Its number is never used again.`
        + `${isOwn ? ' This page comes from it and ends with it.' : ''}`;
    }
    if (action !== 'kill' || !(isOwn || this.play.isAlone())) return null;
    return this.play.isAlone() ? `Kill node ${id}? Its program ends, and this page with it.`
      : `Kill node ${id}? This page comes from it, and another node's page must revive it.`;
  }

  async cutOff(id) {
    for (const { id: other } of this.model.nodes()) {
      if (other !== id && !this.model.link(id, other)?.cut) {
        await this.play.ask('cut', { node: id, other });
      }
    }
  }

  openLink(from, to, group) {
    const ends = (action, more = {}) => ({
      act: () => this.play.ask(action, { node: from, other: to, ...more }),
    });
    const back = (action, more = {}) => ({
      act: () => this.play.ask(action, { node: to, other: from, ...more }),
    });
    const hasFault = this.model.link(from, to) || this.model.link(to, from);
    const isCut = this.model.link(from, to)?.cut && this.model.link(to, from)?.cut;
    const mayPlay = this.play.allows('cut', from) || this.play.allows('cut', to);
    const actions = !mayPlay ? [] : [
      hasFault && { text: 'Heal', id: 'link-heal', ...ends('heal') },
      !isCut && { text: 'Cut', id: 'link-cut', ...ends('cut') },
      !isCut && { text: `Cut ${from} → ${to} only`, ...ends('cut', { one_way: true }) },
      !isCut && { text: `Cut ${to} → ${from} only`, ...back('cut', { one_way: true }) },
      ...DELAYS_MS.map((ms) => this.delayBy(ms, [from, to])),
    ].filter(Boolean);
    const fault = (one, other) => describe(this.model.link(one, other)) || 'whole';
    const box = group.querySelector('.touch').getBoundingClientRect();
    openMenu({
      title: `Link ${from} – ${to}`,
      facts: [[`${from} → ${to}`, fault(from, to)], [`${to} → ${from}`, fault(to, from)]],
      actions,
      at: { x: box.left + box.width / 2 + 12, y: box.top + box.height / 2 },
      opener: group,
    });
  }

  /** A node alone delays what it sends, and nothing else. */
  delayBy(ms, [from, to]) {
    const own = this.model.own();
    const [node, other] = this.play.isAlone() && to === own ? [to, from] : [from, to];
    const one_way = this.play.isAlone();
    return {
      text: one_way ? `Delay ${node} → ${other} by ${ms} ms` : `Delay by ${ms} ms`,
      id: `link-delay-${ms}`,
      act: () => this.play.ask('delay', { node, other, ms, one_way }),
    };
  }

  /** Opens the menu of a node as a click does. */
  openById(id) {
    const figure = this.figures.querySelector(`[data-node="${Number(id)}"]`);
    if (figure) this.openNode(Number(id), figure);
  }

  showLegend() {
    const sample = (kind, text) => {
      const dot = drawn('svg', {
        viewBox: '0 0 10 10', width: 10, height: 10, 'aria-hidden': 'true',
      },
        drawn('circle', { cx: 5, cy: 5, r: 3.5, class: `flight ${kind}` }));
      const item = document.createElement('span');
      item.append(dot, text);
      return item;
    };
    byId('legend').append(sample('entries', 'entries'), sample('heartbeat', 'heartbeat'),
      sample('answer', 'answer'), sample('vote', 'vote'),
      Object.assign(document.createElement('span'), {
        className: 'note', textContent: 'dots fly slower than messages do',
      }));
  }
}

function describe(fault) {
  if (!fault) return '';
  return fault.cut ? 'cut' : `${fault.delay_ms} ms later`;
}

function markText(fault) {
  return `+${fault.delay_ms} ms`;
}

function markWidth(fault) {
  return fault.cut ? 16 : markText(fault).length * 6.4 + 10;
}

/** Where the mark of a link stands if nothing is in its way. */
function shareOf(isBoth) {
  return isBoth ? 0.5 : 0.38;
}

function drawWay({ ends, fault, isBoth, at }, alive) {
  const line = (from, to, kind) => {
    const [start, end] = [along(ends, from), along(ends, to)];
    return drawn('line', {
      class: kind, x1: start.x.toFixed(1), y1: start.y.toFixed(1),
      x2: end.x.toFixed(1), y2: end.y.toFixed(1),
    });
  };
  const arrow = () => {
    const angle = (Math.atan2(ends.y2 - ends.y1, ends.x2 - ends.x1) * 180) / Math.PI;
    return drawn('path', {
      class: 'arrow', d: 'M-7 -4 L0 0 L-7 4',
      transform: `translate(${ends.x2.toFixed(1)} ${ends.y2.toFixed(1)}) `
        + `rotate(${angle.toFixed(1)})`,
    });
  };
  const more = isBoth ? [] : [arrow()];
  const middle = along(ends, at);
  if (!fault) return [line(0, 1, alive ? 'way' : 'way asleep'), ...more];
  if (fault.cut) {
    return [line(0, at - 0.09, 'way cut'), line(at + 0.09, 1, 'way cut'), ...more,
      drawn('path', {
        class: 'cut-mark', d: 'M-5 -5 L5 5 M5 -5 L-5 5',
        transform: `translate(${middle.x.toFixed(1)} ${middle.y.toFixed(1)})`,
      })];
  }
  const width = markWidth(fault);
  return [line(0, 1, 'way delayed'), ...more,
    drawn('rect', {
      class: 'delay-mark', x: (middle.x - width / 2).toFixed(1), y: (middle.y - 9).toFixed(1),
      width, height: 18, rx: 9,
    }),
    drawn('text', {
      class: 'delay-text', x: middle.x.toFixed(1), y: (middle.y + 4).toFixed(1),
      text: markText(fault),
    })];
}

function factsOf(node, model) {
  const values = node.values ?? {};
  const facts = [
    ['address', node.address], ['state', node.error ? `${node.state}: ${node.error}` : node.state],
  ];
  if (node.state === 'up') {
    const round = (ms) => Math.round(ms);
    const timer = node.timer
      ? `${round(node.timer.left_ms)} of ${round(node.timer.of_ms)} ms` : null;
    facts.push(
      ['role', `${node.role}, ${node.member}`], ['term', count(node.term)],
      ['vote', node.vote ? `node ${node.vote}` : 'none in this term'],
      ['leader', node.leader ? `node ${node.leader}` : 'knows of none'],
      ['log', `${count(node.log?.first)} to ${count(node.log?.last)}`],
      ['election timer', timer ?? 'none'],
      ['memory', bytes(values['memory/resident_bytes'])],
    );
  }
  if (node.id === model.own()) facts.push(['page', 'this page comes from here']);
  return facts.filter(([, value]) => value !== null && value !== undefined);
}
